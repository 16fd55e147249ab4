"""Standard errors of a least-squares fit, and of its predictions, and the covariance of the coefficients."""

from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from sgdlinreg._core.arrays import arrays_of

PANELS = 4
"""Panels of rows that are solved for at a time."""


INVOLVED, SUMS_UP = 1e-6, 1e-9
"""Parts of a vanishing combination of columns, and of its constant, that are more than rounding."""
MAX_NAMED = 8
"""So many dependent columns are named."""


class Dependent(NamedTuple):
    """Which columns are linearly dependent, so that there are no standard errors.

    Attributes
    ----------
    columns : ndarray of int
    with_intercept : bool
        Whether it takes the column of the intercept, too.
    is_one_hot : bool
        Whether they sum up to the column of the intercept.
    """

    columns: np.ndarray
    with_intercept: bool
    is_one_hot: bool

    @classmethod
    def of(cls, null: np.ndarray, active: Any, scale: np.ndarray, mean: np.ndarray | None) -> "Dependent":
        """Find the columns.

        Parameters
        ----------
        null : ndarray of shape (n_active, n)
            Combinations of scaled, active columns that vanish.
        active : slice or ndarray of int
            Columns that are not constant.
        scale : ndarray of shape (n_features,)
        mean : ndarray of shape (n_features,) or None
            What columns are centred by; None without an intercept.
        """
        null, _ = linalg.qr(null, mode="economic")
        varies = np.zeros(len(scale), dtype=bool)
        varies[active] = True
        dependent = ~varies
        dependent[active] = np.abs(null).max(axis=1, initial=0.0) > INVOLVED
        columns = np.flatnonzero(dependent)
        if mean is None:
            return cls(columns, False, False)
        size, mean = scale[active], mean[active]
        constants = np.abs((mean / size) @ null) > SUMS_UP * (1.0 + np.abs(mean / size)) @ np.abs(null)
        total = size * dependent[active]  # their sum, as a combination of scaled columns
        vanishes = np.linalg.norm(total - null @ (null.T @ total)) <= INVOLVED * np.linalg.norm(total)
        is_one_hot = bool(vanishes and constants.any())
        return cls(columns, bool(constants.any() or not varies.all()), is_one_hot)

    def reason(self, names: Any = None) -> str:
        """Name the columns, by their numbers where there are no names."""
        named = [repr(str(names[i])) if names is not None else str(i) for i in self.columns[:MAX_NAMED].tolist()]
        more = len(self.columns) - len(named)
        which = ", ".join(named) + (f" and {more} more" if more else "")
        intercept = ", with that of the intercept," if self.with_intercept else ""
        one_hot = ", with a OneHotEncoder by drop='first'" if self.is_one_hot else ""
        return f"the columns {which}{intercept} are linearly dependent; leave some out{one_hot}"


class Covariance(NamedTuple):
    """Covariance of the intercept, which comes first if there is one, and the coefficients.

    Attributes
    ----------
    std_errors : ndarray of shape (n_targets, n_coef)
    correlation : ndarray of shape (n_targets, n_coef, n_coef)
    cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}
        What it allows for.
    n_groups : int or None
        Groups of rows whose errors may be correlated.
    wald : ndarray of shape (n_targets,) or None
        Of a robust covariance, Wald's F statistic that all coefficients are 0; nan where it has not their rank.
    """

    std_errors: np.ndarray
    correlation: np.ndarray
    cov_type: str = "nonrobust"
    n_groups: int | None = None
    wald: np.ndarray | None = None

    @property
    @np.errstate(over="ignore", invalid="ignore")
    def matrix(self) -> np.ndarray:
        """The covariance matrices, (n_targets, n_coef, n_coef)."""
        return self.std_errors[:, :, None] * self.std_errors[:, None, :] * self.correlation


class Inference(NamedTuple):
    """What the standard errors of a fit follow from: least squares of full rank, without a penalty.

    Attributes
    ----------
    mean : ndarray of shape (n_features,) or None
        Weighted means of the columns; None without an intercept.
    scale : ndarray of shape (n_features,)
        Norms of the centred columns.
    packed : ndarray of shape (n_features * (n_features + 1) / 2,)
        ``lower``, the Cholesky factor of the moments of the columns scaled to unit diagonal, without its zeros.
    n_rows : int
    total_weight : float
        In units of ``2**weight_exponent``, as all weights here.
    weight_exponent : int
    log_weight : float
        Sum of the logarithms of the weights.
    std : ndarray of shape (n_targets,)
        Root of the weighted sum of squared residuals over its degrees of freedom, for a row of weight 1 in these units.
    y_norm : ndarray of shape (n_targets,)
        Root of the weighted sum of squares of y about its mean, about 0 without an intercept.
    factors : ndarray of shape (n_features + 1,) or None
        Variances of the coefficients for scaled columns and of the intercept for weight 1 in all, for a residual
        variance of 1; None where they are left to the factor.
    """

    mean: np.ndarray | None
    scale: np.ndarray
    packed: np.ndarray
    n_rows: int
    total_weight: float
    weight_exponent: int
    log_weight: float
    std: np.ndarray
    y_norm: np.ndarray
    factors: np.ndarray | None = None

    @property
    def lower(self) -> np.ndarray:
        """The Cholesky factor, (n_features, n_features)."""
        return linalg.lapack.dtpttr(len(self.scale), self.packed, uplo="L")[0]

    @property
    def df_residual(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.n_rows - len(self.scale) - (self.mean is not None)

    @property
    def residual_std(self) -> np.ndarray:
        """Standard deviation of the residuals of rows of weight 1, (n_targets,)."""
        half, odd = divmod(self.weight_exponent, 2)
        return np.ldexp(self.std * np.sqrt(1.0 + odd), half)

    def std_errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return standard errors of the coefficients (n_targets, n_features) and the intercepts (n_targets,)."""
        factors = self._factors() if self.factors is None else self.factors
        coef = np.outer(self.std, np.sqrt(factors[:-1]) / self.scale)
        if self.mean is None:
            return coef, np.zeros(len(coef))
        return coef, self.std * np.sqrt(factors[-1] / self.total_weight)

    def _factors(self):
        squares = np.square(self.of_zero(self.root())).sum(axis=0)
        return np.append(squares, 0.0) if self.mean is None else np.append(squares[1:], self.total_weight * squares[0])

    def root(self) -> np.ndarray:
        """Return R, (n_coef, n_coef): ``R @ [1, (x - mean) / scale]`` are orthonormal, over the weighted rows.

        So ``R.T @ R`` is the covariance of the intercept at the means and of the coefficients for scaled columns, for a
        residual variance of 1. Without an intercept there is no 1.
        """
        inverse, _ = linalg.lapack.dtrtri(self.lower, lower=True)
        if self.mean is None:
            return inverse
        root = np.zeros((len(inverse) + 1, len(inverse) + 1))
        root[0, 0] = self.total_weight**-0.5
        root[1:, 1:] = inverse
        return root

    def of_zero(self, root: np.ndarray) -> np.ndarray:
        """Return a root for the intercept at zero, of one for the intercept at the means."""
        if self.mean is None:
            return root
        return np.column_stack([root[:, 0] - root[:, 1:] @ (self.mean / self.scale), root[:, 1:]])

    def covariance(self) -> "Covariance":
        """Return the covariance of the intercept and the coefficients, for residuals of one variance."""
        coef, intercept = self.std_errors()
        root = self.of_zero(self.root())
        root = root / np.linalg.norm(root, axis=0)
        errors = coef if self.mean is None else np.column_stack([intercept, coef])
        return Covariance(errors, np.stack([root.T @ root] * len(errors)))

    def predict_std(self, X, of_mean: bool = False) -> np.ndarray:
        """Return the standard deviation of new observations at rows X, (n_samples, n_targets), from NumPy.

        ``residual_std * sqrt(1 + 1 / W + (x - mean)' G**-1 (x - mean))`` with G the moments and W the sum of the
        weights: the noise of a row of weight 1 and what is not known of the coefficients, which alone counts with
        ``of_mean``. Costs n_samples * n_features**2 operations.
        """
        out = np.empty((X.shape[0], len(self.std)))
        ops: Any = arrays_of(X)
        lower, scale = ops.put(self.lower), ops.put(self.scale)
        of_row = 0.0 if of_mean else np.ldexp(1.0, min(self.weight_exponent, 1023))
        step = max(1, PANELS * ops.panel_bytes // (8 * X.shape[1]))
        for start in range(0, X.shape[0], step):
            rows = X[start : start + step]
            rows = ops.in_double(rows.toarray() if sparse.issparse(rows) else rows)
            of_intercept = 0.0
            if self.mean is not None:
                rows = rows - ops.put(self.mean)
                of_intercept = 1.0 / self.total_weight
            whitened = ops.solve_lower(lower, (rows / scale).T)
            factor = np.sqrt(of_row + of_intercept + ops.take((whitened * whitened).sum(axis=0)))
            out[start : start + step] = factor[:, None] * self.std
        return out
