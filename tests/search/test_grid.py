"""The one-standard-error rule and the form of results."""

import numpy as np
import pytest

from sgdlinreg._search.grid import one_standard_error, results_of


def test_scores_of_nan_are_last():
    scores = np.array([[0.1, 0.3], [np.nan, 0.9], [0.5, 0.5]])
    results = results_of([{"alpha": alpha} for alpha in (1.0, 2.0, 3.0)], scores)
    assert results["rank_test_score"].tolist() == [2, 3, 1]
    np.testing.assert_allclose(results["std_test_score"], [0.1, np.nan, 0.0], atol=1e-15)
    assert results["param_alpha"].dtype == float


def test_parameters_of_several_types():
    candidates = [{"alpha": 0.1, "batch_size": 8, "eta0": "auto"}, {"alpha": 0.1, "batch_size": 16, "eta0": 0.1}]
    results = results_of(candidates, np.zeros((2, 3)))
    types = [results[f"param_{name}"].dtype.kind for name in ("alpha", "batch_size", "eta0")]
    assert types == ["f", "i", "O"]
    assert results["params"] == candidates


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 0), (0.1, 1), (0.5, 2)])
def test_one_standard_error_takes_the_largest_alpha_within_it(spread, expected):
    means = np.array([0.9, 0.87, 0.8])
    scores = means[:, None] + spread * np.array([-1.0, 0.0, 1.0, -1.0, 1.0])
    scores[1:] = means[1:, None]
    results = results_of([{"alpha": alpha} for alpha in (0.1, 1.0, 10.0)], scores)
    assert one_standard_error(results, 5) == expected
