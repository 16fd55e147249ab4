"""
===========================
Mini-batch SGD from scratch
===========================

A first exercise of many courses: draw 1000 rows from a known plane, write mini-batch
stochastic gradient descent (SGD) by hand, and see whether it finds the plane again. Here is
that recipe in NumPy, the same steps with :class:`~sgdlinreg.MiniBatchSGDRegressor`, and what
to do in practice.
"""

# %%
# The data
# --------
# The data have two features, the coefficients `[2, -3.4]`, the intercept 4.2, and a little
# noise.

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear

plt.style.use("tableau-colorblind10")

true_w, true_b, noise = np.array([2.0, -3.4]), 4.2, 0.01
X, y = make_linear(1000, coef=true_w, intercept=true_b, noise=noise, random_state=0)

figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True, layout="constrained")
for number, ax in enumerate(axes):
    ax.scatter(X[:, number], y, s=6, alpha=0.5, linewidths=0)
    ax.set(xlabel=f"feature {number + 1}", title=f"Coefficient {true_w[number]}")
axes[0].set_ylabel("target")
figure.suptitle("The target against each feature")
plt.show()

# %%
# The recipe
# ----------
# Cut the rows into batches of 10. For each batch, compute the residuals, average the gradient
# of the loss `0.5 * residual**2` over the batch, and take a step against it. After each pass
# over all rows, an epoch, print the loss.
#
# The recipe usually shuffles the rows before each epoch. These rows are in random order
# already, so we read them as they are: then both programs see the same batches.

learning_rate, batch_size, n_epochs = 0.03, 10, 3


def batches(X, y):
    for start in range(0, len(y), batch_size):
        yield X[start : start + batch_size], y[start : start + batch_size]


start_w = np.random.default_rng(1).normal(0.0, 0.01, size=2)
w, b = start_w, 0.0
batch_losses = []
for epoch in range(n_epochs):
    for X_batch, y_batch in batches(X, y):
        residual = X_batch @ w + b - y_batch
        batch_losses.append(np.mean(0.5 * residual**2))
        w = w - learning_rate * X_batch.T @ residual / len(residual)
        b = b - learning_rate * residual.mean()
    loss = np.mean(0.5 * (X @ w + b - y) ** 2)
    print(f"epoch {epoch + 1}, loss {loss:.6f}")

print("error of w:", true_w - w)
print("error of b:", true_b - b)

# %%
# The same steps
# --------------
# A float `eta0` is a learning rate: plain steps on the data as they are. `tol=None` runs
# exactly `max_iter` epochs, and `shuffle=False` reads the rows in order. Coefficients and
# intercept agree with the loop up to rounding.

model = MiniBatchSGDRegressor(
    solver="numba",
    eta0=learning_rate,
    batch_size=batch_size,
    max_iter=n_epochs,
    tol=None,
    shuffle=False,
)
model.fit(X, y, coef_init=start_w, intercept_init=0.0)

difference = max(np.abs(model.coef_ - w).max(), abs(model.intercept_ - b))
print(f"largest difference from the loop: {difference:.0e}")
assert difference < 1e-12

# %%
# `loss_curve_` has one number for each epoch: the mean loss of its batches, each taken before
# its own step. That costs no extra pass. It is higher than the loss after the epoch, most of
# all in the first one, which starts with an untrained model.

assert np.allclose(model.loss_curve_, np.reshape(batch_losses, (n_epochs, -1)).mean(axis=1))

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
steps = np.arange(len(batch_losses))
ax.semilogy(steps, batch_losses, ".", alpha=0.6, label="loss of a batch")
ax.stairs(
    model.loss_curve_,
    100 * np.arange(4),
    baseline=None,
    color="C5",
    linewidth=2,
    label="loss_curve_",
)
ax.axhline(0.5 * noise**2, color="black", linestyle=":", label="noise alone")
ax.set(xlabel="step", ylabel="squared error / 2", title="Three epochs of mini-batch SGD")
ax.legend()
plt.show()

# %%
# In practice
# -----------
# Use the defaults. For least squares with few features, the closed form gives the
# optimum in one pass, without a learning rate or epochs, and with standard errors.

model = MiniBatchSGDRegressor().fit(X, y)
print("solver:", model.solver_)
print("error of w:", true_w - model.coef_, "expected about", model.coef_std_error_)
print("error of b:", true_b - model.intercept_, "expected about", model.intercept_std_error_)

# %%
# Where the closed form is too expensive, use SGD with its defaults. They choose the step from
# the data and finish with passes of full gradients. `optimality_gap_` then estimates how much
# R2 is missing.

model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
print(f"passes: {model.n_iter_}, R2 missing: {model.optimality_gap_:.0e}")

# %%
# See also: :doc:`/user_guide/units`, :doc:`/coming_from/index`.

# sphinx_gallery_thumbnail_number = 2
