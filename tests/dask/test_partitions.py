"""Sums over partitions: the same as over the rows, joined in a tree."""

from dataclasses import dataclass

import numpy as np
import pytest

from sgdlinreg import MiniBatchSGDRegressor
from sgdlinreg._core.contract import Sums

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
from sgdlinreg.dask.collections import rows_of  # noqa: E402
from sgdlinreg.dask.partitions import JOINED, Checked, Partitions  # noqa: E402


@dataclass(frozen=True)
class Seen(Sums):
    """The first numbers of the blocks, in the order in which they were joined, and how deep that was."""

    numbers: tuple = ()
    depth: int = 0

    def add(self, block):
        return Seen((*self.numbers, int(block.X[0, 0])), self.depth)

    def merge(self, other):
        return Seen(self.numbers + other.numbers, max(self.depth, other.depth) + 1)


def partitions(n_parts, places=None, empty=()):
    sizes = [0 if number in empty else 2 for number in range(n_parts)]
    X = np.repeat(np.arange(float(n_parts)), sizes)[:, None]
    collection = da.from_array(X, chunks=(tuple(sizes), 1))
    estimator = MiniBatchSGDRegressor()
    estimator.n_features_in_ = 1
    rows = rows_of(collection, collection[:, 0])
    return Partitions(rows, Checked(estimator, 1), places or [""] * n_parts, in_order=not places)


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("n_parts", [1, 2, JOINED, JOINED + 1, 100])
def test_sums_join_in_the_order_of_the_partitions(n_parts):
    seen = partitions(n_parts).fold(Seen())
    assert seen.numbers == tuple(range(n_parts))
    assert seen.depth <= (JOINED - 1) * np.ceil(np.log(max(n_parts, 2)) / np.log(JOINED))


def test_sums_of_one_place_join_first():
    data = partitions(5, places=["b", "a", "b", "a", "b"])
    assert data.fold(Seen()).numbers == (0, 2, 4, 1, 3)
    data.in_order = True
    assert data.fold(Seen()).numbers == (0, 1, 2, 3, 4)


def test_partitions_without_rows_are_left_out():
    assert partitions(5, empty=(0, 2, 4)).fold(Seen()).numbers == (1, 3)
    with pytest.raises(ValueError, match="There are no rows of positive weight"):
        partitions(3, empty=(0, 1, 2)).fold(Seen())


def test_functions_are_called_in_their_order():
    @dataclass
    class Shifted:
        X: np.ndarray

    def shift(block):
        return Shifted(block.X + 1.0)

    def double(block):
        return Shifted(2.0 * block.X)

    assert partitions(3).map(shift).map(double).fold(Seen()).numbers == (2, 4, 6)


def test_rows_are_counted():
    data = partitions(4, empty=(1,))
    assert data.count() == 0
    assert data.n_rows == data.map(lambda block: block).n_rows == [2, 0, 2, 2]


def test_an_error_names_the_partition():
    def fail(block):
        if block.X[0, 0] == 2.0:
            raise ValueError("two is too much")
        return block

    with pytest.raises(ValueError, match=r"^partition 2: two is too much"):
        partitions(4).map(fail).fold(Seen())


def test_a_task_is_sent_nothing_of_the_other_partitions():
    graph = partitions(6).folded(Seen()).__dask_graph__()
    tasks = [task for key, task in graph.items() if str(key).startswith("_sums_of")]
    assert len(tasks) == 6
    for task in tasks:
        dependencies = [key for key in task.dependencies if not str(key).startswith(("Seen", "Checked"))]
        assert len(dependencies) == 2, "X and y of one partition"
