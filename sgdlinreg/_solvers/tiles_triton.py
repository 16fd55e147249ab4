"""What the Triton kernels are made of: rows of a batch in tiles, their sums, and the step itself.

A batch is read in tiles of rows; the rows that join every batch stand after its own, from place ``batch_size`` on.
``numbers`` holds, in float64, what kernels would otherwise get as float32: epsilon, l1, l2, momentum, positive,
fit_intercept, the share of the batch's own rows, and 1 / n_rows.
"""

import triton
import triton.language as tl


@triton.jit
def row_numbers(order, extreme_rows, number, tile, shape, n_positions, ROWS: tl.constexpr):
    """Rows of one tile of a batch, which of its places are taken by its own rows, and which by extreme ones."""
    batch_size, n_extreme = shape
    place = tile * ROWS + tl.arange(0, ROWS)
    first = number.to(tl.int64) * batch_size
    own = (place < batch_size) & (first + place < n_positions)
    joins = (place >= batch_size) & (place < batch_size + n_extreme)
    rows = tl.load(order + first + place, mask=own, other=0)
    rows += tl.load(extreme_rows + place - batch_size, mask=joins, other=0)
    return rows, own, joins


@triton.jit
def length_of(number, batch_size, n_positions):
    """Rows of a batch, as float64; the last one may be short."""
    left = n_positions - number.to(tl.int64) * batch_size
    return tl.maximum(tl.minimum(left, batch_size), 1).to(tl.float64)


@triton.jit
def load_rows(data, rows, own, joins, length, target, numbers, columns, sizes, HAS_WEIGHT: tl.constexpr):
    """Rows of a tile, their y, and the factors of their losses, 0 where there is no row."""
    X, y, weight = data
    n_features, n_targets = sizes
    there = own | joins
    x = tl.load(
        X + rows[:, None] * n_features + columns[None, :],
        mask=there[:, None] & (columns < n_features)[None, :],
        other=0.0,
    )
    label = tl.load(y + rows * n_targets + target, mask=there, other=0.0)
    factor = own.to(tl.float64) * (tl.load(numbers + 6) / length) + joins.to(tl.float64) * tl.load(numbers + 7)
    if HAS_WEIGHT:
        factor *= tl.load(weight + rows, mask=there, other=0.0)
    return x, label, factor


@triton.jit
def sums_of(x, label, factor, folded, intercept, loss, VALUE: tl.constexpr, SLOPE: tl.constexpr):
    """Sum up, over the rows of a tile, the rows times their slopes, the slopes, and the losses."""
    residual = tl.sum(x * folded.to(x.dtype)[None, :], axis=1).to(tl.float64) + intercept - label
    slope = factor * SLOPE(loss, residual)
    features = tl.sum(x * slope.to(x.dtype)[:, None], axis=0).to(tl.float64)
    return features, tl.sum(slope, axis=0), tl.sum(factor * VALUE(loss, residual), axis=0)


@triton.jit
def moved_from(
    sums,
    start,
    step_size,
    coordinates,
    matrices,
    numbers,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    WHITENS: tl.constexpr,
    REMEMBERS: tl.constexpr,
):
    """Coefficients, intercept and their velocities after a step from ``start``."""
    features, slope_sum, _ = sums
    coef, intercept, velocity, intercept_velocity = start
    centre, inverse_scale = coordinates
    whitener, curvature, edge, corner, anchor, intercept_anchor = matrices
    l1, l2, momentum = tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)
    gradient = (features - centre * slope_sum + l2 * coef * inverse_scale) * inverse_scale
    intercept_gradient = slope_sum
    if REMEMBERS:
        change, intercept_change = coef - anchor, intercept - intercept_anchor
        gradient += tl.sum(curvature * change[None, :], axis=1) + edge * intercept_change
        intercept_gradient += tl.sum(edge * change, axis=0) + corner * intercept_change
    if WHITENS:
        inner = tl.sum(whitener * gradient[:, None], axis=0)
        gradient = tl.sum(whitener * inner[None, :], axis=1)
    step = step_size * gradient
    intercept_step = step_size * intercept_gradient * tl.load(numbers + 5)
    velocity = momentum * velocity - step
    intercept_velocity = momentum * intercept_velocity - intercept_step
    ahead = 1.0
    if NESTEROV:
        coef += momentum * velocity - step
        intercept += momentum * intercept_velocity - intercept_step
        ahead += momentum
    else:
        coef += velocity
        intercept += intercept_velocity
    if PROXIMAL is not None:
        moved = PROXIMAL(coef, ahead * l1 * step_size * inverse_scale, tl.load(numbers + 4))
        velocity += (moved - coef) / ahead
        coef = moved
    return coef, intercept, velocity, intercept_velocity


@triton.jit
def load_vector(pointer, columns, n_features):
    """Load one value a feature, 0 beyond the last."""
    return tl.load(pointer + columns, mask=columns < n_features, other=0.0)


@triton.jit
def load_matrices(matrices, anchor, columns, n_features, WHITENS: tl.constexpr, REMEMBERS: tl.constexpr):
    """Load what steps are multiplied by, and what earlier rows add; zeros where there is none.

    Matrices come padded to the width of a tile; ``edge`` is what the second moment has beside them for the intercept.
    """
    whitener, curvature, edge = matrices
    metric, known, beside, corner, point, intercept_point = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    places = columns[:, None] * columns.shape[0] + columns[None, :]
    if WHITENS:
        metric = tl.load(whitener + places)
    if REMEMBERS:
        known = tl.load(curvature + places)
        beside, corner = load_vector(edge, columns, n_features), tl.load(edge + n_features)
        point, intercept_point = load_vector(anchor, columns, n_features), tl.load(anchor + n_features)
    return metric, known, beside, corner, point, intercept_point
