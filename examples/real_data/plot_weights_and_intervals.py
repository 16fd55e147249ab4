"""
===========================================
Schools: weights and robust standard errors
===========================================

Results of schools in 303 districts of California: the smallest district has 33 pupils, the
largest 39,000. Weights let pupils count equally instead of districts. `summary` then tells
which differences are more than chance, and `predict_interval` how far predictions may be off.
"""

# %%
# The data
# --------
# `star98` of statsmodels. We model the share of pupils above the national median in
# mathematics. The features are shares of low-income and of minority pupils, pupils for each
# teacher, and teachers' salaries and spending, in thousands of dollars.

import matplotlib.pyplot as plt
import numpy as np
from statsmodels.datasets import star98

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

districts = star98.load_pandas().data
pupils = districts["NABOVE"] + districts["NBELOW"]
share = 100 * districts["NABOVE"] / pupils
X = districts[["LOWINC", "PERASIAN", "PERBLACK", "PERHISP", "PTRATIO", "AVSALK", "PERSPENK"]]
X.columns = [
    "low income",
    "Asian",
    "Black",
    "Hispanic",
    "pupils per teacher",
    "salary",
    "spending",
]

# %%
# Weights
# -------
# Only the ratios of weights matter, so we pass the numbers of pupils as weights.

by_district = MiniBatchSGDRegressor().fit(X, share)
by_pupil = MiniBatchSGDRegressor().fit(X, share, sample_weight=pupils)

figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
ax.scatter(X["low income"], share, s=pupils / 20, color="C0", alpha=0.5, linewidths=0)
ax.set(xlabel="pupils of low income (percent)", ylabel="pupils above the median (percent)")
ax.set_title("303 districts; areas are numbers of pupils")
plt.show()

# %%
# Tests
# -----
# The usual standard errors assume that the variance of a row is proportional to `1 / weight`.
# Results of large districts vary more than that, so we ask for robust standard errors. They
# need the rows again.

summary = by_pupil.summary(X, share, sample_weight=pupils, cov_type="HC3")
summary

# %%
# The intervals of spending, salary and pupils per teacher contain 0 with and without weights:
# these data do not show that they matter. Besides, a regression does not show what is a cause.

figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
rows = np.arange(X.shape[1])
# coefficients for one standard deviation compare, whatever the unit
spread = X.std().to_numpy()
fits = {
    "districts count equally": by_district.summary(X, share, cov_type="HC3"),
    "pupils count equally": summary,
}
for (name, fit), shift, style in zip(fits.items(), (-0.12, 0.12), ("C5s", "C0o"), strict=True):
    coef, low, high = fit.coef[1:], fit.ci_low[1:], fit.ci_high[1:]
    lengths = np.array([coef - low, high - coef])
    ax.errorbar(coef * spread, rows + shift, xerr=lengths * spread, fmt=style, label=name)
ax.axvline(0, color="black", linewidth=1)
ax.set_yticks(rows, X.columns)
ax.invert_yaxis()
ax.set(
    xlabel="change of the share for one standard deviation",
    title="Coefficients with 95% intervals",
)
ax.legend()
plt.show()

# %%
# Intervals
# ---------
# `kind="mean"` bounds the mean share of such districts. The default bounds a single new
# district. It assumes that all rows of the same weight vary equally around the mean, so we use
# the fit in which districts count equally.

low_income = np.linspace(0, 90, 50)
typical = X.median().to_frame().T.loc[[0] * 50].assign(**{"low income": low_income})
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
for kind, opacity, label in (("prediction", 0.2, "a new district"), ("mean", 0.5, "the mean")):
    lower, upper = by_district.predict_interval(typical, kind=kind)
    style = {"color": "C0", "alpha": opacity, "linewidth": 0}
    ax.fill_between(low_income, lower, upper, label=f"95% for {label}", **style)
ax.plot(low_income, by_district.predict(typical), color="C0")
ax.set(xlabel="pupils of low income (percent)", ylabel="pupils above the median (percent)")
ax.set_title("Predictions, all other features at their medians")
ax.legend()
plt.show()

# %%
lower, upper = by_district.predict_interval(X)
inside = (lower <= share) & (share <= upper)
print(f"inside their intervals: {inside.mean():.0%} of all districts,")
for name, which in {"small": pupils < 200, "large": pupils > 1000}.items():
    print(f"{inside[which].mean():.0%} of the {which.sum()} {name} ones")

# %%
# Results of small districts do vary more. If it matters, fit quantiles:
# :ref:`they show the spread <sphx_glr_gallery_real_data_plot_heavy_tails.py>`.
#
# See also: :doc:`/user_guide/weights`, :doc:`/user_guide/statistics`.

# sphinx_gallery_thumbnail_number = 1
