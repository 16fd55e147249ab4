"""Coefficients of all penalties of a training fold, from its triangle."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from sgdlinreg._search.triangles import Triangle
from sgdlinreg._solvers.closed_form.constrained import SWEEPS, SWEPT_VALUES, TOL, non_negative
from sgdlinreg._solvers.closed_form.double_double import DoubleDouble


class Penalties(NamedTuple):
    """The penalties of candidates, (n_candidates,) each, and whether coefficients must not be negative."""

    alpha: np.ndarray
    l1_ratio: np.ndarray
    positive: bool

    @property
    def are_smooth(self) -> np.ndarray:
        """Which candidates have an l2 penalty at most, (n_candidates,)."""
        return (self.alpha * self.l1_ratio == 0.0) & (not self.positive)

    def of(self, chosen: np.ndarray) -> "Penalties":
        """Return those of some candidates."""
        return Penalties(self.alpha[chosen], self.l1_ratio[chosen], self.positive)


class Path(NamedTuple):
    """Coefficients of candidates on one fold.

    Attributes
    ----------
    coef : ndarray of shape (n_candidates, n_targets, n_features)
    centre : DoubleDouble of shape (n_features + n_targets,)
        The models predict ``centre_y + shift + (x - centre_x) @ coef``.
    gap : float
        Largest duality gap, relative to the loss of the constant model; 0 of an l2 penalty.
    shift : ndarray of shape (n_candidates, n_targets) or None
        None is 0, as of the closed form.
    """

    coef: np.ndarray
    centre: DoubleDouble
    gap: float = 0.0
    shift: np.ndarray | None = None

    @property
    def intercept(self) -> np.ndarray:
        """Intercepts of the candidates, (n_candidates, n_targets)."""
        d = self.coef.shape[2]
        intercept = self.centre.high[d:] - self.coef @ self.centre.high[:d]
        return intercept if self.shift is None else intercept + self.shift

    def of(self, chosen: slice | np.ndarray) -> "Path":
        """Return those of some candidates."""
        return self._replace(coef=self.coef[chosen], shift=None if self.shift is None else self.shift[chosen])


def path_of(triangle: Triangle, penalties: Penalties) -> Path:
    """Solve for all candidates."""
    n_targets = len(triangle.y_unit)
    weights, gap = np.zeros((len(penalties.alpha), n_targets, triangle.rows.shape[1])), 0.0
    if triangle.rows.size:
        smooth = penalties.are_smooth
        if smooth.any():
            weights[smooth] = _ridge(triangle, penalties.of(smooth))
        for l1_ratio in np.unique(penalties.l1_ratio[~smooth]):
            chosen = ~smooth & (penalties.l1_ratio == l1_ratio)
            if l1_ratio > 0.0:
                weights[chosen], its_gap = _elastic_net(triangle, penalties.of(chosen))
                gap = max(gap, its_gap)
            else:
                weights[chosen] = _non_negative(triangle, penalties.of(chosen))
    coef = np.zeros((len(weights), n_targets, triangle.n_features))
    coef[:, :, triangle.active] = weights
    return Path(coef * triangle.y_unit[:, None], triangle.centre, gap)


def _ridge(triangle: Triangle, penalties: Penalties) -> np.ndarray:
    """Solve for l2 penalties, by one singular value decomposition; 0 gives the solution of least norm."""
    left, values, space = triangle.decompose()
    shrunk = 1.0 / (1.0 + penalties.alpha * triangle.total_weight / np.square(values[:, None]))
    projected = left.T @ triangle.targets
    predicted = left @ (shrunk[:, :, None] * projected[:, None, :]).reshape(len(values), -1)
    coef = space.solve(predicted).reshape(-1, *shrunk.shape[1:], projected.shape[1])
    return coef.transpose(1, 2, 0)


def _elastic_net(triangle: Triangle, penalties: Penalties) -> tuple[np.ndarray, float]:
    """Solve for candidates of one l1_ratio by coordinate descent, each from the solution of the next larger penalty."""
    rows, factor = np.asfortranarray(triangle.rows * triangle.scale), triangle.total_weight / len(triangle.rows)
    ratio, descending = penalties.l1_ratio[0], np.argsort(-penalties.alpha, kind="stable")
    weights, gap = np.empty((len(penalties.alpha), len(triangle.y_unit), rows.shape[1])), 0.0
    for t, (target, unit) in enumerate(zip(triangle.targets.T, triangle.y_unit, strict=True)):
        part = ratio / unit + 1.0 - ratio  # the l1 penalty is in units of y, the l2 penalty is not
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the gap tells
            _, coefs, gaps = enet_path(
                rows,
                target,
                l1_ratio=ratio / unit / part,
                alphas=penalties.alpha * (part * factor),
                positive=penalties.positive,
                tol=TOL,
                max_iter=int(np.clip(SWEPT_VALUES / rows.size, *SWEEPS)),
            )
        weights[descending, t] = coefs.T
        squares = target @ target
        gap = max(gap, 2.0 * float(gaps.max()) * len(rows) / squares if squares > 0.0 else 0.0)
    return weights, gap


def _non_negative(triangle: Triangle, penalties: Penalties) -> np.ndarray:
    """Solve for l2 penalties and coefficients >= 0."""
    scale, n_targets = triangle.scale, len(triangle.y_unit)
    weights = np.empty((len(penalties.alpha), n_targets, len(scale)))
    for number, penalty in enumerate(penalties.alpha * triangle.total_weight):
        ridge = np.diag(np.sqrt(penalty) / scale)[: len(scale) if penalty else 0]
        rows = np.vstack([triangle.rows, ridge])
        targets = np.vstack([triangle.targets, np.zeros((len(ridge), n_targets))])
        weights[number] = (non_negative(rows, targets) / scale[:, None]).T
    return weights
