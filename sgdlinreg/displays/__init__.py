"""Plots of fitted estimators in the style of scikit-learn's displays. They need the extra `plot`."""

from sgdlinreg.displays.coefficient_path import CoefficientPathDisplay
from sgdlinreg.displays.coefficients import CoefficientDisplay
from sgdlinreg.displays.loss_curve import LossCurveDisplay
from sgdlinreg.displays.regression_line import RegressionLineDisplay
from sgdlinreg.displays.search_curve import SearchCurveDisplay

__all__ = [
    "CoefficientDisplay",
    "CoefficientPathDisplay",
    "LossCurveDisplay",
    "RegressionLineDisplay",
    "SearchCurveDisplay",
]
