"""The one loop: passes over blocks of rows until the solver is done."""

from typing import Any

import numpy as np

from sgdlinreg._core.contract import Model, Solver


def train(solver: Solver, data: Any, monitor: Any, start: np.ndarray | None = None, kept: Any = None) -> Model:
    """Fit a model: sums of a closed form, epochs of steps and full gradients are all passes over the rows.

    A KeyboardInterrupt ends passes of steps and full gradients with the model that the last finished one has led to.

    Parameters
    ----------
    solver : Solver
    data : InMemory or Streamed
        fit passes over one block, fit_source over many, partial_fit once over one.
    monitor : Monitor
        Records the passes.
    start : ndarray of shape (n_targets, n_features + 1) or None
        Coefficients to start from, the intercept last.
    kept : Any
        What an earlier fit has left for partial_fit to go on from.

    Raises
    ------
    ValueError
        If the result is not finite, or steps diverge.
    KeyboardInterrupt
        If there is no such model: before the first pass has finished, in a closed form, and where rows come once.
    """
    state, done = solver.init(data, start, kept), False
    data = data.map(solver.place)
    known = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite is told by the solver
    with known, monitor.telling_of_compilation():
        try:
            while not done:
                state = data.one_pass(solver, state)
                state, data, done = solver.end_pass(state, data, monitor)
        except KeyboardInterrupt:
            if data.once or solver.one_pass or not monitor.n_passes:
                raise
            state = solver.interrupted(state, monitor)
    model = solver.model(state)
    monitor.end(model.reason)
    return model
