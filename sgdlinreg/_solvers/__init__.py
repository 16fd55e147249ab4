"""Solvers. `make_solver` is the only place where a name becomes a solver."""

from collections.abc import Callable
from typing import Any

from sgdlinreg._core.contract import Kernel, Options
from sgdlinreg._core.objective import Objective
from sgdlinreg._solvers.closed_form.solver import NormalEquation

NAMES = ("normal_equation", "numba", "torch")


def kernel_class(name: str) -> type[Kernel]:
    """Return the class of a kernel; imports numba only for the kernel that needs it.

    Raises
    ------
    ImportError
        If numba cannot be imported and the kernel needs it.
    """
    if name == "numba":
        try:
            from sgdlinreg._solvers.sgd_numba.kernel import NumbaKernel
        except ImportError as error:  # also where numba is too old for Python or NumPy
            raise ImportError(
                f"solver='numba' needs numba, which cannot be imported: {error}. Use solver='normal_equation' or "
                "'torch', or install a numba for this Python and NumPy: pip install --upgrade numba"
            ) from error
        return NumbaKernel
    if name == "torch":
        from sgdlinreg._solvers.sgd_torch.kernel import TorchKernel

        return TorchKernel
    if name == "reference":
        from sgdlinreg._solvers.sgd.kernel_numpy import ReferenceKernel

        return ReferenceKernel
    raise ValueError(f"No solver {name!r}; there are {', '.join(NAMES)}.")


def make_solver(
    name: str,
    loss: str,
    objective: Objective,
    options: Options,
    seed: Callable[[], Any],
    *,
    needs_steps: bool = False,
    n_steps: int = 0,
) -> Any:
    """Make a solver, or say why it cannot do what is asked and which one can.

    Parameters
    ----------
    name : str
        One of `NAMES`, or "reference" for the kernel in NumPy.
    loss : str
        Name of the loss.
    objective : Objective
    options : Options
    seed : callable() -> int or list of int
        Gives the seed; called only where something is random.
    needs_steps : bool
        Whether a start, validation data or a parameter of the steps is given.
    n_steps : int
        Steps of earlier fits.

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
    if needs_steps and kernel is None:
        raise ValueError(
            f"solver={name!r} has no epochs: coef_init, intercept_init, X_val, warm_start and early_stopping need "
            "solver='numba' or 'torch'."
        )
    if kernel is None:
        return NormalEquation(objective, options)
    from sgdlinreg._solvers.sgd.solver import SGD  # most fits are closed forms, and importing takes time

    return SGD(objective, options, kernel(options.device, options.n_jobs), seed(), n_steps)


__all__ = ["NAMES", "make_solver"]
