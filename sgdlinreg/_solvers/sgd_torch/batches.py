"""Steps in torch operations: rows of many batches are gathered at once, so that a step is a handful of operations."""

from typing import Any, NamedTuple

from sgdlinreg._core.objective import proximal
from sgdlinreg._solvers.sgd_torch.plan import Plan
from sgdlinreg._solvers.sgd_torch.rows import dense_batches, sparse_batches

GATHERED = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Values gathered at once, in float64: on a CPU they should stay in the second-level cache."""
MAX_GATHERED_BATCHES = 256
MAX_PATH = 1 << 22
"""Coefficients in all iterates that are kept until their sum is taken."""


class Terms(NamedTuple):
    """What steps of all models need besides rows: the same in many steps.

    Tensors (n_features + 1, n_models), or None where no model needs them: factors of the gradient of the loss, factors
    of the coefficients in that of the l2 penalty, and thresholds for steps of 1, these without the intercept.
    """

    metric: Any
    penalty: Any
    threshold: Any


class TorchPlan(Plan):
    """Steps in torch operations; on CUDA those over dense batches of equal size are replayed, many at a time.

    Rows are gathered once for all models. Where scales differ, they are gathered in the coordinates of the smallest, in
    which the steps of a model with larger ones have a metric.

    Parameters and attributes are those of `Plan`.
    """

    def __init__(self, torch, block, batch_size, kind, n_models, captures):
        super().__init__(torch, block, batch_size, kind, n_models, captures and not block.is_sparse)
        at_once, n_whole = batches_at_once(block, batch_size, n_models), block.n_rows // batch_size
        n_parts = -(-n_whole // at_once)
        at_once = n_whole // n_parts if n_parts else 1  # an epoch is parts of equal size, but for a few batches
        self.coef, self.coef_sum, self.velocity = self.iterate.transpose(1, 2).unbind()
        number, self.l1, self.l2, *_ = self.scalars.unbind()
        self.loss = kind.loss(*(number for _ in kind.loss._fields))
        self.inverse_scales, self.inverse_scale = self.coordinates[1:].T, self.coordinates[1]
        if kind.scales_differ:
            self.inverse_scale, self.ratio = self._zeros(block.n_features + 1), self._zeros(*self.coef.T.shape)
        self.rows = self._zeros(at_once, batch_size, dtype="int64")
        self.step_sizes = self._zeros(at_once, n_models)

    def take_steps(self, order, step_sizes, momentum):
        """Take a step for every batch of the rows ``order``."""
        if self.kind.scales_differ:
            self.torch.amax(self.coordinates[1:], dim=0, out=self.inverse_scale)
            self.torch.div(self.coordinates[1:], self.inverse_scale, out=self.ratio)
            self.iterate.mul_(self.ratio)
        self._walk(order, step_sizes, momentum)
        if self.kind.scales_differ:
            self.iterate.div_(self.ratio)

    def _walk(self, order, step_sizes, momentum):
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
        torch, block = self.torch, self.block
        flat = rows.reshape(-1)
        residuals = block.y.index_select(0, flat).neg_()
        if self.n_models > block.n_targets:
            residuals = residuals.repeat(1, self.n_models // block.n_targets)
        residuals = residuals.view(*rows.shape, -1)
        if block.sample_weight is None:
            weight = residuals.new_ones((*rows.shape, 1))
        else:
            weight = block.sample_weight.index_select(0, flat).view(*rows.shape, 1)
        step_sizes = step_sizes[:, None, :]
        is_plain = momentum[0] == 0.0 and self.kind.is_smooth and not self.kind.scales_differ
        factors = weight * (-step_sizes if is_plain else 1.0) / rows.shape[1]

        path = residuals.new_empty((len(rows) + 1, *self.coef.shape))
        path[0] = self.coef
        iterates, terms = path.unbind(), self._terms(momentum)
        gather = sparse_batches if block.is_sparse else dense_batches
        batches = gather(torch, block.X, rows, self.coordinates[0, :-1], self.inverse_scale[:-1])
        parts = (residuals.unbind(), factors.unbind(), step_sizes.unbind(), iterates[:-1], iterates[1:])
        for batch, residual, factor, step_size, *move in zip(batches, *parts, strict=True):
            batch.add_times(move[0], residual)
            slope = self.loss.slope(residual) * factor
            if is_plain:
                self._take_plain_step(batch, slope, step_size, terms, move)
            else:
                self._take_step(batch, slope, step_size, terms, move, momentum)
        if is_plain:
            torch.sub(path[-1], path[-2], out=self.velocity)
        self.coef.copy_(path[-1])
        self.coef_sum += path[1:].sum(dim=0)
        self.losses += (weight * self.loss.value(residuals)).sum(dim=(0, 1))

    def _terms(self, momentum) -> Terms:
        (factor, nesterov), metric, penalty, threshold = momentum, None, None, None
        if self.kind.has_l2:
            penalty = self.l2 * self.inverse_scales * self.inverse_scales
            penalty[-1] = 0.0
        if not self.kind.is_smooth:
            threshold = (1.0 + factor if nesterov else 1.0) * self.l1 * self.inverse_scales[:-1]
        if self.kind.scales_differ:
            metric = self.ratio.T**2
            threshold = threshold if threshold is None else threshold * self.ratio.T[:-1]
        return Terms(metric, penalty, threshold)

    def _take_plain_step(self, batch, slope, step_size, terms, move):
        """Take a step along the gradient alone; the slopes have been multiplied by minus the step size already.

        ``move`` is the coefficients before the step, and memory for those after it.
        """
        before, after = move
        after.copy_(before)
        batch.add_transposed_times(slope, after)
        if not self.kind.fit_intercept:
            after[-1] = before[-1]
        if terms.penalty is not None:
            after.addcmul_(terms.penalty * before, step_size, value=-1.0)

    def _take_step(self, batch, slope, step_size, terms, move, momentum):
        """Take a step with momentum, a metric, or a penalty that needs the proximal operator."""
        (before, after), (factor, nesterov), velocity = move, momentum, self.velocity
        batch.add_transposed_times(slope, after.zero_())
        if terms.metric is not None:
            after.mul_(terms.metric)
        if terms.penalty is not None:
            after.addcmul_(terms.penalty, before)
        if not self.kind.fit_intercept:
            after[-1] = 0.0
        step = step_size * after
        velocity.mul_(factor).sub_(step)
        if nesterov:
            after.copy_(before).add_(velocity, alpha=factor).sub_(step)
        else:
            after.copy_(before).add_(velocity)
        if not self.kind.is_smooth:
            lookahead = 1.0 + factor if nesterov else 1.0
            weights = after[:-1]
            moved = proximal(weights, step_size * terms.threshold, float(self.kind.positive))
            velocity[:-1].add_((moved - weights) / lookahead)
            weights.copy_(moved)


def batches_at_once(block, batch_size: int, n_models: int) -> int:
    """Return the number of batches whose rows are gathered together, and whose iterates are kept until then."""
    n_columns = len(block.X.data) / max(1, block.n_rows) if block.is_sparse else block.n_features
    gathered = GATHERED.get(block.y.device.type, GATHERED["cpu"]) // int(batch_size * (n_columns + 1))
    kept = MAX_PATH // ((block.n_features + 1) * n_models)
    return max(1, min(gathered, kept, MAX_GATHERED_BATCHES))
