"""Sums of the loss and its gradient over all rows in torch operations: each row is read once, in panels."""

from typing import Any

from sgdlinreg._solvers.sgd_torch.rows import add_at

PANEL_BYTES = {"cpu": 1 << 21, "cuda": 1 << 26}
"""Size of a panel in float64: on a CPU it stays in the cache; half as large it takes a fifth longer, to start more."""


def gradient_sums(torch, block, loss, coef, centre, with_y):
    """Do what `objective.gradient_sums` does, on the device.

    Parameters
    ----------
    torch : module
    block : DeviceBlock
    loss : NamedTuple
    coef : tensor of shape (n_features + 1, n_targets)
    centre : tensor of shape (n_features,)
    with_y : bool

    Returns
    -------
    losses : tensor of shape (n_targets,)
    gradient : tensor of shape (n_features + 1, n_targets)
    """
    n_targets = coef.shape[1]
    if n_targets == 1:  # on the CPU, entries of CSR are added to a vector in a third of the time
        coef = coef[:, 0]
    values = len(block.X.data) // max(1, block.n_rows) if block.is_sparse else block.n_features
    step = max(1, PANEL_BYTES.get(coef.device.type, PANEL_BYTES["cpu"]) // (8 * max(1, values)))
    panel: Any = SparsePanel if block.is_sparse else DensePanel
    panel = panel(torch, block.X, coef, centre, min(step, block.n_rows))
    losses, gradient = coef.new_zeros(n_targets), torch.zeros_like(coef)
    for start in range(0, block.n_rows, step):
        rows = slice(start, min(start + step, block.n_rows))
        residual = panel.predictions(rows)
        if with_y:
            residual -= block.y[rows].view_as(residual)
        value, slope = loss.value(residual), loss.slope(residual)
        if block.sample_weight is not None:
            weight = block.sample_weight[rows].view(-1, *[1] * (coef.ndim - 1))
            value, slope = value * weight, slope * weight
        losses += value.sum(dim=0)
        panel.add_gradient(slope, gradient)
    return losses, gradient.view(-1, n_targets)


class DensePanel:
    """Rows less the centre in float64: sums do not cancel, however large the columns' offsets are."""

    def __init__(self, torch, X, coef, centre, n_rows):
        self.torch, self.X, self.coef, self.centre = torch, X, coef, centre
        self.buffer = self.Z = centre.new_empty((n_rows, X.shape[1]))

    def predictions(self, rows):
        """Load a panel and return the predictions of its rows."""
        self.Z = self.torch.sub(self.X[rows], self.centre, out=self.buffer[: rows.stop - rows.start])
        return self.Z @ self.coef[:-1] + self.coef[-1]

    def add_gradient(self, slope, out):
        """Add the sum of the loaded rows, with a last column of ones, times their slopes."""
        out[:-1] += self.Z.T @ slope
        out[-1] += slope.sum(dim=0)


class SparsePanel:
    """CSR rows, in float64; the centre is folded into the sums."""

    def __init__(self, torch, X, coef, centre, n_rows):
        self.torch, self.X, self.coef = torch, X, coef
        self.centre = centre.view(-1, *[1] * (coef.ndim - 1))
        self.intercept = coef[-1] - centre @ coef[:-1]

    def predictions(self, rows):
        """Load a panel and return the predictions of its rows."""
        lengths = self.X.indptr[rows.start : rows.stop + 1].diff()
        first, last = self.X.indptr[[rows.start, rows.stop]].tolist()
        self.row = self.torch.repeat_interleave(lengths, output_size=last - first)
        self.column = self.X.indices[first:last]
        self.data = self.X.data[first:last].to(self.coef.dtype).view(-1, *[1] * (self.coef.ndim - 1))
        found = self.intercept.expand(len(lengths), *self.intercept.shape).clone()
        add_at(found, self.row, self.data * self.coef[self.column])
        return found

    def add_gradient(self, slope, out):
        """Add the sum of the loaded rows less the centre, with a last column of ones, times their slopes."""
        slope_sum = slope.sum(dim=0)
        out[:-1] -= self.centre * slope_sum
        out[-1] += slope_sum
        add_at(out, self.column, self.data * slope[self.row])
