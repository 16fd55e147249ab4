"""What the Triton kernels are made of: rows of a batch in tiles, their sums, and the step itself.

``numbers`` holds, in float64, what kernels would otherwise get as float32: epsilon, l1, l2, momentum, positive and
fit_intercept.
"""

import triton
import triton.language as tl


@triton.jit
def row_numbers(order, number, tile, batch_size, n_positions, ROWS: tl.constexpr):
    """Rows of one tile of a batch, and which of its places are taken."""
    place = tile * ROWS + tl.arange(0, ROWS)
    position = number.to(tl.int64) * batch_size + place
    there = (place < batch_size) & (position < n_positions)
    return tl.load(order + position, mask=there, other=0).to(tl.int64), there


@triton.jit
def length_of(number, batch_size, n_positions):
    """Rows of a batch, as float64; the last one may be short."""
    return tl.minimum(n_positions - number.to(tl.int64) * batch_size, batch_size).to(tl.float64)


@triton.jit
def load_rows(data, rows, there, target, columns, sizes, HAS_WEIGHT: tl.constexpr):
    """Rows of a tile, their y, and their weights, 0 where there is no row."""
    X, y, weight = data
    n_features, n_targets = sizes
    x = tl.load(
        X + rows[:, None] * n_features + columns[None, :],
        mask=there[:, None] & (columns < n_features)[None, :],
        other=0.0,
    )
    label = tl.load(y + rows * n_targets + target, mask=there, other=0.0)
    factor = there.to(tl.float64)
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
def moved_from(sums, length, start, step_size, coordinates, numbers, PROXIMAL: tl.constexpr, NESTEROV: tl.constexpr):
    """Coefficients, intercept and their velocities after a step from ``start``; ``sums`` are of ``length`` rows."""
    coef, intercept, velocity, intercept_velocity = start
    centre, inverse_scale = coordinates
    l1, l2, momentum = tl.load(numbers + 1), tl.load(numbers + 2), tl.load(numbers + 3)
    features, slope_mean = sums[0] / length, sums[1] / length
    step = step_size * (features - centre * slope_mean + l2 * coef * inverse_scale) * inverse_scale
    intercept_step = step_size * slope_mean * tl.load(numbers + 5)
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
