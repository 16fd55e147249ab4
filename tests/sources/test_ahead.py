import threading
import traceback

import pytest

from sgdlinreg.sources.ahead import read_ahead


def threads():
    return [thread for thread in threading.enumerate() if "read-ahead" in thread.name]


def numbers(n, log=None):
    for number in range(n):
        if log is not None:
            log.append(number)
        yield number


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100])
def test_gives_all_in_order_and_ends_its_thread(n):
    assert list(read_ahead(numbers(n))) == list(range(n))
    assert not threads()


def test_reads_in_another_thread_and_is_bounded():
    def which():
        yield threading.current_thread()

    assert list(read_ahead(which())) != [threading.current_thread()]
    log, third = [], threading.Event()

    def logged():
        for number in numbers(100, log):
            if number == 3:
                third.set()
            yield number

    blocks = read_ahead(logged())
    assert next(blocks) == 0
    assert not third.wait(0.2)  # block 0 is with the caller, 1 and 2 are ready
    assert log == [0, 1, 2]
    assert next(blocks) == 1
    assert third.wait(10)
    blocks.close()


def test_a_caller_that_stops_early_leaves_no_thread():
    closed = []

    def endless():
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            closed.append(True)

    for _ in range(3):
        for number in read_ahead(endless()):
            if number == 5:
                break
        del number
    assert not threads()
    assert closed == [True] * 3


def test_an_error_is_passed_on_with_its_traceback():
    def breaks():
        yield 1
        raise RuntimeError("the disk is gone")

    numbers = read_ahead(breaks())
    assert next(numbers) == 1
    with pytest.raises(RuntimeError, match="the disk is gone") as caught:
        next(numbers)
    assert "breaks" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert not threads()


def test_an_error_of_the_caller_ends_the_thread():
    def consume():
        for number in read_ahead(numbers(100)):
            if number == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not threads()
