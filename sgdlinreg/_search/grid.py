"""The candidates of a search, and the results of all of them."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.model_selection import ParameterGrid

from sgdlinreg._search.paths import Penalties

SEARCHED = ("l1_ratio", "batch_size", "learning_rate", "eta0", "epsilon", "quantile")
"""Parameters that may be lists, beside alphas."""
LEAST_ALPHA = float(np.finfo(float).resolution)
"""Largest penalty of a count of penalties where no column tells anything about y, as in scikit-learn's ElasticNetCV."""
EPS_L1, EPS_L2 = 1e-3, 1e-10
"""Smallest penalty over the largest one, with an l1 part and without."""
L2_ONLY = 100.0
"""An l2 penalty of so many times the variance of all columns lets no prediction get further from the mean of y than a
hundredth of its way."""


def is_list(value: Any) -> bool:
    """Return whether a parameter is searched over."""
    return isinstance(value, list | tuple | np.ndarray)


def l1_part(penalty: str, l1_ratio: Any) -> Any:
    """Return the fraction of the l1 part that a penalty means."""
    return {"l1": 1.0, "l2": 0.0}.get(penalty, l1_ratio)


class Grid:
    """The candidates of a search: all combinations of the parameters that are lists, in the order of `GridSearchCV`.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressorCV

    Attributes
    ----------
    candidates : list of dict
        Parameters of `MiniBatchSGDRegressor`; none before `make`.
    alphas : ndarray of shape (n_alphas,) or (n_l1_ratios, n_alphas)
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator
        self.lists = {name: list(getattr(estimator, name)) for name in SEARCHED if is_list(getattr(estimator, name))}
        self.candidates: list[dict[str, Any]] = []
        self.alphas = np.empty(0)
        for name, values in self.lists.items():
            if not values:
                raise ValueError(f"{name} is an empty list. Give one value or more.")
        if "l1_ratio" in self.lists and estimator.penalty != "elasticnet":
            raise ValueError(
                f"l1_ratio is a list, which has no effect with penalty={estimator.penalty!r}. Set penalty='elasticnet'."
            )
        if is_list(estimator.alphas):
            self.alphas = _checked_alphas(estimator.alphas)

    @property
    def is_given(self) -> bool:
        """Whether all penalties are given as numbers."""
        return is_list(self.estimator.alphas)

    def make(self, slope: np.ndarray, variance: np.ndarray) -> Penalties:
        """Make the candidates and return their penalties.

        Parameters
        ----------
        slope : ndarray of shape (n_targets, n_features)
            By how much the loss falls with each coefficient at the constant model.
        variance : ndarray of shape (n_features,)
            Of the columns.
        """
        estimator, lists = self.estimator, dict(self.lists)
        if self.is_given:
            self.candidates = list(ParameterGrid({"alpha": self.alphas.tolist(), **lists}))
        else:
            ratios = lists.pop("l1_ratio", [estimator.l1_ratio])
            alphas = [self._descending(slope, variance, ratio) for ratio in ratios]
            keys = [{"l1_ratio": [ratio]} if "l1_ratio" in self.lists else {} for ratio in ratios]
            grids = [{"alpha": row.tolist(), **key, **lists} for row, key in zip(alphas, keys, strict=True)]
            self.candidates = list(ParameterGrid(grids))
            self.alphas = np.array(alphas if "l1_ratio" in self.lists else alphas[0])
        parts = [l1_part(estimator.penalty, one.get("l1_ratio", estimator.l1_ratio)) for one in self.candidates]
        alpha = np.array([candidate["alpha"] for candidate in self.candidates])
        return Penalties(alpha, np.array(parts, dtype=float), bool(estimator.positive))

    def _descending(self, slope, variance, l1_ratio) -> np.ndarray:
        """Return penalties from the largest one down."""
        estimator, part = self.estimator, l1_part(self.estimator.penalty, l1_ratio)
        eps = (EPS_L1 if part else EPS_L2) if estimator.eps is None else estimator.eps
        if part:
            largest = np.max(slope if estimator.positive else np.abs(slope), initial=0.0) / part
        else:
            largest = L2_ONLY * variance.sum()
        return np.geomspace(1.0, eps, estimator.alphas) * max(float(largest), LEAST_ALPHA)


def _checked_alphas(alphas: Any) -> np.ndarray:
    try:
        values = np.asarray(alphas, dtype=float)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values >= 0.0)).all():
        raise ValueError(f"alphas should be an int, or a list of one or more numbers in [0, inf), got {alphas!r}.")
    return values


def results_of(candidates: list[dict[str, Any]], scores: np.ndarray, summary: Any = None) -> dict[str, Any]:
    """Return results in the form of GridSearchCV's cv_results_, of scores (n_candidates, n_splits).

    ``summary`` is that of scores that are not those of splits.
    """
    results: dict[str, Any] = {}
    for name in candidates[0]:
        values = [candidate[name] for candidate in candidates]
        dtype: Any = object
        if all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
            dtype = int if all(isinstance(value, Integral) for value in values) else float
        column = np.ma.masked_all(len(values), dtype=dtype)
        column[:] = values
        results[f"param_{name}"] = column
    results["params"] = candidates
    results |= {f"split{number}_test_score": column for number, column in enumerate(scores.T)}
    return results | (summary or summary_of(scores.mean(axis=1), scores.std(axis=1)))


def summary_of(mean: np.ndarray, std: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean, standard deviation and rank of scores, (n_candidates,) each; nan is last."""
    known = np.where(np.isnan(mean), np.nanmin(mean) - 1.0 if not np.isnan(mean).all() else 0.0, mean)
    rank = rankdata(-known, method="min").astype(np.int32)
    return {"mean_test_score": mean, "std_test_score": std, "rank_test_score": rank}


def last_iteration(results: dict[str, Any]) -> np.ndarray:
    """Return the numbers of the candidates of the last iteration, of all without successive halving."""
    iteration = results.get("iter", np.zeros(len(results["params"])))
    return np.flatnonzero(iteration == iteration.max())


def best_of(results: dict[str, Any]) -> int:
    """Return the number of the best candidate."""
    last = last_iteration(results)
    return int(last[results["rank_test_score"][last].argmin()])


def one_standard_error(results: dict[str, Any], n_splits: int) -> int:
    """Return the candidate of the largest alpha whose score is within one standard error of the best.

    All other parameters are those of the best one (Breiman, Friedman, Olshen, Stone, "Classification and regression
    trees", 1984, section 3.4.3).
    """
    best = best_of(results)
    mean, error = results["mean_test_score"], results["std_test_score"][best] / max(1, n_splits - 1) ** 0.5
    params = [{**candidate, "alpha": None} for candidate in results["params"]]
    like = [number for number in last_iteration(results).tolist() if params[number] == params[best]]
    enough = [number for number in like if mean[number] >= mean[best] - error]
    return max(enough or [best], key=lambda number: results["params"][number]["alpha"])
