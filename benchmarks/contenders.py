"""Contenders: a registry of names and the functions that make an unfitted estimator."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

SEED = 0


class Contender(NamedTuple):
    """One way to fit a linear model.

    Attributes
    ----------
    make : callable() -> estimator
        Gives a new object with fit and predict.
    accepts_sparse : bool
        Whether X may be sparse.
    """

    make: Callable[[], Any]
    accepts_sparse: bool


class TextbookTorchLoop:
    """The training loop of torch tutorials: float32, a DataLoader, nn.Linear, MSELoss, SGD at lr 0.03.

    Features are standardised first, within `fit`. Batches of 32 rows, 3 epochs, y as it is.
    """

    n_iter_ = 3

    def fit(self, X, y):
        """Fit from scratch."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(SEED)
        self.scaler_ = StandardScaler().fit(X)
        features = torch.from_numpy(self.scaler_.transform(X).astype(np.float32))
        target = torch.from_numpy(np.asarray(y, dtype=np.float32)).reshape(-1, 1)
        loader = DataLoader(TensorDataset(features, target), batch_size=32, shuffle=True)
        model = torch.nn.Linear(X.shape[1], 1)
        loss = torch.nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
        for _ in range(self.n_iter_):
            for rows, y_rows in loader:
                optimizer.zero_grad()
                loss(model(rows), y_rows).backward()
                optimizer.step()
        self.coef_ = model.weight.detach().numpy().ravel().astype(np.float64)
        self.intercept_ = float(model.bias.detach())
        return self

    def predict(self, X):
        """Predict, in float64."""
        return self.scaler_.transform(X) @ self.coef_ + self.intercept_


CONTENDERS = {
    "sgdlinreg": Contender(lambda: MiniBatchSGDRegressor(random_state=SEED), True),
    "sgdlinreg-numba": Contender(lambda: MiniBatchSGDRegressor(solver="numba", random_state=SEED), True),
    "LinearRegression": Contender(LinearRegression, True),
    "Ridge": Contender(lambda: Ridge(random_state=SEED), True),
    "SGDRegressor": Contender(lambda: SGDRegressor(random_state=SEED), True),
    # centring would make sparse X dense
    "StandardScaler+SGDRegressor": Contender(
        lambda: make_pipeline(StandardScaler(), SGDRegressor(random_state=SEED)), False
    ),
    "MLPRegressor": Contender(lambda: MLPRegressor(hidden_layer_sizes=(), random_state=SEED), True),
}

TORCH_CONTENDERS = {
    "sgdlinreg-torch": Contender(lambda: MiniBatchSGDRegressor(solver="torch", random_state=SEED), True),
    "torch-loop": Contender(TextbookTorchLoop, False),
}


def available():
    """Give the contenders of this machine; two need torch.

    Returns
    -------
    dict of str to Contender
    """
    return {**CONTENDERS, **TORCH_CONTENDERS} if find_spec("torch") else dict(CONTENDERS)
