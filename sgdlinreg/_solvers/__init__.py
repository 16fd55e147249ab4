"""Solvers. `make_solver` is the only place where a name becomes a solver, `choose_solver` the rule behind "auto"."""

from typing import Any

from sgdlinreg._core.contract import Fitted, Kernel, Options, Solver
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.solver import NormalEquation

MAX_EXACT_FEATURES = 1000
"""solver="auto" takes the closed form up to this many features."""

NAMES = ("normal_equation", "numba", "torch")


def kernel_class(name: str) -> type[Kernel]:
    """Class of a kernel; imports numba only for the kernel that needs it."""
    if name == "numba":
        from sgdlinreg._solvers.sgd_numba.kernel import NumbaKernel

        return NumbaKernel
    if name == "torch":
        from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

        return TorchKernel
    if name == "reference":
        from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel

        return ReferenceKernel
    raise ValueError(f"No solver {name!r}; there are {', '.join(NAMES)}.")


def choose_solver(
    solver: str,
    *,
    n_features: int,
    device: str,
    least_squares: bool,
    steps_are_default: bool,
    has_start: bool,
    on_device: bool = False,
) -> tuple[str, str]:
    """Resolve solver="auto".

    Parameters
    ----------
    solver : str
        The parameter; anything but "auto" is returned as it is.
    n_features : int
    device : str
        The parameter.
    least_squares : bool
        Whether the loss is the squared error and there is no l1 part in the penalty.
    steps_are_default : bool
        Whether every parameter of the steps has its default.
    has_start : bool
        Whether there is a coef_init, an intercept_init or an X_val.
    on_device : bool
        Whether X is a tensor on a device other than the CPU.

    Returns
    -------
    name, reason : str

    Notes
    -----
    The rule never looks at the number of rows, so that the folds of a cross-validation agree, and never imports torch:

    1. "torch" for an explicit device other than the CPU;
    2. "normal_equation" if the loss is the squared error, the penalty has no l1 part, there are at most 1000
       features, every parameter of the steps has its default and there is no start and no X_val;
    3. else "torch" if X is on a device and device is "auto";
    4. else "numba".
    """
    if solver != "auto":
        return solver, "as asked"
    if device not in ("auto", "cpu"):
        return "torch", f"device={device!r}"
    steps = "torch" if on_device and device == "auto" else "numba"
    if not least_squares:
        return steps, "the closed form is for squared error without an l1 penalty"
    if has_start:
        return steps, "coef_init, intercept_init or X_val given"
    if not steps_are_default:
        return steps, "a parameter of the steps is set"
    if n_features > MAX_EXACT_FEATURES:
        return steps, f"{n_features} features > {MAX_EXACT_FEATURES}"
    return "normal_equation", f"{n_features} features, exact is affordable"


def make_solver(name: str, loss: str, objective: Objective, options: Options, *, has_start: bool = False) -> Any:
    """Make a solver, or say why it cannot do what is asked and which one can.

    Raises
    ------
    ValueError
        If the solver cannot minimise the loss, start at given coefficients or run on the device.
    ImportError
        If its library is not installed.
    """
    kernel = None if name == "normal_equation" else kernel_class(name)
    declares = kernel or NormalEquation
    if loss not in declares.losses:
        raise ValueError(f"solver={name!r} cannot minimise loss={loss!r}; use solver='numba'.")
    if options.device not in ("auto", "cpu") and not declares.devices:
        place = "on the CPU only" if kernel else "where X is, on the device of a tensor or on the CPU"
        raise ValueError(
            f"solver={name!r} runs {place}, got device={options.device!r}; use solver='torch' for a device, or "
            "device='auto'."
        )
    if has_start and kernel is None:
        raise ValueError(
            f"solver={name!r} has no epochs: coef_init, intercept_init, X_val, warm_start and early_stopping need "
            "solver='numba' or 'torch'."
        )
    if kernel is None and objective.l1 > 0.0:
        raise ValueError(
            f"solver={name!r} cannot minimise an l1 penalty; use solver='numba' or 'torch', or penalty='l2'."
        )
    if kernel is None:
        return NormalEquation(objective, options)
    from sgdlinreg._solvers.sgd.solver import (
        SGD,  # at its first use: most fits are closed forms, and importing takes time
    )

    return SGD(objective, options, kernel(options.device, options.n_jobs))


__all__ = ["Fitted", "Options", "Solver", "choose_solver", "make_solver"]
