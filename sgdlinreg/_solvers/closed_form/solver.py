"""The closed form: least squares, perhaps with an l2 penalty, in one pass over the data and as many as digits ask."""

from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.contract import Model, Options
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.kept_rows import KeptRows
from sgdlinreg._solvers.closed_form.moments import Moments
from sgdlinreg._solvers.closed_form.sum_moments import SumMoments


class NormalEquation:
    """Least squares, with or without an l2 penalty, from moments that are merged block by block.

    Parameters
    ----------
    objective : Objective
    options : Options

    Notes
    -----
    Each pass is a phase, a value of a type of its own with ``add(block)`` and ``next(objective, again)``, which returns
    the next phase; ``again`` says whether another pass is allowed.

    1. `KeptRows`: rows are kept while they are fewer than columns, and solved in the dual form.
    2. `SumMoments`: centred moments, n_rows * n_features**2 operations; they are scaled to unit diagonal, so neither
       offsets nor units cost digits, and factorised by Cholesky. Of float32 data in memory the products are float32
       first; by another pass float64 where the factor is poor, and on a device at once.
    3. `QRPanels`: where the reciprocal condition number is below 1e-12, QR of the rows in panels, whose singular values
       decide the rank of the scaled columns; of dependent columns the solution of least norm in the units of the data.
    4. `Refinement`: for small data, or a poor condition number, up to three times, with residuals in double-double on
       the data as they are.
    5. `Solved`: the end.

    Data that cannot be read again (partial_fit) are solved from the moments.
    """

    losses: ClassVar[frozenset[str]] = frozenset({"squared_error"})
    devices: ClassVar[bool] = False
    one_pass: ClassVar[bool] = True
    sums_first = True

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options

    def place(self, block):
        """Leave X where it is, unless the CPU is asked for."""
        return block.on_host() if self.options.device == "cpu" else block

    def init(self, data, start=None, kept=None):
        """Return the phase before any rows, or the one that is kept. A closed form starts nowhere."""
        if kept is not None:
            return kept
        max_rows = 0 if self.objective.positive else data.n_features - 1
        return KeptRows(data.n_features, data.n_targets, max_rows, may_round=data.in_memory)

    def add(self, state, block):
        """Take in a block."""
        return state.add(block)

    def end_pass(self, state, data, monitor):
        """Return the next phase; the last one is recorded."""
        state = state.next(self.objective, not data.once)
        if state.done:
            losses = state.losses(self.objective)
            if not (np.isfinite(losses).all() and np.isfinite(state.coef).all()):
                raise ValueError(
                    "The closed form overflowed: the objective is not finite. Rescale X or y, their values are too "
                    "large."
                )
            monitor.record(state.coef, losses, 0.0)
        return state, data, state.done

    def model(self, state) -> Model:
        """Return the model, and with it the moments, or the rows where they are fewer than columns."""
        kept: Any = state.kept
        kept = SumMoments(kept._replace(precise=True)) if isinstance(kept, Moments) else kept.copied()
        return state.model(self.objective, kept)
