"""The recipes that people come from: what the textbooks' loops give, ours gives."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._solvers.sgd.row_order import permutation
from sgdlinreg.datasets import make_linear

from .helpers import SGD_SOLVERS

N_SEEDS = 60


def plain_sgd(solver, eta0, batch_size, n_epochs, **kwargs):
    """Steps of a fixed size for a fixed number of epochs."""
    return MiniBatchSGDRegressor(solver=solver, eta0=eta0, batch_size=batch_size, max_iter=n_epochs, tol=None, **kwargs)


def losses_after_epochs(solver, n_samples, eta0, n_epochs, seeds, coef=(2.0, -3.4)):
    """Half the mean squared error over all data after each epoch, (n_seeds, n_epochs)."""
    out = np.empty((seeds, n_epochs))
    for seed in range(seeds):
        X, y = make_linear(n_samples, coef=coef, random_state=seed)
        start = np.random.default_rng(1000 + seed).normal(0.0, 0.01, (1, len(coef)))
        for epoch in range(n_epochs):
            model = plain_sgd(solver, eta0, 10, epoch + 1, random_state=seed)
            model.fit(X, y, coef_init=start)
            out[seed, epoch] = 0.5 * np.mean((model.predict(X) - y) ** 2)
    return out


def test_from_scratch():
    losses = losses_after_epochs("numba", 1000, 0.03, 3, N_SEEDS)
    assert np.median(losses, axis=0) == pytest.approx([0.0372, 0.000138, 0.000050], rel=0.12)
    low, high = [0.0186, 0.000073, 0.000044], [0.0669, 0.000379, 0.000058]
    assert np.all(losses >= low)
    assert np.all(losses <= high)


def test_from_scratch_in_torch():
    pytest.importorskip("torch")
    expected = losses_after_epochs("numba", 1000, 0.03, 3, 2)
    np.testing.assert_allclose(losses_after_epochs("torch", 1000, 0.03, 3, 2), expected, rtol=1e-9)


def test_loss_curve_is_the_running_mean_of_the_epoch():
    first = []
    for seed in range(N_SEEDS):
        X, y = make_linear(1000, random_state=seed)
        model = plain_sgd("numba", 0.03, 10, 1, random_state=seed).fit(X, y)
        first += model.loss_curve_
        if seed == 0:
            order = permutation(1000, np.random.default_rng(0))
            w, running = np.zeros(3), []
            X1 = np.column_stack([X, np.ones(1000)])
            for rows in order.reshape(-1, 10):
                residual = X1[rows] @ w - y[rows]
                running.append(0.5 * np.mean(residual**2))
                w -= 0.03 * X1[rows].T @ residual / 10
            np.testing.assert_allclose(np.append(model.coef_, model.intercept_), w, rtol=1e-12)
            assert model.loss_curve_[0] == pytest.approx(np.mean(running), rel=1e-12)
    assert np.median(first) == pytest.approx(2.8, abs=0.1)


def test_concise():
    for n_samples, medians in (
        (1500, [0.000101, 0.000100, 0.000101]),
        (1000, [0.000237, 0.000101, 0.000100]),
    ):
        losses = 2 * losses_after_epochs("numba", n_samples, 0.06, 3, N_SEEDS)
        np.testing.assert_allclose(np.median(losses, axis=0), medians, rtol=0.05 if n_samples == 1500 else 0.15)
    after_five = 2 * losses_after_epochs("numba", 1000, 0.06, 5, 5)[:, -1]
    np.testing.assert_allclose(after_five, 1e-4, rtol=0.15)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize("eta0", [0.03, 0.06])
def test_one_feature(solver, eta0):
    X, y = make_linear(1000, coef=[2.0], random_state=0)
    model = plain_sgd(solver, eta0, 10, 3, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.coef_, [2.0], atol=5e-3)
    assert model.intercept_ == pytest.approx(4.2, abs=5e-3)
    assert 0.5 * np.mean((model.predict(X) - y) ** 2) == pytest.approx(5e-5, rel=0.3)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_column_of_ones_beside_the_intercept(solver):
    rng = np.random.RandomState(0)
    x = 2 * rng.rand(100, 1)
    y = 4 + 3 * x[:, 0] + rng.randn(100)
    model = plain_sgd(solver, 0.02, 10, 50, random_state=0).fit(np.column_stack([np.ones(100), x]), y)
    assert model.coef_[0] == pytest.approx(model.intercept_, rel=1e-9)  # they share what one of them could hold
    slope, constant = np.polyfit(x[:, 0], y, 1)
    assert 2 * model.intercept_ == pytest.approx(constant, abs=0.2)
    assert model.coef_[1] == pytest.approx(slope, abs=0.2)


def descend(x, y, w, b, eta0, n_steps):
    """Full-batch descent on half the mean squared error by its closed recursion in the moments of the data."""
    path = [(w, b)]
    xx, x1, xy, y1 = np.mean(x * x), np.mean(x), np.mean(x * y), np.mean(y)
    for _ in range(n_steps):
        w, b = w - eta0 * (xx * w + x1 * b - xy), b - eta0 * (x1 * w + b - y1)
        path.append((w, b))
    return np.array(path)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_full_batch_descent(solver):
    rng = np.random.RandomState(42)
    x = 2 * rng.rand(100)
    y = 4 + 3 * x + rng.randn(100)
    model = plain_sgd(solver, 0.1, "full", 1000).fit(x[:, None], y)
    found = np.append(model.coef_, model.intercept_)
    np.testing.assert_allclose(found, descend(x, y, 0.0, 0.0, 0.1, 1000)[-1], rtol=1e-10)
    np.testing.assert_allclose(found, np.polyfit(x, y, 1), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The model is worse than the best constant")  # it starts far away
@pytest.mark.parametrize("solver", SGD_SOLVERS)
@pytest.mark.parametrize(("n_samples", "n_steps"), [(1000, 200), (2000, 300)])
def test_full_batch_descent_from_far_away_step_by_step(solver, n_samples, n_steps):
    rng = np.random.RandomState(0)
    x = rng.randn(n_samples)
    y = 3 * x + 2 + rng.randn(n_samples)
    expected = descend(x, y, 5.0, 10.0, 0.02, n_steps)

    def fit(steps):
        model = plain_sgd(solver, 0.02, "full", steps)
        return model.fit(x[:, None], y, coef_init=[5.0], intercept_init=10.0)

    model = fit(n_steps)
    before_each_step = [0.5 * np.mean((x * w + b - y) ** 2) for w, b in expected[:-1]]
    np.testing.assert_allclose(model.loss_curve_, before_each_step, rtol=1e-10)
    for steps in [*range(1, 20), n_steps // 2, n_steps]:
        model = fit(steps)
        np.testing.assert_allclose([model.coef_[0], model.intercept_], expected[steps], rtol=1e-10)


def test_closed_form_next_to_batches():
    errors = []
    for seed in range(100):
        X, y = make_linear(1000, random_state=seed)
        exact = MiniBatchSGDRegressor().fit(X, y)
        solution = np.linalg.lstsq(np.column_stack([X, np.ones(1000)]), y, rcond=None)[0]
        np.testing.assert_allclose(np.append(exact.coef_, exact.intercept_), solution, rtol=1e-12)
        model = plain_sgd("numba", 0.01, 48, 50, random_state=seed).fit(X, y)
        errors.append(np.append(model.coef_ - [2.0, -3.4], model.intercept_ - 4.2))
    assert np.all(np.median(np.abs(errors), axis=0) < 5e-4)


@pytest.mark.parametrize("solver", SGD_SOLVERS)
def test_weight_decay_is_ridge(solver):
    X, y = make_linear(1000, random_state=0)
    model = plain_sgd(solver, 0.06, "full", 400, alpha=0.005).fit(X, y)
    ridge = Ridge(alpha=5.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-8)
    assert model.intercept_ == pytest.approx(ridge.intercept_, rel=1e-8)
