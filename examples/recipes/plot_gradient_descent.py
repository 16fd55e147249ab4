"""
=================================
Gradient descent from a far start
=================================

To show what gradient descent does, a recipe starts it far away, at `w = 5` and `b = 10`, and
follows it down the loss to the bottom. Here it is in NumPy, the same steps with
:class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# The data are points around `y = 2 + 3 x`. The loss is the mean squared error, without a
# factor 1/2. Every step uses the gradient of all rows.

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
x = rng.normal(1.0, 1.0, size=500)
y = 2 + 3 * x + rng.standard_normal(500)
learning_rate, n_steps = 0.1, 60


def descend(x, w=5.0, b=10.0):
    path, losses = [(w, b)], []
    for _ in range(n_steps):
        residual = w * x + b - y
        losses.append(np.mean(residual**2))
        w = w - learning_rate * np.mean(2 * residual * x)
        b = b - learning_rate * np.mean(2 * residual)
        path.append((w, b))
    return np.array(path), losses


path, losses = descend(x)
print("w = {:.4f}, b = {:.4f}".format(*path[-1]))

# %%
# The same steps
# --------------
# `batch_size="full"` makes one step an epoch. The start goes to `fit`. Our loss is half of the
# mean squared error, so `eta0` is twice the learning rate, and `loss_curve_` is half of the
# recipe's.

model = MiniBatchSGDRegressor(
    solver="numba",
    eta0=2 * learning_rate,
    batch_size="full",
    max_iter=n_steps,
    tol=None,
    shuffle=False,
)
model.fit(x[:, np.newaxis], y, coef_init=[5.0], intercept_init=10.0)
difference = np.abs([model.coef_[0], model.intercept_] - path[-1]).max()
print(f"largest difference from the loop: {difference:.0e}")
assert difference < 1e-12
assert np.allclose(2 * np.array(model.loss_curve_), losses)

# %%
# The path bends: gradient descent is fast across the valley and slow along it. The valley is
# oblique because the mean of `x` is 1, so that a larger slope can be balanced by a smaller
# intercept. On the right is the same learning rate for `x` minus its mean. The valley is
# round, and the path straight.

centred_path, _ = descend(x - x.mean())

figure, axes = plt.subplots(1, 2, figsize=(7.5, 4.2), sharey=True, layout="constrained")
w_grid, b_grid = np.meshgrid(np.linspace(-1, 6.5, 80), np.linspace(-1, 11, 80))
panels = {"x as it is": (x, path), "x less its mean": (x - x.mean(), centred_path)}
for ax, (title, (feature, way)) in zip(axes, panels.items(), strict=True):
    residuals = w_grid[..., np.newaxis] * feature + b_grid[..., np.newaxis] - y
    contours = ax.contourf(
        w_grid, b_grid, np.log10(np.mean(residuals**2, axis=-1)), levels=20, cmap="cividis"
    )
    ax.plot(*way.T, "o-", color="white", markersize=3, linewidth=1)
    ax.plot(*way[0], "s", color="C1", label="start")
    ax.plot(
        *way[-1],
        "*",
        color="C1",
        markersize=14,
        markeredgecolor="black",
        label=f"after {n_steps} steps",
    )
    ax.set(xlabel="w", title=title)
axes[0].set_ylabel("b")
axes[0].legend(loc="lower right")
figure.suptitle("The way down from w = 5, b = 10")
figure.colorbar(contours, ax=axes, label="log10 of the mean squared error")
plt.show()

# %%
# In practice
# -----------
# `eta0="auto"`, the default, centres and scales the features on the fly, and reports
# coefficients for the features in their own units. You may give a start, but need not.

model = MiniBatchSGDRegressor(solver="numba", random_state=0)
model.fit(x[:, np.newaxis], y, coef_init=[5.0], intercept_init=10.0)
print(f"SGD, {model.n_iter_} passes: w = {model.coef_[0]:.4f}, b = {model.intercept_:.4f}")

# %%
# The closed form needs neither a start nor steps.

model = MiniBatchSGDRegressor().fit(x[:, np.newaxis], y)
print(f"closed form:   w = {model.coef_[0]:.4f}, b = {model.intercept_:.4f}")

# %%
# See also: :doc:`/user_guide/units`, :doc:`/how_it_works/steps_and_finish`.
