"""
=============================================
House prices: text, gaps and numbers together
=============================================

A table of houses has numbers in all units, names of districts, and missing values. A
:class:`~sklearn.compose.ColumnTransformer` makes features of them, and
:class:`~sgdlinreg.MiniBatchSGDRegressor` fits these without scaling. The table is made up, so
that we can compare the model with the prices behind it.
"""

# %%
# The table
# ---------
# 5000 houses. Prices are in euros: a base, so much for each square metre, a part that depends
# on the district and the heating, and less for age. One year in twenty is missing.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
n = 5000
district_price = {
    "Centre": 140_000,
    "Harbour": 90_000,
    "Hill": 60_000,
    "Station": 0,
    "Fields": -30_000,
}
heating_price = {"district": 12_000, "gas": 0, "heat pump": 25_000, "oil": -15_000}
houses = pd.DataFrame(
    {
        "area": rng.gamma(9.0, 12.0, n).round(),
        "rooms": rng.integers(1, 8, n),
        "year": rng.integers(1900, 2024, n).astype(float),
        "plot": rng.lognormal(6.0, 0.6, n).round(),
        "district": rng.choice(list(district_price), n, p=[0.15, 0.1, 0.2, 0.25, 0.3]),
        "heating": rng.choice(list(heating_price), n),
    }
)
price = (
    60_000
    + 2_800 * houses["area"]
    + 4_000 * houses["rooms"]
    + 700 * (houses["year"] - 1960)
    + 45 * houses["plot"]
    + houses["district"].map(district_price)
    + houses["heating"].map(heating_price)
    + rng.normal(0, 40_000, n)
)
houses.loc[rng.uniform(size=n) < 0.05, "year"] = np.nan
houses.head()

# %%
# The pipeline
# ------------
# Categories become columns of zeros and ones. One level of each is dropped and becomes the one
# that others are compared with: the station and gas. Without that, the columns would sum up to
# the intercept. Missing years take the median, and an extra column says that they were
# missing.

from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

columns = make_column_transformer(
    (OneHotEncoder(drop=["Station", "gas"], sparse_output=False), ["district", "heating"]),
    (SimpleImputer(strategy="median", add_indicator=True), ["year"]),
    remainder="passthrough",
    verbose_feature_names_out=False,
).set_output(transform="pandas")
pipeline = make_pipeline(columns, MiniBatchSGDRegressor())

train, test, price_train, price_test = train_test_split(houses, price, random_state=0)
pipeline.fit(train, price_train)

# %%
print(f"R2 on the test houses: {pipeline.score(test, price_test):.3f}")

# %%
# What things cost
# ----------------
# Coefficients are in euros for each unit of the feature, because nothing was scaled. The
# intervals come from the closed form.

from sgdlinreg.displays import CoefficientDisplay

truth = {f"district_{name}": value for name, value in district_price.items()}
truth |= {f"heating_{name}": value for name, value in heating_price.items()}

display = CoefficientDisplay.from_estimator(pipeline)
names = display.feature_names
known = [name for name in names if name in truth]
display.ax_.plot(
    [truth[name] for name in known],
    [names.index(name) for name in known],
    "|",
    color="C5",
    markersize=16,
    label="true",
)
display.ax_.set(xlabel="euros for each unit")
display.ax_.legend(loc="lower right")
display.figure_.suptitle("Prices of districts, heating and other things")
plt.show()

# %%
# A price without its uncertainty says little. `predict_interval` gives bounds that hold for 95
# of 100 new houses.

model = pipeline[-1]
lower, upper = model.predict_interval(columns.transform(test))
inside = np.mean((lower <= price_test) & (price_test <= upper))
print(f"{inside:.0%} of the test houses are inside")
print(
    f"first house: {lower[0]:,.0f} to {upper[0]:,.0f}, sold for {price_test.iloc[0]:,.0f} euros"
)

# sphinx_gallery_thumbnail_number = 1
