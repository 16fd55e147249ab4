"""Linear regression for scikit-learn: exact where exact is affordable, mini-batch SGD everywhere else."""

from sgdlinreg._estimator import MiniBatchSGDRegressor
from sgdlinreg._estimator_cv import MiniBatchSGDRegressorCV

__version__ = "0.1.0.dev0"
__all__ = ["MiniBatchSGDRegressor", "MiniBatchSGDRegressorCV", "__version__"]
