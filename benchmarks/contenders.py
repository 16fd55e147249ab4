"""Contenders: a registry of names and the functions that make an unfitted estimator."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import adapters
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdlinreg import MiniBatchSGDRegressor

SEED = 0
MANY = 100_000
"""Rows beyond which libraries are left out that take minutes."""


class Contender(NamedTuple):
    """One way to fit a linear model.

    Attributes
    ----------
    make : callable() -> estimator
        Gives a new object with fit and predict.
    accepts_sparse : bool
        Whether X may be sparse.
    needs : tuple of str
        Packages to import.
    max_rows : int or None
        Longer data are left out: a fit would take minutes.
    """

    make: Callable[[], Any]
    accepts_sparse: bool
    needs: tuple[str, ...] = ()
    max_rows: int | None = None


def _intelex():
    from sklearnex.linear_model import LinearRegression

    return LinearRegression()


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
    "sgdlinreg-torch": Contender(
        lambda: MiniBatchSGDRegressor(solver="torch", random_state=SEED), True, needs=("torch",)
    ),
    "scikit-learn-intelex": Contender(_intelex, True, needs=("sklearnex",)),
    "torch-loop": Contender(adapters.TextbookTorchLoop, False, needs=("torch",)),
    "skorch": Contender(adapters.Skorch, False, needs=("skorch", "torch"), max_rows=MANY),
    "Keras": Contender(adapters.Keras, False, needs=("keras", "torch"), max_rows=MANY),
    "river": Contender(adapters.River, False, needs=("river", "pandas"), max_rows=MANY),
    "Vowpal Wabbit": Contender(adapters.VowpalWabbit, True, needs=("vowpalwabbit",), max_rows=MANY),
}


def available():
    """Give the contenders whose packages are installed.

    Returns
    -------
    dict of str to Contender
    """
    return {name: one for name, one in CONTENDERS.items() if all(find_spec(package) for package in one.needs)}
