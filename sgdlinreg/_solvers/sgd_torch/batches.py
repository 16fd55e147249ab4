"""Steps in torch operations: rows of many batches are gathered at once, so that a step is a handful of operations."""

from typing import Any, NamedTuple

from sgdlinreg._core.contract import Iterate
from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_torch.cuda_graphs import Replayed
from sgdlinreg._solvers.sgd_torch.rows import DenseRows, FoldedBatches, ScaledBatches, SparseRows, most_values

GATHERED = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Values gathered at once, in float64: on a CPU they should stay in the second-level cache."""
MAX_GATHERED_BATCHES = 256
MAX_PATH = 1 << 22
"""Coefficients in all iterates that are kept until their sum is taken."""
MAX_SCALED = 1 << 14
"""Rows of batches of more values are used as they are: scaling them takes longer than the operations it saves."""
SPARE_ROOM = 1 / 32
"""Room for values of CSR batches beyond the largest so far, as a share: the next epoch cuts other batches."""


class Problem(NamedTuple):
    """What stays the same from epoch to epoch; ``replays`` says whether there are epochs enough to capture graphs."""

    block: Any
    batch_size: int
    objective: Any
    replays: bool

    def is_same(self, other) -> bool:
        """Whether block and objective are the same objects (equal losses may be of two types) and the rest is equal."""
        same = self.block is other.block and self.objective is other.objective
        return same and (self.batch_size, self.replays) == (other.batch_size, other.replays)


class TorchPlan:
    """Batches of one problem in torch operations; on CUDA those of equal size are replayed.

    Parameters
    ----------
    torch : module
    problem : Problem

    Attributes
    ----------
    coordinates : tuple of (centre, 1 / scale), tensors of shape (n_features,)
    iterate : Iterate
        Tensors of shape (n_features + 1, n_targets); for one target without the second axis.
    losses : tensor of shape (n_targets,), or () for one target
    """

    def __init__(self, torch, problem):
        block, batch_size, *_ = problem
        self.torch, self.problem, self.device = torch, problem, block.y.device
        about = {"dtype": torch.float64, "device": self.device}
        targets = () if block.n_targets == 1 else (block.n_targets,)
        self.coordinates = tuple(torch.zeros((2, block.n_features), **about))
        self.iterate: Any = Iterate(*torch.zeros((3, block.n_features + 1, *targets), **about))
        self.losses = torch.zeros(targets, **about)
        at_once = batches_at_once(block, batch_size)
        n_whole = block.n_rows // batch_size
        n_parts = -(-n_whole // at_once)
        at_once = n_whole // n_parts if n_parts else 1  # an epoch is this many, but for a few batches
        self.rows = torch.empty((at_once, batch_size), dtype=torch.int64, device=self.device)
        self.step_sizes = torch.empty((at_once, block.n_targets), **about)
        self.capacity = 0
        self.momentum: Any = None

    def run(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        self._prepare(order, momentum)
        at_once, batch_size = self.rows.shape
        n_whole = len(order) // batch_size
        rows = order[: n_whole * batch_size].view(n_whole, batch_size)
        n_replayed = n_whole // at_once * at_once
        for start in range(0, n_replayed, at_once):
            self.rows.copy_(rows[start : start + at_once])
            self.step_sizes.copy_(step_sizes[start : start + at_once])
            self.replayed(lambda: self._take_steps(self.rows, self.step_sizes))
        if n_replayed < n_whole:
            self._take_steps(rows[n_replayed:], step_sizes[n_replayed:n_whole])
        if n_whole < len(step_sizes):
            self._take_steps(order[None, n_whole * batch_size :], step_sizes[n_whole:])

    def _prepare(self, order, momentum):
        """Set what replayed operations depend on but rows and step sizes; where it has changed they are new ones."""
        block, batch_size, *_ = self.problem
        capacity = self.capacity
        if block.is_sparse:
            most = most_values(self.torch, block.X, order, batch_size)
            if most > capacity:
                capacity = most + int(SPARE_ROOM * most)
        if (capacity, momentum) != (self.capacity, self.momentum):
            self.capacity, self.momentum = capacity, momentum
            self.replayed = Replayed(self.torch, self.device, self.problem.replays)

    def _take_steps(self, rows, step_sizes):
        """Take one step for every row of ``rows`` (n_batches, batch_size), without a look at values on the device.

        The operations and the shapes of what they work on follow from the shapes of the arguments and ``capacity``.
        """
        torch, block, objective = self.torch, self.problem.block, self.problem.objective
        coef, coef_sum, velocity = self.iterate
        n_batches, batch_size = rows.shape
        flat = rows.reshape(-1)
        residuals = block.y.index_select(0, flat).view(*rows.shape, *coef.shape[1:]).neg_()
        weight = torch.ones_like(residuals)
        if block.sample_weight is not None:
            of_rows = block.sample_weight.index_select(0, flat)
            weight *= of_rows.view(*rows.shape, *[1] * (coef.ndim - 1))
        step_sizes = step_sizes.view(n_batches, 1, *coef.shape[1:])
        plain = self.momentum[0] == 0.0 and objective.is_smooth
        factors = weight * (-step_sizes / batch_size if plain else 1.0 / batch_size)

        path = coef.new_empty((n_batches + 1, *coef.shape))
        path[0] = coef
        iterates, batches = path.unbind(), self._batches(rows, path)
        penalty, step = self._penalty(), self._plain_step if plain else self._step
        parts = zip(residuals.unbind(), factors.unbind(), step_sizes.unbind(), iterates[:-1], iterates[1:], strict=True)
        for number, (residual, factor, step_size, before, after) in enumerate(parts):
            batches.add_predictions(number, residual)
            step(batches, number, objective.loss.slope(residual) * factor, step_size, penalty, before, after)
        if plain:
            torch.sub(path[-1], path[-2], out=velocity)
        coef.copy_(path[-1])
        coef_sum += path[1:].sum(dim=0)
        self.losses += (weight * objective.loss.value(residuals)).sum(dim=(0, 1))

    def _batches(self, rows, path):
        block, fit_intercept = self.problem.block, self.problem.objective.fit_intercept
        if block.is_sparse:
            taken: Any = SparseRows(self.torch, block.X, rows, self.capacity, path.ndim == 2)
        elif rows.shape[1] * (block.n_features + 1) > MAX_SCALED:
            taken = DenseRows(self.torch, block.X, rows)
        else:
            return ScaledBatches(self.torch, block.X, rows, self.coordinates, fit_intercept, path)
        return FoldedBatches(taken, self.coordinates, fit_intercept, path)

    def _inverse_scale(self):
        """1 / scale, to be multiplied by coefficients of all targets."""
        inverse_scale = self.coordinates[1]
        return inverse_scale if self.losses.ndim == 0 else inverse_scale[:, None]

    def _penalty(self):
        """Factors of the coefficients in the gradient of the l2 penalty; None where there is none."""
        if not self.problem.objective.l2:
            return None
        factors = self.torch.zeros_like(self.iterate.coef)
        factors[:-1] = self.problem.objective.l2 * self._inverse_scale() ** 2
        return factors

    def _plain_step(self, batches, number, slope, step_size, penalty, before, after):
        """Take a step along the gradient alone; the slopes have been multiplied by minus the step size already."""
        after.copy_(before)
        batches.add_gradient(number, slope)
        if penalty is not None:
            after -= step_size * (penalty * before)

    def _step(self, batches, number, slope, step_size, penalty, before, after):
        """Take a step with all there may be."""
        objective, (factor, nesterov), velocity = self.problem.objective, self.momentum, self.iterate.velocity
        if penalty is None:
            after.zero_()
        else:
            self.torch.mul(penalty, before, out=after)
        batches.add_gradient(number, slope)
        step = step_size * after
        velocity.mul_(factor).sub_(step)
        if nesterov:
            after.copy_(before).add_(velocity, alpha=factor).sub_(step)
        else:
            after.copy_(before).add_(velocity)
        if not objective.is_smooth:
            ahead = 1.0 + factor if nesterov else 1.0
            threshold = ahead * objective.l1 * step_size * self._inverse_scale()
            weights = proximal(after[:-1], threshold, float(objective.positive))
            velocity[:-1] += (weights - after[:-1]) / ahead
            after[:-1] = weights


def batches_at_once(block, batch_size: int) -> int:
    """Return the number of batches whose rows are gathered together, and whose iterates are kept until then."""
    values = batch_size * (block.n_features + 1)
    if block.is_sparse:
        values = int(batch_size * (len(block.X.data) / max(1, block.n_rows) + 1))
    elif values > MAX_SCALED:  # rows are gathered a batch at a time; what else there is of a batch is not
        values = 4 * batch_size + block.n_features
    gathered = GATHERED.get(block.y.device.type, GATHERED["cpu"]) // values
    kept = MAX_PATH // ((block.n_features + 1) * block.n_targets)
    return max(1, min(gathered, kept, MAX_GATHERED_BATCHES))
