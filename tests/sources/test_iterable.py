import warnings

import numpy as np
import pytest
from scipy import sparse

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.sources import from_arrays
from sgdlinreg.sources.iterable import IterableSource, as_source

from ..helpers import as_csr, make_problem


def cut(X, y, size, convert=lambda X: X):
    return [(convert(X[i : i + size]), y[i : i + size]) for i in range(0, len(X), size)]


def test_sources_stay_what_they_are():
    X, y, _ = make_problem(0)
    source = from_arrays(X, y)
    assert as_source(source) is source
    assert isinstance(as_source([(X, y)]), IterableSource)


@pytest.mark.parametrize("convert", [lambda X: X, as_csr])
def test_steps_over_small_blocks_are_those_of_fit(convert):
    X, y, _ = make_problem(1, n_rows=303)
    common = {"solver": "numba", "eta0": 0.01, "batch_size": 16, "max_iter": 4, "tol": None, "random_state": 0}
    model = MiniBatchSGDRegressor(**common).fit_source(cut(X, y, 5, convert))
    whole = MiniBatchSGDRegressor(**common).fit(convert(X), y)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert model.t_ == whole.t_


def test_blocks_of_a_generator_are_joined_too():
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor().fit_source(block for block in cut(X, y, 5))
    assert model.n_samples_seen_ == 301
    np.testing.assert_allclose(model.coef_, MiniBatchSGDRegressor().fit(X, y).coef_, rtol=1e-10)


def test_errors_name_the_blocks():
    X, y, _ = make_problem(3)
    blocks = cut(X, y, 5)
    for number, block, message in (
        (7, (X[:5] * np.nan, y[:5]), "Block 7 of the source: Input X contains NaN"),
        (7, (X[:5], np.inf * y[:5]), "Block 7 of the source: Input y contains infinity"),
        (7, (X[:5], y[:5], -np.ones(5)), "Block 7 of the source: Negative values in data"),
        (7, (X[:5], y[:4]), "Block 7 of the source: Found input variables with inconsistent numbers of samples"),
        (7, (X[:5, :3], y[:5]), "Block 7 of the source: X has 3 features"),
        (7, (X[:5].astype(str), y[:5]), "Block 7 of the source: X holds text"),
        (7, (X[:5],), "Block 7 of the source should be"),
        (7, X[:5], r"Block 7 of the source should be.*got ndarray\. Data that are in memory as a whole go to fit"),
    ):
        with pytest.raises(ValueError, match=message):
            MiniBatchSGDRegressor().fit_source([*blocks[:number], block, *blocks[number + 1 :]])
    two = np.column_stack([y, y])
    with pytest.raises(ValueError, match="Blocks 3 to 60 of the source has 2 targets, the first one 1"):
        MiniBatchSGDRegressor().fit_source([*blocks[:3], *cut(X, two, 5)[3:]])


def test_a_hint_where_tiny_blocks_cannot_be_joined():
    X, y, _ = make_problem(4)
    source = IterableSource(cut(X, y, 2, np.ndarray.tolist))
    with pytest.warns(UserWarning, match="The source gives 151 blocks of 1.99 rows on average.*NumPy arrays, which"):
        list(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(source)  # it is told once
        list(IterableSource(cut(X, y, 2)))
        list(IterableSource(cut(X, y, 2, sparse.csr_array)))
        list(IterableSource(cut(X, y, 4, np.ndarray.tolist)))
