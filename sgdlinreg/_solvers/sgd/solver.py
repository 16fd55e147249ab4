"""Mini-batch SGD: a pass that measures, epochs of steps, and the finish by full gradients."""

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from sgdlinreg._core.arrays import all_finite
from sgdlinreg._core.blocks import Block, in_double, with_weights_in
from sgdlinreg._core.contract import Iterate, Kernel, Model, Options
from sgdlinreg._core.coordinates import raw_coordinates, step_coordinates
from sgdlinreg._core.measurement import MeasuredRows, Measurement
from sgdlinreg._core.objective import Objective
from sgdlinreg._core.sampling import LARGEST_ROWS, Reservoir, sample_size
from sgdlinreg._core.threads import one_thread_for
from sgdlinreg._loop.data import InMemory
from sgdlinreg._solvers.finish.finish import Finish
from sgdlinreg._solvers.sgd import advice
from sgdlinreg._solvers.sgd.averaging import Tail, averages_tail, model_of_steps
from sgdlinreg._solvers.sgd.divergence import check_step
from sgdlinreg._solvers.sgd.epoch import Epoch
from sgdlinreg._solvers.sgd.safe_step import safe_step_of
from sgdlinreg._solvers.sgd.schedules import optimal_start
from sgdlinreg._solvers.sgd.state import State
from sgdlinreg._solvers.sgd.stopping import WORSE, Judge

SAMPLE_TOL = 1e-3
"""Tolerance of the optimum on the sample, which full gradients start from: sampling leaves more of all rows."""
MOST_UNEVEN = 1e12
"""A row of more times the weight of all others hides them from sums."""
SINGLE_RANGE = 80
"""Rows whose products with targets are more powers of two from 1 leave float32, and are used in float64."""
WIDEST = 400
"""Powers of two by which the largest weights of blocks may differ."""
JUDGING_ROWS = 2048
"""Rows of a source on which models of steps of a given size are judged."""
SEEN_ROWS = 512, 64
"""Random rows of a stream, and the largest, that are kept to judge its models on."""


class SGD:
    """Mini-batch stochastic gradient descent, with a finish by full gradients.

    Parameters
    ----------
    objective : Objective
    options : Options
    kernel : Kernel
        Runs the batches and sums full gradients.
    seed : int, list of int or numpy.random.Generator
        Of the order of the rows and of the sample.
    n_steps : int
        Steps of earlier fits, which schedules go on from.
    known : State or None
        What `measure` gives for the same rows, which are then not measured again.

    Notes
    -----
    With eta0="auto" columns are scaled and centred, the step is the safe one, the intercept starts at the constant
    model and, for squared error, the model's intercept is closed, ``b = mean y - w @ mean x``. With a float eta0 the
    data stay as they are and every step is ``eta0`` times the gradient: no centring, no closing.
    """

    one_pass: ClassVar[bool] = False

    def __init__(
        self,
        objective: Objective,
        options: Options,
        kernel: Kernel,
        seed: Any,
        n_steps: int = 0,
        known: State | None = None,
    ):
        self.objective, self.options, self.kernel, self.known = objective, options, kernel, known
        self.rng = np.random.default_rng(seed)
        self.epoch = Epoch(objective, options, kernel, self.rng)
        self.step_sizes = self.epoch.step_sizes
        self.weight_exponent: int | None = None
        self.n_steps = n_steps
        self.widens = False
        self.sums_first = self.step_sizes.is_automatic
        steps_alone = not self.sums_first or options.tol is None or options.early_stopping
        self.has_finish = not steps_alone

    def place(self, block):
        """Bring X to where the kernel measures it, with weights in the unit of the first block.

        Raises
        ------
        ValueError
            If the weights are out of range there.
        """
        block, first = self.kernel.place(block), self.weight_exponent
        if block.sample_weight is not None and block.n_rows > 1:
            heaviest = float(block.sample_weight.max())
            if block.total_weight - heaviest < heaviest / MOST_UNEVEN:
                raise ValueError(
                    f"One row has more than {MOST_UNEVEN:.0e} times the weight of all others together, which are then "
                    "lost in the rounding of its part. Use solver='normal_equation', or limit the weights."
                )
        if first is None:
            self.weight_exponent = block.weight_exponent
            return block
        if abs(block.weight_exponent - first) > WIDEST:
            raise ValueError(
                f"Sample weights of these rows are up to 1e{0.3 * block.weight_exponent:.0f}, those of the first ones "
                f"up to 1e{0.3 * first:.0f}: too far apart for steps. Use solver='normal_equation'."
            )
        return with_weights_in(block, first)

    def init(self, data, start=None, kept=None):
        """Return the state before any rows."""
        automatic = self.step_sizes.is_automatic
        sizes = (sample_size(data.n_features), LARGEST_ROWS) if automatic else (JUDGING_ROWS, 0)
        reservoir = Reservoir(*sizes)
        if kept is not None:
            self.weight_exponent = kept.weight_exponent
            measured, seen = (
                kept.measured._replace(reservoir=reservoir),
                kept.seen or Reservoir(*SEEN_ROWS),
            )
            kept = replace(kept, streams=True, measured=measured, seen=seen)
            if start is None:
                return kept
            iterate = kept.iterate._replace(coef=start, velocity=np.zeros_like(start))
            return replace(kept, iterate=iterate, tail=Tail.at(kept.n_steps, iterate.coef_sum), average_start=None)
        coef = np.zeros((data.n_targets, data.n_features + 1)) if start is None else np.array(start, dtype=np.float64)
        return State(
            iterate=Iterate(coef, np.zeros(coef.shape), np.zeros(coef.shape)),
            step_scale=np.ones(len(coef)),
            measured=self.known.measured if self.known else Measurement(reservoir),
            sample=self.known and self.known.sample,
            streams=data.once,
            n_steps=self.n_steps,
            start=start,
            starts_at_constant=start is None and automatic and self.objective.fit_intercept,
            seen=Reservoir(*SEEN_ROWS) if data.once else None,
        )

    def add(self, state, block):
        """Measure a block in the first pass, and take steps over its rows in later ones; a stream has one pass."""
        if state.coordinates is not None:
            return self.epoch.run(state, block)
        if self.known is not None:
            return state
        with one_thread_for(block.n_rows * block.n_features**2):
            state = self._measure(state, block)
            if state.streams:
                state = self._begin(state, block.n_rows)
                block = self._ready(state.measured.n_rows / state.measured.total_weight, block)
        return self.epoch.run(state, block) if state.streams else state

    def sums(self, state):
        """Return what the first pass measures; later ones are steps, or belong to the finish."""
        return MeasuredRows(self.objective, state.measured, self.rng)

    def with_sums(self, state, sums):
        """Return the state with what was measured of all rows."""
        return replace(state, measured=sums.measured)

    def end_pass(self, state, data, monitor):
        """Choose the steps after the first pass; after an epoch go on to the finish, or judge the steps."""
        with one_thread_for(state.measured.n_rows * data.n_features**2):
            if state.streams:
                return self._end_stream(state, data, monitor), data, True
            if state.coordinates is None:
                return self._end_measuring(state, data, monitor)
            return self._end_epoch(state, data, monitor)

    def _end_epoch(self, state: State, data, monitor) -> tuple[State, Any, bool]:
        """Go on to the finish, or judge the steps."""
        losses = state.loss_sum / state.measured.n_rows
        self.step_sizes.end_epoch(state, losses)
        state.steps_after.append(state.n_steps)
        if self.has_finish:
            coef = self.coef(state)
            # steps that did no better than the constant model are no start
            better = (losses <= state.constant_loss) & np.isfinite(coef).all(axis=1)
            if not better.all():
                coef[~better] = self._constant_model(state, state.judged_on)[~better]
            go_on = monitor.record(coef, losses)
            state.iterate = state.tail = state.coordinates = None  # of many columns the finish wants the memory
            return self._finish(state, data, coef, monitor, go_on), data, True
        state, done = state.judge.after_epoch(state, losses, monitor)
        if done:
            coef, messages, reason = state.judge.result(monitor)
            model = self._model(state, coef, messages, reason)
            state = replace(state, model=model._replace(is_worse_than_constant=state.judge.is_worse_than_constant))
        return state, data, done

    def model(self, state) -> Model:
        """Return the model of a fit that is done."""
        return state.model

    def measure(self, data: Any) -> State:
        """Return the state after the pass that measures, for solvers of other objectives and options on these rows."""
        state = data.map(self.place).one_pass(self, self.init(data))
        return replace(state, sample=state.measured.sample())

    def beside(self, known: State, kernel: Kernel, rng: np.random.Generator) -> "SGD":
        """Return a solver like this one for rows that were measured, which goes on from there."""
        return SGD(self.objective, self.options, kernel, rng, known=known)

    def _measure(self, state: State, block: Block) -> State:
        measured, norms = state.measured.add(block, self.objective, self.step_sizes.is_automatic, self.rng)
        seen = None if state.seen is None else state.seen.add(block, norms, self.rng)
        return replace(state, measured=measured, seen=seen)

    def _end_measuring(self, state: State, data, monitor) -> tuple[State, Any, bool]:
        """Choose the steps; a start that is no worse than the constant model needs none before the finish.

        Where no steps can be taken, the finish starts at the optimum on the sample.
        """
        if data.in_memory:
            check_step(self, data.block)
        state = self._begin(state, state.measured.n_rows)
        monitor.column_means = self._column_means(state)
        state.judged_on = data.block if data.in_memory else state.sample.as_block()
        ready = data.map(partial(self._ready, state.measured.n_rows / state.measured.total_weight))
        if not self.has_finish:
            state.judge = Judge(self, state.judged_on, state.start)
            return state, ready, False
        state.constant_loss = self._constant_loss(state)
        start = state.start
        if not data.takes_steps:
            start = self._optimum_on_sample(state)
        elif start is None or np.any(self.objective.value(start, state.judged_on) > state.constant_loss):
            return state, ready, False
        return self._finish(state, ready, start, monitor), ready, True

    def _begin(self, state: State, n_rows: int) -> State:
        """Choose coordinates, the step and where the intercept starts, for ``n_rows`` rows or blocks of that size."""
        sample, n_features = state.sample or state.measured.sample(), state.iterate.coef.shape[1] - 1
        batch_size = self.batch_size(n_rows)
        if self.step_sizes.is_automatic:
            coordinates = step_coordinates(state.measured.columns, self.objective)
            noisy = batch_size < n_rows  # full batches are stable at any momentum
            like_rows = 1 if noisy and not self.options.shuffle else batch_size  # neighbours may all be alike
            step = safe_step_of(sample, coordinates, self.objective, like_rows, n_rows)
            step *= 1.0 - self.options.momentum * noisy
        else:
            coordinates = raw_coordinates(n_features)
            optimal = self.options.learning_rate == "optimal"  # it has a scale of its own
            step = optimal_start(self.objective.alpha) if optimal else float(self.options.eta0)
        self.widens = _leaves_float32(coordinates.scale, np.sqrt(state.measured.targets.variance))
        if state.starts_at_constant:
            coef = self._constant_model(state, sample.as_block() if self.objective.has_kink else sample.block)
            state = replace(state, iterate=state.iterate._replace(coef=coef))
        state = replace(state, **state.converted(coordinates.to_scaled))
        zero = np.broadcast_to(0.0, state.iterate.coef.shape)
        return replace(
            state,
            tail=state.tail or Tail.at(state.n_steps, zero),
            starts_at_constant=False,
            sample=sample,
            coordinates=coordinates,
            batch_size=batch_size,
            step_size=step,
            averaged=averages_tail(self.options, self.objective) and batch_size < n_rows,
        )

    def _ready(self, weight_factor: float, block: Block) -> Any:
        """Return a block in the form that the kernel wants, with weights of mean one over all rows measured."""
        if block.sample_weight is not None or weight_factor != 1.0:
            weight = np.ones(block.n_rows) if block.sample_weight is None else block.sample_weight
            block = replace(block, sample_weight=weight * weight_factor)
        return self.kernel.to_device(in_double(block) if self.widens else block)

    def _end_stream(self, state: State, data, monitor) -> State:
        """Judge the model of a stream on the rows that are kept of it."""
        losses, coef = state.loss_sum / data.block.n_rows, self.coef(state)
        if not (all_finite(losses) and all_finite(coef)):
            raise advice.diverged(self, data.block, "in this call of partial_fit the objective is not finite")
        monitor.record(coef, losses)
        seen = state.seen.sample().as_block()
        limit = WORSE * self.objective.constant_value(seen) + self.objective.rounding(seen)
        messages = (advice.WORSE_THAN_CONSTANT,) if np.any(self.objective.value(coef, seen) > limit) else ()
        self.step_sizes.end_epoch(state, losses)
        return replace(state, model=self._model(state, coef, messages, "rows come once", self._kept(state)))

    def _finish(self, state: State, data, coef: np.ndarray, monitor, go_on: bool = True) -> State:
        """Go on from some coefficients to the optimum."""
        converged = blind = False
        if go_on:
            sample, unit, tol = state.sample, state.constant_loss, float(self.options.tol or 0.0)
            finish = Finish(data, self.kernel, self.objective, state.measured, sample, unit, tol)
            at_least = int(monitor.n_passes > 0 and bool(unit.any()))
            coef, converged = finish.run(coef, monitor.record, at_least)
            blind = finish.blind
        if not all_finite(coef):
            raise advice.diverged(self, state.judged_on, "the objective is not finite")
        gap, messages = monitor.gap_curve[-1], []
        if not (converged or monitor.is_stopped):
            messages.append(advice.not_converged(self.options, gap, monitor.n_passes))
        messages += [advice.COLLINEAR] if blind else []
        reason = advice.why_ended(monitor, f"converged, gap {gap:.1e} with tol={self.options.tol}" if converged else "")
        return replace(state, model=self._model(state, coef, tuple(messages), reason))

    def _optimum_on_sample(self, state: State) -> np.ndarray:
        """Return the coefficients that are best on the sample: where full gradients start without steps."""
        sample = state.sample
        data = InMemory(self._ready(1.0, sample.as_block()))
        measured = state.measured._replace(n_rows=sample.block.n_rows)
        finish = Finish(data, self.kernel, self.objective, measured, sample, state.constant_loss, SAMPLE_TOL)
        passes = iter(range(self.options.max_iter))
        start = self._constant_model(state, state.judged_on)
        return finish.run(start, lambda *_: next(passes, None) is not None)[0]

    def interrupted(self, state, monitor):
        """Return the state with the model of the last finished pass; with early stopping, the best."""
        coef = monitor.model
        if not all_finite(coef):
            raise advice.diverged(self, state.judged_on, "the objective is not finite")
        if state.steps_after:
            state = replace(state, n_steps=state.steps_after[: monitor.n_passes][-1])
        else:  # the finish began without an epoch
            state = self._begin(state, state.measured.n_rows)
        message = advice.interrupted(monitor.loss_curve[-1], monitor.gap_curve[-1], monitor.n_passes)
        model = self._model(state, coef, (message,), "interrupted")
        worse = state.judge is not None and state.judge.is_worse_than_constant
        return replace(state, model=model._replace(is_worse_than_constant=worse))

    def _constant_loss(self, state: State) -> np.ndarray:
        """Return the loss of the constant model, (n_targets,); but for the squared error that of the judging rows."""
        targets = state.measured.targets
        if not self.objective.is_least_squares:
            loss = self.objective.constant_value(state.judged_on)
            is_rounding = self.objective.fit_intercept & (targets.variance == 0.0)
            return np.where(is_rounding, 0.0, loss)
        mean = 0.0 if self.objective.fit_intercept else targets.mean
        return 0.5 * (targets.variance + mean**2)

    def _constant_model(self, state: State, block: Block) -> np.ndarray:
        """Return the coefficients of the constant model, (n_targets, n_features + 1); for a kink that of some rows."""
        coef = np.zeros((block.n_targets, block.n_features + 1))
        if self.objective.fit_intercept:
            mean = state.measured.targets.mean
            coef[:, -1] = self.objective.constant(block) if self.objective.has_kink else mean
        return coef

    def batch_size(self, n_rows: int) -> int:
        """Return the number of rows of a batch of ``n_rows``."""
        asked = self.options.batch_size
        if asked == "full":
            return n_rows
        return min(n_rows, self.kernel.auto_batch_size if asked == "auto" else int(asked))

    def _closes_intercept(self, state: State) -> bool:
        """Return whether the intercept is tied to the means: both must be of the same rows."""
        if not (self.step_sizes.is_automatic and self.objective.fit_intercept and self.objective.is_least_squares):
            return False
        columns, targets = state.measured.columns, state.measured.targets
        return columns is not None and targets is not None and columns.total_weight == targets.total_weight

    def coef(self, state: State) -> np.ndarray:
        """Return the coefficients that steps have led to, (n_targets, n_features + 1)."""
        coef = state.coordinates.to_raw(model_of_steps(state))
        if self._closes_intercept(state):
            coef[:, -1] = state.measured.targets.mean - coef[:, :-1] @ state.measured.columns.mean
        return coef

    def _column_means(self, state: State) -> np.ndarray | None:
        return state.measured.columns.mean if self._closes_intercept(state) else None

    def _model(
        self, state: State, coef: np.ndarray, messages: tuple[str, ...], reason: str, kept: State | None = None
    ) -> Model:
        attributes = {"t_": state.n_steps + 1, "batch_size_": state.batch_size, "step_size_": state.step_size}
        return Model(
            coef,
            attributes,
            kept,
            column_means=self._column_means(state),
            advice=messages,
            is_worse_than_constant=advice.WORSE_THAN_CONSTANT in messages,
            reason=reason,
        )

    def _kept(self, state: State) -> State:
        """Return what is kept with the estimator, so that the next call of partial_fit goes on from there."""
        return replace(
            state,
            **state.converted(state.coordinates.to_raw),
            weight_exponent=self.weight_exponent,
            step_scale=np.ones_like(state.step_scale),
            measured=state.measured._replace(reservoir=None),
            start=None,
            coordinates=None,
            sample=None,
            since_restart=0,
            steps_after=[],
        )


def _leaves_float32(scale: np.ndarray, spread: np.ndarray) -> bool:
    """Return whether products or quotients of the scales of columns and the spread of a target do."""
    scale, spread = np.log2([[scale.min()], [scale.max()]]), np.log2(spread[spread > 0.0])
    return bool(np.any(np.abs([scale + spread, scale - spread]) > SINGLE_RANGE))
