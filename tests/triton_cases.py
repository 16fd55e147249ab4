"""Problems for the Triton kernels, and the kernels behind the contract of solvers."""

from itertools import product

import numpy as np

from sgdlinreg._blocks import Block
from sgdlinreg._objective import LOSSES, Objective, make_loss
from sgdlinreg._solvers.base import Visit
from sgdlinreg._solvers.batches_torch import make_setting
from sgdlinreg._solvers.sgd import SGD
from sgdlinreg._solvers.sgd_reference import ReferenceKernel
from sgdlinreg._solvers.sgd_torch import TorchKernel

from .helpers import RTOL, make_problem

PENALTIES = {
    "none": {},
    "l2": {"alpha": 0.1},
    "l1": {"alpha": 0.05, "l1_ratio": 1.0},
    "elasticnet": {"alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"alpha": 0.01, "positive": True},
}
MOMENTA = {
    "plain": {},
    "momentum": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterovs_momentum": True},
}
OBJECTIVES = list(product(LOSSES, PENALTIES, MOMENTA))


class TritonKernel(TorchKernel):
    """The kernels on any device: the interpreter takes tensors of the CPU."""

    shared = False

    def _plan(self, problem):
        from sgdlinreg._solvers.sgd_triton import TritonPlan

        setting = make_setting(self._put, problem.conditioning, problem.memory, problem.objective.fit_intercept)
        return TritonPlan(self.torch, problem, setting, n_programs=3, shared=self.shared)


class SharedKernel(TritonKernel):
    shared = True


def objective_of(loss="squared_error", penalty="none", fit_intercept=True):
    keywords = {"alpha": 0.0} | PENALTIES[penalty]
    return Objective(make_loss(loss, 0.3), fit_intercept=fit_intercept, **keywords)


def block_of(dtype=np.float64, n_features=7, n_targets=1, weighted=False, n_rows=61):
    X, y, weight = make_problem(0, n_rows, n_features, n_targets, weighted)
    return Block(X.astype(dtype), y.reshape(n_rows, -1), weight)


def run(kernel, blocks, objective, options, visit=Visit.ALL, n_epochs=5):
    """Path of the coefficients, of their mean, of the velocity, and of the losses."""
    solver, rng = SGD(objective, options, kernel), np.random.default_rng(0)
    state = solver.init(blocks[0].n_features, blocks[0].n_targets, None)
    path = []
    for block in blocks:
        state, ready = solver.prepare(state, block, rng, visit)
        for _ in range(n_epochs):
            state = solver.update(state, ready, rng)
            mean = state.coef_sum / state.n_steps
            path.append(np.column_stack([state.coef, mean, state.velocity, state.losses]))
    return np.array(path), state


def assert_same_path(kernel, blocks, objective, options, **kwargs):
    found, _ = run(kernel, blocks, objective, options, **kwargs)
    expected, state = run(ReferenceKernel(), blocks, objective, options, **kwargs)
    rtol = RTOL[blocks[0].dtype]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    return state
