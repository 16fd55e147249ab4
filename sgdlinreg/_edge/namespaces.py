"""Where arrays come from and where results go: torch tensors, and scikit-learn's array API dispatch."""

import sys
from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config

from sgdlinreg._core.arrays import arrays_of, is_on_device, is_tensor
from sgdlinreg._core.optional import import_optional

try:
    from sklearn.utils import _array_api

    CAN_DISPATCH = hasattr(_array_api, "move_to") and hasattr(_array_api, "check_same_namespace")
    """Whether scikit-learn has the tools for it: from 1.9 on. Without them dispatch changes nothing."""
except ImportError:
    CAN_DISPATCH = False

DLPACK_GPUS = frozenset({2, 10})
"""DLPack's numbers of CUDA and ROCm: arrays there are used where they are, as torch tensors."""
NUMPY_TYPES = np.ndarray, np.generic
WITHOUT_FLOAT64 = frozenset({"mps"})
"""Types of torch devices that cannot sum in float64: their tensors go through the memory of the CPU."""


class Home(NamedTuple):
    """An array namespace but NumPy, and a device of it."""

    xp: Any
    device: Any


def home_of(X: Any) -> Home | None:
    """Return the namespace and device that attributes of a fit on X belong to; None for NumPy, and without dispatch."""
    if X is None or isinstance(X, NUMPY_TYPES) or not CAN_DISPATCH or not get_config()["array_api_dispatch"]:
        return None
    xp, is_array, device = _array_api.get_namespace_and_device(X)
    return None if not is_array or _array_api._is_numpy_namespace(xp) else Home(xp, device)


def at_home(values: Any, home: Home | None) -> Any:
    """Bring an array from NumPy or torch to its namespace and device; as it is if there is none."""
    return values if home is None else _array_api.move_to(np.asarray(values), xp=home.xp, device=home.device)


def like(X: Any, values: Any) -> Any:
    """Return predictions, from NumPy or torch, in the form that X has, with or without dispatch."""
    home = home_of(X)
    if home is not None:
        return _array_api.move_to(values, xp=home.xp, device=home.device)
    return arrays_of(X).put(values) if is_tensor(X) and not is_tensor(values) else values


def check_same_home(X: Any, estimator: Any, method: str) -> None:
    """Raise scikit-learn's error if dispatch is on and X is not where the estimator was fitted.

    Raises
    ------
    ValueError
        If the namespace or the device of X is not that of ``coef_``.
    """
    if CAN_DISPATCH:
        _array_api.check_same_namespace(X, estimator, attribute="coef_", method=method)


def to_numpy(values: Any) -> Any:
    """Bring y, weights or coefficients to NumPy; what is neither a tensor nor of a namespace stays as it is."""
    if values is None or isinstance(values, NUMPY_TYPES):
        return values
    if is_tensor(values):
        return _host(values)
    return values if home_of(values) is None else _array_api.move_to(values, xp=np, device="cpu")


def local(X: Any) -> Any:
    """Return X as what is computed on: a tensor on its device, a view for NumPy, or X itself.

    Raises
    ------
    TypeError
        If X is a sparse tensor.
    """
    if isinstance(X, NUMPY_TYPES):
        return X
    if is_tensor(X):
        if X.layout != sys.modules["torch"].strided:
            raise TypeError(f"X is a torch tensor of layout {X.layout}. Pass sparse data as a SciPy CSR matrix.")
        stays = is_on_device(X) and X.device.type not in WITHOUT_FLOAT64
        return X if stays else _host(X)
    if home_of(X) is None:
        return X
    if X.__dlpack_device__()[0] in DLPACK_GPUS:
        return import_optional("torch", "torch", "Data on a GPU").from_dlpack(X)
    return to_numpy(X)


def _host(tensor):
    """Bring a tensor to NumPy; types of less than four bytes, of which NumPy does not know all, become float32."""
    tensor = tensor.detach()
    tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor
    try:
        return tensor.cpu().resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:  # sparse, quantized, without values
        raise TypeError(f"NumPy cannot read a tensor of layout {tensor.layout} on device {tensor.device}.") from error
