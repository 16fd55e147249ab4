"""Plots of fitted estimators, in the style of scikit-learn's displays. They need matplotlib."""

from sgdlinreg.displays.coefficients import CoefficientDisplay
from sgdlinreg.displays.loss_curve import LossCurveDisplay
from sgdlinreg.displays.regression_line import RegressionLineDisplay

__all__ = ["CoefficientDisplay", "LossCurveDisplay", "RegressionLineDisplay"]
