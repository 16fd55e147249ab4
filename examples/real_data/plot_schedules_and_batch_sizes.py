"""
=======================================
Learning-rate schedules and batch sizes
=======================================

Every SGD has two choices: how the step size changes, and how many rows a step uses. We compare
schedules and batch sizes, and then show that the result of a default fit does not depend on
them.
"""

# %%
# Steps alone
# -----------
# We generate 5000 rows with 20 correlated features. We measure how much R2 is missing after
# each epoch: the fit scores its own training data. `average=False` returns the last iterate,
# as most programs do.

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor

plt.style.use("tableau-colorblind10")

rng = np.random.default_rng(0)
factors = rng.standard_normal((5000, 5))
X = factors @ rng.standard_normal((5, 20)) + rng.standard_normal((5000, 20))
y = X @ rng.standard_normal(20) + 5 * rng.standard_normal(5000)
best_score = MiniBatchSGDRegressor().fit(X, y).score(X, y)
n_epochs = 20


def missing_r2(**parameters):
    model = MiniBatchSGDRegressor(solver="numba", average=False, tol=None, random_state=0)
    model.set_params(max_iter=n_epochs).set_params(**parameters)
    return best_score - np.array(model.fit(X, y, X_val=X, y_val=y).validation_scores_)


def one_over_t(t):
    return 1 / (1 + t / 1000)


schedules = {
    "constant": {"learning_rate": "constant"},
    "invscaling": {"learning_rate": "invscaling"},
    "a function, 1 / t": {"learning_rate": one_over_t},
    "constant, averaged": {"learning_rate": "constant", "average": "auto"},
}
styles = (("C0", "-"), ("C5", "--"), ("black", "-."), ("C1", ":"))
epochs = np.arange(1, n_epochs + 1)

figure, axes = plt.subplots(
    1, 3, figsize=(8.5, 3.8), sharex=True, sharey=True, layout="constrained"
)
for ax, batch_size in zip(axes, (1, 32, 256), strict=True):
    for (name, parameters), (color, dashes) in zip(schedules.items(), styles, strict=True):
        missing = missing_r2(batch_size=batch_size, **parameters)
        ax.semilogy(epochs, missing, color=color, linestyle=dashes, linewidth=2, label=name)
    ax.set(xlabel="epoch", title=f"batch_size={batch_size}")
axes[0].set_ylabel("R2 missing")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
figure.suptitle("R2 missing after each epoch, for four schedules and three batch sizes")
plt.show()

# %%
# A constant step soon stops gaining: each step follows the noise of its batch. Schedules take
# smaller and smaller steps and come closer. The mean of the iterates comes closest, with steps
# that stay large. Large batches have less noise, but there are fewer steps in an epoch, and
# the schedules, which count steps, have hardly reduced them. In all panels `eta0="auto"` has
# chosen a safe step for the batch size.
#
# A step of your own
# ------------------
# With a float `eta0` the step no longer follows the batch size. What is best for one size is
# too small for another, or diverges.

sizes = (1, 4, 16, 64, 256, 1024)
rates = np.logspace(-5, -1.5, 8)
grid = np.full((len(rates), len(sizes)), np.nan)
for row, eta0 in enumerate(rates):
    for column, batch_size in enumerate(sizes):
        try:
            grid[row, column] = missing_r2(eta0=eta0, batch_size=batch_size, max_iter=3)[-1]
        except ValueError:  # it diverges
            continue

figure, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
image = ax.imshow(np.log10(grid), origin="lower", aspect="auto", cmap="cividis_r")
for row, column in np.ndindex(grid.shape):
    value = grid[row, column]
    text = "diverges" if np.isnan(value) else f"{value:.0e}"
    light = not np.isnan(value) and value > 10 ** np.nanmean(np.log10(grid))
    style = {"ha": "center", "va": "center", "color": "white" if light else "black"}
    ax.text(column, row, text, fontsize="small", **style)
ax.set_xticks(range(len(sizes)), sizes)
ax.set_yticks(range(len(rates)), [f"{rate:.1e}" for rate in rates])
ax.set(xlabel="batch_size", ylabel="eta0", title="R2 missing after three epochs of plain steps")
figure.colorbar(image, label="log10")
plt.show()

# %%
# In practice
# -----------
# With all defaults, a fit takes one epoch of steps and finishes with full gradients, which
# have no noise. It ends at the optimum, whatever the schedule or the batch size.

for batch_size in (1, 32, 1024):
    model = MiniBatchSGDRegressor(solver="numba", batch_size=batch_size, random_state=0)
    model.fit(X, y)
    missing = best_score - model.score(X, y)
    print(f"batch_size={batch_size}: R2 missing {missing:.0e} after {model.n_iter_} passes")

# %%
# See also: :doc:`/user_guide/units`, :doc:`/how_it_works/steps_and_finish`.

# sphinx_gallery_thumbnail_number = 2
