"""The finish: from where the steps have led to the optimum, by passes of full gradients over all rows.

Least squares by preconditioned conjugate gradients, other losses by L-BFGS-B in preconditioned coordinates, one with a
kink on objectives whose kink is rounded in ever smaller widths. Every pass estimates how far the objective is from its
smallest value.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlinreg._core.coordinates import scaled_coordinates
from sgdlinreg._core.objective import EpsilonInsensitive, Objective
from sgdlinreg._core.sampling import Sample
from sgdlinreg._core.statistics import ColumnStatistics
from sgdlinreg._solvers.finish.conjugate_gradients import conjugate_gradients
from sgdlinreg._solvers.finish.full_gradients import FullPasses
from sgdlinreg._solvers.finish.gap import Gap, Record
from sgdlinreg._solvers.finish.lbfgs import limited_memory_bfgs
from sgdlinreg._solvers.finish.preconditioner import Preconditioner, make_preconditioner

FIRST_WIDTH, NARROWER = 0.1, 1.0 / 3.0
"""A kink is rounded over this share of the loss of the constant model first, then over a third as much each time."""
NARROWEST = 1e-12
LEFT = 0.5
"""What smaller widths would gain, as a share of what the last one did: each gains about a third of the one before."""


@dataclass
class Finish:
    """One finish.

    Parameters
    ----------
    blocks : callable() -> iterable
        Gives the rows of a pass, block by block, in the form that the kernel wants; weights have mean one.
    kernel : Kernel
    objective : Objective
        Smooth but for a kink of the loss.
    sample : Sample
        Rows that stand for all; weights have mean one.
    columns, targets : ColumnStatistics
        Of all rows.
    n_rows : int
    unit : ndarray of shape (n_targets,)
        The loss of the constant model.
    tol : float
    record : callable
        Called after each pass with coefficients on x, see `Record`.
    """

    blocks: Callable[[], Iterable[Any]]
    kernel: Any
    objective: Objective
    sample: Sample
    columns: ColumnStatistics
    targets: ColumnStatistics
    n_rows: int
    unit: np.ndarray
    tol: float
    record: Record

    def __post_init__(self):
        # CSR is centred, too: no row need be written
        self.coordinates = scaled_coordinates(self.columns, self.objective)
        self.goes_on = True
        """Whether another pass is allowed."""
        self.blind = False
        """Whether columns are too collinear for the finish to be sure."""
        self.left: np.ndarray = np.zeros_like(self.unit)
        """What rounding a kink may have left, in the unit of gaps."""

    def run(self, coef: np.ndarray, at_least: int) -> tuple[np.ndarray, bool]:
        """Go on from coefficients on x; gives those at the optimum and whether they are.

        Parameters
        ----------
        coef : ndarray of shape (n_targets, n_features + 1)
            For squared error the intercept is closed first.
        at_least : int
            Passes of conjugate gradients that are taken in any case.
        """
        if self.objective.is_least_squares:
            return self._least_squares(coef, at_least)
        if len(coef) > 1:
            return self._each_target(coef)
        if isinstance(self.objective.loss, EpsilonInsensitive):
            return self._with_a_kink(coef)
        return self._smooth(self.objective, coef)[:2]

    def _each_target(self, coef):
        """Minimise each target for itself, as curvatures and scales of other losses than the squared error differ."""
        coef = coef.copy()
        losses, _ = self._passes(self.objective).full_gradient(self.coordinates.to_scaled(coef))
        gaps = np.divide(losses, self.unit, out=np.zeros_like(losses), where=self.unit > 0.0)  # at most that
        goes_on, converged = self.record(coef, losses, gaps), True
        for t in range(len(coef)):

            def record(one, loss, gap, t=t):
                nonlocal goes_on
                coef[t], losses[t], gaps[t] = one[0], loss[0], gap[0]
                goes_on = self.record(coef, losses, gaps)
                return goes_on

            if goes_on:
                coef[t], reached = self._of_target(t, record).run(coef[t : t + 1], 0)
                converged = converged and reached
        return coef, converged and goes_on

    def _of_target(self, t, record) -> "Finish":
        """Make the finish of one target."""
        block = self.sample.block
        targets = self.targets._replace(mean=self.targets.mean[t : t + 1], squares=self.targets.squares[t : t + 1])
        return replace(
            self,
            blocks=lambda: (block._replace(y=block.y[:, t : t + 1]) for block in self.blocks()),
            sample=self.sample._replace(block=block._replace(y=block.y[:, t : t + 1])),
            targets=targets,
            unit=self.unit[t : t + 1],
            record=record,
        )

    def _least_squares(self, coef, at_least):
        passes, preconditioner, start = self._prepared(self.objective, coef)
        self.blind = preconditioner.blind
        if self.objective.fit_intercept:
            start[:, -1] = self.targets.mean
        gap = Gap(self.unit, self.tol, preconditioner, certifies=preconditioner.is_matrix)
        found, converged = conjugate_gradients(passes, preconditioner, start, gap, self._record, at_least)
        return self.coordinates.to_raw(found), converged

    def _smooth(self, objective, coef):
        """Minimise a smooth objective; gives also its gap, and what was gained in the unit of gaps."""
        passes, preconditioner, start = self._prepared(objective, coef)
        gap = Gap(self.unit, self.tol, preconditioner, certifies=False)
        found, converged = limited_memory_bfgs(passes, preconditioner, start, gap, self._record)
        return self.coordinates.to_raw(found), converged, gap

    def _with_a_kink(self, coef):
        """Minimise rounded objectives until a smaller width gains nothing; a last pass is over the loss as it is."""
        if not self.unit.any():
            return self._smooth(self.objective, coef)[:2]
        unit, width, converged = self.unit[0], FIRST_WIDTH * self.unit[0], False
        while self.goes_on and not converged and width > NARROWEST * unit:
            loss = self.objective.loss.rounded(width)
            self.left = loss.value(self.objective.loss.epsilon) / unit
            coef, _, gap = self._smooth(replace(self.objective, loss=loss), coef)
            gained, width = gap.total_fall, width * NARROWER
            converged = bool(gained.max() <= self.tol / 10.0 and (gap.gap + LEFT * gained).max() <= self.tol)
        if not self.goes_on:
            return coef, False
        losses, _ = self._passes(self.objective).full_gradient(self.coordinates.to_scaled(coef))
        self.left = LEFT * gained
        self._record(self.coordinates.to_scaled(coef), losses, gap.gap)
        return coef, converged

    def _passes(self, objective) -> FullPasses:
        varies = ~(self.columns.constant & self.objective.fit_intercept)
        return FullPasses(self.blocks, self.kernel, objective, self.coordinates, float(self.n_rows), varies)

    def _prepared(self, objective, coef) -> tuple[FullPasses, Preconditioner, np.ndarray]:
        passes = self._passes(objective)
        preconditioner = make_preconditioner(self.sample, self.columns, self.coordinates, objective, coef)
        return passes, preconditioner, self.coordinates.to_scaled(coef)

    def _record(self, scaled, losses, gaps):
        self.goes_on = self.record(self.coordinates.to_raw(scaled), losses, gaps + self.left)
        return self.goes_on
