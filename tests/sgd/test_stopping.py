"""When steps alone stop."""

import numpy as np
import pytest

from sgdlinreg._solvers.sgd.stopping import Progress

from ..helpers import epochs_until_stop


@pytest.mark.parametrize("n_iter_no_change", [1, 3, 5])
@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_each_target_stops_for_itself(n_iter_no_change, unit):
    rng, tol, stops = np.random.default_rng(0), 1e-2, []
    for _ in range(20):
        losses = unit * (1.0 / np.arange(1, 101)[:, None] + 0.02 * rng.standard_normal((100, 3)))
        progress = Progress(tol, n_iter_no_change, 3)
        stalled = np.array([progress.has_stalled(row, unit) for row in losses])
        for target in range(3):
            expected = epochs_until_stop(losses[:, target], tol, n_iter_no_change, unit)
            assert np.argmax(stalled[:, target]) + 1 == expected
            stops.append(expected)
    assert len(set(stops)) > 1


def test_units_of_targets_differ():
    progress = Progress(0.1, 1, 2)
    progress.has_stalled(np.array([10.0, 10.0]), np.array([1.0, 1.0]))
    np.testing.assert_array_equal(progress.has_stalled(np.array([9.5, 9.5]), np.array([1.0, 10.0])), [False, True])


def test_counting_starts_again_for_some_targets():
    progress = Progress(0.1, 2, 2)
    stalled = []
    for epoch in range(4):
        stalled.append(progress.has_stalled(np.ones(2), 1.0).tolist())
        if epoch == 2:
            progress.go_on(np.array([True, False]))
    assert stalled == [[False, False], [False, False], [True, True], [False, True]]


def test_without_tol_nothing_stalls():
    progress = Progress(None, 1, 2)
    assert not any(progress.has_stalled(np.ones(2), 1.0).any() for _ in range(10))
