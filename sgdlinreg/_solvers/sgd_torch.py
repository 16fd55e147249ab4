"""The batches of an epoch in torch operations, on any device."""

from contextlib import closing
from typing import NamedTuple

from sgdlinreg._blocks import Block
from sgdlinreg._objective import LOSSES, proximal
from sgdlinreg._optional import import_optional
from sgdlinreg._solvers import transfer


class TorchKernel:
    """Torch operations. Gradients are summed in X's dtype, coefficients and their average are float64."""

    losses = frozenset(LOSSES)
    devices = True
    auto_batch_size = 256

    def __init__(self, device="auto", n_jobs=None):
        self.torch = import_optional("torch", "torch", "solver='torch'")
        self.device = "cpu" if device == "auto" else device
        try:
            self.device = self.torch.empty(0, dtype=self.torch.float64, device=self.device).device
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            raise ValueError(
                f"device={device!r} is not available to torch {self.torch.__version__} on this machine "
                f"({str(error).splitlines()[0]}). Use solver='numba' or 'normal_equation' on the CPU, or "
                "solver='torch' with device='cpu'."
            ) from error

    def place(self, block: Block) -> Block:
        """Bring X to the device before it is measured, where there is room."""
        return transfer.place(block, self.device)

    def to_device(self, block: Block):
        """Give a block as tensors on the device, without a copy where they are there already."""
        return transfer.to_device(block, self.device)

    def run_batches(
        self, block, order, positions, step_sizes, batch_size, objective, conditioning, memory, momentum, iterate
    ):
        """Run the kernel on the device and bring coefficients and losses back once at the end."""
        if isinstance(block, transfer.HostBlock):
            about = (step_sizes, batch_size, objective, conditioning)
            return self._stream(block, order, positions, *about, memory, momentum, iterate)
        torch = self.torch

        def put(array):
            return torch.as_tensor(array, device=self.device)

        on_device = [put(array.copy()) for array in iterate]
        folding = _Folding(put(conditioning.centre), put(1.0 / conditioning.scale), put(conditioning.whitener))
        with torch.no_grad():
            losses = _run_batches(
                torch,
                block,
                put(order.rows(*positions)),
                put(step_sizes),
                batch_size,
                objective,
                folding,
                put(conditioning.extreme_rows),
                [put(array) for array in memory],
                momentum,
                on_device,
            )
        for array, tensor in zip(iterate, on_device, strict=True):
            array[:] = tensor.cpu().numpy()
        return losses.cpu().numpy()

    def _stream(self, block, order, positions, step_sizes, batch_size, objective, conditioning, *rest):
        """Run the batches of rows that do not fit on the device, part by part."""
        losses = 0.0
        with closing(transfer.parts_of(block, order, positions, conditioning, batch_size, self.device)) as parts:
            for part in parts:
                about = (part.block, part.order, part.positions, step_sizes[part.steps], batch_size, objective)
                losses = losses + self.run_batches(*about, part.conditioning, *rest)
        return losses


class _Folding(NamedTuple):
    centre: object
    inverse_scale: object
    whitener: object


def _run_batches(
    torch, block, order, step_sizes, batch_size, objective, folding, extreme_rows, memory, momentum, iterate
):
    """Do what `sgd_reference.run_batches` does, with no synchronisation between host and device."""
    n_extreme = extreme_rows.shape[0]
    share = (block.n_rows - n_extreme) / block.n_rows
    coef, coef_sum, velocity = iterate
    past, anchor = memory
    factor, nesterov = momentum
    ahead = 1.0 + factor if nesterov else 1.0
    losses = torch.zeros(len(coef), dtype=torch.float64, device=coef.device)
    whiten = folding.whitener.shape[1] > 0
    for step_size, batch in zip(step_sizes[:, :, None], torch.split(order, batch_size), strict=True):
        rows = torch.cat([batch, extreme_rows]) if n_extreme else batch
        folded = (coef[:, :-1] * folding.inverse_scale).to(_values(block).dtype)
        offset = coef[:, -1] - (folded.to(torch.float64) @ folding.centre)
        X = _Rows(torch, block, rows)
        residual = X.times(folded.T).to(torch.float64) + offset - block.y[rows]

        weight = torch.full((len(rows), 1), share / len(batch), dtype=torch.float64, device=coef.device)
        if n_extreme:
            weight[len(batch) :] = 1.0 / block.n_rows
        if block.sample_weight is not None:
            weight *= block.sample_weight[rows, None]
        losses += len(batch) * (weight * objective.loss.value(residual)).sum(dim=0)

        slope = weight * objective.loss.slope(residual)
        slope_sum = slope.sum(dim=0)
        features = X.transposed_times(slope.to(folded.dtype)).T.to(torch.float64)
        features = features - slope_sum[:, None] * folding.centre
        if objective.l2:
            features += objective.l2 * (coef[:, :-1] * folding.inverse_scale)
        gradient = torch.cat([features * folding.inverse_scale, slope_sum[:, None]], dim=1)
        if len(past):
            gradient += (coef - anchor) @ past
        if whiten:
            gradient[:, :-1] = (gradient[:, :-1] @ folding.whitener) @ folding.whitener.T
        if not objective.fit_intercept:
            gradient[:, -1] = 0.0

        step = step_size * gradient
        velocity.mul_(factor).sub_(step)
        coef += factor * velocity - step if nesterov else velocity
        if not objective.is_smooth:
            threshold = ahead * objective.l1 * step_size * folding.inverse_scale
            moved = proximal(coef[:, :-1], threshold, float(objective.positive))
            velocity[:, :-1] += (moved - coef[:, :-1]) / ahead
            coef[:, :-1] = moved
        coef_sum += coef
    return losses


def _values(block):
    return block.X.data if block.is_sparse else block.X


class _Rows:
    """Some rows of X, dense or CSR, behind two products."""

    def __init__(self, torch, block, rows):
        self.torch, self.sparse = torch, block.is_sparse
        if not self.sparse:
            self.dense = block.X[rows]
            return
        start = block.X.indptr[rows]
        lengths = block.X.indptr[rows + 1] - start
        self.row = torch.repeat_interleave(lengths)
        within = torch.arange(len(self.row), device=rows.device) - (lengths.cumsum(0) - lengths)[self.row]
        where = start[self.row] + within
        self.column, self.data = block.X.indices[where], block.X.data[where]
        self.n_rows, self.n_features = len(rows), block.n_features

    def times(self, matrix):
        """(n_features, n_targets) -> (n_rows, n_targets)."""
        if not self.sparse:
            return self.dense @ matrix
        out = matrix.new_zeros((self.n_rows, matrix.shape[1]))
        return out.index_add_(0, self.row, self.data[:, None] * matrix[self.column])

    def transposed_times(self, matrix):
        """(n_rows, n_targets) -> (n_features, n_targets)."""
        if not self.sparse:
            return self.dense.T @ matrix
        out = matrix.new_zeros((self.n_features, matrix.shape[1]))
        return out.index_add_(0, self.column, self.data[:, None] * matrix[self.row])
