"""Contenders by name: ways to fit a linear model, those of sgdlinreg and those of other libraries.

Libraries without an estimator of their own are used as their tutorials do: dense features are standardised within
`fit`, steps of 0.03 are taken on batches of 32 rows (Vowpal Wabbit has its own). They are imported by the first fit.
"""

import os
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


class Standardised:
    """A linear model of standardised features.

    Parameters
    ----------
    train : callable(Z, y, epochs, seed)
        Returns a function that predicts from standardised features.
    epochs, seed : int
    """

    def __init__(self, train, seed=0, epochs=3):
        self.train, self.seed, self.n_iter_ = train, seed, epochs

    def fit(self, X, y):
        """Fit from scratch."""
        self.scaler_ = None if sparse.issparse(X) else StandardScaler().fit(X)
        self.predict_ = self.train(self._scaled(X), np.asarray(y), self.n_iter_, self.seed)
        return self

    def predict(self, X):
        """Predict, in float64."""
        return self.predict_(self._scaled(X))

    def _scaled(self, X):
        return self.scaler_.transform(X) if self.scaler_ else X


def _linear(coef, intercept):
    coef, intercept = np.ravel(coef).astype(np.float64), float(np.ravel(intercept)[0])
    return lambda Z: Z @ coef + intercept


def torch_loop(Z, y, epochs, seed):
    """Train with the loop of torch tutorials: float32, a DataLoader, nn.Linear, MSELoss, SGD."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(seed)
    data = TensorDataset(torch.from_numpy(Z.astype(np.float32)), torch.from_numpy(y.astype(np.float32))[:, None])
    model, loss = torch.nn.Linear(Z.shape[1], 1), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=STEP)
    for _ in range(epochs):
        for rows, target in DataLoader(data, batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss(model(rows), target).backward()
            optimizer.step()
    return _linear(model.weight.detach(), model.bias.detach())


def skorch(Z, y, epochs, seed):
    """Train skorch's NeuralNetRegressor of one nn.Linear, without a validation set."""
    import torch
    from skorch import NeuralNetRegressor

    torch.manual_seed(seed)
    sizes = {"module__in_features": Z.shape[1], "module__out_features": 1, "batch_size": BATCH, "max_epochs": epochs}
    how = {"lr": STEP, "iterator_train__shuffle": True, "train_split": None, "verbose": 0}
    net = NeuralNetRegressor(torch.nn.Linear, **sizes, **how).fit(Z.astype(np.float32), y.astype(np.float32)[:, None])
    return _linear(net.module_.weight.detach(), net.module_.bias.detach())


def keras(Z, y, epochs, seed):
    """Train one Dense(1) of Keras, on torch unless KERAS_BACKEND says otherwise."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((Z.shape[1],)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(STEP), loss="mse")
    model.fit(Z.astype(np.float32), y.astype(np.float32), batch_size=BATCH, epochs=epochs, verbose=0)
    return _linear(*model.get_weights())


def river(Z, y, epochs, seed):
    """Train river's LinearRegression, which learns batches as pandas frames."""
    import pandas as pd
    from river import linear_model, optim

    model, rng = linear_model.LinearRegression(optim.SGD(STEP)), np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(Z))
        frame, target = pd.DataFrame(Z[order]), pd.Series(y[order])
        for start in range(0, len(Z), BATCH):
            model.learn_many(frame[start : start + BATCH], target[start : start + BATCH])
    return _linear([model.weights[column] for column in range(Z.shape[1])], model.intercept)


def vowpal_wabbit(Z, y, epochs, seed):
    """Train Vowpal Wabbit on single rows, which are written as text first.

    Its constant starts at the mean of y, which else takes hundreds of passes. Predictions are not cut to the range of
    y, so that the model is linear.
    """
    from vowpalwabbit.sklearn import VWRegressor

    limits = {"constant": float(np.mean(y)), "min_prediction": -1e30, "max_prediction": 1e30}
    return VWRegressor(passes=epochs, random_seed=seed, quiet=True, **limits).fit(Z, y).predict


class _AnyScaler(StandardScaler):
    """A scaler that does not centre sparse data, which would make them dense."""

    def fit(self, X, y=None):
        """Fit from scratch."""
        self.with_mean = not sparse.issparse(X)
        return super().fit(X)


class Contender(NamedTuple):
    """One way to fit a linear model.

    Attributes
    ----------
    make : callable(seed) -> estimator
    make_with_epochs : callable(seed, epochs) -> estimator or None
        Takes exactly so many epochs.
    accepts_sparse : bool
    needs : tuple of str
        Packages to import.
    max_rows : float
        Longer data are left out: a fit would take minutes.
    """

    make: Callable
    make_with_epochs: Callable | None = None
    accepts_sparse: bool = True
    needs: tuple[str, ...] = ()
    max_rows: float = float("inf")


def _ours(solver, seed, **parameters):
    return MiniBatchSGDRegressor(solver=solver, random_state=seed, **parameters)


def _mlp(seed, **parameters):
    return MLPRegressor(hidden_layer_sizes=(), random_state=seed, **parameters)


def _loop(train, *needs, accepts_sparse=False, max_rows=1e5):
    make = partial(Standardised, train)
    return Contender(make, lambda seed, epochs: make(seed, epochs), accepts_sparse, needs, max_rows)


CONTENDERS = {
    "sgdlinreg": Contender(partial(_ours, "auto")),
    "sgdlinreg-numba": Contender(partial(_ours, "numba"), lambda s, n: _ours("numba", s, tol=None, max_iter=n)),
    "sgdlinreg-torch": Contender(partial(_ours, "torch"), needs=("torch",)),
    "sgdlinreg, closed form": Contender(partial(_ours, "normal_equation")),
    "LinearRegression": Contender(lambda s: LinearRegression()),
    "Ridge": Contender(lambda s: Ridge(random_state=s)),
    "SGDRegressor": Contender(
        lambda s: SGDRegressor(random_state=s), lambda s, n: SGDRegressor(tol=None, max_iter=n, random_state=s)
    ),
    "StandardScaler+SGDRegressor": Contender(lambda s: make_pipeline(_AnyScaler(), SGDRegressor(random_state=s))),
    "MLPRegressor": Contender(_mlp, lambda s, n: _mlp(s, tol=0.0, n_iter_no_change=n, max_iter=n)),
    "scikit-learn-intelex": Contender(
        lambda s: import_module("sklearnex.linear_model").LinearRegression(), needs=("sklearnex",)
    ),
    "torch-loop": _loop(torch_loop, "torch", max_rows=float("inf")),
    "skorch": _loop(skorch, "skorch", "torch"),
    "Keras": _loop(keras, "keras", "torch"),
    "river": _loop(river, "river", "pandas"),
    "Vowpal Wabbit": _loop(vowpal_wabbit, "vowpalwabbit", accepts_sparse=True),
}


def usable(names, X):
    """Return the contenders of these names that are installed and can fit X in a few minutes."""
    found = {name: CONTENDERS[name] for name in names if all(find_spec(one) for one in CONTENDERS[name].needs)}
    is_sparse, n_rows = sparse.issparse(X), X.shape[0]
    return {name: one for name, one in found.items() if one.max_rows >= n_rows and one.accepts_sparse >= is_sparse}
