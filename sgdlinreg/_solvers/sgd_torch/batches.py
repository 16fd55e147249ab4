"""Steps in torch operations: rows of many batches are gathered at once, so that a step is a handful of operations."""

from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_torch.plan import Plan
from sgdlinreg._solvers.sgd_torch.rows import dense_batches, sparse_batches

GATHERED = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Values gathered at once, in float64: on a CPU they should stay in the second-level cache."""
MAX_GATHERED_BATCHES = 256
MAX_PATH = 1 << 22
"""Coefficients in all iterates that are kept until their sum is taken."""


class TorchPlan(Plan):
    """Steps in torch operations; on CUDA those over dense batches of equal size are replayed, many at a time.

    Parameters and attributes are those of `Plan`.
    """

    def __init__(self, torch, block, batch_size, objective, captures):
        super().__init__(torch, block, batch_size, objective, captures and not block.is_sparse)
        at_once, n_whole = batches_at_once(block, batch_size), block.n_rows // batch_size
        n_parts = -(-n_whole // at_once)
        at_once = n_whole // n_parts if n_parts else 1  # an epoch is parts of equal size, but for a few batches
        self.coef, self.coef_sum, self.velocity = self.iterate.transpose(1, 2).unbind()
        self.inverse_scale = self.coordinates[1, :, None]
        self.rows = self._zeros(at_once, batch_size, dtype="int64")
        self.step_sizes = self._zeros(at_once, block.n_targets)

    def take_steps(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        at_once, batch_size = self.rows.shape
        n_whole = len(order) // batch_size
        rows = order[: n_whole * batch_size].view(n_whole, batch_size)
        n_replayed = n_whole // at_once * at_once
        for start in range(0, n_replayed, at_once):
            self.rows.copy_(rows[start : start + at_once])
            self.step_sizes.copy_(step_sizes[start : start + at_once])
            self.replayed(lambda: self._take_steps(self.rows, self.step_sizes, momentum), momentum)
        if n_replayed < n_whole:
            self._take_steps(rows[n_replayed:], step_sizes[n_replayed:n_whole], momentum)
        if n_whole < len(step_sizes):
            self._take_steps(order[None, n_whole * batch_size :], step_sizes[n_whole:], momentum)

    def _take_steps(self, rows, step_sizes, momentum):
        """Take one step for every row of ``rows`` (n_batches, batch_size).

        For dense X nothing waits for values on the device, and all shapes follow from those of the arguments.
        """
        torch, block, objective = self.torch, self.block, self.objective
        flat = rows.reshape(-1)
        residuals = block.y.index_select(0, flat).neg_().view(*rows.shape, -1)
        if block.sample_weight is None:
            weight = residuals.new_ones((*rows.shape, 1))
        else:
            weight = block.sample_weight.index_select(0, flat).view(*rows.shape, 1)
        step_sizes = step_sizes[:, None, :]
        is_plain = momentum[0] == 0.0 and objective.is_smooth
        factors = weight * (-step_sizes if is_plain else 1.0) / rows.shape[1]

        path = residuals.new_empty((len(rows) + 1, *self.coef.shape))
        path[0] = self.coef
        iterates, penalty = path.unbind(), self._penalty()
        gather = sparse_batches if block.is_sparse else dense_batches
        batches = gather(torch, block.X, rows, self.coordinates)
        parts = (residuals.unbind(), factors.unbind(), step_sizes.unbind(), iterates[:-1], iterates[1:])
        for batch, residual, factor, step_size, *move in zip(batches, *parts, strict=True):
            batch.add_times(move[0], residual)
            slope = objective.loss.slope(residual) * factor
            if is_plain:
                self._take_plain_step(batch, slope, step_size, penalty, move)
            else:
                self._take_step(batch, slope, step_size, penalty, move, momentum)
        if is_plain:
            torch.sub(path[-1], path[-2], out=self.velocity)
        self.coef.copy_(path[-1])
        self.coef_sum += path[1:].sum(dim=0)
        self.losses += (weight * objective.loss.value(residuals)).sum(dim=(0, 1))

    def _penalty(self):
        """Return the factors (n_features + 1, 1) of the coefficients in the gradient of the l2 penalty, or None."""
        if not self.objective.l2:
            return None
        factors = self._zeros(self.block.n_features + 1, 1)
        factors[:-1] = self.objective.l2 * self.inverse_scale**2
        return factors

    def _take_plain_step(self, batch, slope, step_size, penalty, move):
        """Take a step along the gradient alone; the slopes have been multiplied by minus the step size already.

        ``move`` is the coefficients before the step, and memory for those after it.
        """
        before, after = move
        after.copy_(before)
        batch.add_transposed_times(slope, after)
        if not self.objective.fit_intercept:
            after[-1] = before[-1]
        if penalty is not None:
            after -= step_size * (penalty * before)

    def _take_step(self, batch, slope, step_size, penalty, move, momentum):
        """Take a step with momentum, or with a penalty that needs the proximal operator."""
        (before, after), (factor, nesterov) = move, momentum
        objective, velocity = self.objective, self.velocity
        if penalty is None:
            after.zero_()
        else:
            self.torch.mul(penalty, before, out=after)
        batch.add_transposed_times(slope, after)
        if not objective.fit_intercept:
            after[-1] = 0.0
        step = step_size * after
        velocity.mul_(factor).sub_(step)
        if nesterov:
            after.copy_(before).add_(velocity, alpha=factor).sub_(step)
        else:
            after.copy_(before).add_(velocity)
        if not objective.is_smooth:
            lookahead = 1.0 + factor if nesterov else 1.0
            weights, threshold = after[:-1], lookahead * objective.l1 * step_size * self.inverse_scale
            moved = proximal(weights, threshold, float(objective.positive))
            velocity[:-1].add_((moved - weights) / lookahead)
            weights.copy_(moved)


def batches_at_once(block, batch_size: int) -> int:
    """Return the number of batches whose rows are gathered together, and whose iterates are kept until then."""
    n_columns = len(block.X.data) / max(1, block.n_rows) if block.is_sparse else block.n_features
    gathered = GATHERED.get(block.y.device.type, GATHERED["cpu"]) // int(batch_size * (n_columns + 1))
    kept = MAX_PATH // ((block.n_features + 1) * block.n_targets)
    return max(1, min(gathered, kept, MAX_GATHERED_BATCHES))
