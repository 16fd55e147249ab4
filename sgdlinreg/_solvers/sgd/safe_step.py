"""The safe step: what eta0="auto" measures on the data before the first step.

::

    step = 1 / (lam + (R2 - lam) / m * (n - m) / (n - 1))

with m the batch size, n the number of rows, lam the largest eigenvalue of the second moment and R2 the largest
weighted squared row norm: 1 / R2 for single rows, 1 / lam for the full batch [1]_.

.. [1] Jain, Kakade, Kidambi, Netrapalli, Sidford, "Parallelizing stochastic gradient descent for least squares
   regression: mini-batching, averaging, and model misspecification", JMLR 18 (2018).
"""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from sgdlinreg._core.blocks import squared, with_ones
from sgdlinreg._core.coordinates import Coordinates, penalty_in, squared_norms
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import Sample

MAX_EIGENVALUES = 128
"""Up to this many columns eigenvalues are computed directly, beyond it by Lanczos' method."""
SAMPLE_MARGIN = 1.1
"""Factor on an eigenvalue measured on a sample."""


def safe_step(norm: float, eigenvalue: float, batch_size: int, n_rows: int) -> float:
    """Return the step of the rule above.

    Parameters
    ----------
    norm : float
        R2, the largest weighted squared row norm.
    eigenvalue : float
        lam, the largest eigenvalue of the second moment.
    batch_size : int
    n_rows : int
        Number of rows that batches are drawn from without replacement.

    Examples
    --------
    >>> safe_step(norm=8.0, eigenvalue=2.0, batch_size=1, n_rows=100)
    0.125
    >>> safe_step(norm=8.0, eigenvalue=2.0, batch_size=100, n_rows=100)
    0.5
    """
    if eigenvalue <= 0.0:
        return 1.0  # nothing but zeros: no step moves anything
    if batch_size >= n_rows:
        return 1.0 / eigenvalue
    without_replacement = (n_rows - batch_size) / (n_rows - 1)
    return 1.0 / (eigenvalue + max(norm - eigenvalue, 0.0) / batch_size * without_replacement)


def safe_step_of(sample: Sample, coordinates: Coordinates, objective: Objective, batch_size: int, n_rows: int) -> float:
    """Measure the safe step on a sample, which has the rows of largest norm; ``sample`` weights have mean one."""
    norm, eigenvalue = norm_and_eigenvalue(sample, coordinates, objective)
    return safe_step(norm, eigenvalue, batch_size, n_rows)


def norm_and_eigenvalue(sample: Sample, coordinates: Coordinates, objective: Objective) -> tuple[float, float]:
    """Measure R2 and lam of the rule on a sample, the penalty and the intercept included."""
    penalty = penalty_in(coordinates, objective)
    weight: Any = sample.block.sample_weight
    Z = coordinates.features(sample.rows)
    norms = weight * (squared_norms(Z) + float(objective.fit_intercept))
    Z = with_ones(Z) if objective.fit_intercept else Z
    root = np.sqrt(sample.importance)
    if sparse.issparse(Z):
        Z = sparse.diags_array(root) @ Z
    else:
        Z *= root[:, None]
    margin = 1.0 if sample.complete else SAMPLE_MARGIN
    return float(norms.max() + penalty.max(initial=0.0)), margin * largest_eigenvalue(Z, penalty)


def largest_eigenvalue(Z: Any, penalty: np.ndarray) -> float:
    """Return the largest eigenvalue of Z'Z + diag(penalty), directly where there are few columns, else by Lanczos.

    With fewer rows than columns it is that of ZZ', which needs no vectors as long as columns, plus the largest penalty.
    """
    n_columns = Z.shape[1]
    padded = np.zeros(n_columns)
    padded[: len(penalty)] = penalty
    if not sparse.issparse(Z) and n_columns <= MAX_EIGENVALUES:
        gram = Z.T @ Z
        gram[np.arange(n_columns), np.arange(n_columns)] += padded
        return float(np.linalg.eigvalsh(gram)[-1])
    if min(Z.shape) <= 2 or squared(Z).sum() == 0.0:
        return float(squared(Z).sum() + padded.max())
    size, matvec, rest = n_columns, lambda v: Z.T @ (Z @ v) + padded * v.ravel(), 0.0
    if Z.shape[0] < n_columns:
        size, matvec, rest = Z.shape[0], lambda v: Z @ (Z.T @ v), float(padded.max())
    operator = LinearOperator((size, size), matvec=matvec, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # a fixed start keeps fits reproducible
    return float(eigsh(operator, k=1, tol=1e-3, v0=start, return_eigenvectors=False)[0]) + rest
