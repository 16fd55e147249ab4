import pytest
from sklearn.utils.estimator_checks import (
    parametrize_with_checks,
)

from sgdlinreg import MiniBatchSGDRegressorCV


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:SCIPY_ARRAY_API is not set")
@parametrize_with_checks(
    [
        MiniBatchSGDRegressorCV(),
        MiniBatchSGDRegressorCV(penalty="l1", cv=3),
        MiniBatchSGDRegressorCV(cv=None),
        MiniBatchSGDRegressorCV(solver="numba", alphas=[0.0, 0.1], cv=3),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)
