"""Problems on which steps alone go wrong: collinear, rare, sorted, grouped or heavy-tailed data, drawn by a seed.

`draw` gives one of `PROBLEMS` by name, `draw_random` one of endlessly many. Needs NumPy only.
"""

from functools import partial
from typing import NamedTuple

import numpy as np


def _with_noise(rng, X, noise=0.5):
    """X and a random linear function of its standardised columns; ``noise`` is relative to its standard deviation."""
    scale = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)
    signal = Z @ rng.standard_normal(X.shape[1])
    return X, signal + noise * signal.std() * rng.standard_normal(len(X))


def panel(rng, n_rows, spread):
    """Draw 16 years of each group, next to each other; sizes of groups are lognormal and their rates differ."""
    n_groups, n_years, n_features = max(n_rows // 16, 4), 16, 12
    size = np.exp(spread * rng.standard_normal((n_groups, 1, 1)))
    shares = rng.dirichlet(np.full(n_features, 5.0), (n_groups, 1))
    drift = 1.0 + 0.02 * rng.standard_normal((n_groups, n_years, n_features)).cumsum(axis=1)
    X = (1e4 * size * shares * drift).reshape(-1, n_features)
    rate = np.repeat(np.exp(0.8 * rng.standard_normal(n_groups)), n_years)
    return X, 1e-4 * X.sum(axis=1) * rate * (1.0 + 0.1 * rng.standard_normal(len(X)))


def rare_levels(rng, n_rows, degree=0):
    """Draw 300 levels as frequent as 1 / rank, as 299 dummies, beside powers of a number in [0, 1]."""
    share = 1.0 / np.arange(1, 301)
    level = rng.choice(300, n_rows, p=share / share.sum())
    number = rng.uniform(size=n_rows)
    X = np.column_stack([number[:, None] ** np.arange(1, degree + 1), level[:, None] == np.arange(1, 300)])
    y = rng.standard_normal(300)[level] + (np.sin(6.0 * number) if degree else 0.0)
    return X.astype(np.float64), y + 0.5 * rng.standard_normal(n_rows)


def full_dummies(rng, n_rows):
    """Draw a dummy for each of five levels, which add up to 1, and a number."""
    level, number = rng.choice(5, n_rows, p=[0.4, 0.3, 0.2, 0.08, 0.02]), rng.standard_normal(n_rows)
    X = np.column_stack([level[:, None] == np.arange(5), number]).astype(np.float64)
    return X, rng.standard_normal(5)[level] + 0.5 * number + rng.standard_normal(n_rows)


def near_columns(rng, n_rows):
    """Draw two columns that differ by 1e-7 standard deviations; y is that difference."""
    column, other = rng.standard_normal((2, n_rows))
    return np.column_stack([column, column + 1e-7 * other]), other + 0.1 * rng.standard_normal(n_rows)


def years(rng, n_rows):
    """Draw calendar years to the powers 1 to 5; y is a wave over the years."""
    year = rng.integers(1950, 2021, n_rows).astype(np.float64)
    return year[:, None] ** np.arange(1, 6), np.sin((year - 1950.0) / 8.0) + 0.3 * rng.standard_normal(n_rows)


def start_and_end(rng, n_rows):
    """Draw times of start and end in seconds since 1970, one second apart in the mean; y is how long it took."""
    start = 1.7e9 + rng.uniform(0.0, 3e7, n_rows)
    seconds = rng.exponential(size=n_rows)
    return np.column_stack([start, start + seconds]), seconds + 0.3 * rng.standard_normal(n_rows)


def lags(rng, n_rows):
    """Draw a random walk, with its last 24 values in each row; y depends on its last changes."""
    changes = rng.standard_normal(n_rows + 24)
    X = np.lib.stride_tricks.sliding_window_view(changes.cumsum(), 24)[:n_rows]
    y = X[:, -1] - X[:, -3] + 0.5 * (X[:, 0] - X[:, 1]) + rng.standard_normal(n_rows)
    return np.ascontiguousarray(X), y


def polynomial(rng, n_rows, degree, lowest):
    """Draw the powers of a number in [lowest, 1]; y is a wave."""
    number = rng.uniform(lowest, 1.0, (n_rows, 1))
    return number ** np.arange(1, degree + 1), np.sin(6.0 * number[:, 0]) + 0.1 * rng.standard_normal(n_rows)


def sorted_rows(rng, n_rows, by_target):
    """Draw correlated columns and sort the rows by y or by the first column."""
    X, y = _with_noise(rng, rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, 8)))
    order = np.argsort(y if by_target else X[:, 0])
    return X[order], y[order]


def duplicates(rng, n_rows):
    """Draw rows that stand 1 to 200 times next to each other, with the same y."""
    times = np.ceil(200.0 ** rng.uniform(size=n_rows)).astype(int)
    X, y = _with_noise(rng, rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, 8)))
    return X.repeat(times, axis=0)[:n_rows], y.repeat(times)[:n_rows]


def equicorrelated(rng, n_rows, n_features, correlation=0.9):
    """Draw normal columns of which each two have the same correlation."""
    common = rng.standard_normal((n_rows, 1))
    own = rng.standard_normal((n_rows, n_features))
    return _with_noise(rng, np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own)


def autoregressive(rng, n_rows, n_features, correlation=0.99):
    """Draw normal columns whose correlation is ``correlation ** distance``."""
    X = rng.standard_normal((n_rows, n_features))
    for j in range(1, n_features):
        X[:, j] = correlation * X[:, j - 1] + np.sqrt(1.0 - correlation**2) * X[:, j]
    return _with_noise(rng, X)


def factors(rng, n_rows, n_features):
    """Draw columns of five common factors and a tenth of noise."""
    X = rng.standard_normal((n_rows, 5)) @ rng.standard_normal((5, n_features))
    return _with_noise(rng, X + 0.1 * rng.standard_normal((n_rows, n_features)))


def heavy_tails(rng, n_rows):
    """Draw columns and noise of t distributions with two degrees of freedom."""
    X = rng.standard_t(2.0, (n_rows, 20))
    return X, X @ rng.standard_normal(20) + 3.0 * rng.standard_t(2.0, n_rows)


def offset(rng, n_rows):
    """Draw columns of mean 1e6 and standard deviation 1."""
    return _with_noise(rng, 1e6 + rng.standard_normal((n_rows, 10)))


def mixed_units(rng, n_rows):
    """Draw correlated columns in units from 1e-6 to 1e6."""
    X = rng.standard_normal((n_rows, 13)) @ (np.eye(13) + 0.5 * rng.standard_normal((13, 13)))
    return _with_noise(rng, X * 10.0 ** np.arange(-6, 7))


def idle_column(rng, n_rows):
    """Draw columns of which one is 0 in all but five rows, where y depends on it."""
    X = rng.standard_normal((n_rows, 5))
    y = X @ rng.standard_normal(5) + rng.standard_normal(n_rows)
    idle, busy = np.zeros(n_rows), rng.choice(n_rows, 5, replace=False)
    idle[busy] = 1.0 + rng.uniform(size=5)
    return np.column_stack([X, idle]), y + 20.0 * idle


def normal(rng, n_rows, n_features, constant=None):
    """Draw independent columns; ``constant``: "column" or "target"."""
    X, y = _with_noise(rng, rng.standard_normal((n_rows, n_features)))
    if constant == "column":
        X[:, 0] = 7.3
    return X, (np.full(n_rows, 7.3) if constant == "target" else y)


PROBLEMS = {
    "panel, spread 1": (partial(panel, spread=1.0), 48_000),
    "panel, spread 1.5": (partial(panel, spread=1.5), 48_000),
    "panel, spread 2": (partial(panel, spread=2.0), 48_000),
    "rare levels": (rare_levels, 20_000),
    "rare levels, polynomial": (partial(rare_levels, degree=6), 20_000),
    "full dummies": (full_dummies, 20_000),
    "columns 1e-7 apart": (near_columns, 20_000),
    "years": (years, 20_000),
    "start and end": (start_and_end, 20_000),
    "lags": (lags, 20_000),
    "degree 10 on [0, 1]": (partial(polynomial, degree=10, lowest=0.0), 20_000),
    "degree 12 on [0, 1]": (partial(polynomial, degree=12, lowest=0.0), 20_000),
    "degree 10 on [-1, 1]": (partial(polynomial, degree=10, lowest=-1.0), 20_000),
    "degree 12 on [-1, 1]": (partial(polynomial, degree=12, lowest=-1.0), 20_000),
    "sorted by y": (partial(sorted_rows, by_target=True), 20_000),
    "sorted by a column": (partial(sorted_rows, by_target=False), 20_000),
    "duplicates": (duplicates, 20_000),
    "2000 x 500, equicorrelated": (partial(equicorrelated, n_features=500), 2_000),
    "2000 x 500, autoregressive": (partial(autoregressive, n_features=500), 2_000),
    "2000 x 500, factors": (partial(factors, n_features=500), 2_000),
    "5000 x 600, factors": (partial(factors, n_features=600), 5_000),
    "50000 x 500, factors": (partial(factors, n_features=500), 50_000),
    "heavy tails": (heavy_tails, 20_000),
    "offset": (offset, 20_000),
    "mixed units": (mixed_units, 20_000),
    "idle column": (idle_column, 20_000),
    "50 x 200": (partial(normal, n_features=200), 50),
    "constant column": (partial(normal, n_features=5, constant="column"), 20_000),
    "constant y": (partial(normal, n_features=5, constant="target"), 20_000),
}
"""What draws a problem and its rows, by name."""


def draw(name, seed, most_rows=None):
    """Draw one of `PROBLEMS`.

    Parameters
    ----------
    name : str
    seed : int
    most_rows : int or None
        Fewer rows than usual, for a quick check.

    Returns
    -------
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    """
    make, n_rows = PROBLEMS[name]
    return make(np.random.default_rng(seed), min(n_rows, most_rows or n_rows))


class RandomProblem(NamedTuple):
    """What to fit and how; ``parameters`` are those of the estimator."""

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None
    parameters: dict


def draw_random(seed):
    """Draw sizes, conditioning, units, offsets, tails, noise, weights, targets, a penalty and an intercept by the seed.

    20 to 20,000 rows, 1 to 60 columns, a condition number up to 1e5 before the columns take their units.
    """
    rng = np.random.default_rng(seed)
    n_rows, n_features = round(20.0 * 1000.0 ** rng.uniform()), int(rng.integers(1, 61))
    heavy, fit_intercept = rng.uniform() < 0.25, rng.uniform() < 0.8
    X = rng.standard_t(2.5, (n_rows, n_features)) if heavy else rng.standard_normal((n_rows, n_features))
    rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    X = (X * np.geomspace(1.0, 10.0 ** -rng.uniform(0.0, 5.0), n_features)) @ rotation
    spread = X.std(axis=0)
    X = X + spread * rng.choice([0.0, 1.0, 1e3 if fit_intercept else 1.0]) * rng.standard_normal(n_features)
    if rng.uniform() < 0.5:
        X = X * 10.0 ** rng.uniform(-6.0, 6.0, n_features)
    n_targets = int(rng.choice([1, 1, 1, 3]))
    scale = X.std(axis=0)
    signal = (X - X.mean(axis=0) * fit_intercept) / scale @ rng.standard_normal((n_features, n_targets))
    noise = rng.standard_t(2.5, signal.shape) if heavy else rng.standard_normal(signal.shape)
    y = signal + 10.0 ** rng.uniform(-2.0, 1.0) * signal.std(axis=0) * noise
    y = y * 10.0 ** rng.uniform(-3.0, 3.0) + (rng.normal() * y.std() if fit_intercept else 0.0)
    weight = rng.exponential(size=n_rows) * (rng.uniform(size=n_rows) > 0.1) if rng.uniform() < 0.3 else None
    alpha = 10.0 ** rng.uniform(-4.0, 1.0) * np.exp(np.log(scale**2).mean()) if rng.uniform() < 0.3 else 0.0
    return RandomProblem(
        X, y[:, 0] if n_targets == 1 else y, weight, {"alpha": float(alpha), "fit_intercept": fit_intercept}
    )
