"""
==============
Early stopping
==============

With many features and few rows, the best model on new data often comes before the optimum on
the training data. Early stopping watches validation data, stops when they no longer improve,
and keeps the best model.
"""

# %%
# A fit that goes too far
# -----------------------
# From the diabetes data we make all products of up to three features. These are 285 columns,
# most of them useless, for 221 training rows. `tol=None` takes exactly `max_iter` epochs of
# steps. `X_val` and `y_val` are scored after each of them, and do not influence the fit.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

X, y = load_diabetes(return_X_y=True, scaled=False)
X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=0.5, random_state=0)
X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, train_size=0.5, random_state=0)
products = make_pipeline(StandardScaler(), PolynomialFeatures(3, include_bias=False))
products.fit(X_train)
Z_train, Z_val, Z_test = (products.transform(part) for part in (X_train, X_val, X_test))

steps = {"solver": "numba", "average": False, "random_state": 0}
on_training = MiniBatchSGDRegressor(tol=None, max_iter=100, **steps).fit(
    Z_train, y_train, X_val=Z_train, y_val=y_train
)
too_far = MiniBatchSGDRegressor(tol=None, max_iter=100, **steps).fit(
    Z_train, y_train, X_val=Z_val, y_val=y_val
)

# %%
# Stopping in time
# ----------------
# `early_stopping=True` ends the fit when the score has not risen by `tol` for
# `n_iter_no_change` epochs, and returns the best model on the way. Without `X_val` it sets a
# tenth of the training rows aside.

stopped = MiniBatchSGDRegressor(early_stopping=True, **steps).fit(
    Z_train, y_train, X_val=Z_val, y_val=y_val
)
best_epoch = int(np.argmax(stopped.validation_scores_)) + 1
print(f"stopped after {stopped.n_iter_} epochs, best after {best_epoch}")
for name, model in {"after 100 epochs": too_far, "early stopping": stopped}.items():
    print(f"R2 on test data, {name}: {model.score(Z_test, y_test):.3f}")

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
epochs = np.arange(1, 101)
ax.semilogx(epochs, on_training.validation_scores_, "C0-", linewidth=2, label="training data")
ax.semilogx(epochs, too_far.validation_scores_, "C5--", linewidth=2, label="validation data")
kept = stopped.best_validation_score_
ax.plot(best_epoch, kept, "k*", markersize=14, label="kept by early stopping")
ax.axvline(stopped.n_iter_, color="black", linestyle=":", label="stopped here")
ax.set(xlabel="epoch", ylabel="R2", title="Scores by epoch")
ax.legend()
plt.show()

# %%
# What else helps
# ---------------
# An l2 penalty has a similar effect, and does not depend on the order of the steps.
# :class:`~sklearn.model_selection.GridSearchCV` chooses it and needs no separate validation
# data.

from sklearn.model_selection import GridSearchCV

search = GridSearchCV(MiniBatchSGDRegressor(), {"alpha": np.logspace(-1, 4, 11)}, cv=5)
search.fit(Z_train, y_train)
best = search.best_params_["alpha"]
print(f"R2 on test data, alpha={best:.0f}: {search.score(Z_test, y_test):.3f}")

# %%
# See also: :doc:`/user_guide/validation`.
