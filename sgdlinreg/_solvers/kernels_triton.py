"""What runs on a GPU: the steps of many batches in one launch, or two launches a batch that all multiprocessors share.

Targets are independent programs of a launch. A batch is read in tiles of rows; the rows that join every batch stand
after its own, from place ``batch_size`` on. ``options`` holds, in float64, what kernels would otherwise get as float32:
epsilon, l1, l2, momentum, positive, fit_intercept, the share of the batch's own rows, and 1 / n_rows.
"""

import triton
import triton.language as tl


@triton.jit
def _row_numbers(order, extreme_rows, number, tile, shape, n_positions, ROWS: tl.constexpr):
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
def _length(number, batch_size, n_positions):
    """Rows of a batch, as float64; the last one may be short."""
    left = n_positions - number.to(tl.int64) * batch_size
    return tl.maximum(tl.minimum(left, batch_size), 1).to(tl.float64)


@triton.jit
def _load_rows(data, rows, own, joins, length, target, options, columns, sizes, HAS_WEIGHT: tl.constexpr):
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
    factor = own.to(tl.float64) * (tl.load(options + 6) / length) + joins.to(tl.float64) * tl.load(options + 7)
    if HAS_WEIGHT:
        factor *= tl.load(weight + rows, mask=there, other=0.0)
    return x, label, factor


@triton.jit
def _sums_of(x, label, factor, folded, intercept, loss, VALUE: tl.constexpr, SLOPE: tl.constexpr):
    """Sum up, over the rows of a tile, the rows times their slopes, the slopes, and the losses."""
    residual = tl.sum(x * folded.to(x.dtype)[None, :], axis=1).to(tl.float64) + intercept - label
    slope = factor * SLOPE(loss, residual)
    features = tl.sum(x * slope.to(x.dtype)[:, None], axis=0).to(tl.float64)
    return features, tl.sum(slope, axis=0), tl.sum(factor * VALUE(loss, residual), axis=0)


@triton.jit
def _moved(
    sums,
    start,
    step_size,
    coordinates,
    matrices,
    options,
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
    l1, l2, momentum = tl.load(options + 1), tl.load(options + 2), tl.load(options + 3)
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
    intercept_step = step_size * intercept_gradient * tl.load(options + 5)
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
        moved = PROXIMAL(coef, ahead * l1 * step_size * inverse_scale, tl.load(options + 4))
        velocity += (moved - coef) / ahead
        coef = moved
    return coef, intercept, velocity, intercept_velocity


@triton.jit
def _vector(pointer, columns, n_features):
    """Load one value a feature, 0 beyond the last."""
    return tl.load(pointer + columns, mask=columns < n_features, other=0.0)


@triton.jit
def _load_matrices(matrices, anchor, columns, n_features, WHITENS: tl.constexpr, REMEMBERS: tl.constexpr):
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
        beside, corner = _vector(edge, columns, n_features), tl.load(edge + n_features)
        point, intercept_point = _vector(anchor, columns, n_features), tl.load(anchor + n_features)
    return metric, known, beside, corner, point, intercept_point


@triton.jit
def walk(
    X,
    y,
    weight,
    order,
    extreme_rows,
    step_sizes,
    coef,
    coef_sum,
    velocity,
    losses,
    centre,
    inverse_scale,
    whitener,
    curvature,
    edge,
    anchor,
    options,
    n_features,
    n_targets,
    batch_size,
    n_extreme,
    n_positions,
    n_batches,
    LOSS: tl.constexpr,
    VALUE: tl.constexpr,
    SLOPE: tl.constexpr,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    WHITENS: tl.constexpr,
    REMEMBERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Walk through all batches, one program a target; coefficients never leave the chip in between.

    The rows of the next tile are loaded, and the row numbers of the one after it, while a tile is summed up.
    """
    target = tl.program_id(0)
    columns = tl.arange(0, COLUMNS)
    data, sizes, shape = (X, y, weight), (n_features, n_targets), (batch_size, n_extreme)
    coef += target * (n_features + 1)
    coef_sum += target * (n_features + 1)
    velocity += target * (n_features + 1)
    anchor += target * (n_features + 1)
    loss = None
    if LOSS is not None:
        loss = LOSS(tl.load(options))
    middle, unit = _vector(centre, columns, n_features), _vector(inverse_scale, columns, n_features)
    matrices = _load_matrices((whitener, curvature, edge), anchor, columns, n_features, WHITENS, REMEMBERS)
    w, v = _vector(coef, columns, n_features), _vector(velocity, columns, n_features)
    b, u = tl.load(coef + n_features), tl.load(velocity + n_features)
    w_sum, b_sum = _vector(coef_sum, columns, n_features), tl.load(coef_sum + n_features)
    loss_sum = tl.load(losses + target)

    folded = w * unit
    intercept = b - tl.sum(middle * folded, axis=0)
    features, slope_sum, batch_loss = tl.zeros_like(w), tl.zeros_like(b), tl.zeros_like(b)
    first = tl.program_id(0) * 0
    rows, own, joins = _row_numbers(order, extreme_rows, first, first, shape, n_positions, ROWS)
    length = _length(first, batch_size, n_positions)
    x, label, factor = _load_rows(data, rows, own, joins, length, target, options, columns, sizes, HAS_WEIGHT)
    following = first + 1
    rows, own, joins = _row_numbers(
        order, extreme_rows, following // TILES, following % TILES, shape, n_positions, ROWS
    )
    for now in range(n_batches * TILES):
        following = now + 1
        length = _length(following // TILES, batch_size, n_positions)
        next_x, next_label, next_factor = _load_rows(
            data, rows, own, joins, length, target, options, columns, sizes, HAS_WEIGHT
        )
        following = now + 2
        rows, own, joins = _row_numbers(
            order, extreme_rows, following // TILES, following % TILES, shape, n_positions, ROWS
        )
        more = _sums_of(x, label, factor, folded, intercept, loss, VALUE, SLOPE)
        features, slope_sum, batch_loss = features + more[0], slope_sum + more[1], batch_loss + more[2]
        if now % TILES == TILES - 1:
            number = now // TILES
            step_size = tl.load(step_sizes + number * n_targets + target)
            sums = features, slope_sum, batch_loss
            w, b, v, u = _moved(
                sums,
                (w, b, v, u),
                step_size,
                (middle, unit),
                matrices,
                options,
                PROXIMAL,
                NESTEROV,
                WHITENS,
                REMEMBERS,
            )
            w_sum += w
            b_sum += b
            loss_sum += _length(number, batch_size, n_positions) * batch_loss
            folded = w * unit
            intercept = b - tl.sum(middle * folded, axis=0)
            features, slope_sum, batch_loss = tl.zeros_like(w), tl.zeros_like(b), tl.zeros_like(b)
        x, label, factor = next_x, next_label, next_factor

    within = columns < n_features
    tl.store(coef + columns, w, mask=within)
    tl.store(coef_sum + columns, w_sum, mask=within)
    tl.store(velocity + columns, v, mask=within)
    tl.store(coef + n_features, b)
    tl.store(coef_sum + n_features, b_sum)
    tl.store(velocity + n_features, u)
    tl.store(losses + target, loss_sum)


@triton.jit
def sum_up(
    X,
    y,
    weight,
    order,
    extreme_rows,
    progress,
    extent,
    partial,
    coef,
    centre,
    inverse_scale,
    options,
    n_features,
    n_targets,
    batch_size,
    n_extreme,
    n_programs,
    LOSS: tl.constexpr,
    VALUE: tl.constexpr,
    SLOPE: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Sum up one batch: a program takes every ``n_programs``-th tile and writes its sums into a place of its own.

    ``progress`` (n_targets,) is the number of the batch, ``extent`` the numbers of batches and positions: they are read
    from memory so that the same launch can be replayed.
    """
    program, target = tl.program_id(0), tl.program_id(1)
    columns = tl.arange(0, COLUMNS)
    data, sizes, shape = (X, y, weight), (n_features, n_targets), (batch_size, n_extreme)
    number, n_positions = tl.load(progress + target), tl.load(extent + 1)
    coef += target * (n_features + 1)
    partial += (target * n_programs + program) * (n_features + 2)
    loss = None
    if LOSS is not None:
        loss = LOSS(tl.load(options))
    folded = _vector(coef, columns, n_features) * _vector(inverse_scale, columns, n_features)
    intercept = tl.load(coef + n_features) - tl.sum(_vector(centre, columns, n_features) * folded, axis=0)
    length = _length(number, batch_size, n_positions)
    features, slope_sum, batch_loss = tl.zeros_like(folded), tl.zeros_like(intercept), tl.zeros_like(intercept)
    for tile in range(program, TILES, n_programs):
        rows, own, joins = _row_numbers(order, extreme_rows, number, tile, shape, n_positions, ROWS)
        x, label, factor = _load_rows(data, rows, own, joins, length, target, options, columns, sizes, HAS_WEIGHT)
        more = _sums_of(x, label, factor, folded, intercept, loss, VALUE, SLOPE)
        features, slope_sum, batch_loss = features + more[0], slope_sum + more[1], batch_loss + more[2]
    tl.store(partial + columns, features, mask=columns < n_features)
    tl.store(partial + n_features, slope_sum)
    tl.store(partial + n_features + 1, batch_loss)


@triton.jit
def take_step(
    progress,
    extent,
    partial,
    step_sizes,
    coef,
    coef_sum,
    velocity,
    losses,
    centre,
    inverse_scale,
    whitener,
    curvature,
    edge,
    anchor,
    options,
    n_features,
    n_targets,
    batch_size,
    n_programs,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    WHITENS: tl.constexpr,
    REMEMBERS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Add up what `sum_up` wrote, in a fixed order, and take the step, one program a target; none after the last."""
    target = tl.program_id(0)
    columns = tl.arange(0, COLUMNS)
    within = columns < n_features
    number, n_batches, n_positions = tl.load(progress + target), tl.load(extent), tl.load(extent + 1)
    if number < n_batches:
        coef += target * (n_features + 1)
        coef_sum += target * (n_features + 1)
        velocity += target * (n_features + 1)
        anchor += target * (n_features + 1)
        partial += target * n_programs * (n_features + 2)
        w, v = _vector(coef, columns, n_features), _vector(velocity, columns, n_features)
        b, u = tl.load(coef + n_features), tl.load(velocity + n_features)
        features, slope_sum, batch_loss = tl.zeros_like(w), tl.zeros_like(b), tl.zeros_like(b)
        for first in range(0, n_programs, PARTS):
            part = first + tl.arange(0, PARTS)
            of_part = partial + part * (n_features + 2)
            there = part < n_programs
            block = tl.load(of_part[:, None] + columns[None, :], mask=there[:, None] & within[None, :], other=0.0)
            features += tl.sum(block, axis=0)
            slope_sum += tl.sum(tl.load(of_part + n_features, mask=there, other=0.0), axis=0)
            batch_loss += tl.sum(tl.load(of_part + n_features + 1, mask=there, other=0.0), axis=0)
        matrices = _load_matrices((whitener, curvature, edge), anchor, columns, n_features, WHITENS, REMEMBERS)
        coordinates = _vector(centre, columns, n_features), _vector(inverse_scale, columns, n_features)
        step_size = tl.load(step_sizes + number * n_targets + target)
        sums = features, slope_sum, batch_loss
        w, b, v, u = _moved(
            sums, (w, b, v, u), step_size, coordinates, matrices, options, PROXIMAL, NESTEROV, WHITENS, REMEMBERS
        )
        tl.store(coef + columns, w, mask=within)
        tl.store(velocity + columns, v, mask=within)
        tl.store(coef_sum + columns, _vector(coef_sum, columns, n_features) + w, mask=within)
        tl.store(coef + n_features, b)
        tl.store(velocity + n_features, u)
        tl.store(coef_sum + n_features, tl.load(coef_sum + n_features) + b)
        tl.store(losses + target, tl.load(losses + target) + _length(number, batch_size, n_positions) * batch_loss)
        tl.store(progress + target, number + 1)
