"""What pytest does not collect: modules whose optional library is not installed."""

import importlib.util

MODULES = {
    "triton": "sgdlinreg/_solvers/sgd_torch/triton_*",
    "matplotlib": "sgdlinreg/displays/*",
    "skl2onnx": "sgdlinreg/onnx.py",
    "dask": "sgdlinreg/dask/*",
}
collect_ignore_glob = [modules for library, modules in MODULES.items() if not importlib.util.find_spec(library)]
