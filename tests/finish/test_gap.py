"""How far a fit says that it is."""

import numpy as np
import pytest

from sgdlinreg._solvers.finish.gap import PAIR, SLOWEST, WINDOW, Gap
from sgdlinreg._solvers.finish.preconditioner import IDENTITY, Preconditioner

BLIND = Preconditioner(np.eye(2), np.ones(2), blind=True)


def after(gap, falls, decrements):
    """Give the gap after some passes of one target, and whether it was small after each."""
    small = []
    for fall, decrement in zip(falls, decrements, strict=True):
        found = gap.after(np.array([fall]), np.array([decrement]))
        small.append(gap.is_small)
    return found[0], small


def test_gap_of_a_quadratic_is_exact():
    """With the inverse of the curvature, half the decrement is what is left to the minimum."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    curvature, best, unit = root @ root.T, rng.standard_normal(4), 0.3
    values, vectors = np.linalg.eigh(curvature)
    made = Preconditioner(vectors.T, 1.0 / np.sqrt(values))
    here = rng.standard_normal(4)
    gradient = np.append(curvature @ (here - best), 0.0)[None]
    left = 0.5 * (here - best) @ curvature @ (here - best)
    found = Gap(np.array([unit]), 1e-3, made, certifies=True).at(made.along(gradient)[1])
    assert found[0] == pytest.approx(left / unit, rel=1e-10)


def test_certificate_that_said_too_little_is_raised():
    gap = Gap(np.array([2.0]), 1e-3, IDENTITY, certifies=True)
    assert gap.at(np.array([4e-2]))[0] == pytest.approx(1e-2)
    # the pass gained five times what there was to gain: what is left may be five times what is said, too
    assert gap.after(np.array([0.1]), np.array([4e-4]))[0] == pytest.approx(5e-4)
    assert gap.after(np.array([1e-6]), np.array([4e-5]))[0] == pytest.approx(1e-5)  # less: as it says


def test_certified_gap_is_small_below_a_hundredth_of_tol():
    gap = Gap(np.array([0.5]), 1e-3, IDENTITY, certifies=True)
    for decrement, small in ((1.1e-5, False), (0.9e-5, True)):
        gap.at(np.array([decrement]))
        assert gap.is_small is small


def test_blind_fit_is_not_called_converged_before_passes_gained_nothing():
    gap = Gap(np.array([1.0]), 1e-3, BLIND, certifies=True)
    gap.at(np.array([1e-9]))
    assert not gap.is_small
    small = after(gap, [1e-2] + [1e-7] * 6, [1e-9] * 7)[1]
    assert small == [False] * WINDOW + [True] * 3


@pytest.mark.parametrize("ratio", [0.3, 0.8])
def test_what_is_left_of_falls_in_geometric_progression(ratio):
    falls = ratio ** np.arange(12)
    found, _ = after(Gap(np.array([4.0]), 1e-3, IDENTITY, certifies=False), falls, np.zeros(12))
    assert found == pytest.approx(falls[-1] * ratio / (1.0 - ratio) / 4.0, rel=1e-9)


def test_slow_falls_are_taken_to_shrink():
    found, _ = after(Gap(np.array([1.0]), 1e-3, IDENTITY, certifies=False), np.ones(12), np.zeros(12))
    assert found == pytest.approx(PAIR * SLOWEST / (1.0 - SLOWEST))


def test_gap_that_is_not_certified_is_small_after_a_window_without_gain():
    gap = Gap(np.array([1.0]), 1e-3, IDENTITY, certifies=False)
    gap.at(np.array([0.0]))
    assert not gap.is_small
    assert after(gap, [1e-6] * 6, [0.0] * 6)[1] == [False] * (WINDOW - 1) + [True] * 3
    assert not after(gap, [1.0], [0.0])[1][0]


def test_total_fall_and_targets():
    gap = Gap(np.array([1.0, 0.0, 4.0]), 1e-3, IDENTITY, certifies=True)
    np.testing.assert_array_equal(gap.total_fall, np.zeros(3))
    np.testing.assert_allclose(gap.at(np.array([2.0, 2.0, 2.0])), [1.0, 0.0, 0.25])  # constant y has no gap
    gap.after(np.array([0.5, 0.1, 0.2]), np.zeros(3))
    gap.after(np.array([0.1, 0.1, 0.2]), np.zeros(3))
    np.testing.assert_allclose(gap.total_fall, [0.6, 0.0, 0.1])


def test_tol_below_rounding_is_that_of_rounding():
    gap = Gap(np.array([1.0]), 0.0, IDENTITY, certifies=True)
    gap.at(np.array([1e-16]))
    assert gap.is_small
