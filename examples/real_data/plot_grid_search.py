"""
===================================
Grid search and regularization path
===================================

An l1 penalty sets coefficients to exactly zero: fewer features, and often better predictions.
How strong should it be? A grid search compares values of `alpha` by cross-validation, and the
path shows what each of them does to the coefficients.
"""

# %%
# The data
# --------
# The diabetes data with all squares and products of the 10 features. That makes 65 features
# for 331 training rows, enough to overfit. A penalty compares coefficients, so here features
# are brought to one scale.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
pipeline = make_pipeline(
    StandardScaler(),
    PolynomialFeatures(degree=2, include_bias=False),
    StandardScaler(),
    MiniBatchSGDRegressor(penalty="l1"),
)

# %%
# The search
# ----------
# The estimator's parameters go by their names. With an l1 penalty the closed form fits by
# coordinate descent, which is exact, too.

alphas = np.logspace(-1, 1.5, 11)
search = GridSearchCV(pipeline, {"minibatchsgdregressor__alpha": alphas}, cv=5)
search.fit(X_train, y_train)
best = search.best_params_["minibatchsgdregressor__alpha"]
plain = pipeline.set_params(minibatchsgdregressor__penalty=None).fit(X_train, y_train)
print(f"best alpha: {best:.2f}")
print(f"R2 on test data: {search.score(X_test, y_test):.3f}")
print(f"without a penalty: {plain.score(X_test, y_test):.3f}")

# %%
# The path
# --------
# Fit each `alpha` on all training rows, and draw the coefficients above the scores. From right
# to left the penalty falls, and one feature after the other comes in.

Z_train = pipeline[:-1].transform(X_train)
lasso = MiniBatchSGDRegressor(penalty="l1")
paths = np.array(
    [lasso.set_params(alpha=alpha).fit(Z_train, y_train).coef_ for alpha in alphas]
)
names = pipeline[:-1].get_feature_names_out()

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(7.5, 6), sharex=True, layout="constrained", height_ratios=[3, 2]
)
largest = np.argsort(-np.abs(paths[np.argmin(np.abs(alphas - best))]))[:5]
top.semilogx(alphas, np.delete(paths, largest, axis=1), color="lightgrey", linewidth=1)
styles = (("C0", "-"), ("C5", "--"), ("black", "-."), ("C4", ":"), ("C1", "-"))
for feature, (color, dashes) in zip(largest, styles, strict=True):
    style = {"color": color, "linestyle": dashes, "linewidth": 2}
    top.semilogx(alphas, paths[:, feature], label=names[feature], **style)
top.set(
    ylabel="coefficient",
    title="Regularization path and cross-validated scores, diabetes data",
    ylim=(-25, 42),
)
top.legend(
    title="largest at\nthe best alpha",
    loc="center left",
    bbox_to_anchor=(1.0, 0.5),
    frameon=False,
)

scores = search.cv_results_["mean_test_score"]
spread = search.cv_results_["std_test_score"] / np.sqrt(5)
bottom.errorbar(alphas, scores, yerr=spread, fmt="o-", color="C0")
bottom.set(xlabel="alpha", ylabel="R2, mean of 5 folds")
for ax in (top, bottom):
    ax.axvline(best, color="black", linestyle=":", linewidth=1)
plt.show()

# %%
kept = np.flatnonzero(search.best_estimator_[-1].coef_)
print(f"{len(kept)} of {len(names)} features are left:", ", ".join(names[kept]))
