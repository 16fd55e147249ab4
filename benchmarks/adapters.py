"""Other libraries behind fit and predict, each used as its own tutorials do.

All standardise dense features within `fit` and leave y as it is; all but Vowpal Wabbit take steps of 0.03 on batches of
32 rows. Each library is imported by the first fit.
"""

import os

import numpy as np
from scipy import sparse
from sklearn.preprocessing import FunctionTransformer, StandardScaler

SEED = 0
STEP = 0.03
BATCH = 32


class Standardised:
    """A linear model of standardised features.

    A subclass has a method ``train(Z, y)`` that gives coefficients and intercept in standardised coordinates.

    Parameters
    ----------
    epochs : int
    """

    def __init__(self, epochs=3):
        self.n_iter_ = epochs

    def fit(self, X, y):
        """Fit from scratch."""
        self.scaler_ = StandardScaler().fit(X)
        coef, intercept = self.train(self.scaler_.transform(X), np.asarray(y))
        self.coef_, self.intercept_ = np.ravel(coef).astype(np.float64), float(np.ravel(intercept)[0])
        return self

    def predict(self, X):
        """Predict, in float64."""
        return self.scaler_.transform(X) @ self.coef_ + self.intercept_


class TextbookTorchLoop(Standardised):
    """The training loop of torch tutorials: float32, a DataLoader, nn.Linear, MSELoss, SGD."""

    def train(self, Z, y):
        """Train with a loop in Python."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(SEED)
        features = torch.from_numpy(Z.astype(np.float32))
        target = torch.from_numpy(y.astype(np.float32)).reshape(-1, 1)
        loader = DataLoader(TensorDataset(features, target), batch_size=BATCH, shuffle=True)
        model = torch.nn.Linear(Z.shape[1], 1)
        loss = torch.nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=STEP)
        for _ in range(self.n_iter_):
            for rows, y_rows in loader:
                optimizer.zero_grad()
                loss(model(rows), y_rows).backward()
                optimizer.step()
        return model.weight.detach().numpy(), model.bias.detach().numpy()


class Skorch(Standardised):
    """skorch's NeuralNetRegressor of one nn.Linear, without a validation set and without output."""

    def train(self, Z, y):
        """Train with skorch, in float32."""
        import torch
        from skorch import NeuralNetRegressor

        torch.manual_seed(SEED)
        net = NeuralNetRegressor(
            torch.nn.Linear,
            module__in_features=Z.shape[1],
            module__out_features=1,
            max_epochs=self.n_iter_,
            lr=STEP,
            batch_size=BATCH,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )
        net.fit(Z.astype(np.float32), y.astype(np.float32).reshape(-1, 1))
        return net.module_.weight.detach().numpy(), net.module_.bias.detach().numpy()


class Keras(Standardised):
    """One Dense(1) of Keras, on torch unless KERAS_BACKEND says otherwise."""

    def train(self, Z, y):
        """Train with Keras, in float32."""
        os.environ.setdefault("KERAS_BACKEND", "torch")
        import keras

        keras.utils.set_random_seed(SEED)
        model = keras.Sequential([keras.Input((Z.shape[1],)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(STEP), loss="mse")
        model.fit(Z.astype(np.float32), y.astype(np.float32), batch_size=BATCH, epochs=self.n_iter_, verbose=0)
        return model.get_weights()


class River(Standardised):
    """river's LinearRegression, which learns batches as pandas frames."""

    def train(self, Z, y):
        """Train with learn_many."""
        import pandas as pd
        from river import linear_model, optim

        model = linear_model.LinearRegression(optim.SGD(STEP))
        rng = np.random.default_rng(SEED)
        for _ in range(self.n_iter_):
            order = rng.permutation(len(Z))
            frame, target = pd.DataFrame(Z[order]), pd.Series(y[order])
            for start in range(0, len(Z), BATCH):
                model.learn_many(frame[start : start + BATCH], target[start : start + BATCH])
        return [model.weights[column] for column in range(Z.shape[1])], model.intercept


class VowpalWabbit(Standardised):
    """Vowpal Wabbit's regressor with its own steps, adaptive and normalised, on single rows.

    Its constant starts at the mean of y, which else takes hundreds of passes. Dense features are standardised.
    Predictions are not cut to the range of y, so that the model is linear.
    """

    def fit(self, X, y):
        """Fit from scratch; rows are written as text first, as its scikit-learn wrapper does."""
        from vowpalwabbit.sklearn import VWRegressor

        self.scaler_ = FunctionTransformer() if sparse.issparse(X) else StandardScaler().fit(X)
        self.model_ = VWRegressor(
            passes=self.n_iter_,
            constant=float(np.mean(y)),
            min_prediction=-1e30,
            max_prediction=1e30,
            random_seed=SEED,
            quiet=True,
        )
        self.model_.fit(self.scaler_.transform(X), y)
        return self

    def predict(self, X):
        """Predict."""
        return self.model_.predict(self.scaler_.transform(X))
