"""The contract of solvers and of kernels: what the loop calls, and what passes between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.standard_errors import Dependent, Inference


@dataclass(frozen=True)
class Options:
    """Parameters of the estimator that concern the steps; a solver reads those that it knows.

    Each has the meaning and the default of the estimator's parameter of that name.
    """

    batch_size: int | str = "auto"
    max_iter: int = 1000
    tol: float | None = 1e-3
    n_iter_no_change: int = 5
    shuffle: bool | str = True
    drop_last: bool = False
    learning_rate: str | Callable = "constant"
    eta0: float | str = "auto"
    power_t: float = 0.25
    momentum: float = 0.0
    nesterovs_momentum: bool = False
    average: bool | int | str = "auto"
    early_stopping: bool = False
    device: str = "auto"
    n_jobs: int | None = None


class Iterate(NamedTuple):
    """What steps change: coefficients in scaled coordinates, their sum over the steps, and the velocity of momentum.

    Three float64 arrays of shape (n_models, n_features + 1), the intercept last, updated in place.
    """

    coef: np.ndarray
    coef_sum: np.ndarray
    velocity: np.ndarray


class Sums:
    """What a pass sums up of the rows: a value, to which blocks are added and which others of its kind join.

    It is small, holds arrays and functions of modules, and is sent to where the rows are.
    """

    def add(self, block: Any) -> Any:
        """Return the sums with the rows of a block added."""
        raise NotImplementedError

    def merge(self, other: Any) -> Any:
        """Return the sums with those of other rows added."""
        raise NotImplementedError

    def shares(self, n_rows: Sequence[int]) -> "list[Sums]":
        """Return what parts of the rows, of so many rows each, begin with: sums that draw rows draw a share of them."""
        return [self for _ in n_rows]


class Model(NamedTuple):
    """What a solver has found.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features + 1)
        Coefficients for the data as they are, float64, the intercept last.
    attributes : dict
        Fitted attributes of the estimator, by name.
    kept : Any
        State from which partial_fit goes on; NumPy arrays only, so that it pickles.
    column_means : ndarray of shape (n_features,) or None
        Means that the intercept is tied to, if it is.
    inference : Inference, Dependent or str
        What standard errors follow from, or why there are none.
    lost_digits : str or None
        What to tell the user where digits of the coefficients are missing.
    advice : tuple of str
        What to tell the user where the fit has not converged.
    is_worse_than_constant : bool
        Whether the last model is worse than the constant one; ``coef`` may be an earlier one, by validation data.
    reason : str
        Why the fit has ended.
    """

    coef: np.ndarray
    attributes: dict[str, Any]
    kept: Any
    column_means: np.ndarray | None = None
    inference: Inference | Dependent | str = "SGD gives none; fit with solver='normal_equation'"
    lost_digits: str | None = None
    advice: tuple[str, ...] = ()
    is_worse_than_constant: bool = False
    reason: str = ""


class Solver(Protocol):
    """Finds a model in passes over blocks of rows.

    A state belongs to one fit, and methods may change it; what was kept of an earlier fit stays as it was. ``data``
    are the rows, `InMemory` or `Streamed` of `_loop.data`; ``monitor`` is a `_loop.monitor.Monitor`.
    """

    one_pass: ClassVar[bool]
    """Whether one pass over the rows gives a model."""
    sums_first: bool
    """Whether the first pass sums up all of X, and raises a ValueError where sums are not finite."""

    def place(self, block: Block) -> Block:
        """Bring X to where the solver works, after `init` and before the first pass."""

    def init(self, data: Any, start: np.ndarray | None = None, kept: Any = None) -> Any:
        """Return the state before any rows.

        ``start`` (n_targets, n_features + 1) is where the user wants to start, ``kept`` what an earlier fit has left.
        """

    def add(self, state: Any, block: Any) -> Any:
        """Take in one block of a pass."""

    def sums(self, state: Any) -> Sums:
        """Return what this pass sums up, of no rows yet: for rows that are elsewhere, over which no step is taken."""

    def with_sums(self, state: Any, sums: Any) -> Any:
        """Return the state with the sums of all rows."""

    def end_pass(self, state: Any, data: Any, monitor: Any) -> tuple[Any, Any, bool]:
        """Return the state after a pass, the rows as the next pass wants them, and whether the fit is done."""

    def interrupted(self, state: Any, monitor: Any) -> Any:
        """Return a state that is done, with the last model that was recorded; not where one pass gives the model."""

    def model(self, state: Any) -> Model:
        """Return the model of a state that is done."""


class Kernel(Protocol):
    """Runs batches of rows, one step each, and sums full gradients; holds no random generator and no schedule."""

    losses: frozenset[str]
    """Names of the losses that it can minimise."""
    devices: bool
    """Whether it can run anywhere but on the CPU."""
    auto_batch_size: int
    """What batch_size="auto" means: at least 32, so that tiny data are one full batch for every solver."""

    def __init__(self, device: str, n_jobs: int | None): ...

    def place(self, block: Block) -> Block:
        """Bring X to where it is measured: NumPy's memory, or the device if there is room."""

    def to_device(self, block: Block) -> Any:
        """Return the block in the form that the two methods below want."""

    def run_batches(
        self, block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate
    ) -> np.ndarray:
        """Do what `kernel_numpy.run_batches` does, where the parameters are described.

        More models than targets are for kernels with `devices`.
        """

    def gradient_sums(self, block, loss, coef, centre, with_y=True) -> tuple[np.ndarray, np.ndarray]:
        """Do what `objective.gradient_sums` does, where the parameters but ``weigh`` are described."""


class CPUKernel:
    """What kernels on the CPU have in common: blocks are used as they are."""

    devices = False
    auto_batch_size = 32

    def __init__(self, device="auto", n_jobs=None):
        pass

    def place(self, block):
        """Bring X to NumPy's memory."""
        return block.on_host()

    def to_device(self, block):
        """Return the block as it is."""
        return block
