"""The closed form: least squares, perhaps with an l2 penalty, in one pass over the data and as many as digits ask."""

from typing import Any, ClassVar

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Model, Options, Sums
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.kept_rows import KeptRows
from sgdlinreg._solvers.closed_form.phase import Phase


class NormalEquation:
    """Least squares, with or without an l2 penalty, from sums that are joined block by block.

    Parameters
    ----------
    objective : Objective
    options : Options

    Notes
    -----
    The state is a phase: what one pass sums up, and what comes next.

    1. `KeptRows` while they are fewer than columns: solved in the dual form.
    2. `SumMoments`: centred moments, scaled to unit diagonal, so neither offsets nor units cost digits, and factorised
       by Cholesky. Products of large float32 data on the CPU are float32; where the factor is poor, done again.
    3. `QRPanels` where the reciprocal condition number is below 1e-12 or there is no factor: the singular values of
       panels decide the rank; of dependent columns the solution is that of least norm in the units of the data.
    4. `Refinement` of small data or a poor factor, up to three times, by residuals in double-double.
    5. `Solved`. Where rows cannot be read again, as in partial_fit, the moments alone give the model.
    """

    losses: ClassVar[frozenset[str]] = frozenset({"squared_error"})
    devices: ClassVar[bool] = False
    one_pass: ClassVar[bool] = True
    sums_first = True

    def __init__(self, objective: Objective, options: Options):
        self.objective = objective
        self.options = options

    def place(self, block: Block) -> Block:
        """Leave X where it is, unless the CPU is asked for."""
        return block.on_host() if self.options.device == "cpu" else block

    def init(self, data: Any, start: Any = None, kept: Phase | None = None) -> Phase:
        """Return what an earlier fit kept, or the first phase; a closed form has no use for a start."""
        return KeptRows(precise=data.once or not data.in_memory) if kept is None else kept

    def add(self, state: Phase, block: Block) -> Phase:
        """Add the rows of a block."""
        return state.add(block)

    def sums(self, state: Phase) -> Sums:
        """Return what this pass sums up, of no rows yet."""
        return state.without_rows()

    def with_sums(self, state: Phase, sums: Any) -> Phase:
        """Return the phase with the sums of all rows."""
        return state.with_sums(sums)

    def end_pass(self, state: Phase, data: Any, monitor: Any) -> tuple[Any, Any, bool]:
        """Return the next phase, the data and whether that phase is the solved one.

        Raises
        ------
        ValueError
            If sums, coefficients or the objective are not finite.
        """
        following: Any = state.next(self.objective, not data.once)
        if following.done:
            coef = following.model.coef
            losses = 0.5 * following.mean_squares + self.objective.penalty(coef)
            if not (all_finite(losses) and all_finite(coef)):
                raise ValueError(
                    "The closed form overflowed: the objective is not finite. Rescale X or y, their values are too "
                    "large."
                )
            monitor.record(coef, losses, following.gap)
        return following, data, following.done

    def model(self, state: Any) -> Model:
        """Return the model of the solved phase."""
        return state.model._replace(reason=f"solved, factorization {state.model.attributes['factorization_']}")
