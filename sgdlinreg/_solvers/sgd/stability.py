"""Which float eta0 is stable: what a user who gives one is told."""

from dataclasses import replace

import numpy as np

from sgdlinreg._core.arrays import times
from sgdlinreg._core.blocks import panel_of, panels, sample_rows, squared, with_ones
from sgdlinreg._core.coordinates import norms_of, raw_coordinates
from sgdlinreg._core.sampling import LARGEST_ROWS, Reservoir, sample_size
from sgdlinreg._solvers.sgd.safe_step import safe_step_of

DIRECTION_ROWS = 512
"""Rows that give the direction in which curvature is measured."""
POWER_ITERATIONS = 40


def largest_stable_step(block, objective, batch_size, rng) -> float:
    """Return the safe step for the data as they are: the eta0 that a diverged fit should not have exceeded.

    0 if squares of the data overflow.
    """
    as_they_are = raw_coordinates(block.n_features)
    weight = 1.0 if block.sample_weight is None else block.sample_weight * (block.n_rows / block.total_weight)
    norms = weight * norms_of(block, as_they_are)
    if not np.isfinite(norms.sum()):
        return 0.0
    block = replace(block, sample_weight=np.broadcast_to(weight, block.n_rows))
    sample = Reservoir(sample_size(block.n_features), LARGEST_ROWS).add(block, norms, rng).sample()
    return safe_step_of(sample, as_they_are, objective, batch_size, block.n_rows)


def surely_diverges(block, objective, step_size, momentum, rng) -> bool:
    """Return whether the mean of iterates of the squared error grows with a constant step, whatever the batches.

    A quadratic of curvature c is left by steps above 2 (1 + momentum) / c. c is bounded from below: by the mean square
    of the projections of all rows on a direction that some random rows give. Those rows alone are read where they show
    that the step is far from the limit.
    """
    limit = 2.0 * (1.0 + momentum) / step_size
    some, _, _ = panel_of(sample_rows(block, DIRECTION_ROWS, rng), slice(None))
    rows = with_ones(some) if objective.fit_intercept else some
    norms = squared(rows).sum(axis=1)
    if norms.mean() + objective.l2 <= limit / 4.0:
        return False
    direction = np.asarray(rows[[int(np.argmax(norms))]].sum(axis=0)).ravel()
    for _ in range(POWER_ITERATIONS):
        direction = rows.T @ (rows @ (direction / np.linalg.norm(direction)))
    direction /= np.linalg.norm(direction)
    features = direction[: block.n_features]
    constant = direction[-1] if objective.fit_intercept else 0.0
    along = sum(
        float(weight @ np.square(times(X, features) + constant)) for _, X, weight in panels(block, copies=False)
    )
    return not along / block.total_weight + objective.l2 * float(features @ features) <= limit
