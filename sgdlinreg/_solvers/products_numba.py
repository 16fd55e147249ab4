"""Products of the columns of [X, y, 1] compiled by numba, for large dense data: rows are read once, centred on the way.

Panels of rows are copied into the second-level cache in blocks of columns, a row of a block being two vectors of the
processor. A tile of products, some columns by one block, stays in registers while all rows of the panel are added:
the scheme of K. Goto, R. A. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM Transactions on
Mathematical Software 34 (2008). Beside a BLAS it saves writing and reading the centred rows, which counts where there
are few columns, and it always uses the widest vectors.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sgdlinreg._arrays import read_only
from sgdlinreg._solvers.compiling_numba import compiled
from sgdlinreg._solvers.vectors_numba import VECTOR_BYTES, WIDE

TILE_ROWS = 8 if WIDE else 4
"""A tile and the vectors that it is made of fit into the registers, 32 with AVX-512, else 16."""
VECTORS = 2
PANEL_BYTES = 1 << 20
MAX_PANEL_ROWS = 256


class Products:
    """Sums of products over strips of dense rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        float32 or float64, rows contiguous.
    y : ndarray of shape (n_rows, n_targets)
        float64.
    shift, factor : ndarray of shape (n_features + n_targets,)
        Columns are shifted, then multiplied.
    root : ndarray of shape (n_rows,) or None
        Square roots of the weights.
    dtype : dtype
        Of the products; sums over panels are float64.
    """

    def __init__(self, X, y, shift, factor, root, dtype):
        self.X, self.y = read_only(X), read_only(y)
        self.shift, self.factor = shift.astype(dtype), factor.astype(dtype)
        self.root = np.empty(0) if root is None else root
        self.dtype = np.dtype(dtype)
        self.width = VECTORS * VECTOR_BYTES // self.dtype.itemsize
        self.size = len(shift) + 1
        self.n_blocks = -(-self.size // self.width)
        row = self.n_blocks * self.width * self.dtype.itemsize
        self.panel_rows = int(np.clip(PANEL_BYTES // row, 32, MAX_PANEL_ROWS))

    def strip(self, start: int, stop: int) -> np.ndarray:
        """Sum of products of rows ``start`` to ``stop``, square, the last column being that of the ones."""
        panel = np.zeros((self.n_blocks, self.panel_rows, self.width), self.dtype)
        total = np.zeros((self.n_blocks, self.n_blocks, self.width, self.width))
        rows = slice(start, stop)
        _add_products(self.X[rows], self.y[rows], self.root[rows], self.shift, self.factor, panel, total)
        square = total.transpose(0, 2, 1, 3).reshape((self.n_blocks * self.width,) * 2)[: self.size, : self.size]
        return np.triu(square) + np.triu(square, 1).T


@intrinsic
def _multiply(context: Any, tile, panel, first, second, n_rows):
    """Set a tile to the sum over rows of ``panel[first + k * width + i] * panel[second + k * width + j]``.

    i counts the rows of the tile, j the columns of a block, k the rows of the panel, at least one.
    """
    scalar: Any = ir.DoubleType() if tile.dtype == types.float64 else ir.FloatType()
    bits = tile.dtype.bitwidth
    lanes = 8 * VECTOR_BYTES // bits
    vector, index = ir.VectorType(scalar, lanes), ir.IntType(64)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

    def generate(context, builder, signature, arguments):
        arrays = [
            context.make_array(of)(context, builder, value).data
            for of, value in zip(signature.args[:2], arguments[:2], strict=True)
        ]
        name = f"llvm.fma.v{lanes}f{bits}"
        function = ir.FunctionType(vector, [vector] * 3)
        fma = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
        out, panel = arrays
        first, second, n_rows = arguments[2:]

        def constant(value):
            return ir.Constant(index, value)

        def as_vector(pointer):
            return builder.bitcast(pointer, vector.as_pointer())

        before = builder.block
        loop, after = builder.append_basic_block("rows"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(index)
        sums = [builder.phi(vector) for _ in range(TILE_ROWS * VECTORS)]
        row = builder.mul(k, constant(VECTORS * lanes))
        left = builder.gep(panel, [builder.add(first, row)])
        right = builder.gep(panel, [builder.add(second, row)])
        columns = [
            builder.load(as_vector(builder.gep(right, [constant(v * lanes)])), align=bits // 8) for v in range(VECTORS)
        ]
        added = []
        for i in range(TILE_ROWS):
            value = builder.load(builder.gep(left, [constant(i)]))
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            same = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), everywhere)
            added += [builder.call(fma, [same, columns[v], sums[i * VECTORS + v]]) for v in range(VECTORS)]
        following = builder.add(k, constant(1))
        for phi, start, then in zip(
            [k, *sums], [constant(0), *[ir.Constant(vector, None)] * len(sums)], [following, *added], strict=True
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(then, loop)
        builder.cbranch(builder.icmp_signed("<", following, n_rows), loop, after)
        builder.position_at_end(after)
        for at, value in enumerate(added):
            builder.store(value, as_vector(builder.gep(out, [constant(at * lanes)])), align=bits // 8)
        return context.get_dummy_value()

    return types.void(tile, panel, types.intp, types.intp, types.intp), generate


@compiled()
def _pack(X, shift, factor, root, block):
    """Copy some columns of some rows into a block, shifted and multiplied."""
    n_rows, n_columns = X.shape
    for k in range(n_rows):
        for j in range(n_columns):
            block[k, j] = (X[k, j] - shift[j]) * factor[j] * root[k]


@compiled()
def _add_products(X, y, root, shift, factor, panel, total):
    """Add the products of rows to ``total`` (n_blocks, n_blocks, width, width), above the diagonal and on it."""
    n_blocks, panel_rows, width = panel.shape
    n_features, n_targets = X.shape[1], y.shape[1]
    tile = np.empty((TILE_ROWS, width), panel.dtype)
    weight = np.ones(panel_rows, panel.dtype)
    for start in range(0, X.shape[0], panel_rows):
        stop = min(start + panel_rows, X.shape[0])
        n_rows = stop - start
        if root.shape[0]:
            for k in range(n_rows):
                weight[k] = root[start + k]
        rows = X[start:stop]
        for b in range(-(-n_features // width)):
            columns = slice(b * width, min((b + 1) * width, n_features))
            _pack(rows[:, columns], shift[columns], factor[columns], weight, panel[b])
        for t in range(n_targets + 1):
            column = n_features + t
            out = panel[column // width][:, column % width]
            for k in range(n_rows):
                out[k] = weight[k] if t == n_targets else (y[start + k, t] - shift[column]) * factor[column] * weight[k]
        for second in range(n_blocks):
            for first in range(second + 1):
                for i in range(0, min(width, n_features + n_targets + 1 - first * width), TILE_ROWS):
                    of_first, of_second = first * panel_rows * width + i, second * panel_rows * width
                    _multiply(tile, panel, of_first, of_second, n_rows)  # type: ignore[call-arg]
                    out = total[first, second, i : i + TILE_ROWS]
                    for k in range(TILE_ROWS):
                        for j in range(width):
                            out[k, j] += tile[k, j]
