"""Random problems with an l1 penalty or coefficients >= 0, and their optimum by a second way: for correctness.py."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, linprog, minimize

LOSSES = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
PENALTIES = ("l1", "elasticnet", "positive")
WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # of the rounded kink, in standard deviations of y
STARTS = 20  # of a minimisation that jams


def losses_of(loss, epsilon, residual, width=0.0):
    """Return losses and their slopes, from the definition; a kink is rounded over the width, if any."""
    size, sign = np.abs(residual), np.sign(residual)
    if loss == "squared_error":
        return 0.5 * residual**2, residual
    if loss == "huber":
        inside = np.minimum(size, epsilon)
        return inside * (size - 0.5 * inside), sign * inside
    outside = np.maximum(size - epsilon, 0.0)
    if loss == "squared_epsilon_insensitive":
        return outside**2, 2.0 * sign * outside
    if not width:
        return outside, sign * (size > epsilon)
    excess = (size - epsilon) / width
    return np.logaddexp(0.0, excess) * width, sign / (1.0 + np.exp(-np.clip(excess, -500, 500)))


class Problem(NamedTuple):
    """A problem of one target; ``share`` are the weights, which add up to 1."""

    X: np.ndarray
    y: np.ndarray
    share: np.ndarray
    loss: str
    penalty: str
    alpha: float
    epsilon: float

    @property
    def parameters(self):
        """Of the estimator."""
        about = {"loss": self.loss, "epsilon": self.epsilon}
        if self.penalty == "positive":
            return about | {"positive": True}
        return about | {"penalty": self.penalty, "alpha": self.alpha}

    @property
    def strengths(self):
        """Of the l1 and the l2 part of the penalty."""
        ratio = 0.5 if self.penalty == "elasticnet" else 1.0
        return self.alpha * ratio, self.alpha * (1.0 - ratio)

    def value(self, coef, intercept):
        """Return the objective."""
        (l1, l2), residual = self.strengths, self.X @ coef + intercept - self.y
        loss = self.share @ losses_of(self.loss, self.epsilon, residual)[0]
        return loss + l1 * np.abs(coef).sum() + 0.5 * l2 * coef @ coef

    @property
    def unit(self):
        """The loss of the constant model."""
        return self.share @ losses_of(self.loss, self.epsilon, self.share @ self.y - self.y)[0]


def draw(seed):
    """Draw all by the seed: 50 to 2000 rows, 2 to 160 correlated columns in any units, heavy tails, weights, alpha."""
    rng = np.random.default_rng(seed)
    n_rows, n_features = int(10 ** rng.uniform(1.7, 3.3)), int(10 ** rng.uniform(0.3, 2.2))
    common = rng.choice([0.0, 0.5, 0.9, 0.99])
    X = np.sqrt(common) * rng.standard_normal((n_rows, 1))
    X = X + np.sqrt(1.0 - common) * rng.standard_normal((n_rows, n_features))
    X = X * 10.0 ** rng.uniform(-2.0, 2.0, n_features) + rng.uniform(-3.0, 3.0, n_features) * (rng.uniform() < 0.5)
    signal = X @ (rng.standard_normal(n_features) * (rng.uniform(size=n_features) < 0.4) / X.std(axis=0))
    noise = (signal.std() + 0.1) * 10.0 ** rng.uniform(-1.0, 0.5) * rng.standard_t(3, n_rows)
    y = signal + noise + rng.uniform(-5.0, 5.0)
    weight = rng.uniform(0.2, 3.0, n_rows) if rng.uniform() < 0.5 else np.ones(n_rows)
    loss, penalty, share = LOSSES[seed // 3 % 4], PENALTIES[seed % 3], weight / weight.sum()
    epsilon = 0.3 * y.std()
    slope = losses_of(loss, epsilon, share @ y - y)[1]
    largest = np.abs((X - share @ X).T @ (share * slope)).max()  # alpha from which all coefficients are 0
    alpha = 0.0 if penalty == "positive" else float(10.0 ** rng.uniform(-4.0, -0.3) * largest)
    return Problem(X, y, share, loss, penalty, alpha, epsilon)


def optimum(problem):
    """Return coefficients and intercept of the optimum, on standardised columns."""
    centre = problem.share @ problem.X
    scale = np.sqrt(problem.share @ (problem.X - centre) ** 2)
    Z, signs = (problem.X - centre) / scale, [1.0] if problem.penalty == "positive" else [1.0, -1.0]
    rows = np.hstack([*(sign * Z for sign in signs), np.ones((len(Z), 1))])
    l1, l2 = problem.strengths
    cost, ridge = np.append(np.tile(l1 / scale, len(signs)), 0.0), l2 / scale**2
    is_linear = problem.loss == "epsilon_insensitive" and l2 == 0.0
    found = by_programme(problem, rows, cost) if is_linear else by_parts(problem, rows, cost, ridge, len(signs))
    coef = np.tensordot(signs, found[:-1].reshape(len(signs), -1), 1) / scale
    return coef, found[-1] - coef @ centre


def by_programme(problem, rows, cost):
    """Return the variables of the optimum by a linear programme."""
    eye, n_rows = sparse.eye_array(len(rows)), len(rows)
    both = sparse.vstack([sparse.hstack([sign * sparse.csr_array(rows), -eye]) for sign in (1.0, -1.0)])
    right = np.concatenate([problem.y, -problem.y]) + problem.epsilon
    bounds = [(0, None)] * (len(cost) - 1) + [(None, None)] + [(0, None)] * n_rows
    return linprog(np.append(cost, problem.share), both.tocsr(), right, bounds=bounds).x[: len(cost)]


def by_parts(problem, rows, cost, ridge, n_parts):
    """Return the variables of the optimum by L-BFGS-B, which starts again until that gains nothing."""
    signed = np.array([1.0, -1.0])[:n_parts, None]

    def function(v, width):
        values, slopes = losses_of(problem.loss, problem.epsilon, rows @ v - problem.y, width)
        coef = (signed * v[:-1].reshape(n_parts, -1)).sum(axis=0)
        slope = rows.T @ (problem.share * slopes) + cost
        slope[:-1] += (signed * ridge * coef).ravel()
        return (problem.share @ values + cost @ v + 0.5 * ridge @ coef**2) / problem.unit, slope / problem.unit

    v, bounds = (
        np.append(np.zeros(len(cost) - 1), problem.share @ problem.y),
        np.append(np.zeros(len(cost) - 1), -np.inf),
    )
    options = {"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-16, "gtol": 1e-12, "maxcor": 50}
    for width in WIDTHS if problem.loss == "epsilon_insensitive" else (1.0,):
        args, before = (width * problem.y.std(),), np.inf
        for _ in range(STARTS):
            found = minimize(function, v, args, "L-BFGS-B", True, bounds=Bounds(bounds, np.inf), options=options)
            v = found.x
            if not found.fun < before:
                break
            before = found.fun
    return v
