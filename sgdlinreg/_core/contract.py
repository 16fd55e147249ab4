"""The contract that every solver keeps, and what a solver declares about itself."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.standard_errors import Inference


@dataclass(frozen=True)
class Options:
    """What the user asked of the steps; a solver reads what concerns it.

    Attributes
    ----------
    batch_size : int, "auto" or "full"
    eta0 : float or "auto"
    learning_rate : str or callable
        Name of a schedule, or a function of the step numbers.
    shuffle : True, False or "blocks"
    average : bool, int or "auto"
    tol : float or None
    device : str
    power_t, momentum : float
    nesterovs_momentum, drop_last : bool
    n_jobs : int or None
    """

    batch_size: int | str = "auto"
    eta0: float | str = "auto"
    learning_rate: Any = "constant"
    shuffle: bool | str = True
    average: bool | str = "auto"
    tol: float | None = 1e-3
    device: str = "auto"
    power_t: float = 0.25
    momentum: float = 0.0
    nesterovs_momentum: bool = False
    drop_last: bool = False
    n_jobs: int | None = None


class Iterate(NamedTuple):
    """What steps change, in scaled coordinates: three arrays (n_targets, n_features + 1), float64, updated in place.

    coef_sum is the sum of coef over the steps; velocity is what momentum multiplies.
    """

    coef: np.ndarray
    coef_sum: np.ndarray
    velocity: np.ndarray


class Fitted(NamedTuple):
    """What a solver knows of its model: coefficients for x, and numbers for the user.

    coef is (n_targets, n_features + 1) float64, the intercept last. column_means is (n_features,), or None where the
    intercept was not tied to them. summary holds fitted attributes by name. inference is what standard errors follow
    from, or why there are none; warning what the user should know.
    """

    coef: np.ndarray
    column_means: np.ndarray | None
    summary: dict[str, Any]
    inference: Inference | str = "SGD gives none; fit with solver='normal_equation'"
    warning: str | None = None


class Kernel(Protocol):
    """Runs the batches of an epoch, one step each, and sums full gradients; holds no random generator, no schedule."""

    losses: frozenset[str]
    """Names of the losses that it can minimise."""
    devices: bool
    """Whether it can run anywhere but on the CPU."""
    auto_batch_size: int
    """What batch_size="auto" means: at least 32, so that tiny data are one full batch for every solver."""

    def __init__(self, device: str, n_jobs: int | None): ...

    def place(self, block: Block) -> Block:
        """Bring X to where it is measured and judged: NumPy's memory, or the device if there is room."""

    def to_device(self, block: Block) -> Any:
        """Give the block in the form that `run_batches` wants."""

    def run_batches(
        self, block, order, step_sizes, batch_size, objective, coordinates, momentum, iterate
    ) -> np.ndarray:
        """Do what `kernel_numpy.run_batches` does, where the parameters are described."""

    def gradient_sums(self, block, loss, coef, centre, with_y=True) -> tuple[np.ndarray, np.ndarray]:
        """Do what `objective.gradient_sums` does, where the parameters are described."""


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
        """Give the block as it is."""
        return block


class Visit(Enum):
    """What a block is among the rows of a fit."""

    ALL = "all rows, passed over as often as it takes"
    FIRST = "one of many blocks, which will come again"
    AGAIN = "one of many blocks, which has been there before"
    ONCE = "one of many blocks, which will not come again"


class Solver(Protocol):
    """A way to take in blocks of rows in as many passes as it asks for: the closed form.

    States are values: a method returns a new one and leaves the old one as it was. They hold NumPy arrays only, so
    that they pickle. `SGD`, whose passes are epochs and full gradients, shares all but prepare, update and solve.
    """

    n_passes: ClassVar[int | None]
    """1: one pass gives the model. None: as many as it takes."""
    sums_first: bool
    """Whether it first sums up all of X, and raises a ValueError where sums are not finite."""
    objective: Any
    options: Options

    def init(self, n_features: int, n_targets: int, coef: np.ndarray | None) -> Any:
        """State before any data; ``coef`` (n_targets, n_features + 1) is where to start, None for zeros."""

    def place(self, block: Block, visit: Visit) -> Block:
        """Bring X to where the solver works, before anything else."""

    def prepare(self, state: Any, block: Block, rng: np.random.Generator, visit: Visit) -> tuple[Any, Any]:
        """Take note of a block before its first pass: weights, statistics, device.

        Returns the state and the block to update with.
        """

    def update(self, state: Any, block: Any, rng: np.random.Generator) -> Any:
        """Take in one block: one pass over its rows."""

    def solve(self, state: Any) -> tuple[Any, bool]:
        """Make what can be made of the passes so far; True if another one over the same rows is wanted for that."""

    def losses_of(self, state: Any, block: Block | None) -> np.ndarray:
        """Objective of each target in the last pass, shape (n_targets,)."""

    def fitted(self, state: Any) -> Fitted:
        """Give the model."""

    def finish(self, state: Any) -> Any:
        """Drop what only a running fit needs: what is left is kept with the estimator."""
