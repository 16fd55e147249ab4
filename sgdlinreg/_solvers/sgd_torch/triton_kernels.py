"""What runs on a GPU: the steps of many batches in one launch, or two launches a batch that all multiprocessors share.

Models are independent programs of a launch: one for each target or, of a search, for each candidate's first target,
second and so on. The parameters of all functions are described here. Pointers are to
C-contiguous arrays on the device, of float64 unless it says otherwise. A tile is ``ROWS`` rows of a batch. A vector has
``COLUMNS`` values, of which those from ``n_features`` on are 0. All sums and coefficients are float64.

Parameters
----------
X : pointer, (n_rows, n_features), float32 or float64
y : pointer, (n_rows, n_targets)
weight : pointer, (n_rows,)
    Sample weights; not read unless ``HAS_WEIGHT``.
order : pointer, (n_positions,), int32 or int64
    Numbers of the rows, batch after batch; the last batch may be short.
step_sizes : pointer, (n_batches, n_models)
iterate : pointer, (3, n_models, n_features + 1)
    Coefficients in scaled coordinates, their sum over the steps, and the velocity: updated in place.
losses : pointer, (n_models,)
    The losses of all rows, each before the step of its batch, are added to it.
coordinates : pointer, (1 + n_models, n_features + 1)
    Centre, and 1 / scale for each model; the last column, of the intercept, is not read.
scalars : pointer, (6, n_models)
    The number of the loss, l1, l2, momentum, positive and fit_intercept: Triton passes a Python float as float32.
progress : pointer, (n_models,), int64
    Number of the next batch: read from memory, as ``extent`` is, so that the same launch can be replayed.
extent : pointer, (2,), int64
    n_batches and n_positions.
partial : pointer, (n_models, n_programs, n_features + 2)
    Sums of each program over its part of a batch: of rows times slopes, of slopes, of losses.
n_features, n_targets, batch_size, n_positions, n_batches, n_programs : int
    n_programs is the number of programs that share a batch.
VALUE, SLOPE : constexpr
    Value and slope of the loss, functions of a `LossNumber` and the residual.
PROXIMAL : constexpr
    `objective.proximal`, or None for a smooth objective.
NESTEROV, HAS_WEIGHT : constexpr, bool
ROWS, COLUMNS, TILES, PARTS : constexpr, int
    Rows and columns of a tile, tiles in a batch, programs whose sums are read at once; but for TILES powers of two.
pointer : pointer
    To a vector or to coefficients.
columns : (COLUMNS,), int32
    Numbers of the columns.
number, tile, model, target : int
    Number of a batch, of a tile in it, of a model, of its column in y.
data, sizes : tuples
    (X, y, weight) and (n_features, n_targets, batch_size, n_positions).
x, labels, weights : (ROWS, COLUMNS) in the dtype of X, (ROWS,) and (ROWS,)
    Rows of a tile, their y, and their weights, 0 where there is no row.
parameter : LossNumber
coef, velocity, folded : tuples of (vector, scalar)
    Of the features and of the intercept; folded are the coefficients on x.
sums : tuple of (vector, scalar)
    Sums over a batch of rows times slopes, and of slopes.
step_size : scalar
scaling : tuple of (vector, vector)
    Centre and 1 / scale.
"""

from typing import NamedTuple

import triton
import triton.language as tl


class LossNumber(NamedTuple):
    """What value and slope of a loss read of it inside a kernel: its number, by the names that it may have."""

    epsilon: float
    quantile: float


@triton.jit
def load_vector(pointer, columns, n_features):
    """Load one value a feature."""
    return tl.load(pointer + columns, mask=columns < n_features, other=0.0)


@triton.jit
def load_coef(pointer, columns, n_features):
    """Load the coefficients of the features, and the intercept that follows them."""
    return load_vector(pointer, columns, n_features), tl.load(pointer + n_features)


@triton.jit
def store_coef(pointer, coef, columns, n_features):
    """Store the coefficients of the features, and the intercept after them."""
    tl.store(pointer + columns, coef[0], mask=columns < n_features)
    tl.store(pointer + n_features, coef[1])


@triton.jit
def load_scaling(coordinates, model, columns, n_features):
    """Load the centre, and 1 / scale for a model."""
    inverse_scale = coordinates + (1 + model) * (n_features + 1)
    return load_vector(coordinates, columns, n_features), load_vector(inverse_scale, columns, n_features)


@triton.jit
def fold(coef, scaling):
    """Compute coefficients and intercept on x from those in scaled coordinates."""
    weights = coef[0] * scaling[1]
    return weights, coef[1] - tl.sum(scaling[0] * weights, axis=0)


@triton.jit
def load_tile(data, order, number, tile, target, columns, sizes, HAS_WEIGHT: tl.constexpr, ROWS: tl.constexpr):
    """Load the rows of a tile, their y and their weights."""
    X, y, weight = data
    n_features, n_targets, batch_size, n_positions = sizes
    place = tile * ROWS + tl.arange(0, ROWS)
    position = number.to(tl.int64) * batch_size + place
    valid = (place < batch_size) & (position < n_positions)
    rows = tl.load(order + position, mask=valid, other=0).to(tl.int64)
    mask = valid[:, None] & (columns < n_features)[None, :]
    x = tl.load(X + rows[:, None] * n_features + columns[None, :], mask=mask, other=0.0)
    labels = tl.load(y + rows * n_targets + target, mask=valid, other=0.0)
    weights = valid.to(tl.float64)
    if HAS_WEIGHT:
        weights *= tl.load(weight + rows, mask=valid, other=0.0)
    return x, labels, weights


@triton.jit
def sum_tile(x, labels, weights, folded, parameter, VALUE: tl.constexpr, SLOPE: tl.constexpr):
    """Sum up, over the rows of a tile, the rows times their slopes, the slopes, and the losses."""
    residual = tl.sum(x * folded[0].to(x.dtype)[None, :], axis=1).to(tl.float64) + folded[1] - labels
    slope = weights * SLOPE(parameter, residual)
    features = tl.sum(x * slope.to(x.dtype)[:, None], axis=0).to(tl.float64)
    return features, tl.sum(slope, axis=0), tl.sum(weights * VALUE(parameter, residual), axis=0)


@triton.jit
def step_from(
    coef, velocity, sums, number, sizes, step_size, scaling, scalars, PROXIMAL: tl.constexpr, NESTEROV: tl.constexpr
):
    """Compute coefficients, intercept and their velocities after a step."""
    w, b = coef
    v, u = velocity
    centre, inverse_scale = scaling
    n_models = tl.num_programs(0)
    l1, l2 = tl.load(scalars + n_models), tl.load(scalars + 2 * n_models)
    momentum = tl.load(scalars + 3 * n_models)
    length = tl.minimum(sizes[3] - number.to(tl.int64) * sizes[2], sizes[2]).to(tl.float64)
    features, slope_mean = sums[0] / length, sums[1] / length
    step = step_size * (features - centre * slope_mean + l2 * w * inverse_scale) * inverse_scale
    intercept_step = step_size * slope_mean * tl.load(scalars + 5 * n_models)
    v = momentum * v - step
    u = momentum * u - intercept_step
    lookahead = 1.0
    if NESTEROV:
        w += momentum * v - step
        b += momentum * u - intercept_step
        lookahead += momentum
    else:
        w += v
        b += u
    if PROXIMAL is not None:
        moved = PROXIMAL(w, lookahead * l1 * step_size * inverse_scale, tl.load(scalars + 4 * n_models))
        v += (moved - w) / lookahead
        w = moved
    return w, b, v, u


@triton.jit(do_not_specialize=["n_positions", "n_batches"])
def walk(
    X,
    y,
    weight,
    order,
    step_sizes,
    iterate,
    losses,
    coordinates,
    scalars,
    n_features,
    n_targets,
    batch_size,
    n_positions,
    n_batches,
    VALUE: tl.constexpr,
    SLOPE: tl.constexpr,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Walk through all batches, one program a model; coefficients never leave the chip in between.

    The rows of the next tile are loaded while a tile is summed up.
    """
    model, n_models = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    target, columns = model % n_targets, tl.arange(0, COLUMNS)
    data, sizes = (X, y, weight), (n_features, n_targets, batch_size, n_positions)
    coef = iterate + model * (n_features + 1)
    coef_sum = coef + n_models * (n_features + 1)
    velocity = coef_sum + n_models * (n_features + 1)
    scalars += model
    parameter = LossNumber(tl.load(scalars), tl.load(scalars))
    scaling = load_scaling(coordinates, model, columns, n_features)
    w, b = load_coef(coef, columns, n_features)
    v, u = load_coef(velocity, columns, n_features)
    w_sum, b_sum = load_coef(coef_sum, columns, n_features)
    loss_sum = tl.load(losses + model)

    folded, intercept = fold((w, b), scaling)
    features, slope_sum = tl.zeros_like(w), tl.zeros_like(b)
    first = tl.program_id(0) * 0
    x, labels, weights = load_tile(data, order, first, first, target, columns, sizes, HAS_WEIGHT, ROWS)
    for now in range(n_batches * TILES):
        following = now + 1
        next_x, next_labels, next_weights = load_tile(
            data, order, following // TILES, following % TILES, target, columns, sizes, HAS_WEIGHT, ROWS
        )
        tile_sums = sum_tile(x, labels, weights, (folded, intercept), parameter, VALUE, SLOPE)
        features, slope_sum, loss_sum = features + tile_sums[0], slope_sum + tile_sums[1], loss_sum + tile_sums[2]
        if now % TILES == TILES - 1:
            number = now // TILES
            step_size = tl.load(step_sizes + number.to(tl.int64) * n_models + model)
            w, b, v, u = step_from(
                (w, b), (v, u), (features, slope_sum), number, sizes, step_size, scaling, scalars, PROXIMAL, NESTEROV
            )
            w_sum += w
            b_sum += b
            folded, intercept = fold((w, b), scaling)
            features, slope_sum = tl.zeros_like(w), tl.zeros_like(b)
        x, labels, weights = next_x, next_labels, next_weights

    store_coef(coef, (w, b), columns, n_features)
    store_coef(coef_sum, (w_sum, b_sum), columns, n_features)
    store_coef(velocity, (v, u), columns, n_features)
    tl.store(losses + model, loss_sum)


@triton.jit
def sum_up(
    X,
    y,
    weight,
    order,
    progress,
    extent,
    partial,
    iterate,
    coordinates,
    scalars,
    n_features,
    n_targets,
    batch_size,
    n_programs,
    VALUE: tl.constexpr,
    SLOPE: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Sum up one batch: a program takes every ``n_programs``-th tile and writes its sums into a place of its own."""
    model, program = tl.program_id(0).to(tl.int64), tl.program_id(1)
    target, columns = model % n_targets, tl.arange(0, COLUMNS)
    number, n_positions = tl.load(progress + model), tl.load(extent + 1)
    data, sizes = (X, y, weight), (n_features, n_targets, batch_size, n_positions)
    partial += (model * n_programs + program) * (n_features + 2)
    scalars += model
    parameter = LossNumber(tl.load(scalars), tl.load(scalars))
    coef = load_coef(iterate + model * (n_features + 1), columns, n_features)
    scaling = load_scaling(coordinates, model, columns, n_features)
    folded = fold(coef, scaling)
    features, slope_sum, loss_sum = tl.zeros_like(coef[0]), tl.zeros_like(coef[1]), tl.zeros_like(coef[1])
    for tile in range(program, TILES, n_programs):
        x, labels, weights = load_tile(data, order, number, tile, target, columns, sizes, HAS_WEIGHT, ROWS)
        tile_sums = sum_tile(x, labels, weights, folded, parameter, VALUE, SLOPE)
        features, slope_sum, loss_sum = features + tile_sums[0], slope_sum + tile_sums[1], loss_sum + tile_sums[2]
    store_coef(partial, (features, slope_sum), columns, n_features)
    tl.store(partial + n_features + 1, loss_sum)


@triton.jit
def take_step(
    progress,
    extent,
    partial,
    step_sizes,
    iterate,
    losses,
    coordinates,
    scalars,
    n_features,
    n_targets,
    batch_size,
    n_programs,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    COLUMNS: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Add up what `sum_up` wrote, in a fixed order, and take the step, one program a model; none after the last."""
    model, n_models = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    columns = tl.arange(0, COLUMNS)
    number, n_batches, n_positions = tl.load(progress + model), tl.load(extent), tl.load(extent + 1)
    if number < n_batches:
        coef = iterate + model * (n_features + 1)
        coef_sum = coef + n_models * (n_features + 1)
        velocity = coef_sum + n_models * (n_features + 1)
        scalars += model
        partial += model * n_programs * (n_features + 2)
        w, b = load_coef(coef, columns, n_features)
        features, slope_sum, loss_sum = tl.zeros_like(w), tl.zeros_like(b), tl.zeros_like(b)
        for first in range(0, n_programs, PARTS):
            part = first + tl.arange(0, PARTS)
            sums = partial + part * (n_features + 2)
            valid = part < n_programs
            mask = valid[:, None] & (columns < n_features)[None, :]
            features += tl.sum(tl.load(sums[:, None] + columns[None, :], mask=mask, other=0.0), axis=0)
            slope_sum += tl.sum(tl.load(sums + n_features, mask=valid, other=0.0), axis=0)
            loss_sum += tl.sum(tl.load(sums + n_features + 1, mask=valid, other=0.0), axis=0)
        step_size = tl.load(step_sizes + number * n_models + model)
        scaling = load_scaling(coordinates, model, columns, n_features)
        sizes = n_features, n_targets, batch_size, n_positions
        v, u = load_coef(velocity, columns, n_features)
        w, b, v, u = step_from(
            (w, b), (v, u), (features, slope_sum), number, sizes, step_size, scaling, scalars, PROXIMAL, NESTEROV
        )
        w_sum, b_sum = load_coef(coef_sum, columns, n_features)
        store_coef(coef, (w, b), columns, n_features)
        store_coef(coef_sum, (w_sum + w, b_sum + b), columns, n_features)
        store_coef(velocity, (v, u), columns, n_features)
        tl.store(losses + model, tl.load(losses + model) + loss_sum)
        tl.store(progress + model, number + 1)
