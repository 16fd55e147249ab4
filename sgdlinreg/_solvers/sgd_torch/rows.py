"""Rows of X with a last column of ones, float64, dense or CSR: what torch operations multiply.

Both classes have two methods: ``add_times`` adds the rows times ``coef`` (n_features + 1, n_targets) to ``out``
(n_rows, n_targets), and ``add_transposed_times`` the transposed rows times ``slope`` (n_rows, n_targets) to ``out``
(n_features + 1, n_targets).
"""

from typing import Any, NamedTuple


class DenseRows(NamedTuple):
    """Dense rows (n_rows, n_features + 1), and their transpose: to transpose in every step takes time, too."""

    rows: Any
    columns: Any

    def add_times(self, coef, out):
        """Add the rows times coefficients."""
        out.addmm_(self.rows, coef)

    def add_transposed_times(self, slope, out):
        """Add the transposed rows times slopes."""
        out.addmm_(self.columns, slope)


class SparseRows(NamedTuple):
    """Row, column and value (n_entries, 1) of each entry of a CSR; centre and scale are folded into the products."""

    row: Any
    column: Any
    data: Any
    minus_centre: Any
    inverse_scale: Any

    def add_times(self, coef, out):
        """Add the rows times coefficients."""
        weights = coef[:-1] * self.inverse_scale
        out += coef[-1] + self.minus_centre.T @ weights
        add_at(out, self.row, self.data * weights[self.column])

    def add_transposed_times(self, slope, out):
        """Add the transposed rows times slopes."""
        slope_sum = slope.sum(dim=0)
        gradient = self.minus_centre * slope_sum
        add_at(gradient, self.column, self.data * slope[self.row])
        out[:-1].addcmul_(gradient, self.inverse_scale)
        out[-1].add_(slope_sum)


def add_at(out, index, values):
    """Add values to rows of ``out``; on CUDA index_add_ is atomic and so never the same twice, index_put_ sorts."""
    if out.device.type == "cuda":
        out.index_put_((index,), values, accumulate=True)
    else:  # vectors take half the time of single columns
        out.squeeze(1).index_add_(0, index, values.squeeze(1))


def dense_batches(torch, X, rows, coordinates) -> list[DenseRows]:
    """Gather the batches ``rows`` (n_batches, batch_size) of dense X in scaled coordinates.

    ``coordinates`` (2, n_features) are centre and 1 / scale. All shapes follow from those of the arguments.
    """
    Z = coordinates.new_empty((rows.numel(), X.shape[1] + 1))
    centre, inverse_scale = coordinates
    torch.sub(X.index_select(0, rows.reshape(-1)).to(Z.dtype), centre, out=Z[:, :-1])
    Z[:, :-1].mul_(inverse_scale)
    Z[:, -1] = 1.0
    Z = Z.view(*rows.shape, -1)
    return list(map(DenseRows, Z.unbind(), Z.transpose(1, 2).unbind()))


def sparse_batches(torch, X, rows, coordinates) -> list[SparseRows]:
    """Do what `dense_batches` does for a `CSR`; waits for the device, which counts the entries."""
    start = X.indptr[rows].view(-1)
    lengths = X.indptr[rows + 1].view(-1) - start
    sizes = lengths.view(rows.shape).sum(dim=1).tolist()
    row = torch.repeat_interleave(lengths, output_size=sum(sizes))
    entry = torch.arange(len(row), device=rows.device) + (start - lengths.cumsum(0) + lengths)[row]
    entries = row % rows.shape[1], X.indices[entry], X.data[entry].to(torch.float64)[:, None]
    minus_centre, inverse_scale = -coordinates[0, :, None], coordinates[1, :, None]
    parts = zip(*(part.split(sizes) for part in entries), strict=True)
    return [SparseRows(row, column, data, minus_centre, inverse_scale) for row, column, data in parts]
