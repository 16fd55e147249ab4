"""
=========================================
Mini-batch SGD with a framework's classes
=========================================

After the version from scratch, courses show the concise one: a linear layer, a loss, an
optimiser and a data loader of a deep learning framework. Here is that recipe in PyTorch, the
same steps with :class:`~sgdlinreg.MiniBatchSGDRegressor`, and what to do in practice.
"""

# %%
# The recipe
# ----------
# The data are those of :ref:`the version from scratch
# <sphx_glr_gallery_recipes_plot_from_scratch.py>`: coefficients `[2, -3.4]`, intercept 4.2,
# noise 0.01. The weights start near 0. Three epochs in batches of 10 follow, with a learning
# rate of 0.03. We record the weights after every step.
#
# PyTorch's `MSELoss` is the mean of the squared residuals, **without a factor 1/2**. Its
# gradients are twice those of `0.5 * residual**2`.
#
# Without PyTorch, this page takes the same steps in NumPy, and says so.

import importlib.util

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear

plt.style.use("tableau-colorblind10")

X, y = make_linear(1000, coef=[2.0, -3.4], intercept=4.2, noise=0.01, random_state=0)
start = np.random.default_rng(1).normal(0.0, 0.01, size=2)
learning_rate, batch_size, n_epochs = 0.03, 10, 3


def train_with_torch():
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.tensor(X), torch.tensor(y[:, None])), batch_size)
    net = torch.nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor(start))
        net.bias.zero_()
    loss = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate)
    path = []
    for _ in range(n_epochs):
        for X_batch, y_batch in loader:
            optimizer.zero_grad()
            loss(net(X_batch), y_batch).backward()
            optimizer.step()
            path.append([*net.weight[0].tolist(), net.bias.item()])
    return np.array(path)


def train_with_numpy():
    w, b, path = start, 0.0, []
    for first in np.tile(np.arange(0, len(y), batch_size), n_epochs):
        X_batch, y_batch = X[first : first + batch_size], y[first : first + batch_size]
        residual = X_batch @ w + b - y_batch
        w = w - learning_rate * 2 * X_batch.T @ residual / batch_size
        b = b - learning_rate * 2 * residual.mean()
        path.append([*w, b])
    return np.array(path)


if importlib.util.find_spec("torch"):
    path = train_with_torch()
else:
    print("PyTorch is not installed: skipped, NumPy takes its steps.")
    path = train_with_numpy()
print("w:", path[-1, :2], "b:", path[-1, 2])

# %%
# The same steps
# --------------
# Our loss has the factor 1/2, so the same step is `eta0=2 * learning_rate`. We fit one, two
# and three epochs to compare the weights after each of them.

for epochs in range(1, n_epochs + 1):
    model = MiniBatchSGDRegressor(
        solver="numba",
        eta0=2 * learning_rate,
        batch_size=batch_size,
        max_iter=epochs,
        tol=None,
        shuffle=False,
    )
    model.fit(X, y, coef_init=start, intercept_init=0.0)
    difference = np.abs([*model.coef_, model.intercept_] - path[100 * epochs - 1]).max()
    print(f"after epoch {epochs}: largest difference {difference:.0e}")
    assert difference < 1e-12

# %%
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for column, (name, color) in enumerate({"w[0]": "C0", "w[1]": "C1", "b": "C3"}.items()):
    ax.plot(np.arange(1, len(path) + 1), path[:, column], color=color, linewidth=2)
    ax.text(len(path) + 8, path[-1, column], name, va="center", color=color)
for value in (2.0, -3.4, 4.2):
    ax.plot([0, len(path)], [value, value], ":", color="black", linewidth=1, zorder=0)
for epoch in (100, 200):
    ax.axvline(epoch, color="lightgrey", linewidth=1, zorder=0)
ax.set(
    xlabel="step",
    ylabel="weight",
    title="Weights by step; dotted: the values behind the data",
    xlim=(0, 330),
)
plt.show()

# %%
# In practice
# -----------
# There is no loop to write, and no learning rate to choose:

model = MiniBatchSGDRegressor().fit(X, y)
print("w:", model.coef_, "b:", model.intercept_)

# %%
# With `solver="torch"` the steps are PyTorch operations, and `device="cuda"` runs them on a
# GPU. Tensors may be passed to `fit` as they are. On a CPU, `solver="numba"` takes the same
# steps faster.

if importlib.util.find_spec("torch"):
    model = MiniBatchSGDRegressor(solver="torch", random_state=0).fit(X, y)
    print("w:", model.coef_, "b:", model.intercept_)
else:
    print("PyTorch is not installed: skipped.")

# %%
# See also: :doc:`/coming_from/neural_networks`, :doc:`/user_guide/gpu`.
