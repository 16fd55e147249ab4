"""
===============================
Weight decay on w, but not on b
===============================

With more features than rows, a linear model can fit its training data perfectly and still
predict badly. The recipe penalises large weights, called weight decay, and leaves the
intercept alone. Here it is in NumPy, the same steps with
:class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# The data have 200 features with a coefficient of 0.01 each, an intercept of 0.05 and noise of
# 0.01. There are 20 rows to train on and 100 to test. The loss is `0.5 * residual**2`, and the
# penalty `alpha * 0.5 * sum(w**2)` adds `alpha * w` to the gradient of the weights. The
# gradient of the intercept stays as it is.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear

plt.style.use("tableau-colorblind10")

X, y = make_linear(120, coef=np.full(200, 0.01), intercept=0.05, noise=0.01, random_state=1)
X_train, X_test, y_train, y_test = X[:20], X[20:], y[:20], y[20:]
learning_rate, batch_size, n_epochs = 0.003, 5, 100
start = np.random.default_rng(0).normal(0.0, 0.1, size=200)


def mean_loss(w, b, X, y):
    return 0.5 * np.mean((X @ w + b - y) ** 2)


def train(alpha):
    w, b, losses = start, 0.0, []
    for _ in range(n_epochs):
        for first in range(0, len(y_train), batch_size):
            rows = slice(first, first + batch_size)
            X_batch, y_batch = X_train[rows], y_train[rows]
            residual = X_batch @ w + b - y_batch
            w = w - learning_rate * (X_batch.T @ residual / batch_size + alpha * w)
            b = b - learning_rate * residual.mean()
        losses.append((mean_loss(w, b, X_train, y_train), mean_loss(w, b, X_test, y_test)))
    return w, b, np.array(losses)


loops = {alpha: train(alpha) for alpha in (0.0, 3.0)}

figure, axes = plt.subplots(1, 2, figsize=(7, 4), sharey=True, layout="constrained")
for ax, (alpha, (w, _, losses)) in zip(axes, loops.items(), strict=True):
    ax.semilogy(losses[:, 0], "C0-", linewidth=2, label="training rows")
    ax.semilogy(losses[:, 1], "C5--", linewidth=2, label="test rows")
    ax.set(xlabel="epoch", title=f"alpha = {alpha:.0f}: norm of w {np.linalg.norm(w):.2f}")
axes[0].set_ylabel("squared error / 2")
axes[1].legend()
figure.suptitle("Loss by epoch without and with weight decay")
plt.show()

# %%
# Without weight decay, the training loss vanishes and the test loss does not. With it, the
# test loss comes down a hundredfold. The norm of the true coefficients is 0.14.
#
# The same steps
# --------------
# The penalty of :class:`~sgdlinreg.MiniBatchSGDRegressor` never touches the intercept. `alpha`
# has the same meaning as in the loop. (In PyTorch, put the bias into a parameter group of its
# own without `weight_decay`. With its loss that has no 1/2, `weight_decay=wd` is `alpha=wd /
# 2`, and `lr` is `eta0=2 * lr`.)

for alpha, (w, b, _) in loops.items():
    model = MiniBatchSGDRegressor(
        solver="numba",
        alpha=alpha,
        eta0=learning_rate,
        batch_size=batch_size,
        max_iter=n_epochs,
        tol=None,
        shuffle=False,
    ).fit(X_train, y_train, coef_init=start, intercept_init=0.0)
    difference = max(np.abs(model.coef_ - w).max(), abs(model.intercept_ - b))
    print(f"alpha = {alpha:.0f}: largest difference from the loop {difference:.0e}")
    assert difference < 1e-12

# %%
# In practice
# -----------
# Let cross-validation choose `alpha`, and the closed form fit each candidate: with fewer rows
# than features it takes hardly any time. With 20 rows for 200 features, even the best
# candidate hardly beats the mean of `y`.

search = GridSearchCV(
    MiniBatchSGDRegressor(),
    {"alpha": np.logspace(-2, 3, 16)},
    scoring="neg_mean_squared_error",
    cv=5,
).fit(X_train, y_train)
model = search.best_estimator_
print(f"alpha = {model.alpha:.2g}, solved by {model.solver_}, {model.factorization_}")
print(f"test loss: {mean_loss(model.coef_, model.intercept_, X_test, y_test):.5f}")
print(f"test loss of the mean of y: {0.5 * np.mean((y_train.mean() - y_test) ** 2):.5f}")

# %%
# See also: :doc:`/user_guide/losses_and_penalties`, :doc:`/user_guide/tuning`.
