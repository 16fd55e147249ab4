"""What runs on a GPU: the steps of many batches in one launch, or two launches a batch that all multiprocessors share.

Targets are independent programs of a launch.
"""

import triton
import triton.language as tl

from sgdlinreg._solvers.sgd_torch.triton_tiles import (
    length_of,
    load_rows,
    load_vector,
    moved_from,
    row_numbers,
    sums_of,
)


@triton.jit(do_not_specialize=["n_positions", "n_batches"])
def walk(
    X,
    y,
    weight,
    order,
    step_sizes,
    coef,
    coef_sum,
    velocity,
    losses,
    centre,
    inverse_scale,
    numbers,
    n_features,
    n_targets,
    batch_size,
    n_positions,
    n_batches,
    LOSS: tl.constexpr,
    VALUE: tl.constexpr,
    SLOPE: tl.constexpr,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    HAS_WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    TILES: tl.constexpr,
):
    """Walk through all batches, one program a target; coefficients never leave the chip in between.

    The rows of the next tile are loaded, and the row numbers of the one after it, while a tile is summed up.
    """
    target = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, COLUMNS)
    data, sizes = (X, y, weight), (n_features, n_targets)
    coef += target * (n_features + 1)
    coef_sum += target * (n_features + 1)
    velocity += target * (n_features + 1)
    loss = None
    if LOSS is not None:
        loss = LOSS(tl.load(numbers))
    middle, unit = load_vector(centre, columns, n_features), load_vector(inverse_scale, columns, n_features)
    w, v = load_vector(coef, columns, n_features), load_vector(velocity, columns, n_features)
    b, u = tl.load(coef + n_features), tl.load(velocity + n_features)
    w_sum, b_sum = load_vector(coef_sum, columns, n_features), tl.load(coef_sum + n_features)
    loss_sum = tl.load(losses + target)

    folded = w * unit
    intercept = b - tl.sum(middle * folded, axis=0)
    features, slope_sum = tl.zeros_like(w), tl.zeros_like(b)
    first = tl.program_id(0) * 0
    rows, there = row_numbers(order, first, first, batch_size, n_positions, ROWS)
    x, label, factor = load_rows(data, rows, there, target, columns, sizes, HAS_WEIGHT)
    following = first + 1
    rows, there = row_numbers(order, following // TILES, following % TILES, batch_size, n_positions, ROWS)
    for now in range(n_batches * TILES):
        next_x, next_label, next_factor = load_rows(data, rows, there, target, columns, sizes, HAS_WEIGHT)
        following = now + 2
        rows, there = row_numbers(order, following // TILES, following % TILES, batch_size, n_positions, ROWS)
        more = sums_of(x, label, factor, folded, intercept, loss, VALUE, SLOPE)
        features, slope_sum, loss_sum = features + more[0], slope_sum + more[1], loss_sum + more[2]
        if now % TILES == TILES - 1:
            number = now // TILES
            step_size = tl.load(step_sizes + number.to(tl.int64) * n_targets + target)
            sums, length = (features, slope_sum), length_of(number, batch_size, n_positions)
            w, b, v, u = moved_from(sums, length, (w, b, v, u), step_size, (middle, unit), numbers, PROXIMAL, NESTEROV)
            w_sum += w
            b_sum += b
            folded = w * unit
            intercept = b - tl.sum(middle * folded, axis=0)
            features, slope_sum = tl.zeros_like(w), tl.zeros_like(b)
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
    progress,
    extent,
    partial,
    coef,
    centre,
    inverse_scale,
    numbers,
    n_features,
    n_targets,
    batch_size,
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
    target, program = tl.program_id(0).to(tl.int64), tl.program_id(1)
    columns = tl.arange(0, COLUMNS)
    data, sizes = (X, y, weight), (n_features, n_targets)
    number, n_positions = tl.load(progress + target), tl.load(extent + 1)
    coef += target * (n_features + 1)
    partial += (target * n_programs + program) * (n_features + 2)
    loss = None
    if LOSS is not None:
        loss = LOSS(tl.load(numbers))
    folded = load_vector(coef, columns, n_features) * load_vector(inverse_scale, columns, n_features)
    intercept = tl.load(coef + n_features) - tl.sum(load_vector(centre, columns, n_features) * folded, axis=0)
    features, slope_sum, loss_sum = tl.zeros_like(folded), tl.zeros_like(intercept), tl.zeros_like(intercept)
    for tile in range(program, TILES, n_programs):
        rows, there = row_numbers(order, number, tile, batch_size, n_positions, ROWS)
        x, label, factor = load_rows(data, rows, there, target, columns, sizes, HAS_WEIGHT)
        more = sums_of(x, label, factor, folded, intercept, loss, VALUE, SLOPE)
        features, slope_sum, loss_sum = features + more[0], slope_sum + more[1], loss_sum + more[2]
    tl.store(partial + columns, features, mask=columns < n_features)
    tl.store(partial + n_features, slope_sum)
    tl.store(partial + n_features + 1, loss_sum)


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
    numbers,
    n_features,
    n_targets,
    batch_size,
    n_programs,
    PROXIMAL: tl.constexpr,
    NESTEROV: tl.constexpr,
    COLUMNS: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Add up what `sum_up` wrote, in a fixed order, and take the step, one program a target; none after the last."""
    target = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, COLUMNS)
    within = columns < n_features
    number, n_batches, n_positions = tl.load(progress + target), tl.load(extent), tl.load(extent + 1)
    if number < n_batches:
        coef += target * (n_features + 1)
        coef_sum += target * (n_features + 1)
        velocity += target * (n_features + 1)
        partial += target * n_programs * (n_features + 2)
        w, v = load_vector(coef, columns, n_features), load_vector(velocity, columns, n_features)
        b, u = tl.load(coef + n_features), tl.load(velocity + n_features)
        features, slope_sum, loss_sum = tl.zeros_like(w), tl.zeros_like(b), tl.zeros_like(b)
        for first in range(0, n_programs, PARTS):
            part = first + tl.arange(0, PARTS)
            of_part = partial + part * (n_features + 2)
            there = part < n_programs
            block = tl.load(of_part[:, None] + columns[None, :], mask=there[:, None] & within[None, :], other=0.0)
            features += tl.sum(block, axis=0)
            slope_sum += tl.sum(tl.load(of_part + n_features, mask=there, other=0.0), axis=0)
            loss_sum += tl.sum(tl.load(of_part + n_features + 1, mask=there, other=0.0), axis=0)
        coordinates = load_vector(centre, columns, n_features), load_vector(inverse_scale, columns, n_features)
        step_size = tl.load(step_sizes + number * n_targets + target)
        sums, length = (features, slope_sum), length_of(number, batch_size, n_positions)
        w, b, v, u = moved_from(sums, length, (w, b, v, u), step_size, coordinates, numbers, PROXIMAL, NESTEROV)
        tl.store(coef + columns, w, mask=within)
        tl.store(velocity + columns, v, mask=within)
        tl.store(coef_sum + columns, load_vector(coef_sum, columns, n_features) + w, mask=within)
        tl.store(coef + n_features, b)
        tl.store(velocity + n_features, u)
        tl.store(coef_sum + n_features, tl.load(coef_sum + n_features) + b)
        tl.store(losses + target, tl.load(losses + target) + loss_sum)
        tl.store(progress + target, number + 1)
