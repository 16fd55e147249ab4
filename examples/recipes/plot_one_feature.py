"""
================================
One feature, and the fitted line
================================

The smallest regression there is: points, and a line through them. The recipe looks at one row
at a time and redraws the line after each pass. Here it is in NumPy, the same steps with
:class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# The data are one hundred points around `y = 4 + 3 x`. For each row in turn, compare
# prediction and target, and move slope and intercept a little against the error. After 15
# passes the line hardly moves any more.

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.displays import RegressionLineDisplay

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
x = rng.uniform(0, 2, size=100)
y = 4 + 3 * x + rng.standard_normal(100)

learning_rate, n_epochs = 0.01, 15
slope, intercept = 0.0, 0.0
lines = []
for _ in range(n_epochs):
    for x_row, y_row in zip(x, y, strict=True):
        error = slope * x_row + intercept - y_row
        slope = slope - learning_rate * error * x_row
        intercept = intercept - learning_rate * error
    lines.append((slope, intercept))
print(f"y = {intercept:.4f} + {slope:.4f} x")

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
ax.scatter(x, y, s=14, color="C3", alpha=0.6, linewidths=0)
ends = np.array([0.0, 2.0])
shades = plt.get_cmap("viridis")(np.linspace(0.85, 0.0, n_epochs))
for number, (line, shade) in enumerate(zip(lines, shades, strict=True), start=1):
    label = f"after pass {number}" if number in (1, 2, 5, n_epochs) else None
    ax.plot(ends, line[0] * ends + line[1], color=shade, linewidth=2, label=label)
ax.set(xlabel="x", ylabel="y", title="The line after each pass")
ax.legend()
plt.show()

# %%
# The same steps
# --------------
# One row at a time is `batch_size=1`. scikit-learn's
# :class:`~sklearn.linear_model.SGDRegressor` takes these steps, too.

X = x[:, np.newaxis]
model = MiniBatchSGDRegressor(
    solver="numba", eta0=learning_rate, batch_size=1, max_iter=n_epochs, tol=None, shuffle=False
).fit(X, y)
difference = max(abs(model.coef_[0] - slope), abs(model.intercept_ - intercept))
print(f"largest difference from the loop: {difference:.0e}")
assert difference < 1e-12

# %%
# In practice
# -----------
# The defaults take the closed form: the best line in one pass.
# :class:`~sgdlinreg.displays.RegressionLineDisplay` draws it with two intervals, one for the
# line itself and one for new points.

model = MiniBatchSGDRegressor().fit(X, y)
print(f"y = {model.intercept_:.4f} + {model.coef_[0]:.4f} x")
display = RegressionLineDisplay.from_estimator(model, X, y)
display.ax_.set(xlabel="x", ylabel="y")
display.figure_.suptitle("The best line, with intervals")
plt.show()

# %%
# See also: :doc:`/coming_from/sgd_regressor`, :doc:`/user_guide/plots`.
