import numpy as np
import pytest

from sgdlinreg._core.blocks import CSR, Block
from sgdlinreg._core.objective import LOSSES, EpsilonInsensitive, Objective, Quantile, make_loss, proximal

from ..helpers import as_csr, make_problem


def block_of(X, y, weight, sparse=False):
    if sparse:
        csr = as_csr(X)
        X = CSR(csr.data, csr.indices, csr.indptr, X.shape[1])
    return Block(X, np.reshape(y, (len(y), -1)), weight)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_is_the_formula_row_by_row(weighted, sparse):
    X, y, weight = make_problem(1, n_rows=23, n_targets=3, weighted=weighted)
    coef = np.random.default_rng(2).standard_normal((3, 8))
    s = np.ones(23) if weight is None else weight
    expected = [
        sum(s[i] * 0.5 * (X[i] @ coef[t, :-1] + coef[t, -1] - y[i, t]) ** 2 for i in range(23)) / s.sum()
        + 0.7 * 0.5 * sum(w * w for w in coef[t, :-1])
        for t in range(3)
    ]
    objective = Objective(LOSSES["squared_error"](), alpha=0.7)
    np.testing.assert_allclose(objective.value(coef, block_of(X, y, weight, sparse)), expected, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradient_is_the_slope_of_the_value(loss, fit_intercept, sparse):
    X, y, weight = make_problem(3, n_rows=40, n_targets=2)
    block = block_of(X, y, weight, sparse)
    coef = np.random.default_rng(4).standard_normal((2, 8))
    if not fit_intercept:
        coef[:, -1] = 0.0
    objective = Objective(make_loss(loss, 0.7, 0.2), alpha=0.3, fit_intercept=fit_intercept)
    gradient = objective.gradient(coef, block)
    for t in range(2):
        for j in range(8 if fit_intercept else 7):
            step = np.zeros_like(coef)
            step[t, j] = 1e-5
            up, down = objective.value(coef + step, block)[t], objective.value(coef - step, block)[t]
            assert gradient[t, j] == pytest.approx((up - down) / 2e-5, rel=1e-7, abs=1e-7)
    if not fit_intercept:
        np.testing.assert_array_equal(gradient[:, -1], 0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_slope_is_the_derivative_of_the_loss(loss):
    residual = np.linspace(-3.05, 3.05, 42)
    loss = make_loss(loss, 0.7, 0.2)
    numeric = (loss.value(residual + 1e-6) - loss.value(residual - 1e-6)) / 2e-6
    np.testing.assert_allclose(loss.slope(residual), numeric, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("squared_error", lambda r: 0.5 * r**2),
        ("huber", lambda r: 0.5 * r**2 if abs(r) <= 0.7 else 0.7 * (abs(r) - 0.35)),
        ("epsilon_insensitive", lambda r: max(0.0, abs(r) - 0.7)),
        ("squared_epsilon_insensitive", lambda r: max(0.0, abs(r) - 0.7) ** 2),
        ("quantile", lambda r: 0.2 * max(-r, 0.0) + 0.8 * max(r, 0.0)),
    ],
)
def test_losses_by_their_definition(name, theirs):
    residual = np.array([-1e6, -3.0, -0.7, -0.1, 0.0, 0.5, 0.7, 0.71, 2.0, 1e150])
    np.testing.assert_allclose(make_loss(name, 0.7, 0.2).value(residual), [theirs(r) for r in residual.tolist()])


@pytest.mark.parametrize("loss", [Quantile(0.2), EpsilonInsensitive(0.0), EpsilonInsensitive(0.7)])
@pytest.mark.parametrize("width", [0.3, 1e-3])
def test_rounded_kinks(loss, width):
    residual = np.linspace(-3.05, 3.05, 1001)
    rounded = loss.rounded(width)
    numeric = (rounded.value(residual + 1e-7) - rounded.value(residual - 1e-7)) / 2e-7
    np.testing.assert_allclose(rounded.slope(residual), numeric, atol=1e-4)
    excess = rounded.value(residual) - loss.value(residual)
    assert excess.min() > -1e-15
    assert excess.max() <= rounded.value(rounded.epsilon) * (1.0 + 1e-15)
    far = np.abs(np.abs(residual) - rounded.epsilon) > width
    np.testing.assert_allclose(excess[far], 0.0, atol=1e-15)


@pytest.mark.parametrize("quantile", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_of_a_quantile_has_the_smallest_loss(weighted, quantile):
    _, y, weight = make_problem(5, n_rows=41, n_targets=2, weighted=weighted)
    block = block_of(np.zeros((41, 1)), y, weight)
    objective = Objective(make_loss("quantile", 0.0, quantile))
    others = np.array([objective.value_of_constant(value, block) for value in y])
    np.testing.assert_allclose(objective.constant_value(block), others.min(axis=0), rtol=1e-12)
    expected = np.quantile(y, quantile, axis=0, weights=weight, method="inverted_cdf")
    np.testing.assert_array_equal(objective.constant(block), expected)
    assert Objective(make_loss("quantile", 0.0, quantile), fit_intercept=False).constant(block) == 0.0


@pytest.mark.parametrize("positive", [0.0, 1.0])
def test_proximal_minimises_its_problem(positive):
    grid = np.linspace(0.0 if positive else -5.0, 5.0, 100_001)
    for weight in (-3.0, -0.4, -0.3, 0.0, 1e-20, 0.3, 2.0):
        for threshold in (0.0, 0.4):
            expected = grid[np.argmin(0.5 * (grid - weight) ** 2 + threshold * np.abs(grid))]
            found = proximal(weight, threshold, positive)
            assert found == pytest.approx(expected, abs=1e-4)
            if threshold and abs(weight) < threshold:
                assert found == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_penalty_and_its_gradient(loss):
    coef = np.array([[1.0, -2.0, 0.0, 9.0]])
    objective = Objective(make_loss(loss, 0.7), alpha=0.5, l1_ratio=0.25)
    assert objective.penalty(coef)[0] == pytest.approx(0.5 * (0.75 * 0.5 * 5.0 + 0.25 * 3.0))
    np.testing.assert_allclose(objective.penalty_gradient(coef), [[0.375, -0.75, 0.0, 0.0]])
