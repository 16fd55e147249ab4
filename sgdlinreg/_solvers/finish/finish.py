"""The finish: from where the steps have led to the optimum, by passes of full gradients over all rows.

Least squares by preconditioned conjugate gradients, other losses by L-BFGS-B in preconditioned coordinates, one with a
kink on objectives whose kink is rounded in ever smaller widths, and by an interior point method on rows near it. With
an l1 penalty or coefficients >= 0 all losses by L-BFGS-B on parts of the coefficients. Every pass estimates how far the
objective is from its smallest value.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._core.contract import Kernel
from sgdlinreg._core.coordinates import penalty_in, scaled_coordinates
from sgdlinreg._core.measurement import Measurement
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Sample
from sgdlinreg._solvers.finish.conjugate_gradients import conjugate_gradients
from sgdlinreg._solvers.finish.full_gradients import FullGradients
from sgdlinreg._solvers.finish.gap import GAINED, Gap, Record
from sgdlinreg._solvers.finish.interior_point import minimise
from sgdlinreg._solvers.finish.kinked_rows import collect_rows, most_rows
from sgdlinreg._solvers.finish.lbfgs import Preconditioned, limited_memory_bfgs
from sgdlinreg._solvers.finish.preconditioner import IDENTITY, MAX_COLUMNS, make_preconditioner
from sgdlinreg._solvers.finish.proximal import Parts

FIRST_WIDTH, NARROWER = 0.05, 1.0 / 3.0
"""A kink is rounded over this fraction of the loss of the constant model first, times how much steeper one side is,
then over a third as much each time."""
CHORD = 1.25
"""How much wider a kink is rounded for chords."""
MOST_PRODUCTS = 1 << 28
"""Up to so many products of a pass of the interior point method there is a bound: it takes some dozen passes."""
NARROWEST = 1e-12
LEFT = 0.5
"""What smaller widths would gain, as a fraction of what the last did: each gains about a third of the one before."""


class Finish:
    """One finish.

    Parameters
    ----------
    data : InMemory or Streamed
        The rows, in the form that the kernel wants; weights have mean one.
    kernel : Kernel
    objective : Objective
    measured : Measurement
        Of all rows.
    sample : Sample
        Rows that stand for all; weights have mean one.
    unit : ndarray of shape (n_targets,)
        The loss of the constant model.
    tol : float

    Attributes
    ----------
    blind : bool
        Whether columns are too collinear for the finish to be sure.
    """

    def __init__(
        self,
        data: Any,
        kernel: Kernel,
        objective: Objective,
        measured: Measurement,
        sample: Sample,
        unit: np.ndarray,
        tol: float,
    ):
        self.data, self.kernel, self.objective = data, kernel, objective
        self.measured, self.sample, self.unit, self.tol = measured, sample, unit, tol
        self.coordinates = scaled_coordinates(measured.columns, objective)  # CSR is centred, too: no row is written
        self.blind = False

    def run(self, coef: np.ndarray, record: Record, at_least: int = 0) -> tuple[np.ndarray, bool]:
        """Go on from some coefficients to the optimum.

        Parameters
        ----------
        coef : ndarray of shape (n_targets, n_features + 1)
            For the data as they are. For a smooth squared error the intercept is closed first.
        record : callable
            Called after each pass with coefficients for the data as they are, see `Record`.
        at_least : int
            Passes of conjugate gradients that are taken in any case.

        Returns
        -------
        coef : ndarray of shape (n_targets, n_features + 1)
        converged : bool
        """
        if self.objective.is_least_squares and self.objective.is_smooth:
            return self._least_squares(coef, record, at_least)
        if len(coef) > 1:
            return self._each_target(coef, record)
        if self.objective.has_kink:
            return self._with_a_kink(coef, record)
        return self._smooth(self.objective, coef, record)[:2]

    def _least_squares(self, coef, record, at_least):
        gradients = self._gradients(self.objective)
        preconditioner = self._preconditioner(self.objective, coef)
        self.blind = preconditioner.blind
        start = self.coordinates.to_scaled(coef)
        if self.objective.fit_intercept:
            start[:, -1] = self.measured.targets.mean
        gap = Gap(self.unit, self.tol, preconditioner, certifies=preconditioner.is_matrix)
        record = self._on_the_data(record)
        found, converged = conjugate_gradients(gradients, preconditioner, start, gap, record, at_least)
        return self.coordinates.to_raw(found), converged

    def _each_target(self, coef, record):
        """Minimise each target for itself: curvatures, scales and bounds differ."""
        coef = coef.copy()
        losses = self._losses(coef)
        gaps = np.divide(losses, self.unit, out=np.zeros_like(losses), where=self.unit > 0.0)  # at most that
        go_on, converged = record(coef, losses, gaps), True
        for t in range(len(coef)):

            def record_target(one, loss, gap, t=t):
                nonlocal go_on
                coef[t], losses[t], gaps[t] = one[0], loss[0], gap[0]
                go_on = record(coef, losses, gaps)
                return go_on

            if go_on:
                coef[t], reached = self._of_target(t).run(coef[t : t + 1], record_target)
                converged = converged and reached
        return coef, converged and go_on

    def _of_target(self, t) -> "Finish":
        """Return the finish of one target."""
        block = self.sample.block
        sample = self.sample._replace(block=replace(block, y=block.y[:, t : t + 1]))
        data = self.data.map(lambda block: replace(block, y=block.y[:, t : t + 1]))
        return Finish(data, self.kernel, self.objective, self.measured, sample, self.unit[t : t + 1], self.tol)

    def _smooth(self, objective, coef, record, left=0.0) -> tuple[np.ndarray, bool, Gap]:
        """Minimise an objective whose loss is smooth, to whose gap ``left`` is added; return also the gap."""
        preconditioner = self._preconditioner(objective, coef)
        make_variables = Preconditioned if objective.is_smooth else Parts
        variables = make_variables(self._gradients(objective), preconditioner, self.coordinates.to_scaled(coef))
        tol = self.tol if objective.is_smooth or variables.certifies else GAINED * self.tol  # it says less at bounds
        gap = Gap(self.unit, tol, preconditioner, variables.certifies)
        found, converged = limited_memory_bfgs(variables, gap, self._on_the_data(record, left))
        return self.coordinates.to_raw(found), converged, gap

    def _with_a_kink(self, coef, record):
        """Minimise rounded objectives until the bound is near or, where there is none, a smaller width gains nothing.

        The last pass is over the loss as it is.
        """
        if not self.unit.any():
            return self._smooth(self.objective, coef, record)[:2]
        go_on, converged, unit, tol = True, False, self.unit[0], max(self.tol, 100 * EPS)
        kink, bound, gaps = self.objective.loss.rounded(1.0), -np.inf, np.full(1, np.inf)
        width = FIRST_WIDTH * unit * max(kink.above / kink.below, kink.below / kink.above)
        n_rows = min(self.measured.n_rows, most_rows(coef.size - 1))
        has_bound = self.objective.is_smooth and n_rows * coef.size**2 <= MOST_PRODUCTS
        knows_all = has_bound and self.sample.complete

        def record_and_ask(*args):
            nonlocal go_on
            go_on = record(*args)
            return go_on

        while go_on and not converged and width > NARROWEST * unit:
            rounded = replace(self.objective, loss=kink._replace(width=width))
            width *= NARROWER
            if not knows_all:
                left = rounded.loss.value(kink.epsilon) / unit
                coef, _, gap = self._smooth(rounded, coef, record_and_ask, left)
            if has_bound and go_on:
                coef, losses, lower = self._near_the_kink(rounded, coef)
                bound, knows_all = max(bound, lower), False
                gaps = np.maximum(losses - bound, 0.0) / unit  # rounding may be below 0
                record_and_ask(coef, losses, gaps)
                converged = bool(gaps.max() <= GAINED * tol)
            elif go_on:
                gaps = gap.gap + LEFT * gap.total_fall
                converged = bool(gap.total_fall.max() <= GAINED * tol and gaps.max() <= tol)
        if has_bound:
            return coef, bool(gaps.max() <= tol)
        if go_on:
            record(coef, self._losses(coef), gaps)
        return coef, converged

    def _near_the_kink(self, rounded, coef):
        """Improve a minimum of a rounded objective, and bound the objective.

        All rows but some near the kink are replaced by lines that touch the loss from below. They have the slopes of
        the rounded loss, and are lower than it by ``width * d loss / d width``: at most what a chord to a wider one
        says, as the rounded loss is convex in the width.

        Returns
        -------
        coef : ndarray of shape (1, n_features + 1)
            The better one of the coefficients and of the minimum of rows and tangents.
        losses : ndarray of shape (1,)
            Of the loss as it is.
        bound : float
            Of the objective, from below.
        """
        start, loss = self.coordinates.to_scaled(coef), rounded.loss
        wider = loss._replace(width=CHORD * loss.width)
        rows = collect_rows(self.data, self.objective, self.measured, self.coordinates, coef)
        value, gradient = self._gradients(rounded).full_gradient(start)
        value_wider = self._gradients(replace(rounded, loss=wider)).full_gradient(start)[0]
        of_rows, slope = rows.sums(loss, start)
        others, others_wider = value[0] - of_rows, value_wider[0] - rows.sums(wider, start)[0]
        lines = others - (others_wider - others) / (CHORD - 1.0)
        preconditioner = self._preconditioner(self.objective, coef)
        penalty = np.append(penalty_in(self.coordinates, self.objective), 0.0)
        hinges = rows.hinges(self.objective.loss, preconditioner, start, gradient - slope, penalty)
        moved, lower = minimise(hinges)
        found = self.coordinates.to_raw(start + preconditioner.apply(moved[None], power=1))
        losses, of_found = self._losses(coef), self._losses(found)
        if of_found < losses:
            coef, losses = found, of_found
        return coef, losses, max(0.0, lines + lower)

    def _losses(self, coef) -> np.ndarray:
        """Return the objective at some coefficients, (n_targets,), by a pass."""
        losses, _ = self._gradients(self.objective).full_gradient(self.coordinates.to_scaled(coef))
        return losses + self.objective.l1 * np.abs(coef[:, :-1]).sum(axis=1)

    def _gradients(self, objective) -> FullGradients:
        varies = ~(self.measured.columns.constant & self.objective.fit_intercept)
        return FullGradients(self.data, self.kernel, objective, self.coordinates, self.measured.n_rows, varies)

    def _preconditioner(self, objective, coef):
        if not self.unit.any():  # there is nothing to gain, and curvatures of residuals next to 0 overflow
            return IDENTITY
        if not objective.is_smooth and len(self.measured.columns.mean) > MAX_COLUMNS:  # it says nothing beyond them
            return IDENTITY
        return make_preconditioner(self.sample, self.measured.columns, self.coordinates, objective, coef)

    def _on_the_data(self, record: Record, left: Any = 0.0) -> Record:
        """Return what records scaled coefficients."""
        return lambda coef, losses, gaps: record(self.coordinates.to_raw(coef), losses, gaps + left)
