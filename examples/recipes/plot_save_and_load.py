"""
===================================
Save a model, load it, and train on
===================================

Training takes long, so the recipe saves the parameters half-way, loads them later, and goes
on. It checks that the loaded model predicts the same. Here is that recipe with
:class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# Train for three epochs in batches of 10, and save the estimator with joblib. The file holds
# everything: coefficients, intercept, parameters, and where the next step goes on.

import tempfile
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear

plt.style.use("tableau-colorblind10")

X, y = make_linear(1000, coef=[2.0, -3.4], intercept=4.2, noise=0.01, random_state=0)
steps = {"solver": "numba", "eta0": 0.01, "batch_size": 10, "tol": None, "shuffle": False}
folder = tempfile.TemporaryDirectory()
file = Path(folder.name) / "model.joblib"

model = MiniBatchSGDRegressor(max_iter=3, **steps).fit(X, y)
joblib.dump(model, file)
print(f"{file.stat().st_size} bytes")

# %%
# Later, perhaps in another process, load it. Predictions are the same to the last bit.

loaded = joblib.load(file)
assert np.array_equal(loaded.predict(X), model.predict(X))

# %%
# Each call of `partial_fit` takes one more epoch from there. Seven of them end where ten
# epochs without a break end.

for _ in range(7):
    loaded.partial_fit(X, y)
unbroken = MiniBatchSGDRegressor(max_iter=10, **steps).fit(X, y)
difference = max(
    np.abs(loaded.coef_ - unbroken.coef_).max(), abs(loaded.intercept_ - unbroken.intercept_)
)
print(f"largest difference from ten epochs without a break: {difference:.0e}")
assert difference < 1e-12

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
epochs = np.arange(1, 11)
ax.semilogy(epochs, unbroken.loss_curve_, color="C2", linewidth=7, label="without a break")
ax.semilogy(epochs[:3], loaded.loss_curve_[:3], "o-", color="C0", label="before it was saved")
ax.semilogy(epochs[2:], loaded.loss_curve_[2:], "s--", color="C5", label="after it was loaded")
ax.set(xlabel="epoch", ylabel="loss_curve_", title="Training goes on where it stopped")
ax.legend()
plt.show()

# %%
# In practice
# -----------
# Only load a pickle from someone you trust: it can run any code. If others need the
# predictions only, give them a plain :class:`~sklearn.linear_model.LinearRegression`. They
# need not install sgdlinreg.

plain = unbroken.to_sklearn()
print(plain, plain.coef_, plain.intercept_)
assert np.allclose(plain.predict(X), unbroken.predict(X))

# %%
# If new rows keep coming, use the closed form: after each call of `partial_fit` the model is
# that of all rows so far, also after it was loaded from a file.

exact = MiniBatchSGDRegressor().fit(X[:500], y[:500])
joblib.dump(exact, file)
exact = joblib.load(file).partial_fit(X[500:], y[500:])
assert np.allclose(exact.coef_, MiniBatchSGDRegressor().fit(X, y).coef_)
print(f"{exact.n_samples_seen_} rows seen")
folder.cleanup()

# %%
# See also: :doc:`/user_guide/saving`, :doc:`/user_guide/streams`.
