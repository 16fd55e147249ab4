"""Limits of BLAS's threads, from any thread."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sgdlinreg._core.threads import n_threads, one_thread


def numbers():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def in_a_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(autouse=True)
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        yield


def limited():
    with one_thread:
        return numbers()


def test_every_thread_can_set_the_limit():
    assert limited() == {1}
    assert numbers() == {2}
    for _ in range(2):
        assert in_a_thread(limited) == {1}
        assert numbers() == {2}
    assert limited() == {1}
    assert n_threads() == 2


def test_the_last_of_some_threads_restores_the_limit():
    barrier = Barrier(2, timeout=10)

    def first():
        with one_thread:
            barrier.wait()  # both are in
        barrier.wait()  # the first is out

    def second():
        with one_thread:
            barrier.wait()
            barrier.wait()
            return numbers()

    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(first), pool.submit(second)
        assert done[1].result() == {1}
    assert numbers() == {2}


def test_a_limit_of_the_user_stays():
    with threadpool_limits(1, user_api="blas"):
        in_a_thread(limited)
        assert numbers() == {1}
    assert numbers() == {2}
