"""
======================================
Out of core: a folder of Parquet files
======================================

Data that do not fit into memory are fitted block by block, with the same result. We write a
folder of Parquet files, fit it with :meth:`~sgdlinreg.MiniBatchSGDRegressor.fit_source`, and
compare the model with that of a fit in memory.
"""

# %%
# The files
# ---------
# The data are generated readings of sensors in raw units, so that we know the true
# coefficients. There are 8 files of 25,000 rows, one for each month, and two more for
# validation. Columns have names.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_sensor_readings
from sgdlinreg.sources import from_files

plt.style.use("tableau-colorblind10")

X, y, true_coef, _ = make_sensor_readings(250_000, random_state=0)
features = ["time", "pressure", "temperature", "humidity"]
features += ["voltage", "flag", "concentration", "count"]
spread = X.std(axis=0)
table = pd.DataFrame(X, columns=features).assign(output=y)

folder = tempfile.TemporaryDirectory()
months = Path(folder.name)
for month, rows in enumerate(np.array_split(np.arange(len(table)), 10)):
    kind = "train" if month < 8 else "validation"
    table.iloc[rows].to_parquet(months / f"{kind}-{month}.parquet", index=False)
sizes = [file.stat().st_size for file in months.iterdir()]
print(f"{sum(sizes) / 1e6:.0f} MB in {len(sizes)} files")

# %%
# The fit
# -------
# A source reads the files again in every pass, one block after the other, and no more than a
# few blocks are in memory at a time. For least squares with few features, the closed form
# takes one or two passes.

source = from_files(months / "train-*.parquet", target="output")
validation = from_files(months / "validation-*.parquet", target="output")

exact = MiniBatchSGDRegressor().fit_source(source)
print(exact.solver_, exact.n_samples_seen_, "rows")
print(f"R2 on the validation files: {exact.score_source(validation):.6f}")
print(exact.summary())

# %%
# A fit in memory gives the same model.

in_memory = MiniBatchSGDRegressor().fit(table[features][:200_000], table["output"][:200_000])
difference = np.abs((exact.coef_ - in_memory.coef_) / in_memory.coef_std_error_).max()
print(f"largest difference, in standard errors: {difference:.0e}")
assert difference < 1e-4

# %%
# Steps
# -----
# Other losses are fitted by SGD: one epoch of mini-batch steps, and then full gradients. The
# validation files are scored after each pass.

from sgdlinreg.displays import LossCurveDisplay

huber = MiniBatchSGDRegressor(loss="huber", epsilon=1.0, random_state=0).fit_source(
    source, validation
)
display = LossCurveDisplay.from_estimator(huber, kind=["loss", "gap"])
display.figure_.suptitle("Huber loss on Parquet files")
plt.show()

print(f"R2 on the validation files, by pass: {np.round(huber.validation_scores_, 6)}")

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
rows = np.arange(len(features))
ax.barh(rows, true_coef * spread, color="C2", label="true")
ax.plot(exact.coef_ * spread, rows, "o", color="C0", label="closed form")
ax.plot(
    huber.coef_ * spread, rows, "x", color="C5", markersize=9, markeredgewidth=2, label="Huber"
)
ax.axvline(0, color="black", linewidth=1)
ax.set_yticks(rows, features)
ax.set(
    xlabel="coefficient times standard deviation",
    title="Coefficients of 200,000 rows read from files",
)
ax.legend()
plt.show()

# %%
# Predictions of a source come block by block, too.

n_rows = sum(len(block) for block in exact.predict_source(validation))
print(f"{n_rows} predictions")
folder.cleanup()

# %%
# See also: :doc:`/user_guide/larger_than_memory`.

# sphinx_gallery_thumbnail_number = 2
