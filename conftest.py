"""What pytest does not collect: modules whose optional library is not installed."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("triton") else ["sgdlinreg/_solvers/sgd_torch/triton_*"]
