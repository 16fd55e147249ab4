"""What torch operations do with the rows of batches, dense or CSR, small or large: multiply them, add them up."""

import math
from typing import Any


class Buffers:
    """Memory for temporaries that is used again by every call.

    On a CPU fresh memory of some size comes page by page at its first use, which takes as long as the steps of a batch.
    CUDA's allocator keeps memory itself, and a graph has to own what it captured: there nothing is kept here.
    """

    def __init__(self, torch, device):
        self.torch, self.device, self.kept = torch, device, {}

    def get(self, name: str, shape: tuple[int, ...], dtype):
        """Give a tensor with any values in it, which the next call with the same name may give again."""
        if self.device.type == "cuda":
            return self.torch.empty(shape, dtype=dtype, device=self.device)
        size = math.prod(shape)
        if name not in self.kept or len(self.kept[name]) < size:
            self.kept[name] = self.torch.empty(size, dtype=dtype, device=self.device)
        return self.kept[name][:size].view(shape)


class ScaledBatches:
    """Dense rows of small batches in scaled coordinates, float64, the last column that of the intercept."""

    def __init__(self, torch, block, joined, setting, fit_intercept, one_target, buffers):
        taken = buffers.get("taken", (joined.numel(), block.n_features), block.X.dtype)
        torch.index_select(block.X, 0, joined.reshape(-1), out=taken)
        Z = buffers.get("scaled", (len(taken), block.n_features + 1), torch.float64)
        if setting.is_raw:
            Z[:, :-1] = taken
        else:
            torch.sub(taken, setting.centre, out=Z[:, :-1])
            Z[:, :-1] *= setting.inverse_scale
        Z[:, -1] = float(fit_intercept)
        Z = Z.view(*joined.shape, -1)
        self.rows, self.columns = Z.unbind(), Z.transpose(1, 2).unbind()
        self.multiply = torch.addmv if one_target else torch.addmm

    def residual(self, number, minus_y, coef, out):
        """Set the predictions of a batch minus y."""
        self.multiply(minus_y, self.rows[number], coef, out=out)

    def add_gradient(self, number, start, slope, out):
        """Set ``start`` plus the sum of the rows of a batch times their slopes."""
        self.multiply(start, self.columns[number], slope, out=out)


class FoldedBatches:
    """Rows as they are, dense or CSR, with centre and scale folded into the coefficients."""

    def __init__(self, torch, block, joined, setting, fit_intercept, one_target, buffers, capacity, path, iterates):
        # cut up all at once: to cut up one takes as long as to add it up
        parts = zip(path[:, :-1].unbind(), path[:, -1].unbind(), strict=True)
        self.parts = dict(zip(map(id, iterates), parts, strict=True))
        self.torch, self.fit_intercept, self.is_raw = torch, fit_intercept, setting.is_raw
        self.centre, self.inverse_scale, self.minus_centre = setting.centre, setting.inverse_scale, -setting.centre
        if not one_target:
            self.inverse_scale, self.minus_centre = self.inverse_scale[:, None], self.minus_centre[:, None]
        self.batches: Any = None
        if block.is_sparse:
            self.batches = SparseRows(torch, block.X, joined, capacity, one_target)
        else:
            self.batches = DenseRows(torch, block.X, joined, path.shape[2:], buffers)

    def residual(self, number, minus_y, coef, out):
        """Set the predictions of a batch minus y."""
        folded, offset = self._parts_of(coef)
        if not self.is_raw:
            folded = folded * self.inverse_scale
            offset = offset - self.centre @ folded
        self.torch.add(minus_y, offset, out=out)
        self.batches.add_times(number, folded, out)

    def add_gradient(self, number, start, slope, out):
        """Set ``start`` plus the sum of the rows of a batch times their slopes."""
        slope_sum = slope.sum(dim=0)
        (features_before, intercept_before), (features_after, intercept_after) = map(self._parts_of, (start, out))
        if self.is_raw:
            self.batches.add_transposed_times(number, slope, features_after.copy_(features_before))
        else:
            features = self.minus_centre * slope_sum
            self.batches.add_transposed_times(number, slope, features)
            self.torch.addcmul(features_before, features, self.inverse_scale, out=features_after)
        self.torch.add(intercept_before, slope_sum, alpha=float(self.fit_intercept), out=intercept_after)

    def _parts_of(self, coef):
        """Give the features' part of coefficients and the intercepts."""
        return self.parts.get(id(coef)) or (coef[:-1], coef[-1])


class DenseRows:
    """Rows of dense batches, gathered one batch at a time; products are summed in the dtype of X."""

    def __init__(self, torch, X, joined, targets, buffers):
        self.torch, self.X, self.joined = torch, X, joined.unbind()
        self.multiply = torch.addmm if targets else torch.addmv
        self.rows = buffers.get("taken", (joined.shape[1], X.shape[1]), X.dtype)
        self.columns = self.rows.T
        self.own: Any = [None, None]
        if X.dtype != torch.float64:  # coefficients and residuals in the dtype of X
            shapes = [(size, *targets) for size in (X.shape[1], joined.shape[1])]
            self.own = [buffers.get(f"own {k}", shape, X.dtype) for k, shape in enumerate(shapes)]

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        self.torch.index_select(self.X, 0, self.joined[number], out=self.rows)
        self._add(self.rows, matrix, out, *self.own)

    def add_transposed_times(self, number, matrix, out):
        """Add the transpose of the rows that were multiplied last times (n_rows, n_targets)."""
        self._add(self.columns, matrix, out, *self.own[::-1])

    def _add(self, rows, matrix, out, own_matrix, own_out):
        if own_matrix is None:
            self.multiply(out, rows, matrix, out=out)
        else:
            out += self.torch.matmul(rows, own_matrix.copy_(matrix), out=own_out)


def most_values(torch, X, order, batch_size: int, extreme_rows) -> int:
    """Count the values of the largest batch of CSR rows, with those of the extreme rows; waits for the device once."""
    lengths = X.indptr[1:] - X.indptr[:-1]
    of_rows = torch.nn.functional.pad(lengths[order], (0, -len(order) % batch_size))
    return int(of_rows.view(-1, batch_size).sum(dim=1).max() + lengths[extreme_rows].sum())


class SparseRows:
    """Rows of CSR batches: for each batch the row, the column and the value of its entries.

    All batches have as many entries, so that shapes do not depend on values. Zeros that fill up a batch are shared out
    among its rows, at the columns of the entries that follow: on CUDA entries of one place are added one by one.
    """

    def __init__(self, torch, X, joined, capacity, one_target):
        n_batches, n_rows = joined.shape
        start, stop = X.indptr[joined], X.indptr[joined + 1]
        lengths = stop - start
        spare = capacity - lengths.sum(dim=1, keepdim=True)
        one_more = torch.arange(n_rows, device=joined.device) < spare % n_rows
        lengths = (lengths + spare // n_rows + one_more).view(-1)
        n_entries = n_batches * capacity
        row = torch.repeat_interleave(lengths, output_size=n_entries)
        entry = torch.arange(n_entries, device=joined.device)
        entry += (start.view(-1) - lengths.cumsum(0) + lengths)[row]
        present = entry < stop.view(-1)[row]
        entry.clamp_(max=len(X.data) - 1)
        data = X.data[entry].to(torch.float64) * present
        row = torch.arange(n_rows, device=joined.device).repeat(n_batches)[row]
        entries = row, X.indices[entry], data if one_target else data[:, None]
        self.entries = list(zip(*(part.unflatten(0, (n_batches, capacity)).unbind() for part in entries), strict=True))

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        row, column, data = self.entries[number]
        _add_at(out, row, data * matrix[column])

    def add_transposed_times(self, number, matrix, out):
        """Add their transpose times (n_rows, n_targets)."""
        row, column, data = self.entries[number]
        _add_at(out, column, data * matrix[row])


def _add_at(out, index, values):
    """Add values to rows of ``out``; on CUDA index_add_ is atomic and so never the same twice, index_put_ sorts."""
    if out.device.type == "cuda":
        out.index_put_((index,), values, accumulate=True)
    else:
        out.index_add_(0, index, values)
