"""Fits of candidates side by side: each in a thread of its own, and all of them read the rows together.

The threads take turns, one runs at a time. A fit that wants steps over batches, or a full gradient, waits until all
others want something, too; then one pass over the rows does what all want. Each fit is what it would be alone.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import methodcaller
from threading import Condition
from typing import Any

import numpy as np

from sgdlinreg._core.blocks import part_of
from sgdlinreg._core.contract import CPUKernel, Iterate
from sgdlinreg._core.coordinates import Coordinates
from sgdlinreg._core.objective import Objective

CHUNK_BYTES = 1 << 22
"""Rows of so many bytes stay in the cache while all candidates take their steps over them."""


class Cancelled(BaseException):
    """Ends a fit whose search has ended."""


class Request:
    """What one fit waits for.

    Parameters
    ----------
    method : str
        Name of a method of the kernel.
    block : Block
        The rows, in the form that the kernel wants.
    args : tuple
        The further arguments of the method.
    """

    def __init__(self, method: str, block: Any, args: tuple[Any, ...]):
        self.method, self.block, self.args = method, block, args
        self.answer: Any = None
        self.error: BaseException | None = None

    def key(self, is_cpu: bool) -> tuple[Any, ...]:
        """Return what requests have in common that one pass can answer, or one call of a kernel of a device."""
        if self.method == "gradient_sums":
            loss, _, _, with_y = self.args
            return self.method, id(self.block), type(loss).__name__, with_y
        _, _, batch_size, objective, coordinates, momentum, _ = self.args
        if is_cpu:
            return self.method, id(self.block), batch_size
        about = type(objective.loss).__name__, objective.is_smooth, objective.fit_intercept, objective.positive
        return self.method, id(self.block), batch_size, *about, momentum, coordinates.centre.tobytes()


class Together:
    """Runs fits together.

    Parameters
    ----------
    kernel : Kernel
        Reads the rows.
    """

    def __init__(self, kernel: Any):
        self.kernel, self.is_cpu, self.turn = kernel, isinstance(kernel, CPUKernel), Condition()
        self.requests: list[Request] = []
        self.n_running, self.cancelled = 0, False
        self.blocks: dict[tuple[str, int], Any] = {}

    def run(self, fits: list[Callable[[], Any]]) -> list[Any]:
        """Call functions, each in a thread, and return what they return."""
        self.n_running = len(fits)
        with ThreadPoolExecutor(len(fits)) as pool:
            results = [pool.submit(self._run_one, fit) for fit in fits]
            try:
                return [result.result() for result in results]
            except BaseException:
                with self.turn:
                    self.cancelled = True
                    self.turn.notify_all()
                raise

    def _run_one(self, fit):
        with self.turn:
            try:
                return fit()
            finally:
                self.n_running -= 1
                self._answer_if_all_wait()

    def place(self, block: Any) -> Any:
        """Return what the kernel places, the same for all that ask for the same rows."""
        return self._once(self.kernel.place, block)

    def to_device(self, block: Any) -> Any:
        """Return the block in the form that the kernel wants, the same for all that ask for the same rows."""
        return self._once(self.kernel.to_device, block)

    def _once(self, function, block):
        key = function.__name__, id(block.X)
        if key not in self.blocks:
            self.blocks[key] = block, function(block)  # the block stays, and so does its id
        return self.blocks[key][1]

    def ask(self, method: str, block: Any, *args: Any) -> Any:
        """Wait for the result of a method of the kernel."""
        request = Request(method, block, args)
        self.requests.append(request)
        self._answer_if_all_wait()
        while request.answer is None and request.error is None:
            if self.cancelled:
                raise Cancelled
            self.turn.wait()
        if request.error is not None:
            raise request.error
        return request.answer

    def _answer_if_all_wait(self):
        if not self.requests or len(self.requests) < self.n_running:
            return
        requests, self.requests = self.requests, []
        key = methodcaller("key", self.is_cpu)
        for _, group in groupby(sorted(requests, key=key), key=key):
            self._answer(list(group))
        self.turn.notify_all()

    def _answer(self, requests):
        answer = self._run_batches if requests[0].method == "run_batches" else self._sum_gradients
        try:
            answers: Any = answer(requests)
        except BaseException as error:
            for request in requests:
                request.error = error
            return
        for request, answer in zip(requests, answers, strict=True):
            request.answer = answer

    def _sum_gradients(self, requests) -> list[tuple[np.ndarray, np.ndarray]]:
        """Sum gradients with the coefficients of all as the models of one pass."""
        block = requests[0].block
        losses, coefs, centres, with_y = zip(*(request.args for request in requests), strict=True)
        counts = [len(coef) for coef in coefs]
        loss = joined_loss(losses, counts) if len(requests) > 1 else losses[0]
        found = self.kernel.gradient_sums(block, loss, np.concatenate(coefs), centres[0], with_y[0])
        ends = np.cumsum(counts)[:-1]
        return list(zip(*(np.split(part, ends) for part in found), strict=True))

    def _run_batches(self, requests) -> list[np.ndarray]:
        """Let all take their steps together, if they want the same rows."""
        run = self._run_in_chunks if self.is_cpu else self._run_as_models
        if all(np.array_equal(request.args[0], requests[0].args[0]) for request in requests):
            return run(requests)
        return [run([request])[0] for request in requests]

    def _run_as_models(self, requests) -> list[np.ndarray]:
        """Take the steps of all in one call, as those of many models."""
        block, n_fits = requests[0].block, len(requests)
        columns = zip(*(request.args for request in requests), strict=True)
        orders, sizes, batch_sizes, objectives, coordinates, momenta, iterates = columns
        iterate = Iterate(*map(np.concatenate, zip(*iterates, strict=True)))
        losses = self.kernel.run_batches(
            block,
            orders[0],
            np.concatenate(sizes, axis=1),
            batch_sizes[0],
            joined_objective(objectives, block.n_targets),
            joined_coordinates(coordinates, block.n_targets),
            momenta[0],
            iterate,
        )
        for number, one in enumerate(iterates):
            for array, models in zip(one, iterate, strict=True):
                array[:] = np.split(models, n_fits)[number]
        return np.split(losses, n_fits)

    def _run_in_chunks(self, requests) -> list[np.ndarray]:
        """Let all take their steps over a few batches, then over the next ones."""
        block, (order, _, batch_size, *_) = requests[0].block, requests[0].args
        step = batch_size * max(1, int(CHUNK_BYTES / max(1.0, block.row_bytes) / batch_size))
        totals = [np.zeros(block.n_targets) for _ in requests]
        for start in range(0, len(order), step):
            part = part_of(block, order[start : start + step])
            steps, rows = slice(start // batch_size, -(-(start + step) // batch_size)), np.arange(part.n_rows)
            for request, total in zip(requests, totals, strict=True):
                _, sizes, _, *rest = request.args
                total += self.kernel.run_batches(part, rows, sizes[steps], batch_size, *rest)
        return totals


def joined_loss(losses, n_each):
    """Return the loss of models side by side, ``n_each`` of each loss."""
    return type(losses[0])(*(np.repeat(np.array(numbers, float), n_each) for numbers in zip(*losses, strict=True)))


def joined_objective(objectives, n_each):
    """Return the objective of models side by side, which differ in numbers only."""
    loss, first = joined_loss([one.loss for one in objectives], n_each), objectives[0]
    alpha, l1_ratio = (
        np.repeat(np.array(numbers, float), n_each)[:, None]
        for numbers in zip(*((one.alpha, one.l1_ratio) for one in objectives), strict=True)
    )
    return Objective(loss, alpha, first.fit_intercept, l1_ratio, first.positive)


def joined_coordinates(coordinates, n_each):
    """Return the coordinates of models side by side, which have one centre and perhaps one scale."""
    first, scales = coordinates[0], np.stack([one.scale for one in coordinates])
    return first if (scales == first.scale).all() else Coordinates(first.centre, np.repeat(scales, n_each, axis=0))


class SharedKernel:
    """The kernel of one fit of some together.

    Parameters
    ----------
    together : Together
    """

    def __init__(self, together: Together):
        self.together, kernel = together, together.kernel
        self.losses, self.devices, self.auto_batch_size = kernel.losses, kernel.devices, kernel.auto_batch_size
        self.place, self.to_device = together.place, together.to_device

    def run_batches(self, block, *args):
        """Take one step for every batch, when all others want something, too."""
        return self.together.ask("run_batches", block, *args)

    def gradient_sums(self, block, loss, coef, centre, with_y=True):
        """Sum the loss and its gradient over all rows, when all others want something, too."""
        return self.together.ask("gradient_sums", block, loss, coef, centre, with_y)
