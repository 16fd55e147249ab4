"""What torch operations do with the rows of batches, dense or CSR, small or large: multiply them, add them up."""


class ScaledBatches:
    """Dense rows of small batches in scaled coordinates, float64, the last column that of the intercept.

    Parameters
    ----------
    torch : module
    X : tensor of shape (n_rows, n_features)
    rows : tensor of shape (n_batches, batch_size)
    coordinates : tuple of (centre, 1 / scale), tensors of shape (n_features,)
    fit_intercept : bool
    path : tensor of shape (n_batches + 1, n_features + 1) or (n_batches + 1, n_features + 1, n_targets)
        Coefficients before the first step and after each.
    """

    def __init__(self, torch, X, rows, coordinates, fit_intercept, path):
        taken = X.index_select(0, rows.reshape(-1))
        Z = path.new_empty((len(taken), X.shape[1] + 1))
        centre, inverse_scale = coordinates
        torch.sub(taken, centre, out=Z[:, :-1])
        Z[:, :-1] *= inverse_scale
        Z[:, -1] = float(fit_intercept)
        self.fit_intercept = fit_intercept
        Z = Z.view(*rows.shape, -1)
        self.rows, self.columns, self.path = Z.unbind(), Z.transpose(1, 2).unbind(), path.unbind()
        self.add_product = torch.Tensor.addmv_ if path.ndim == 2 else torch.Tensor.addmm_

    def add_predictions(self, number, out):
        """Add the predictions of a batch before its step."""
        self.add_product(out, self.rows[number], self.path[number])
        if not self.fit_intercept:  # it may have been, and counts
            out += self.path[number][-1]

    def add_gradient(self, number, slope):
        """Add the sum of the rows of a batch times their slopes to what the path has after its step."""
        self.add_product(self.path[number + 1], self.columns[number], slope)


class FoldedBatches:
    """Rows as they are, dense or CSR, with centre and scale folded into the coefficients.

    Parameters are those of `ScaledBatches`, and ``batches``, `DenseRows` or `SparseRows`.
    """

    def __init__(self, batches, coordinates, fit_intercept, path):
        self.batches, self.fit_intercept = batches, float(fit_intercept)
        self.weights, self.intercepts = path[:, :-1].unbind(), path[:, -1].unbind()  # at once: views take time, too
        self.centre, inverse_scale = coordinates
        self.inverse_scale, minus_centre = inverse_scale, -self.centre
        if path.ndim == 3:
            self.inverse_scale, minus_centre = inverse_scale[:, None], minus_centre[:, None]
        self.minus_centre = minus_centre

    def add_predictions(self, number, out):
        """Add the predictions of a batch before its step."""
        weights = self.weights[number] * self.inverse_scale
        out += self.intercepts[number] - self.centre @ weights
        self.batches.add_times(number, weights, out)

    def add_gradient(self, number, slope):
        """Add the sum of the rows of a batch times their slopes to what the path has after its step."""
        slope_sum = slope.sum(dim=0)
        gradient = self.minus_centre * slope_sum
        self.batches.add_transposed_times(number, slope, gradient)
        self.weights[number + 1].addcmul_(gradient, self.inverse_scale)
        self.intercepts[number + 1].add_(slope_sum, alpha=self.fit_intercept)


class DenseRows:
    """Rows of dense batches, gathered one batch at a time; products are summed in the dtype of X."""

    def __init__(self, torch, X, rows):
        self.torch, self.X, self.numbers = torch, X, rows.unbind()
        self.rows = X.new_empty((rows.shape[1], X.shape[1]))

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        self.torch.index_select(self.X, 0, self.numbers[number], out=self.rows)
        out += self.rows @ matrix.to(self.rows.dtype)

    def add_transposed_times(self, number, matrix, out):
        """Add the transpose of the rows that were multiplied last times (n_rows, n_targets)."""
        out += self.rows.T @ matrix.to(self.rows.dtype)


def most_values(torch, X, order, batch_size: int) -> int:
    """Count the values of the largest batch of CSR rows; waits for the device once."""
    of_rows = torch.nn.functional.pad(X.indptr.diff()[order], (0, -len(order) % batch_size))
    return int(of_rows.view(-1, batch_size).sum(dim=1).max())


class SparseRows:
    """Rows of CSR batches: for each batch the row, the column and the value of its entries.

    All batches have as many entries, ``capacity``, so that shapes do not depend on values. Zeros that fill up a batch
    are shared out among its rows, at the columns of the entries that follow: on CUDA entries of one place are added one
    by one.
    """

    def __init__(self, torch, X, rows, capacity, one_target):
        n_batches, n_rows = rows.shape
        start, stop = X.indptr[rows], X.indptr[rows + 1]
        lengths = stop - start
        spare = capacity - lengths.sum(dim=1, keepdim=True)
        one_more = torch.arange(n_rows, device=rows.device) < spare % n_rows
        lengths = (lengths + spare // n_rows + one_more).view(-1)
        n_entries = n_batches * capacity
        row = torch.repeat_interleave(lengths, output_size=n_entries)
        entry = torch.arange(n_entries, device=rows.device)
        entry += (start.view(-1) - lengths.cumsum(0) + lengths)[row]
        present = entry < stop.view(-1)[row]
        entry.clamp_(max=len(X.data) - 1)
        data = X.data[entry].to(torch.float64) * present
        row = torch.arange(n_rows, device=rows.device).repeat(n_batches)[row]
        entries = row, X.indices[entry], data if one_target else data[:, None]
        self.entries = list(zip(*(part.unflatten(0, (n_batches, capacity)).unbind() for part in entries), strict=True))

    def add_times(self, number, matrix, out):
        """Add the rows of a batch times (n_features, n_targets)."""
        row, column, data = self.entries[number]
        add_at(out, row, data * matrix[column])

    def add_transposed_times(self, number, matrix, out):
        """Add their transpose times (n_rows, n_targets)."""
        row, column, data = self.entries[number]
        add_at(out, column, data * matrix[row])


def add_at(out, index, values):
    """Add values to rows of ``out``; on CUDA index_add_ is atomic and so never the same twice, index_put_ sorts."""
    if out.device.type == "cuda":
        out.index_put_((index,), values, accumulate=True)
    else:
        out.index_add_(0, index, values)
