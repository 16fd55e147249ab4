"""A fitted model as an estimator of scikit-learn, which loads and predicts without this package."""

from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.utils.validation import check_is_fitted

from sgdlinreg._edge.attributes import model_of
from sgdlinreg._edge.going_on import check_model


def linear_regression_of(estimator: Any) -> LinearRegression:
    """Return the coefficients as a LinearRegression.

    They are float64 whatever the dtype of X was: a product of float32 rows and float32 coefficients would be summed up
    in float32, and lose the digits that `predict` keeps.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If a coefficient or an intercept is None.
    """
    check_is_fitted(estimator)
    check_model(estimator)
    coef, intercept = model_of(estimator)
    plain = LinearRegression(fit_intercept=estimator.fit_intercept, positive=estimator.positive)
    plain.coef_ = coef.astype(np.float64)
    plain.intercept_ = intercept.astype(np.float64)[()]
    plain.n_features_in_ = coef.shape[-1]
    if hasattr(estimator, "feature_names_in_"):
        plain.feature_names_in_ = estimator.feature_names_in_.copy()
    return plain
