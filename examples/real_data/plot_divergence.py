"""
============================
Diverging, and how to see it
============================

A step that is too large makes SGD overshoot: each step lands farther away, until numbers
overflow. Many programs return such a model without a warning.
:class:`~sgdlinreg.MiniBatchSGDRegressor` raises an error that says which steps are safe.
"""

# %%
# Raw units
# ---------
# The data are generated readings of sensors in raw units. One feature is a Unix time near 1.7
# billion, another one a concentration near 0.0004. We take a learning rate that looks small:

import textwrap

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_sensor_readings

plt.style.use("tableau-colorblind10")

X, y, coef, intercept = make_sensor_readings(5000, random_state=0)
model = MiniBatchSGDRegressor(eta0=0.01, random_state=0)
try:
    model.fit(X, y)
except ValueError as error:
    print(textwrap.fill(str(error), 90))

# %%
# scikit-learn's :class:`~sklearn.linear_model.SGDRegressor` returns a model:

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDRegressor

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    theirs = SGDRegressor(max_iter=10, random_state=0).fit(X, y)
print(f"R2 of SGDRegressor: {theirs.score(X, y):.1e}")

# %%
# The message of our error says what to do. `eta0="auto"`, the default, scales on the fly and
# takes a safe step:

model = MiniBatchSGDRegressor(solver="numba", random_state=0).fit(X, y)
print(f"R2 with eta0='auto': {model.score(X, y):.3f}")

# %%
# The edge of stability
# ---------------------
# Which steps are too large? Here are scaled features. Along each eigenvector of their
# covariance matrix, gradient descent multiplies the error by `1 - eta0 * h`, with the
# eigenvalue h. So errors grow if `eta0` is above `2 / h` for the largest eigenvalue.

from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

X, y = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)
limit = 2 / np.linalg.eigvalsh(X.T @ X / len(X)).max()
print(f"largest stable eta0 by the eigenvalues: {limit:.3f}")

steps = {"solver": "numba", "batch_size": "full", "tol": None, "max_iter": 25}
try:
    MiniBatchSGDRegressor(eta0=2 * limit, **steps).fit(X, y)
except ValueError as error:
    print(textwrap.fill(str(error), 90))

# %%
# The message names half of this limit. Up to there, no direction overshoots.
#
# Steps from small to too large
# -----------------------------
# We write gradient descent by hand here, because a fit would raise an error. Half of the limit
# is fastest. Beyond the limit the loss falls at first, along the other directions, and then
# grows.

optimum = MiniBatchSGDRegressor().fit(X, y)
floor = 0.5 * np.mean((optimum.predict(X) - y) ** 2)
styles = {0.1: ("C0", "-"), 0.5: ("black", "-."), 0.98: ("C1", "--"), 1.05: ("C5", ":")}

figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
for factor, (color, dashes) in styles.items():
    w, b, losses = np.zeros(X.shape[1]), y.mean(), []
    for _ in range(50):
        residual = X @ w + b - y
        losses.append(0.5 * np.mean(residual**2) - floor)
        w = w - factor * limit * X.T @ residual / len(y)
        b = b - factor * limit * residual.mean()
    ax.semilogy(
        losses, color=color, linestyle=dashes, linewidth=2, label=f"{factor} of the limit"
    )
ax.set(
    xlabel="step", ylabel="loss above the optimum", title="Gradient descent around the limit"
)
ax.legend()
plt.show()

# %%
# Next we fit with batches of three sizes, from small steps to steps that diverge. All fits
# start at the mean of `y`.

rates = limit * np.logspace(-2, 0.5, 26)
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
for batch_size, style in ((1, "C5^-"), (8, "C1s-"), (442, "C0o-")):
    missing = []
    for eta0 in rates:
        model = MiniBatchSGDRegressor(eta0=eta0, batch_size=batch_size, random_state=0)
        model.set_params(solver="numba", tol=None, max_iter=25)
        try:
            model.fit(X, y, intercept_init=y.mean())
            missing.append(optimum.score(X, y) - model.score(X, y))
        except ValueError:  # it diverges
            missing.append(np.nan)
    ax.loglog(rates, missing, style, markersize=4, label=f"batch_size={batch_size}")
ax.axvline(limit, color="black", linestyle=":", label="limit by the eigenvalues")
ax.set(
    xlabel="eta0", ylabel="R2 missing after 25 epochs", title="Curves end where fits diverge"
)
figure.legend(loc="outside upper center", ncols=2, frameon=False)
plt.show()

# %%
# Smaller batches are noisier, and diverge sooner. The range in the error message takes the
# batch size into account.
#
# In a search
# -----------
# A candidate that diverges gets the score nan and a warning, and the search goes on.

from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FitFailedWarning)
    warnings.simplefilter("ignore", UserWarning)
    search = GridSearchCV(
        MiniBatchSGDRegressor(random_state=0), {"eta0": [0.001, 0.01, 1.0, "auto"]}, cv=3
    ).fit(X, y)
for parameters, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(parameters, f"{score:.3f}")

# %%
# See also: :doc:`/user_guide/when_a_fit_fails`.
