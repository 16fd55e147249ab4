"""The public contract, by every solver."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.metrics import r2_score

from sgdlinreg import MiniBatchSGDRegressor

from .helpers import ALL_SOLVERS, SGD_SOLVERS, SOLVERS, as_csr, make_problem, weighted_least_squares


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_full_batches_reach_ridge(solver, seed):
    X, y, weight = make_problem(seed, n_features=3 + seed, n_targets=1 + seed % 2)
    alpha = [0.0, 1e-3, 0.1, 1.0, 10.0][seed]
    step = {} if solver == "normal_equation" else {"batch_size": "full", "tol": 1e-12}
    model = MiniBatchSGDRegressor(solver=solver, alpha=alpha, **step).fit(X, y, weight)
    ridge = Ridge(alpha=alpha * weight.sum(), solver="svd").fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.intercept_, ridge.intercept_, rtol=1e-6)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(5))
def test_mini_batches_reach_least_squares(solver, seed):
    X, y, weight = make_problem(seed, n_features=3 + seed)
    model = MiniBatchSGDRegressor(solver=solver, max_iter=200, tol=None, random_state=seed).fit(X, y, weight)
    assert model.n_iter_ == 200
    coef, intercept = weighted_least_squares(X, y, weight)
    best = r2_score(y, X @ coef + intercept, sample_weight=weight)
    assert best - model.score(X, y, weight) < 1e-4


@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1e150])
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_units_whose_squares_are_no_numbers(solver, unit):
    X, y, _ = make_problem(4, n_rows=2000)
    expected = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y).score(X, y)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X * unit, y)
    assert model.score(X * unit, y) > expected - 1e-3


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("seed", range(3))
def test_defaults_reach_least_squares_in_any_units(solver, seed):
    X, y, _ = make_problem(seed)
    X = X * 10.0 ** np.linspace(-6, 6, 7) + 1e4 * 10.0 ** np.linspace(-6, 6, 7)
    model = MiniBatchSGDRegressor(solver=solver, random_state=seed).fit(X, 1e5 * y)
    best = MiniBatchSGDRegressor().fit(X, 1e5 * y).score(X, 1e5 * y)
    assert best - model.score(X, 1e5 * y) < 1e-3


def test_plain_steps_are_those_of_sgd_regressor():
    X, y, _ = make_problem(0)
    ours = MiniBatchSGDRegressor(
        solver="numba", eta0=0.01, batch_size=1, shuffle=False, alpha=0.05, max_iter=3, tol=None
    ).fit(X, y)
    theirs = SGDRegressor(learning_rate="constant", eta0=0.01, shuffle=False, alpha=0.05, max_iter=3, tol=None).fit(
        X, y
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.intercept_ == pytest.approx(theirs.intercept_[0], rel=1e-9)
    assert ours.t_ == theirs.t_ == 3 * 301 + 1


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_fitted_attributes(solver):
    X, y, weight = make_problem(1)
    weight[:10] = 0.0
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y, weight)
    assert model.solver_ == ("normal_equation" if solver == "auto" else solver)
    assert model.coef_.shape == (7,)
    assert model.coef_.dtype == np.float64
    assert isinstance(model.intercept_, float)
    assert model.n_features_in_ == 7
    assert model.n_samples_seen_ == 291
    assert model.n_iter_ == len(model.loss_curve_) >= 1
    assert model.best_loss_ == min(model.loss_curve_)
    size = {"numba": 32, "torch": 256}.get(model.solver_, 291)
    assert model.batch_size_ == size
    if model.solver_ == "normal_equation":
        assert model.rank_ == 7
    else:
        assert model.t_ == 1 + -(-291 // size)  # one epoch of steps
        assert model.step_size_ > 0
        assert not hasattr(model, "rank_")


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_attributes_of_an_earlier_closed_form_are_gone(solver):
    X, y, _ = make_problem(2)
    model = MiniBatchSGDRegressor(random_state=0).fit(X, y)
    model.set_params(solver=solver).fit(X, y)
    assert not hasattr(model, "rank_")
    assert not hasattr(model, "condition_number_")


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("column", [False, True])
def test_one_target_in_either_shape(solver, column):
    X, y, _ = make_problem(3)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X, y[:, None] if column else y)
    y = y[:, None] if column else y
    expected = LinearRegression().fit(X, y)
    assert model.coef_.shape == expected.coef_.shape
    assert np.shape(model.intercept_) == np.shape(expected.intercept_)
    assert model.predict(X).shape == expected.predict(X).shape
    assert model.score(X, y) > 0.9
    again = MiniBatchSGDRegressor(solver=solver, random_state=0).partial_fit(X, y).partial_fit(X, np.ravel(y))
    assert again.predict(X).shape == expected.predict(X).shape


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("layout", [as_csr, lambda X: as_csr(X, np.int64), np.asfortranarray, lambda X: X[::-1][::-1]])
def test_the_same_data_in_any_layout(solver, layout):
    X, y, weight = make_problem(4)
    step = {} if solver in ("auto", "normal_equation") else {"eta0": 0.02, "max_iter": 5, "tol": None}
    reference = MiniBatchSGDRegressor(solver=solver, random_state=0, **step).fit(X, y, weight)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, **step).fit(layout(X), y, weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.predict(layout(X)), reference.predict(X), rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_csr_with_automatic_steps_reaches_the_same_optimum(solver):
    X, y, weight = make_problem(5)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, tol=1e-4).fit(as_csr(X), y, weight)
    best = MiniBatchSGDRegressor().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(X, y, weight) < 1e-4


def test_csr_with_repeated_entries():
    X, y, _ = make_problem(6)
    sparse = as_csr(X).tocoo()
    doubled = type(sparse)(
        (
            np.r_[sparse.data / 2, sparse.data / 2],
            (np.r_[sparse.row, sparse.row], np.r_[sparse.col, sparse.col]),
        ),
        sparse.shape,
    )
    for solver in ("normal_equation", "numba"):
        model = MiniBatchSGDRegressor(solver=solver, random_state=0)
        np.testing.assert_allclose(model.fit(doubled, y).coef_, model.fit(as_csr(X), y).coef_, rtol=1e-10)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("layout", [np.ascontiguousarray, as_csr])
def test_float32_is_kept_and_predictions_are_accumulated_in_float64(solver, layout):
    X, y, weight = make_problem(7, n_rows=5000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(layout(X.astype(np.float32)), y, weight)
    assert model.coef_.dtype == np.float32
    assert np.asarray(model.intercept_).dtype == np.float64
    found = model.predict(layout(X.astype(np.float32)))
    assert found.dtype == np.float32
    exact = X.astype(np.float32).astype(np.float64) @ model.coef_.astype(np.float64) + model.intercept_
    np.testing.assert_array_equal(found, exact.astype(np.float32))
    double = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(layout(X), y, weight)
    assert abs(model.score(X.astype(np.float32), y) - double.score(X, y)) < 1e-4


def test_intercept_matches_the_rounded_coefficients():
    rng = np.random.default_rng(0)
    X = (1e4 + rng.standard_normal((1000, 3))).astype(np.float32)
    y = X.astype(np.float64) @ [1 / 3, -2 / 3, 7 / 9]
    model = MiniBatchSGDRegressor().fit(X, y)
    mean_prediction = (X.astype(np.float64) @ model.coef_.astype(np.float64) + model.intercept_).mean()
    assert mean_prediction == pytest.approx(y.mean(), abs=1e-9 * np.abs(y).max())


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_rows_of_weight_zero_are_dropped_to_the_bit(solver):
    X, y, weight = make_problem(8)
    weight[::3] = 0.0
    kept = weight > 0
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    with_zeros = model.fit(X, y, weight).coef_
    np.testing.assert_array_equal(with_zeros, model.fit(X[kept], y[kept], weight[kept]).coef_)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_only_ratios_of_weights_matter(solver, factor):
    X, y, weight = make_problem(9)
    model = MiniBatchSGDRegressor(solver=solver, alpha=0.1, random_state=0)
    once = model.fit(X, y, weight).coef_
    np.testing.assert_allclose(model.fit(X, y, factor * weight).coef_, once, rtol=1e-9)
    equal = model.fit(X, y, np.full(301, factor)).coef_
    np.testing.assert_allclose(equal, model.fit(X, y).coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_weights_are_repeated_rows_in_full_batches(solver):
    X, y, _ = make_problem(10)
    times = np.random.default_rng(0).integers(0, 4, 301)
    model = MiniBatchSGDRegressor(solver=solver, batch_size="full", tol=1e-12)
    weighted = model.fit(X, y, times).coef_
    np.testing.assert_allclose(weighted, model.fit(np.repeat(X, times, axis=0), np.repeat(y, times)).coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_random_state(solver):
    X, y, _ = make_problem(11)

    def fit(seed):
        return MiniBatchSGDRegressor(solver=solver, random_state=seed, batch_size=32).fit(X, y).coef_

    np.testing.assert_array_equal(fit(0), fit(0))
    np.testing.assert_array_equal(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
    assert not np.array_equal(fit(0), fit(1))


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_start(solver):
    X, y, _ = make_problem(12, n_targets=2)
    best = MiniBatchSGDRegressor().fit(X, y)
    model = MiniBatchSGDRegressor(solver=solver, eta0=1e-9, max_iter=1, tol=None)
    model.fit(X, y, coef_init=best.coef_, intercept_init=best.intercept_)
    np.testing.assert_allclose(model.coef_, best.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.intercept_, best.intercept_, rtol=1e-6)


def test_start_makes_auto_take_sgd():
    X, y, _ = make_problem(12)
    assert MiniBatchSGDRegressor(random_state=0).fit(X, y, intercept_init=3.0).solver_ == "numba"


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_without_an_intercept(solver):
    X, y, weight = make_problem(13)
    model = MiniBatchSGDRegressor(solver=solver, fit_intercept=False, random_state=0).fit(X, y, weight)
    root = np.sqrt(weight)
    expected = np.linalg.lstsq(root[:, None] * X, root * y, rcond=None)[0]
    assert model.intercept_ == 0.0
    if model.solver_ == "normal_equation":
        np.testing.assert_allclose(model.coef_, expected, rtol=1e-10)
    else:
        best = r2_score(y, X @ expected, sample_weight=weight)
        assert best - model.score(X, y, weight) < 1e-3


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_verbose_prints_a_line_a_pass(solver, capsys):
    X, y, _ = make_problem(14)
    model = MiniBatchSGDRegressor(solver=solver, verbose=1, random_state=0).fit(X, y)
    lines = [line for line in capsys.readouterr().out.splitlines() if "compiling" not in line]
    assert len(lines) == model.n_iter_ + 1
    words = lines[-2].split()
    assert words[:3] == [f"{model.solver_}:", "pass", str(model.n_iter_)]
    assert words[5:7] == ["loss", f"{model.loss_curve_[-1]:.6g}"]
    assert words[7:] == ["gap", f"{model.optimality_gap_:.1e}"]
    assert lines[-1].startswith(f"{model.solver_}: ended after pass {model.n_iter_}: ")


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_data_are_never_written(solver):
    X, y, weight = make_problem(15)
    before = X.copy(), y.copy(), weight.copy()
    MiniBatchSGDRegressor(solver=solver).fit(X, y, weight).predict(X)
    for array, kept in zip((X, y, weight), before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_partial_fit_over_chunks(solver):
    X, y, weight = make_problem(16, n_rows=20_000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    for rows in np.array_split(np.arange(20_000), 20):
        model.partial_fit(X[rows] * 1e3 + 1e4, y[rows], weight[rows])
    best = MiniBatchSGDRegressor().fit(X, y, weight).score(X, y, weight)
    assert best - model.score(X * 1e3 + 1e4, y, weight) < 1e-3
    assert model.n_iter_ == len(model.loss_curve_) == 20
    assert model.n_samples_seen_ == 20_000


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_partial_fit_with_plain_steps_is_one_epoch_of_fit(solver):
    X, y, _ = make_problem(17)
    kwargs = {"solver": solver, "eta0": 0.01, "batch_size": 16, "shuffle": False, "max_iter": 2, "tol": None}
    model = MiniBatchSGDRegressor(**kwargs)
    model.partial_fit(X, y).partial_fit(X, y)
    fitted = MiniBatchSGDRegressor(**kwargs).fit(X, y)
    np.testing.assert_allclose(model.coef_, fitted.coef_, rtol=1e-12)
    assert model.t_ == fitted.t_


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_partial_fit_after_fit_goes_on(solver):
    X, y, weight = make_problem(18, n_rows=2000)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(X[:1000], y[:1000], weight[:1000])
    steps = model.t_
    model.partial_fit(X[1000:], y[1000:], weight[1000:])
    assert model.t_ > steps or model.solver_ == "normal_equation"
    assert model.n_samples_seen_ == 2000
    best = MiniBatchSGDRegressor().fit(X, y, weight)
    assert best.score(X, y, weight) - model.score(X, y, weight) < (
        1e-12 if model.solver_ == "normal_equation" else 2e-3
    )
    assert model.fit(X, y, weight).n_samples_seen_ == 2000


def test_partial_fit_keeps_the_solver_of_the_first_call():
    X, y, _ = make_problem(19)
    model = MiniBatchSGDRegressor(random_state=0).partial_fit(X, y)
    assert model.solver_ == "normal_equation"
    model.set_params(max_iter=7).partial_fit(X, y)
    assert model.solver_ == "normal_equation"
    with pytest.raises(ValueError, match="cannot go on with solver='numba' after 'normal_equation'"):
        model.set_params(solver="numba").partial_fit(X, y)


def test_partial_fit_passes_between_sgd_solvers():
    pytest.importorskip("torch")
    X, y, _ = make_problem(20)
    model = MiniBatchSGDRegressor(solver="numba", random_state=0).partial_fit(X, y)
    model.set_params(solver="torch").partial_fit(X, y)
    assert model.solver_ == "torch"
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("n_rows", [1, 2, 5])
@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_streams_of_tiny_blocks(solver, n_rows):
    X, y, _ = make_problem(21, n_rows=400)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0)
    for start in range(0, 400, n_rows):
        model.partial_fit(X[start : start + n_rows], y[start : start + n_rows])
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("solver", ALL_SOLVERS)
@pytest.mark.parametrize(
    "make",
    [
        lambda X, y: (X[:1], y[:1]),
        lambda X, y: (X[:, :1], y),
        lambda X, y: (np.column_stack([X, np.full(301, 5.0)]), y),
        lambda X, y: (X[:5], y[:5]),
        lambda X, y: (np.column_stack([X, X]), y),
        lambda X, y: (X, np.full(301, 2.5)),
        lambda X, y: (np.zeros((301, 2)), y),
    ],
    ids=["one row", "one column", "constant column", "n < d", "duplicate columns", "constant y", "zeros"],
)
def test_what_is_no_error(solver, make):
    X, y = make(*make_problem(22)[:2])
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, fit_intercept=True).fit(X, y)
    expected = np.linalg.lstsq(np.column_stack([np.ones(len(X)), X - X.mean(axis=0)]), y, rcond=None)[0]
    best = np.mean((np.column_stack([np.ones(len(X)), X - X.mean(axis=0)]) @ expected - y) ** 2)
    assert np.mean((model.predict(X) - y) ** 2) <= best + 1e-3 * np.var(y) + 1e-20


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_zeros_without_an_intercept(solver):
    for n_rows in (20, 300):
        model = MiniBatchSGDRegressor(solver=solver, fit_intercept=False, random_state=0)
        assert not model.fit(np.zeros((n_rows, 3)), np.arange(float(n_rows))).coef_.any()


@pytest.mark.parametrize("constant", [0.1, 0.7, 2.7, 3.3])
def test_constant_column_in_csr(constant):
    X, y, weight = make_problem(24)
    X = np.column_stack([X, np.full(301, constant)])
    sparse, dense = MiniBatchSGDRegressor().fit(as_csr(X), y, weight), MiniBatchSGDRegressor().fit(X, y, weight)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-11)
    assert sparse.coef_[-1] == 0.0
    assert sparse.rank_ == dense.rank_ == 7


@pytest.mark.parametrize("offset", [1e4, 1e7, 1e8])
def test_offset_columns_in_csr(offset):
    X, y, weight = make_problem(25)
    X = X + offset
    sparse, dense = MiniBatchSGDRegressor().fit(as_csr(X), y, weight), MiniBatchSGDRegressor().fit(X, y, weight)
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-9)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(
    "parameters", [{"penalty": "l1", "alpha": 1e-3}, {"learning_rate": "adaptive"}, {"positive": True}]
)
def test_partial_fit_after_fit_still_learns(solver, parameters):
    X = np.random.default_rng(26).standard_normal((1000, 3))
    model = MiniBatchSGDRegressor(solver=solver, random_state=0, **parameters).fit(X, X[:, 0])
    for _ in range(30):
        model.partial_fit(X, 3 * X[:, 0])
    assert model.coef_[0] == pytest.approx(3.0, abs=0.2)


def test_partial_fit_from_plain_to_automatic_steps():
    X, _, _ = make_problem(27, n_rows=1000, n_features=1)
    model = MiniBatchSGDRegressor(solver="numba", eta0=0.01, random_state=0).partial_fit(X, 2 * X[:, 0] + 1)
    model.set_params(eta0="auto")
    for _ in range(10):
        model.partial_fit(X + 10, 2 * (X[:, 0] + 10) + 1)
    assert model.score(X + 10, 2 * (X[:, 0] + 10) + 1) > 0.99


def test_a_subclass_with_parameters_of_its_own():
    class OnlyAlpha(MiniBatchSGDRegressor):
        def __init__(self, alpha=0.0):
            super().__init__(alpha=alpha)

    X, y, _ = make_problem(28)
    assert OnlyAlpha(alpha=0.1).fit(X, y).solver_ == "normal_equation"


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("offset", [2.0, 100.0, 1e6])
def test_csr_with_an_offset(solver, offset):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 8))
    X[:, :3] += offset
    X[:, 3:] *= rng.uniform(size=(2000, 5)) < 0.2
    y = X @ np.arange(8.0)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).fit(as_csr(X), y)
    assert model.score(X, y) > 0.999


def test_least_norm_never_costs_the_fit():
    rng = np.random.default_rng(58)
    X = rng.standard_normal((200, 4))
    X[0] *= 1e4
    X = np.column_stack([X, X[:, :3].sum(axis=1)]) * 10.0 ** rng.uniform(-8, 8, 5)
    y = rng.standard_normal(200)
    model = MiniBatchSGDRegressor().fit(X, y)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    fitted = scaled @ np.linalg.lstsq(scaled, y - y.mean(), rcond=1e-10)[0]
    best = 1 - np.mean((y - y.mean() - fitted) ** 2) / y.var()
    assert model.rank_ == 4
    assert model.score(X, y) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("solver", ALL_SOLVERS)
def test_no_rows_are_predicted_and_change_nothing(solver):
    X, y, weight = make_problem(30)
    model = MiniBatchSGDRegressor(solver=solver, random_state=0).partial_fit(X, y, weight)
    before = model.coef_.copy()
    for rows in (X[:0], as_csr(X[:0]), X[:0].astype(np.float32)):
        assert model.predict(rows).shape == (0,)
        model.partial_fit(rows, y[:0])
    model.partial_fit(X, y, 0.0 * weight)
    np.testing.assert_array_equal(model.coef_, before)
    assert model.n_samples_seen_ == 301
    with pytest.raises(ValueError, match="X has 2 features, but MiniBatchSGDRegressor is expecting 7"):
        model.partial_fit(X[:0, :2], y[:0])


def test_a_generator_is_a_random_state():
    X, y, _ = make_problem(31)
    for parameters in ({}, {"early_stopping": True}):
        models = [
            MiniBatchSGDRegressor(solver="numba", random_state=np.random.default_rng(5), **parameters).fit(X, y)
            for _ in range(2)
        ]
        np.testing.assert_array_equal(models[0].coef_, models[1].coef_)


def test_parameters_that_are_ignored_are_told():
    X, y, _ = make_problem(32)
    with pytest.warns(UserWarning, match="max_iter, eta0: no effect with solver='normal_equation'"):
        MiniBatchSGDRegressor(solver="normal_equation", eta0=0.1, max_iter=5).fit(X, y)
    with pytest.warns(UserWarning, match="alpha=0.5 has no effect with penalty=None"):
        MiniBatchSGDRegressor(penalty=None, alpha=0.5).fit(X, y)
    assert MiniBatchSGDRegressor().l1_ratio == 0.5
