"""Contenders by name: ways to fit a linear model, those of sgdlinreg and those of other libraries.

The loop of torch tutorials stands for all libraries that call Python for every batch.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

STEP, BATCH = 0.03, 32


class TorchLoop:
    """The loop of torch tutorials, in float32: standardised features, a DataLoader, nn.Linear, MSELoss and SGD."""

    def __init__(self, seed=0, epochs=3):
        self.seed, self.n_iter_ = seed, epochs

    def fit(self, X, y):
        """Fit from scratch, with 32 rows a batch and steps of 0.03."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(self.seed)
        self.scaler_ = StandardScaler()
        arrays = self.scaler_.fit_transform(X), np.asarray(y)[:, None]
        data = TensorDataset(*(torch.from_numpy(array.astype(np.float32)) for array in arrays))
        model, loss = torch.nn.Linear(X.shape[1], 1), torch.nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
        for _ in range(self.n_iter_):
            for rows, target in DataLoader(data, batch_size=32, shuffle=True):
                optimizer.zero_grad()
                loss(model(rows), target).backward()
                optimizer.step()
        self.coef_, self.intercept_ = model.weight.detach().numpy()[0].astype(np.float64), float(model.bias)
        return self

    def predict(self, X):
        """Predict, in float64."""
        return self.scaler_.transform(X) @ self.coef_ + self.intercept_


class AnyScaler(StandardScaler):
    """A scaler that does not centre sparse data, which would make them dense."""

    def fit(self, X, y=None):
        """Fit from scratch."""
        self.with_mean = not sparse.issparse(X)
        return super().fit(X)


def _numba(seed, **parameters):
    return MiniBatchSGDRegressor(solver="numba", random_state=seed, **parameters)


def _sgd(seed, **parameters):
    return SGDRegressor(random_state=seed, **parameters)


def _mlp(seed, **parameters):
    return MLPRegressor(hidden_layer_sizes=(), random_state=seed, **parameters)


class Contender(NamedTuple):
    """``make(seed)`` gives an estimator, ``make_with_epochs(seed, n)`` one of n epochs; `needs` is a package."""

    make: Callable
    make_with_epochs: Callable | None = None
    accepts_sparse: bool = True
    needs: str = "sklearn"


CONTENDERS = {
    "sgdlinreg": Contender(lambda s: MiniBatchSGDRegressor(random_state=s)),
    "sgdlinreg-numba": Contender(_numba, lambda s, n: _numba(s, tol=None, max_iter=n)),
    "sgdlinreg-torch": Contender(lambda s: MiniBatchSGDRegressor(solver="torch", random_state=s), needs="torch"),
    "sgdlinreg, closed form": Contender(lambda s: MiniBatchSGDRegressor(solver="normal_equation")),
    "LinearRegression": Contender(lambda s: LinearRegression()),
    "Ridge": Contender(lambda s: Ridge(random_state=s)),
    "SGDRegressor": Contender(_sgd, lambda s, n: _sgd(s, tol=None, max_iter=n)),
    "StandardScaler+SGDRegressor": Contender(lambda s: make_pipeline(AnyScaler(), _sgd(s))),
    "MLPRegressor": Contender(_mlp, lambda s, n: _mlp(s, tol=0.0, n_iter_no_change=n, max_iter=n)),
    "scikit-learn-intelex": Contender(
        lambda s: import_module("sklearnex.linear_model").LinearRegression(), needs="sklearnex"
    ),
    "torch-loop": Contender(TorchLoop, TorchLoop, accepts_sparse=False, needs="torch"),
}


def usable(names, X, seed=0):
    """Return what makes the contenders of these names, by name, that are installed and can fit X."""
    found = {name: CONTENDERS[name] for name in names if find_spec(CONTENDERS[name].needs)}
    is_sparse = sparse.issparse(X)
    return {name: partial(one.make, seed) for name, one in found.items() if one.accepts_sparse or not is_sparse}
