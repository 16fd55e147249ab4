"""
=====================================
Outliers and spread: Huber, quantiles
=====================================

In 1857 Ernst Engel published what Belgian working-class families earned and what they spent on
food. Richer families differ more from each other, and a few are far from all others. Least
squares follows those few. Other losses do not, and quantiles show the spread itself.
"""

# %%
# Losses
# ------
# The table `engel` of statsmodels has 235 families, in Belgian francs a year. With the squared
# error the richest family pulls the line down. Huber's loss is linear beyond `epsilon`, in the
# unit of `y`, so that points far from the line count less. The quantile loss fits the median
# by default.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from statsmodels.datasets import engel

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

families = engel.load_pandas().data
X, y = families[["income"]], families["foodexp"]
models = {
    "least squares": MiniBatchSGDRegressor(),
    "Huber, epsilon=50": MiniBatchSGDRegressor(loss="huber", epsilon=50.0, random_state=0),
    "median": MiniBatchSGDRegressor(loss="quantile", random_state=0),
}
without_richest = X["income"] < 4000
for name, model in models.items():
    fewer = model.fit(X[without_richest], y[without_richest]).coef_[0]
    slope = model.fit(X, y).coef_[0]
    print(f"{name:18s} slope {slope:.3f}, without the richest family {fewer:.3f}")

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
ax.scatter(X["income"], y, s=14, color="C3", alpha=0.5, linewidths=0)
line = pd.DataFrame({"income": [300.0, 5000.0]})
for (name, model), style in zip(models.items(), ("C5-", "C0--", "k-."), strict=True):
    ax.plot(line["income"], model.predict(line), style, linewidth=2, label=name)
ax.annotate(
    "richest family",
    (4958, 1827),
    xytext=(4000, 1150),
    ha="center",
    arrowprops={"arrowstyle": "->"},
)
ax.set(
    xlabel="income (francs a year)",
    ylabel="spent on food (francs a year)",
    title="Three losses",
)
ax.legend()
plt.show()

# %%
# Quantiles
# ---------
# A tenth of the families spends less than the lowest line, and a tenth more than the highest.
# The lines spread: the expenses of families with a high income vary more.

quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
fits = {
    q: MiniBatchSGDRegressor(loss="quantile", quantile=q, random_state=0).fit(X, y)
    for q in quantiles
}

figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
ax.scatter(X["income"], y, s=14, color="C3", alpha=0.5, linewidths=0)
line = pd.DataFrame({"income": [350.0, 2800.0]})
ends = {q: fit.predict(line) for q, fit in fits.items()}
ax.fill_between(line["income"], ends[0.1], ends[0.9], color="C0", alpha=0.15, linewidth=0)
ax.fill_between(line["income"], ends[0.25], ends[0.75], color="C0", alpha=0.25, linewidth=0)
for q, values in ends.items():
    ax.plot(line["income"], values, color="C0", linewidth=2 if q == 0.5 else 1)
    ax.annotate(
        f"{q:.0%}", (2800, values[1]), xytext=(4, 0), textcoords="offset points", va="center"
    )
ax.set(
    xlabel="income (francs a year)",
    ylabel="spent on food (francs a year)",
    xlim=(300, 3050),
    ylim=(150, 2200),
)
ax.set_title("Quantiles of what is spent on food")
plt.show()

# %%
# The fraction of families below each line is its quantile, up to the few families on the line.

for q, fit in fits.items():
    print(f"quantile {q:.2f}: {np.mean(y < fit.predict(X)):.3f} of the families below")

# %%
# Cross-validation shows whether the lines also hold for new families. The score compares the
# pinball loss with that of a constant, the quantile of `y`: 0 is no better, and 1 is perfect.

from sklearn.metrics import d2_pinball_score, make_scorer
from sklearn.model_selection import cross_val_score

for q, fit in fits.items():
    scores = cross_val_score(fit, X, y, scoring=make_scorer(d2_pinball_score, alpha=q), cv=5)
    print(f"quantile {q:.2f}: D2 {scores.mean():.2f}")

# %%
# See also: :doc:`/user_guide/losses_and_penalties`, :doc:`/user_guide/quantiles`.

# sphinx_gallery_thumbnail_number = 2
