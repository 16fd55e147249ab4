"""Sums of the loss and its gradient over all rows in torch operations: each row is read once, in panels."""

from typing import Any

from sgdlinreg._solvers.sgd_torch.rows import DenseRows, SparseRows, empty_row

PANEL_BYTES = {"cpu": 1 << 21, "cuda": 1 << 26}
"""Size of a panel in float64: on a CPU it stays in the cache; half as large it takes a fifth longer, to start more."""


def gradient_sums(torch, block, loss, coef, centre, with_y):
    """Do what `objective.gradient_sums` does, on the device.

    ``block`` is a `DeviceBlock`; ``coef`` and the gradient are tensors of shape (n_features + 1, n_models), numbers of
    the loss floats or tensors of shape (n_models,). Dense rows are centred before they are multiplied: sums do not
    cancel, however large the columns' offsets are.
    """
    values = len(block.X.data) // max(1, block.n_rows) if block.is_sparse else block.n_features
    step = max(1, PANEL_BYTES.get(coef.device.type, PANEL_BYTES["cpu"]) // (8 * max(1, values)))
    load: Any = _sparse_panels if block.is_sparse else _dense_panels
    load = load(torch, block.X, centre, min(step, block.n_rows))
    losses, gradient = coef.new_zeros(coef.shape[1]), torch.zeros_like(coef)
    n_each = coef.shape[1] // block.n_targets
    for start in range(0, block.n_rows, step):
        rows = slice(start, min(start + step, block.n_rows))
        X, y = load(rows), block.y[rows]
        residual = (-y if with_y else torch.zeros_like(y)).repeat(1, n_each)
        X.add_times(coef, residual)
        value, slope = loss.value(residual), loss.slope(residual)
        if block.sample_weight is not None:
            weight = block.sample_weight[rows, None]
            value, slope = value * weight, slope * weight
        losses += value.sum(dim=0)
        X.add_transposed_times(slope, gradient)
    return losses, gradient


def _dense_panels(torch, X, centre, n_rows):
    """Return a function that loads a slice of the rows into one buffer: a new one for each takes longer."""
    buffer = centre.new_ones((n_rows, X.shape[1] + 1))

    def load(rows):
        Z = buffer[: rows.stop - rows.start]
        torch.sub(X[rows], centre, out=Z[:, :-1])
        return DenseRows(Z, Z.T)

    return load


def _sparse_panels(torch, X, centre, n_rows):
    """Return a function that loads a slice of the rows."""
    empty = empty_row(centre)

    def load(rows):
        first, last = X.indptr[[rows.start, rows.stop]].tolist()
        row = torch.repeat_interleave(X.indptr[rows.start : rows.stop + 1].diff(), output_size=last - first)
        return SparseRows(row, X.indices[first:last], X.data[first:last].to(centre.dtype)[:, None], empty)

    return load
