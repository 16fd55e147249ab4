"""Default fits of data on which steps alone go wrong: as good as least squares, and they know how far they are."""

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import as_csr, missing_of, needs_torch

MOST_MISSING = 3e-5
"""R2 below least squares."""
VISIBLE = 1e-10
"""What is missing below it is not compared with `optimality_gap_`: rounding has a part in it."""


def panel(rng, spread):
    """16 years of 1200 groups, next to each other; sizes of groups are lognormal and their rates differ."""
    size = np.exp(spread * rng.standard_normal((1200, 1, 1)))
    shares = rng.dirichlet(np.full(12, 5.0), (1200, 1))
    drift = 1.0 + 0.02 * rng.standard_normal((1200, 16, 12)).cumsum(axis=1)
    X = (1e4 * size * shares * drift).reshape(-1, 12)
    rate = np.repeat(np.exp(0.8 * rng.standard_normal(1200)), 16)
    return X, 1e-4 * X.sum(axis=1) * rate * (1.0 + 0.1 * rng.standard_normal(len(X)))


def rare_levels(rng):
    """120 levels as frequent as 1 / rank ** 1.5 beside a polynomial: the rarest have about 6 of 20,000 rows."""
    share = 1.0 / np.arange(1, 121) ** 1.5
    level, number = rng.choice(120, 20_000, p=share / share.sum()), rng.uniform(size=20_000)
    X = np.column_stack([number[:, None] ** np.arange(1, 6), level[:, None] == np.arange(1, 120)]).astype(np.float64)
    return X, 2.0 * rng.standard_normal(120)[level] + np.sin(6.0 * number) + 0.5 * rng.standard_normal(20_000)


def full_dummies(rng):
    """A dummy for each of five levels, which add up to 1, and a number."""
    level, number = rng.choice(5, 20_000, p=[0.4, 0.3, 0.2, 0.08, 0.02]), rng.standard_normal(20_000)
    X = np.column_stack([level[:, None] == np.arange(5), number]).astype(np.float64)
    return X, rng.standard_normal(5)[level] + 0.5 * number + rng.standard_normal(20_000)


def near_columns(rng):
    """Two columns 1e-7 standard deviations apart; y is their difference."""
    column, other = rng.standard_normal((2, 20_000))
    return np.column_stack([column, column + 1e-7 * other]), other + 0.1 * rng.standard_normal(20_000)


def years(rng):
    """Calendar years to the powers 1 to 5; y is a wave over the years."""
    year = rng.integers(1950, 2021, 20_000).astype(np.float64)
    return year[:, None] ** np.arange(1, 6), np.sin((year - 1950.0) / 8.0) + 0.3 * rng.standard_normal(20_000)


def start_and_end(rng):
    """Seconds since 1970, a second apart in the mean; y is how long it took."""
    start, seconds = 1.7e9 + rng.uniform(0.0, 3e7, 20_000), rng.exponential(size=20_000)
    return np.column_stack([start, start + seconds]), seconds + 0.3 * rng.standard_normal(20_000)


def lags(rng):
    """The last 24 values of a random walk; y depends on its changes."""
    walk = rng.standard_normal(20_023).cumsum()
    X = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(walk, 24))
    return X, X[:, -1] - X[:, -3] + 0.5 * (X[:, 0] - X[:, 1]) + rng.standard_normal(20_000)


def correlated(rng, n_rows):
    X = rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, 8))
    signal = X @ rng.standard_normal(8)
    return X, signal + 0.5 * signal.std() * rng.standard_normal(n_rows)


def sorted_rows(rng):
    X, y = correlated(rng, 20_000)
    order = np.argsort(y)
    return X[order], y[order]


def duplicates(rng):
    """Rows that stand 1 to 200 times next to each other, with the same y."""
    X, y = correlated(rng, 600)
    times = np.ceil(200.0 ** rng.uniform(size=600)).astype(int)
    return X.repeat(times, axis=0), y.repeat(times)


PROBLEMS = {
    **{f"panel, spread {spread}": partial(panel, spread=spread) for spread in (1.0, 1.5, 2.0)},
    "rare levels": rare_levels,
    "full dummies": full_dummies,
    "columns 1e-7 apart": near_columns,
    "years": years,
    "start and end": start_and_end,
    "lags": lags,
    "sorted": sorted_rows,
    "duplicates": duplicates,
}
TOO_COLLINEAR = ("columns 1e-7 apart", "years")
"""Here a fit may miss more, if it says so and names what does not."""
MAY_WARN = (*TOO_COLLINEAR, "start and end")
WITH_TORCH = ("panel, spread 1.5", "rare levels", "full dummies", "columns 1e-7 apart", "years", "start and end")


def fit(X, y, form, **parameters):
    """A fit with default parameters, and the warnings that it did not converge."""
    model = MiniBatchSGDRegressor(random_state=0, **parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if form == "source":
            blocks = np.array_split(np.arange(len(y)), 7)
            model.fit_source([(X[rows], y[rows]) for rows in blocks])
        else:
            model.fit(as_csr(X) if form == "csr" else X, y)
    assert all(issubclass(one.category, ConvergenceWarning) for one in caught), [str(one.message) for one in caught]
    return model, [str(one.message) for one in caught]


SOLVERS_AND_PROBLEMS = [("numba", name) for name in PROBLEMS]
SOLVERS_AND_PROBLEMS += [pytest.param("torch", name, marks=needs_torch) for name in WITH_TORCH]


@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize(("solver", "name"), SOLVERS_AND_PROBLEMS)
def test_default_fit_is_least_squares_or_says_that_it_is_not(solver, name, form):
    X, y = PROBLEMS[name](np.random.default_rng(0))
    model, told = fit(X, y, form, solver=solver)
    missing = missing_of(model, X, y)
    assert not told or name in MAY_WARN
    assert missing <= MOST_MISSING or (name in TOO_COLLINEAR and told)
    for message in told:
        assert "closed form" in message or "normal_equation" in message
    if missing > VISIBLE and not told:
        assert missing / 3.0 <= model.optimality_gap_ <= 3.0 * missing
    assert model.optimality_gap_ <= 1e-5 or told  # tol / 100


@pytest.mark.parametrize("max_iter", [2, 3])
@pytest.mark.parametrize("form", ["dense", "csr", "source"])
@pytest.mark.parametrize("name", ["panel, spread 1.5", "rare levels", "lags", "sorted", "duplicates"])
def test_fit_that_is_cut_short_knows_how_far_it_is(name, form, max_iter):
    X, y = PROBLEMS[name](np.random.default_rng(1))
    model, told = fit(X, y, form, solver="numba", max_iter=max_iter)
    missing = missing_of(model, X, y)
    assert model.n_iter_ <= max_iter
    assert told or missing <= MOST_MISSING
    assert missing <= VISIBLE or missing / 3.0 <= model.optimality_gap_ <= 3.0 * missing


def test_smaller_tol_comes_closer():
    X, y = PROBLEMS["panel, spread 2.0"](np.random.default_rng(0))
    model, told = fit(X, y, "dense", solver="numba", tol=1e-9)
    assert not told
    assert model.optimality_gap_ <= 1e-11
    assert missing_of(model, X, y) <= 1e-9
