"""How far a fit is from its optimum: what the gradient says, and whether what the passes gained agrees."""

from collections.abc import Callable

import numpy as np

from sgdlinreg._core.arrays import EPS
from sgdlinreg._solvers.finish.preconditioner import Preconditioner

WINDOW, WINDOW_DIVISOR = 4, 3
"""The last third of the passes, and at least four, together must have gained next to nothing: the longer a search has
taken, the longer it may stand still before it goes on."""
CERTAIN, GAINED = 0.01, 0.1
"""Factors of tol: of a gap that is certain, and of what the last passes may have gained where it is not."""
PAIR = 2
"""Passes whose falls are compared with those of as many before."""
EXHAUSTED = WINDOW * EPS
SLOWEST = 0.95
"""Falls of a pair are taken to shrink at least to this fraction in the next one."""

Record = Callable[[np.ndarray, np.ndarray, np.ndarray], bool]
"""Called after each pass with the coefficients, the objective and its gap, in units of the loss of the constant model,
(n_targets,) each; says whether another pass is allowed."""


class Gap:
    """How far the objective is from its smallest value, in units of the loss of the constant model.

    Parameters
    ----------
    unit : ndarray of shape (n_targets,)
        The loss of the constant model; where it is 0 there is no gap.
    tol : float
    preconditioner : Preconditioner
    certifies : bool
        Whether the preconditioner is the inverse of the curvature but for sampling, so that the gradient says how far
        the optimum is: for least squares with a matrix.

    Attributes
    ----------
    gap, certificate : ndarray of shape (n_targets,)
        The estimate, and what the gradient alone says.
    falls : list of ndarray of shape (n_targets,)
        What each pass lowered the objective by.
    is_small : bool
        Whether the fit has converged.
    """

    def __init__(self, unit: np.ndarray, tol: float, preconditioner: Preconditioner, certifies: bool):
        self.inverse_unit = np.divide(1.0, unit, out=np.zeros_like(unit), where=unit > 0.0)
        self.tol, self.preconditioner = max(tol, 100 * EPS), preconditioner
        self.by_certificate = certifies
        self.falls: list[np.ndarray] = []
        self.is_small = False
        self.certificate = self.gap = np.full_like(unit, np.inf)

    def at(self, decrement: np.ndarray) -> np.ndarray:
        """Return the gap where the gradient g, computed from the coefficients, has the decrement ``g @ P @ g``."""
        self._take(decrement)
        self.is_small = self._has_converged()
        return self.gap

    def after(self, fall: np.ndarray, decrement: np.ndarray) -> np.ndarray:
        """Return the gap after a pass that lowered the objective by ``fall``."""
        before = self.certificate
        self.falls.append(fall * self.inverse_unit)
        self._take(decrement)
        if self.by_certificate:  # it said too little where more was gained than it saw
            ratio = np.divide(self.falls[-1], before, out=np.ones_like(before), where=before > 0.0)
            self.gap = self.certificate * np.maximum(ratio, 1.0)
        self.is_small = self._has_converged()
        return self.gap

    def at_the_end(self, decrement: np.ndarray) -> np.ndarray:
        """Return the gap where nothing lower was found: what the gradient says, as there are no falls to come."""
        self.certificate = self.gap = 0.5 * decrement * self.inverse_unit
        return self.gap

    def _take(self, decrement):
        self.certificate = 0.5 * decrement * self.inverse_unit
        self.gap = self.certificate if self.by_certificate else np.maximum(self.certificate, self._extrapolated())

    def _extrapolated(self) -> np.ndarray:
        """Return what is left if falls go on to shrink as they did from the pair before to the last one."""
        last, earlier = self._fall(0, PAIR), self._fall(PAIR, PAIR)
        ratio = np.divide(last, earlier, out=np.full_like(last, 0.5), where=earlier > 0.0)
        ratio = np.minimum(ratio, SLOWEST)
        return last * ratio / (1.0 - ratio)

    def _fall(self, ago: int = 0, length: int | None = None) -> np.ndarray:
        """Sum the falls of some passes, the last of them some passes ago; 0 where there were none.

        ``length`` is how many, None for those that must have gained nothing.
        """
        length = max(WINDOW, len(self.falls) // WINDOW_DIVISOR) if length is None else length
        window = self.falls[: len(self.falls) - ago][-length:]
        return np.sum(window, axis=0) if window else np.zeros_like(self.gap)

    @property
    def total_fall(self) -> np.ndarray:
        """Sum of all falls, (n_targets,)."""
        return np.sum(self.falls, axis=0) if self.falls else np.zeros_like(self.gap)

    @property
    def is_exhausted(self) -> bool:
        """Whether the last passes gained nothing but rounding."""
        return len(self.falls) >= WINDOW and float(self._fall().max()) <= EXHAUSTED

    def _has_converged(self) -> bool:
        if not self.inverse_unit.any():
            return True
        gained = float(self._fall().max())
        has_window = len(self.falls) >= WINDOW
        if self.by_certificate:
            enough = CERTAIN * self.tol
            seen = not self.preconditioner.blind or (has_window and gained <= enough)
            return bool(seen and self.gap.max() <= enough)
        return bool(has_window and gained <= GAINED * self.tol and self.gap.max() <= self.tol)
