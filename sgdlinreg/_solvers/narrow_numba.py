"""Plain steps on dense rows of few columns, compiled by numba, with coefficients that stay in registers.

A step of a short batch takes longer to bring coefficients to memory and back than to work on its rows.
"""

from numba import config

from sgdlinreg._solvers.columns_numba import sums_of_columns, weigh_columns
from sgdlinreg._solvers.compiling_numba import FAST, compiled
from sgdlinreg._solvers.lanes_numba import lanes_of, load_four, store_lanes, sum_of_lanes
from sgdlinreg._solvers.lookup_numba import look_up_group
from sgdlinreg._solvers.rows_numba import NarrowReading, gather
from sgdlinreg._solvers.scratch_numba import begin_plainly, end_plainly


def is_narrow(reading, n_targets: int) -> bool:
    """Whether `run_narrow` takes the plain steps. It cannot do so without a compiler."""
    return isinstance(reading, NarrowReading) and n_targets == 1 and not config.DISABLE_JIT  # type: ignore[attr-defined]


@compiled(**FAST)
def run_narrow(
    X,
    y,
    weight,
    order,
    positions,
    step_sizes,
    batch_size,
    reading,
    loss,
    l2,
    fit_intercept,
    scratch,
    coef,
    coef_sum,
    losses,
):
    """Do what `sgd_reference.run_batches` does, for plain steps of one target along batches of at most GROUP rows."""
    rows, span, plain = scratch.rows, scratch.span, scratch.plain
    centre, inverse_scale = load_four(scratch.around[0], 0), load_four(scratch.around[1], 0)
    begin_plainly(plain, coef)
    features, features_sum = load_four(plain[0, 0], 0), load_four(plain[1, 0], 0)
    offset, offset_sum, loss_sum = coef[0, -1], 0.0, lanes_of(0.0)
    span[:] = 0
    for batch in range(step_sizes.shape[0]):
        first = positions[0] + batch * batch_size
        length = min(batch_size, positions[1] - first)
        begin, changed = look_up_group(order, first, length, positions[1], span, rows.numbers)
        if changed:
            gather(X, y, weight, rows, span[1] - span[0])
        group = (begin, begin + length, span[1] - span[0], first)
        slopes, values, totals = weigh_columns(
            X, y, rows, group, order, reading, 1.0 / length, loss, 0, features * inverse_scale, offset, centre
        )
        loss_sum = loss_sum + length * values
        step_size = step_sizes[batch, 0]
        gradient = sums_of_columns(totals) + l2 * features * inverse_scale
        features = features - step_size * inverse_scale * gradient
        features_sum = features_sum + features
        if fit_intercept:
            offset -= step_size * sum_of_lanes(slopes)
        offset_sum += offset
    losses[0] += sum_of_lanes(loss_sum)
    store_lanes(plain[0, 0], 0, features)
    store_lanes(plain[1, 0], 0, features_sum)
    end_plainly(plain, coef, coef_sum)
    coef[0, -1] = offset
    coef_sum[0, -1] += offset_sum
