"""Rows of X with a last column of ones, float64, dense or CSR: what torch operations multiply.

Both classes have two methods: ``add_times`` adds the rows times ``coef`` (n_features + 1, n_models) to ``out``
(n_rows, n_models), and ``add_transposed_times`` the transposed rows times ``slope`` (n_rows, n_models) to ``out``
(n_features + 1, n_models).
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
    """Row, column and value (n_entries, 1) of each entry of a CSR, and a row without entries (n_features + 1, 1)."""

    row: Any
    column: Any
    data: Any
    empty: Any

    def add_times(self, coef, out):
        """Add the rows times coefficients."""
        out += self.empty.T @ coef
        add_at(out, self.row, self.data * coef[self.column])

    def add_transposed_times(self, slope, out):
        """Add the transposed rows times slopes."""
        out.addcmul_(self.empty, slope.sum(dim=0))
        add_at(out, self.column, self.data * slope[self.row])


def add_at(out, index, values):
    """Add values to rows of ``out``; on CUDA index_add_ is atomic and so never the same twice, index_put_ sorts."""
    if out.device.type == "cuda":
        out.index_put_((index,), values, accumulate=True)
    else:  # vectors take half the time of single columns
        out.squeeze(1).index_add_(0, index, values.squeeze(1))


def empty_row(centre, inverse_scale=1.0):
    """Return a row of zeros in scaled coordinates, and its one, as a column (n_features + 1, 1)."""
    row = centre.new_ones((len(centre) + 1, 1))
    row[:-1, 0] = -centre * inverse_scale
    return row


def dense_batches(torch, X, rows, centre, inverse_scale) -> list[DenseRows]:
    """Gather the batches ``rows`` (n_batches, batch_size) of dense X in scaled coordinates.

    All shapes follow from those of the arguments.
    """
    Z = centre.new_empty((rows.numel(), X.shape[1] + 1))
    torch.sub(X.index_select(0, rows.reshape(-1)).to(Z.dtype), centre, out=Z[:, :-1])
    Z[:, :-1].mul_(inverse_scale)
    Z[:, -1] = 1.0
    Z = Z.view(*rows.shape, -1)
    return list(map(DenseRows, Z.unbind(), Z.transpose(1, 2).unbind()))


def sparse_batches(torch, X, rows, centre, inverse_scale) -> list[SparseRows]:
    """Do what `dense_batches` does for a `CSR`; waits for the device, which counts the entries."""
    start = X.indptr[rows].view(-1)
    lengths = X.indptr[rows + 1].view(-1) - start
    sizes = lengths.view(rows.shape).sum(dim=1).tolist()
    row = torch.repeat_interleave(lengths, output_size=sum(sizes))
    entry = torch.arange(len(row), device=rows.device) + (start - lengths.cumsum(0) + lengths)[row]
    column = X.indices[entry]
    entries = row % rows.shape[1], column, (X.data[entry].to(torch.float64) * inverse_scale[column])[:, None]
    parts, empty = zip(*(part.split(sizes) for part in entries), strict=True), empty_row(centre, inverse_scale)
    return [SparseRows(row, column, data, empty) for row, column, data in parts]
