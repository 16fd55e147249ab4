"""Problems for kernels, and the path of the steps that a kernel takes, to be compared with the reference's."""

from dataclasses import replace
from itertools import product

import numpy as np

from sgdlinreg._core.blocks import CSR, Block, take_rows
from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.objective import LOSSES, Objective, make_loss
from sgdlinreg._search.together import joined_coordinates, joined_objective
from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel

from .helpers import RTOL, as_csr, make_problem

PENALTIES = {
    "none": {},
    "l2": {"alpha": 0.1},
    "l1": {"alpha": 0.05, "l1_ratio": 1.0},
    "elasticnet": {"alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"alpha": 0.01, "positive": True},
}
MOMENTA = {"plain": (0.0, False), "momentum": (0.8, False), "nesterov": (0.8, True)}
OBJECTIVES = list(product(LOSSES, PENALTIES, MOMENTA))


def objective_of(loss="squared_error", penalty="none", fit_intercept=True):
    keywords = {"alpha": 0.0} | PENALTIES[penalty]
    return Objective(make_loss(loss, 0.3, 0.3), fit_intercept=fit_intercept, **keywords)


def csr_of(X, index_dtype=np.int32):
    rows = as_csr(X, index_dtype)
    return CSR(rows.data, rows.indices, rows.indptr, X.shape[1])


def block_of(dtype=np.float64, n_features=7, n_targets=1, weighted=False, n_rows=61):
    X, y, weight = make_problem(0, n_rows, n_features, n_targets, weighted)
    return Block(X.astype(dtype), y.reshape(n_rows, -1), weight)


def sparse_block(dtype=np.float64, n_features=7, n_targets=1, weighted=False, n_rows=61, index_dtype=np.int32):
    block = block_of(dtype, n_features, n_targets, weighted, n_rows)
    return replace(block, X=csr_of(np.where(np.abs(block.X) > 0.7, block.X, 0).astype(dtype), index_dtype))


def path_of(kernel, block, objective, *, batch_size=16, momentum=(0.0, False), n_epochs=5, index_dtype=np.int64):
    """Coefficients, their sums, velocities and losses after every epoch; the last epoch leaves out some rows."""
    rng, shape = np.random.default_rng(0), (block.n_targets, block.n_features + 1)
    columns = take_rows(block.X, slice(None), dense=True)
    coordinates = Coordinates(columns.mean(axis=0), columns.std(axis=0) + 0.1)
    iterate, ready = Iterate(*np.zeros((3, *shape))), kernel.to_device(block)
    path = []
    for epoch in range(n_epochs):
        order = rng.permutation(block.n_rows).astype(index_dtype)
        order = order[: -(block.n_rows // 4) or None] if epoch == n_epochs - 1 else order
        step_sizes = rng.uniform(0.05, 0.1, (-(-len(order) // batch_size), block.n_targets)) / shape[1]
        losses = kernel.run_batches(ready, order, step_sizes, batch_size, objective, coordinates, momentum, iterate)
        path.append([*map(np.copy, iterate), losses])
    return [np.array(steps) for steps in zip(*path, strict=True)]


def candidates_of(loss, penalty, fit_intercept=True):
    """Objectives that differ in numbers; the last one has no penalty but perhaps that coefficients are positive."""
    common = PENALTIES[penalty]
    return [
        Objective(
            make_loss(loss, number, number),
            common.get("alpha", 0.0) * factor,
            fit_intercept,
            common.get("l1_ratio", 0.0),
            common.get("positive", False),
        )
        for number, factor in ((0.1, 1.0), (0.3, 4.0), (0.6, 0.0))
    ]


def paths_of_candidates(kernel, block, objectives, *, batch_size=16, momentum=(0.0, False)):
    """Iterates and losses of candidates after two epochs, as models of one call and of each alone: two lists of arrays.

    Each has a start, steps and scales of its own. The second epoch leaves out some rows.
    """
    rng, ready = np.random.default_rng(0), kernel.to_device(block)
    orders = [rng.permutation(block.n_rows)[:n_rows] for n_rows in (block.n_rows, block.n_rows - block.n_rows // 4)]
    n_batches = [-(-len(order) // batch_size) for order in orders]
    shape, centre = (block.n_targets, block.n_features + 1), rng.uniform(-0.5, 0.5, block.n_features)
    coordinates = [Coordinates(centre, scale) for scale in rng.uniform(0.5, 2.0, (len(objectives), block.n_features))]
    iterates = [Iterate(*0.1 * rng.standard_normal((3, *shape))) for _ in objectives]
    step_sizes = [[rng.uniform(0.05, 0.1, (n, shape[0])) / shape[1] for n in n_batches] for _ in objectives]
    joined = Iterate(*map(np.concatenate, zip(*iterates, strict=True)))
    together = joined_objective(objectives, shape[0]), joined_coordinates(coordinates, shape[0]), momentum, joined
    found, expected = np.zeros(len(joined.coef)), np.zeros((len(objectives), shape[0]))
    for epoch, order in enumerate(orders):
        steps = [steps[epoch] for steps in step_sizes]
        found += kernel.run_batches(ready, order, np.concatenate(steps, axis=1), batch_size, *together)
        for one, total in enumerate(expected):
            alone = objectives[one], coordinates[one], momentum, iterates[one]
            total += kernel.run_batches(ready, order, steps[one], batch_size, *alone)
    return [*joined, found], [*map(np.concatenate, zip(*iterates, strict=True)), expected.ravel()]


def assert_candidates_are_alone(kernel, block, objectives, **options):
    """Compare to 1e-12 in float64, and in float32 too: each model is summed up as it is alone."""
    for found, expected in zip(*paths_of_candidates(kernel, block, objectives, **options), strict=True):
        assert np.abs(expected).min() < np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def assert_same_path(kernel, block, objective, **options):
    found, expected = (path_of(runs, block, objective, **options) for runs in (kernel, ReferenceKernel()))
    rtol = RTOL[block.dtype]
    for steps, those in zip(found, expected, strict=True):
        np.testing.assert_allclose(steps, those, rtol=rtol, atol=rtol * np.abs(those).max())
    assert np.abs(expected[0]).max() > 0.0
