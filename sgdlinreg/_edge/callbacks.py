"""The callbacks of scikit-learn, which has them from 1.9 on: what a fit tells them, and how they end it."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import Block
from sgdlinreg._core.contract import Model
from sgdlinreg._edge.attributes import forget, keep
from sgdlinreg._edge.parameters import Choice
from sgdlinreg._loop.monitor import Monitor

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks: scikit-learn is older than they are."""


class Tasks:
    """The tasks of a fit, of which callbacks are told: the fit, and within it every pass.

    They begin where it is made, before anything else of the estimator is changed: its attributes that end callbacks
    must stay if the fit fails.

    Parameters
    ----------
    estimator : MiniBatchSGDRegressor
    X, y, sample_weight : Any
        What the user passed to fit; None for a source, whose rows are never together.
    """

    def __init__(self, estimator: Any, X: Any = None, y: Any = None, sample_weight: Any = None):
        self.fit = None
        if getattr(estimator, "_skl_callbacks", None):  # as scikit-learn's estimators ask: a task costs microseconds
            known = estimator.max_iter if estimator.tol is None else None
            metadata = {"sample_weight": sample_weight} if np.ndim(sample_weight) else None  # a number weights nothing
            self.told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
            self.fit = estimator._init_callback_context(max_subtasks=known)
            self.fit.call_on_fit_task_begin(**self.told)

    def watch(self, choice: Choice, block: Block, X: Any) -> Callable[[Monitor], bool] | None:
        """Return what a monitor calls after each pass: one task, with the estimator as the pass leaves it.

        Parameters
        ----------
        choice : Choice
            The solver.
        block : Block
            The rows, or the first of them.
        X : Any
            What the user passed, or the first of it.
        """
        fit = self.fit
        if fit is None:
            return None

        def tell(monitor):
            task = fit.subcontext(task_name="pass")
            task.call_on_fit_task_begin(**self.told)
            attributes = partial(self._attributes, monitor, choice, block, X)  # called only where a callback asks
            return task.call_on_fit_task_end(**self.told, reconstruction_attributes=attributes)

        return tell

    def _attributes(self, monitor, choice, block, X) -> dict[str, Any]:
        """Return the fitted attributes after a pass: those of a fit of so many passes."""
        fitted = SimpleNamespace(_y_ndim=self.told["estimator"]._y_ndim)
        reason = "the fit is not at its end"
        model = Model(monitor.model, {}, None, column_means=monitor.column_means, inference=reason)
        forget(fitted)
        keep(fitted, model, monitor, choice, block, X)
        return vars(fitted)

    def end(self) -> None:
        """End the task of the fit: the estimator is fitted."""
        if self.fit is not None:
            self.fit.call_on_fit_task_end(**self.told, reconstruction_attributes={})


__all__ = ["CallbackSupportMixin", "Tasks"]
