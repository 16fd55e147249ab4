"""
=========================================
Mini-batches and the full batch, in NumPy
=========================================

Does one careful step over all rows beat many rough ones over few rows? The recipe runs both on
the same data and draws the progress by epoch. Here it is in NumPy, the same steps with
:class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# The diabetes data of scikit-learn have 442 patients and 10 features in raw units. Gradient
# descent needs features of similar size, so the recipe standardises them first. One function
# serves both cases: the full batch is a batch of 442 rows, which makes one step an epoch.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

X_raw, y = load_diabetes(return_X_y=True, scaled=False)
order = np.random.default_rng(0).permutation(len(y))
X_raw, y = X_raw[order], y[order]
X = StandardScaler().fit_transform(X_raw)
learning_rate, n_epochs = 0.1, 300


def gradient_descent(batch_size):
    w, b, losses = np.zeros(X.shape[1]), 0.0, []
    for _ in range(n_epochs):
        epoch_loss = 0.0
        for start in range(0, len(y), batch_size):
            X_batch, y_batch = X[start : start + batch_size], y[start : start + batch_size]
            residual = X_batch @ w + b - y_batch
            epoch_loss += 0.5 * np.sum(residual**2)
            w = w - learning_rate * X_batch.T @ residual / len(residual)
            b = b - learning_rate * residual.mean()
        losses.append(epoch_loss / len(y))
    return w, b, losses


batch_sizes = {"mini-batches of 32": 32, "full batch": len(y)}
loops = {name: gradient_descent(size) for name, size in batch_sizes.items()}

# %%
# The same steps
# --------------
# The last mini-batch of an epoch has only 26 rows. Its mean counts like that of the others, in
# the loop and here (`drop_last=True` would leave it out). Coefficients agree up to rounding,
# and so do the losses. `X_val` and `y_val` make `fit` score the model after each epoch, here
# on the same rows.

models = {}
for name, size in batch_sizes.items():
    model = MiniBatchSGDRegressor(
        solver="numba",
        eta0=learning_rate,
        batch_size=size,
        max_iter=n_epochs,
        tol=None,
        shuffle=False,
    )
    models[name] = model.fit(X, y, X_val=X, y_val=y)
    w, b, losses = loops[name]
    difference = max(np.abs(model.coef_ - w).max(), abs(model.intercept_ - b))
    print(
        f"{name}: coefficients up to {np.abs(w).max():.0f}, largest difference {difference:.0e}"
    )
    assert difference < 1e-9
    assert np.allclose(model.loss_curve_, losses)

# %%
# An epoch takes about the same time for both. Mini-batches take 14 steps in it, so they are
# much faster at first. Then they stall, because each step follows the noise of its batch, and
# the full batch overtakes them.

exact = MiniBatchSGDRegressor().fit(X, y)

figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
epochs = np.arange(1, n_epochs + 1)
for (name, model), style in zip(models.items(), ("-", "--"), strict=True):
    missing = exact.score(X, y) - np.array(model.validation_scores_)
    ax.loglog(epochs, missing, style, linewidth=2, label=name)
ax.set(
    xlabel="epoch",
    ylabel="R2 below that of least squares",
    title="Diabetes data: what is missing after each epoch",
)
ax.legend()
plt.show()

# %%
# In practice
# -----------
# Give the raw features to the defaults: no scaling, no learning rate, no batch size. The model
# is the same for any units.

raw = MiniBatchSGDRegressor().fit(X_raw, y)
print(f"closed form:  R2 {raw.score(X_raw, y):.6f}")
assert np.allclose(raw.predict(X_raw), exact.predict(X))

# %%
# SGD works on raw features, too. Its last passes are full gradients, so it does not stall.

steps = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X_raw, y)
print(f"SGD:          R2 {steps.score(X_raw, y):.6f} after {steps.n_iter_} passes")

# %%
# See also: :doc:`/user_guide/units`, :doc:`/user_guide/choosing_a_solver`.
