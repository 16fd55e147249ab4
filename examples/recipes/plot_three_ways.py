"""
========================================================
Closed form, gradient descent and autograd, side by side
========================================================

Three ways to the same model: solve the normal equations, write the gradient by hand, or let a
framework differentiate the loss. The recipe runs all three and finds that they agree. Here
they are next to :class:`~sgdlinreg.MiniBatchSGDRegressor`, which has the first two behind one
parameter.
"""

# %%
# The recipe
# ----------
# The closed form appends a column of ones for the intercept and solves `A.T @ A @ theta = A.T
# @ y`.

import importlib.util

import matplotlib.pyplot as plt
import numpy as np

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg.datasets import make_linear

plt.style.use("tableau-colorblind10")

X, y = make_linear(200, coef=[1.5, -2.0, 0.5], intercept=1.0, noise=0.5, random_state=0)
A = np.column_stack([X, np.ones(len(y))])
closed = np.linalg.solve(A.T @ A, A.T @ y)

# %%
# Gradient descent repeats a step against the gradient of `0.5 * mean(residual**2)`, worked out
# by hand.

learning_rate, n_steps = 0.1, 150
theta = np.zeros(4)
by_hand = []
for _ in range(n_steps):
    theta = theta - learning_rate * A.T @ (A @ theta - y) / len(y)
    by_hand.append(theta)

# %%
# Autograd only needs the loss. PyTorch differentiates it. Without PyTorch, this page skips it.


def descend_with_autograd():
    import torch

    rows, target = torch.tensor(A), torch.tensor(y)
    theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    path = []
    for _ in range(n_steps):
        loss = 0.5 * torch.mean((rows @ theta - target) ** 2)
        loss.backward()
        with torch.no_grad():
            theta -= learning_rate * theta.grad
            theta.grad.zero_()
        path.append(theta.detach().numpy().copy())
    return path


ways = {"gradient by hand": by_hand}
if importlib.util.find_spec("torch"):
    ways["autograd"] = descend_with_autograd()
else:
    print("PyTorch is not installed: autograd is skipped.")

# %%
# The same with one estimator
# ---------------------------
# `solver="normal_equation"` is the closed form. It does not form `A.T @ A` of the raw columns,
# and is more accurate if columns are collinear. `batch_size="full"` with a float `eta0` is
# gradient descent.

exact = MiniBatchSGDRegressor(solver="normal_equation").fit(X, y)
steps = MiniBatchSGDRegressor(
    solver="numba",
    eta0=learning_rate,
    batch_size="full",
    max_iter=n_steps,
    tol=None,
    shuffle=False,
).fit(X, y)


def theta_of(model):
    return np.array([*model.coef_, model.intercept_])


differences = {"normal equations": np.abs(theta_of(exact) - closed).max()}
differences |= {name: np.abs(theta_of(steps) - path[-1]).max() for name, path in ways.items()}
for name, difference in differences.items():
    print(f"{name:17s} largest difference {difference:.0e}")
    assert difference < 1e-12

# %%
figure, ax = plt.subplots(figsize=(5.8, 4), layout="constrained")
for (name, path), style in zip(ways.items(), ("-", "o"), strict=False):
    distances = np.abs(np.array(path) - closed).max(axis=1)
    ax.semilogy(
        np.arange(1, n_steps + 1), distances, style, markevery=10, linewidth=2, label=name
    )
ax.plot(
    n_steps,
    np.abs(theta_of(steps) - closed).max(),
    "*",
    color="C5",
    markersize=14,
    label='eta0=0.1, "full"',
)
ax.plot(
    1,
    max(np.abs(theta_of(exact) - closed).max(), 1e-17),
    "D",
    color="black",
    label="normal_equation, one pass",
)
ax.set(
    xlabel="pass over the data",
    ylabel="largest error of a coefficient",
    title="Distance from the closed form",
)
ax.legend(loc="lower right")
plt.show()

# %%
# In practice
# -----------
# The default chooses for you. For least squares with up to 2000 features that is the closed
# form: it is exact, and it costs about one pass. It takes SGD in other cases, such as other
# losses or very many features.

model = MiniBatchSGDRegressor().fit(X, y)
print(model.solver_)
print(MiniBatchSGDRegressor(loss="huber", random_state=0).fit(X, y).solver_)

# %%
# See also: :doc:`/user_guide/choosing_a_solver`, :doc:`/how_it_works/closed_form`.
