from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from scipy import linalg
from sklearn.linear_model import LinearRegression, Ridge
from threadpoolctl import threadpool_limits

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.blocks import Block
from sgdlinreg._core.objective import LOSSES, Objective
from sgdlinreg._core.threads import n_threads
from sgdlinreg._solvers.closed_form import dual

from ..helpers import as_csr, make_problem, weighted_least_squares


def exact(**kwargs):
    return MiniBatchSGDRegressor(solver="normal_equation", **kwargs)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("sparse", [False, True])
def test_weighted_ridge_by_svd(n_targets, weighted, alpha, sparse):
    X, y, weight = make_problem(0, n_targets=n_targets, weighted=weighted)
    model = exact(alpha=alpha).fit(as_csr(X) if sparse else X, y, weight)
    coef, intercept = weighted_least_squares(X, y, weight, alpha)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-11)
    np.testing.assert_allclose(model.intercept_, intercept, rtol=1e-11)
    assert model.rank_ == 7
    centred = X - np.average(X, axis=0, weights=weight)
    if alpha == 0:
        scaled = centred * np.sqrt(np.ones(301) if weight is None else weight)[:, None]
        scaled /= np.linalg.norm(scaled, axis=0)
        assert model.condition_number_ == pytest.approx(np.linalg.cond(scaled), rel=1.0)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_objective_is_flat_at_the_solution(fit_intercept):
    X, y, weight = make_problem(1, n_targets=2)
    model = exact(alpha=0.2, fit_intercept=fit_intercept).fit(X, y, weight)
    objective = Objective(LOSSES["squared_error"](), 0.2, fit_intercept)
    coef = np.column_stack([model.coef_, model.intercept_])
    assert np.abs(objective.gradient(coef, Block(X, y, weight))).max() < 1e-13


def test_offset_costs_no_digits():
    X, y, weight = make_problem(2)
    coef, _ = weighted_least_squares(X, y, weight)
    np.testing.assert_allclose(exact().fit(X + 1e6, y, weight).coef_, coef, rtol=1e-8)


def test_units_do_not_matter():
    X, y, weight = make_problem(3)
    units = 10.0 ** np.linspace(-8, 8, 7)
    model = exact().fit(X * units, y, weight)
    np.testing.assert_allclose(model.predict(X * units), exact().fit(X, y, weight).predict(X), rtol=1e-9)
    assert model.rank_ == 7
    assert LinearRegression().fit(X * units, y, weight).rank_ < 7  # what we are not


@pytest.mark.parametrize("n_rows", [4, 301])
def test_dependent_columns_get_the_solution_of_least_norm(n_rows):
    X, y, _ = make_problem(4, n_rows=n_rows)
    X = np.column_stack([X, 2 * X[:, 0] - X[:, 1], X[:, 2], np.full(n_rows, 3.0)])
    model = exact().fit(X, y)
    expected = linalg.pinv(X - X.mean(axis=0), rtol=1e-10) @ (y - y.mean())
    np.testing.assert_allclose(model.coef_, expected, atol=1e-9 * np.abs(expected).max())
    assert model.rank_ == min(n_rows - 1, 7)
    assert model.condition_number_ == np.inf


def test_least_norm_is_in_the_units_of_the_data():
    X, y, _ = make_problem(5)
    X = np.column_stack([X, 10 * X[:, 0]])
    coef = exact().fit(X, y).coef_
    assert coef[7] == pytest.approx(10 * coef[0], rel=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_parts", [1, 7, 301])
def test_partial_fit_in_any_cut_is_fit(n_parts, sparse):
    X, y, weight = make_problem(6)
    X = X + (0.0 if sparse else 1e6)
    model = exact(alpha=0.1)
    for rows in np.array_split(np.arange(301), n_parts):
        model.partial_fit(as_csr(X[rows]) if sparse else X[rows], y[rows], weight[rows])
    whole = exact(alpha=0.1).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, whole.coef_, atol=1e-12 * np.abs(whole.coef_).max())
    np.testing.assert_allclose(model.intercept_, whole.intercept_, rtol=1e-12)
    assert model.n_samples_seen_ == 301
    assert model.n_iter_ == n_parts


def test_weights_are_repeated_rows():
    X, y, _ = make_problem(7)
    times = np.random.default_rng(0).integers(0, 4, 301)
    repeated = exact(alpha=0.1).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    weighted = exact(alpha=0.1).fit(X, y, times)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-12)


def test_ridge_in_our_scale():
    X, y, weight = make_problem(8)
    ridge = Ridge(alpha=0.3 * weight.sum(), solver="svd").fit(X, y, weight)
    np.testing.assert_allclose(exact(alpha=0.3).fit(X, y, weight).coef_, ridge.coef_, rtol=1e-11)
    with pytest.warns(UserWarning, match="alpha=0.3 has no effect with penalty=None"):
        without = exact(alpha=0.3, penalty=None).fit(X, y)
    np.testing.assert_allclose(without.coef_, exact().fit(X, y).coef_)


@pytest.mark.parametrize(
    ("X", "y", "coef", "intercept"),
    [
        ([[1.0, 2.0]], [3.0], [0.0, 0.0], 3.0),
        ([[1.0], [2.0]], [3.0, 5.0], [2.0], 1.0),
        ([[5.0], [5.0], [5.0]], [1.0, 2.0, 3.0], [0.0], 2.0),
        ([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]], [1.0, 2.0, 4.0], [0.0, 1.0], 0.0),
        ([[1.0], [2.0], [3.0]], [7.0, 7.0, 7.0], [0.0], 7.0),
    ],
)
def test_tiny_data(X, y, coef, intercept):
    model = exact().fit(X, y)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-12)
    assert model.intercept_ == pytest.approx(intercept, abs=1e-12)


def test_float32():
    X, y, weight = make_problem(9)
    X = X.astype(np.float32)
    model = exact().fit(X, y, weight)
    reference = exact().fit(X.astype(np.float64), y, weight)
    assert model.coef_.dtype == np.float32
    np.testing.assert_array_equal(model.coef_, reference.coef_.astype(np.float32))


def rational_solution(X, y, weight):
    """Coefficients of the float64 data in exact arithmetic, the intercept last."""
    rows = [[Fraction(float(v)) for v in (*row, 1.0, target)] for row, target in zip(X, y, strict=True)]
    weight = [Fraction(float(w)) for w in weight]
    size = X.shape[1] + 1
    system = [
        [sum(w * row[i] * row[j] for w, row in zip(weight, rows, strict=True)) for j in range(size + 1)]
        for i in range(size)
    ]
    for i in range(size):
        for k in range(size):
            if k != i:
                factor = system[k][i] / system[i][i]
                system[k] = [a - factor * b for a, b in zip(system[k], system[i], strict=True)]
    return np.array([float(system[i][size] / system[i][i]) for i in range(size)])


@pytest.mark.parametrize("convert", [np.asarray, as_csr])
@pytest.mark.parametrize(
    "case",
    ["offset", "offset of y", "weights", "heavy row", "collinear", "tube", "units", "no noise", "no noise, huge"],
)
def test_coefficients_are_the_exact_ones_rounded(case, convert):
    X, y, weight = make_problem(10, n_rows=40, n_features=4, noise=0.0 if "no noise" in case else 0.5)
    if case == "offset":
        X = X + 1e8
    elif case == "offset of y":
        y = y + 1e8
    elif case == "heavy row":
        weight[0] = 1e14
    elif case == "collinear":
        X[:, 1] = X[:, 0] + 1e-5 * X[:, 1]
    elif case == "tube":
        X[:, 1] = X[:, 0] + 1e-9 * X[:, 1]  # beyond Cholesky
    elif case == "units":
        X = X * 10.0 ** np.linspace(-8, 8, 4)
    elif "huge" in case:  # squares of y overflow
        X, y = X * 1e163, y * 1e163
    weight = weight if case in ("weights", "heavy row") else np.ones(40)
    model = exact().fit(convert(X), y, weight)
    np.testing.assert_allclose([*model.coef_, model.intercept_], rational_solution(X, y, weight), rtol=1e-15)
    assert model.factorization_ == ("qr" if case == "tube" else "cholesky")


def test_large_well_conditioned_data_are_not_refined_and_collinear_ones_are():
    X, y, _ = make_problem(11, n_rows=150_000, n_features=8)
    plain = exact().fit(X, y)
    assert (plain.factorization_, plain.n_refinements_) == ("cholesky", 0)
    X[:, 1] = X[:, 0] + 1e-4 * X[:, 1]
    assert exact().fit(X, y).n_refinements_ >= 1
    y = X @ np.arange(8.0) + 2.0  # residuals that moments cannot tell from rounding
    model = exact().fit(X, y)
    assert model.residual_std_ < 1e-14 * y.std()


@pytest.mark.parametrize("large", [1e150, 1e-150])
def test_extreme_units(large):
    X, y, weight = make_problem(12)
    units = np.where(np.arange(7) % 2, large, 1.0 / large)
    model = exact().fit(X * units, y, weight)
    np.testing.assert_allclose(model.predict(X * units), exact().fit(X, y, weight).predict(X), rtol=1e-9)
    in_blocks = exact()
    for rows in np.array_split(np.arange(301), 7):
        in_blocks.partial_fit(X[rows] * units, y[rows] * large, weight[rows])
    np.testing.assert_allclose(in_blocks.coef_, model.coef_ * large, rtol=1e-11)


def test_values_that_a_sample_of_the_rows_misses():
    X, y, _ = make_problem(13, n_rows=3000)
    for value in (1e-200, 1e200):
        X[:, 3] = 0.0
        X[1601, 3] = value
        model = exact().fit(X, y)
        assert model.rank_ == 7
        assert abs(y[1601] - model.predict(X)[1601]) < 1e-12  # a column of its own


@pytest.mark.parametrize("n_features", [3, 40])
def test_threads_do_not_change_a_bit(n_features):
    X, y, weight = make_problem(14, n_rows=40_000, n_features=n_features)
    with threadpool_limits(1, user_api="blas"):
        alone = exact().fit(X, y, weight)
    with threadpool_limits(3, user_api="blas"):
        together = exact().fit(X, y, weight)
    np.testing.assert_array_equal(alone.coef_, together.coef_)
    assert alone.intercept_ == together.intercept_


def test_large_float32():
    X, y, weight = make_problem(15, n_rows=200_000)
    X = (X + 100.0).astype(np.float32)
    model, reference = exact().fit(X, y, weight), exact().fit(X.astype(np.float64), y, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-5)
    assert reference.score(X, y) - model.score(X.astype(np.float64), y) < 1e-9
    X[:, 1] = X[:, 0] + (1e-2 * X[:, 1]).astype(np.float32)
    model, reference = exact().fit(X, y, weight), exact().fit(X.astype(np.float64), y, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-6)  # by float64 products


def test_streams_warn_where_they_would_have_to_read_again():
    X, y, _ = make_problem(17)
    X[:, 1] = X[:, 0] + 1e-7 * X[:, 1]
    with pytest.warns(linalg.LinAlgWarning, match="nearly linearly dependent.* Use fit, or fit_source"):
        exact().partial_fit(X, y)
    blocks = [(X[rows], y[rows]) for rows in np.array_split(np.arange(301), 5)]
    with pytest.warns(linalg.LinAlgWarning, match="cannot be read again"):
        exact().fit_source(block for block in blocks)
    again = exact().fit_source(blocks)
    assert again.factorization_ == "qr"
    np.testing.assert_allclose(again.coef_, exact().fit(X, y).coef_, rtol=1e-13)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_fewer_rows_than_columns(sparse, alpha, fit_intercept):
    X, y, weight = make_problem(18, n_rows=20, n_features=50, n_targets=2)
    X = np.where(np.abs(X) < 1.0, 0.0, X)
    X[:, 7] = X[:, 3]
    model = exact(alpha=alpha, fit_intercept=fit_intercept).fit(as_csr(X) if sparse else X, y, weight)
    root = np.sqrt(weight / weight.sum())[:, None]
    x_mean, y_mean = (np.average(a, axis=0, weights=weight) * fit_intercept for a in (X, y))
    rows = np.vstack([root * (X - x_mean), np.sqrt(alpha) * np.eye(50)])
    targets = np.vstack([root * (y - y_mean), np.zeros((50, 2))])
    np.testing.assert_allclose(model.coef_, (np.linalg.pinv(rows, rcond=1e-10) @ targets).T, atol=1e-9)
    assert model.factorization_ == "dual"
    assert model.rank_ == (50 if alpha else 20 - fit_intercept)
    with pytest.raises(ValueError, match="has kept nothing"):
        model.partial_fit(X, y)  # fit keeps no row
    model = exact(alpha=alpha, fit_intercept=fit_intercept).partial_fit(as_csr(X) if sparse else X, y, weight)
    more_X, more_y, _ = make_problem(19, n_rows=80, n_features=50, n_targets=2)
    model.partial_fit(as_csr(more_X) if sparse else more_X, more_y, np.ones(80))
    everything = exact(alpha=alpha, fit_intercept=fit_intercept).fit(
        np.vstack([X, more_X]), np.vstack([y, more_y]), np.append(weight, np.ones(80))
    )
    np.testing.assert_allclose(model.coef_, everything.coef_, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_rows_that_are_too_many_to_be_made_dense(alpha, fit_intercept, monkeypatch):
    X, y, weight = make_problem(18, n_rows=20, n_features=50, n_targets=2)
    X = np.where(np.abs(X) < 1.0, 0.0, X)
    X[:, 7], X[:, 8], X[3] = X[:, 3], 5.0, X[4]
    dense = exact(alpha=alpha, fit_intercept=fit_intercept).fit(as_csr(X), y, weight)
    monkeypatch.setattr(dual, "DENSE_VALUES", 0)
    found = exact(alpha=alpha, fit_intercept=fit_intercept).fit(as_csr(X), y, weight)
    np.testing.assert_allclose(found.coef_, dense.coef_, atol=1e-10)
    np.testing.assert_allclose(found.intercept_, dense.intercept_, atol=1e-10)
    assert found.rank_ == dense.rank_
    assert found.best_loss_ == pytest.approx(dense.best_loss_, rel=1e-10)


@pytest.mark.parametrize("convert", [np.array, as_csr])
def test_rows_that_are_kept_are_not_the_callers(convert):
    X, y, weight = make_problem(18, n_rows=20, n_features=50)
    given, y_given, weight_given = convert(X), y.copy(), weight.copy()
    model = exact(alpha=0.1).partial_fit(given, y_given, weight_given)
    for array in (given if convert is np.array else given.data, y_given, weight_given):
        array[:] = 1.0
    more_X, more_y, more_weight = make_problem(19, n_rows=20, n_features=50)
    model.partial_fit(convert(more_X), more_y, more_weight)
    expected = exact(alpha=0.1).fit(np.vstack([X, more_X]), np.append(y, more_y), np.append(weight, more_weight))
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


def test_a_wide_problem_with_columns_of_any_unit():
    X, y, _ = make_problem(20, n_rows=20, n_features=50)
    units = 10.0 ** np.linspace(-6, 6, 50)
    model = exact().fit(X * units, y)
    assert model.rank_ == 19
    np.testing.assert_allclose(model.predict(X * units), y, rtol=1e-6)


def test_dependent_columns_with_offsets():
    start, length = 1.7e9 + np.arange(50) * 977.0, np.arange(50) ** 2 % 61 * 1.0
    X, y = np.column_stack([start, length, start + length]), 0.01 * length + np.sin(np.arange(50))
    model = exact().fit(X, y)
    assert model.rank_ == 2
    np.testing.assert_allclose(model.coef_, exact().fit(X - [1.7e9, 0.0, 1.7e9], y).coef_, rtol=1e-9)
    wide = exact().fit([[16777238.0, 268435413.0], [16777246.0, 268435425.0]], [1.0, 2.0], [0.0195, 2.634])
    assert wide.rank_ == 1


@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_uneven_weights_cost_no_digits(convert):
    X = np.eye(4)[[0, 1, 2, 3] * 5]
    weight = np.tile([1e12, 1.0, 1.0, 1e-6], 5)
    model = exact(fit_intercept=False).fit(convert(X), np.arange(20.0), weight)
    np.testing.assert_allclose(model.coef_, [8.0, 9.0, 10.0, 11.0], rtol=1e-12)
    X, y, _ = make_problem(21, n_rows=60_000, n_features=3)
    heavy = np.arange(60_000) % 2 == 0
    X[heavy] += 1e6
    y = X @ [1.0, 2.0, 3.0] + 5.0
    model = exact().fit(convert(X), y, np.where(heavy, 1e6, 1e-6))
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], rtol=1e-9)


def test_uneven_weights_in_a_stream_warn():
    X, y, _ = make_problem(22, n_rows=7, n_features=5)
    weight = 10.0 ** np.linspace(-12, 9, 7)
    model = exact().partial_fit(X[:4], y[:4], weight[:4])
    with pytest.warns(linalg.LinAlgWarning, match="weights are so uneven|weights very uneven"):
        model.partial_fit(X[4:], y[4:], weight[4:])


@pytest.mark.parametrize("unit", [1e5, 1e9])
@pytest.mark.parametrize("convert", [np.asarray, as_csr])
def test_wide_ridge_respects_the_unit_of_each_column(unit, convert):
    X, y, _ = make_problem(23, n_rows=20, n_features=30)
    scaled = X * np.where(np.arange(30) == 0, unit, 1.0)
    model = exact(alpha=0.01).fit(convert(scaled), y)
    # a column in such a unit is as good as unpenalised: project it out
    rest = np.column_stack([X[:, :1], np.ones(20)])
    rest = np.eye(20) - rest @ np.linalg.pinv(rest)
    rows, target = rest @ X[:, 1:], rest @ y
    expected = rows.T @ np.linalg.solve(rows @ rows.T + 0.2 * np.eye(20), target)
    np.testing.assert_allclose(model.coef_[1:], expected, atol=1e3 / unit**2 + 1e-12)


def test_a_wide_problem_with_a_heavy_row():
    for seed in range(20):
        X, y, _ = make_problem(seed, n_rows=4, n_features=6)
        model = exact().fit(X, y, [1.0, 1.0, 1.0, 1e6])
        assert model.rank_ == 3
        np.testing.assert_allclose(model.coef_, exact().fit(X, y).coef_, rtol=1e-9)


def test_streams_say_that_residuals_are_lost():
    X, y, _ = make_problem(24, noise=0.0)
    model = exact().partial_fit(X, y)
    with pytest.raises(AttributeError, match="the residuals are too small for sums to tell"):
        _ = model.residual_std_
    assert exact().fit(X, y).residual_std_ < 1e-15


def test_partial_fit_after_a_fit_of_float32():
    X, y, _ = make_problem(25, n_rows=200_000)
    X[:, 1] = X[:, 0] + 0.02 * X[:, 1]
    X = (X + 50.0).astype(np.float32)
    model = exact(alpha=10.0).fit(X, y)
    with pytest.warns(linalg.LinAlgWarning, match="cannot be read again"):
        model.set_params(alpha=0.0).partial_fit(X[:100], y[:100])
    assert model.batch_size_ == 200_100
    assert abs(np.mean(model.predict(X.astype(np.float64)) - y)) < 1e-4


def test_a_column_without_values_so_far():
    X, _, _ = make_problem(26)
    model = exact()
    empty = X.copy()
    empty[:, 1] = 0.0
    model.partial_fit(empty, empty @ np.arange(7.0))
    model.partial_fit(X * np.where(np.arange(7) == 1, 1e-200, 1.0), X @ np.arange(7.0))
    assert model.rank_ == 7
    assert model.coef_[1] == pytest.approx(1e200)


def test_a_source_that_changes():
    class Shrinking:
        n_passes = 0

        def __iter__(self):
            self.n_passes += 1
            yield X[: 301 if self.n_passes < 3 else 100], y[: 301 if self.n_passes < 3 else 100]

    X, y, _ = make_problem(27)
    with pytest.raises(ValueError, match="The source gave 301 rows in the first pass over it and 100 in a later one"):
        exact().fit_source(Shrinking())


def test_a_constant_target_is_fitted_without_a_warning():
    X, _, _ = make_problem(28)
    X[:, 1] = X[:, 0] + 1e-9 * X[:, 1]
    model = exact().fit(X, np.full(301, 0.1))
    np.testing.assert_allclose(model.predict(X), 0.1, rtol=1e-14)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_target_is_met_exactly(value, fit_intercept):
    X, _, weight = make_problem(2, n_rows=50, n_features=3, weighted=True)
    model = exact(fit_intercept=fit_intercept).fit(X, np.full(50, value), weight)
    if fit_intercept or not value:
        np.testing.assert_array_equal([*model.coef_, model.intercept_], [0.0, 0.0, 0.0, value])
        assert model.best_loss_ == 0.0
    else:
        assert model.best_loss_ > 0.0


def test_positive_coefficients_keep_their_digits_where_columns_have_an_offset():
    rng = np.random.default_rng(0)
    X = np.round(rng.standard_normal((200, 3)) * 1024.0) / 1024.0  # an offset is exact
    y = X @ [1.0, 2.0, 0.5] + rng.standard_normal(200)
    plain, offset = (exact(positive=True).fit(X + by, y) for by in (0.0, 2.0**36))
    np.testing.assert_allclose(offset.coef_, plain.coef_, rtol=1e-13)


def test_values_near_the_end_of_the_range_are_an_error():
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((60, 3)), rng.exponential(size=60)
    y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(60)
    X[2:4, 1] = 1e308
    with pytest.raises(ValueError, match="Rescale them"):
        exact().fit(X, y, weight)


def test_fits_in_threads_do_not_leave_blas_limited():
    X, y, _ = make_problem(0, n_rows=40_000)
    before = n_threads()
    with ThreadPoolExecutor(4) as pool:
        coefs = list(pool.map(lambda _: exact().fit(X, y).coef_, range(20)))
    assert n_threads() == before
    assert all(np.array_equal(coef, coefs[0]) for coef in coefs)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_products_of_rows_solve_wide_problems(alpha, fit_intercept, weighted, monkeypatch):
    X, y, weight = make_problem(40, n_rows=60, n_features=200, n_targets=2)
    weight = weight if weighted else None
    found = exact(alpha=alpha, fit_intercept=fit_intercept).fit(X + 10.0, y, weight)
    monkeypatch.setattr(dual, "MIN_PRODUCTS", 1.0)  # SVD and QR of the rows
    careful = exact(alpha=alpha, fit_intercept=fit_intercept).fit(X + 10.0, y, weight)
    np.testing.assert_allclose(found.coef_, careful.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.intercept_, careful.intercept_, rtol=1e-9, atol=1e-9)
    assert found.rank_ == careful.rank_
    assert found.condition_number_ == pytest.approx(careful.condition_number_, rel=3.0)
    assert found.factorization_ == careful.factorization_ == "dual"
