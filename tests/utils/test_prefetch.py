"""Producer and consumer side by side."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.utils.prefetch import prefetch


def wait_until(condition, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@settings(max_examples=25, deadline=None)
@given(st.lists(st.none() | st.integers(), max_size=30), st.integers(0, 5))
def test_the_same_items_in_order(items, depth):
    assert list(prefetch(items, depth)) == items


def test_nothing_starts_before_the_first_item_is_asked_for():
    before = set(threading.enumerate())
    stream = prefetch(iter([1, 2]))
    assert set(threading.enumerate()) <= before
    stream.close()


def test_the_producer_has_a_thread_of_its_own():
    def items():
        yield threading.get_ident()

    assert next(iter(prefetch(items()))) != threading.get_ident()


@pytest.mark.parametrize("size", [0, 3])
def test_never_further_ahead_than_the_depth(size):
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    with closing(prefetch(items(), buffer_size=size)) as stream:
        for taken, _ in enumerate(stream, 1):
            # Those in the buffer, and one in the producer's hands.
            assert len(made) <= taken + size + 1
            if taken == 10:
                assert wait_until(lambda: len(made) == 11 + size)
                time.sleep(0.15)
                assert len(made) == taken + size + 1
                break


def test_an_error_comes_where_its_item_would_have():
    def items():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(iter_into(prefetch(items()), got))
    assert got == [1, 2]


def iter_into(stream, got):
    for item in stream:
        got.append(item)
    return []


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopIteration, SystemExit, MemoryError])
def test_every_kind_of_error_arrives(error):
    class Items:
        def __init__(self):
            self.left = 2

        def __iter__(self):
            return self

        def __next__(self):
            self.left -= 1
            if self.left < 0:
                raise error
            return self.left

    if error is StopIteration:
        assert list(prefetch(Items())) == [1, 0]
    else:
        with pytest.raises(error):
            list(prefetch(Items()))


def test_stopping_early_ends_the_thread():
    before = set(threading.enumerate())
    closed = []

    def items():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.append(True)

    with closing(prefetch(items(), buffer_size=2)) as stream:
        for item in stream:
            if item == 5:
                break
    assert set(threading.enumerate()) <= before
    del stream
    assert closed == [True]


def test_chains_end_together():
    before = set(threading.enumerate())

    def numbers():
        number = 0
        while True:
            yield number
            number += 1

    def doubled(items):
        for item in items:
            yield 2 * item

    with closing(prefetch(numbers())) as first, closing(prefetch(doubled(first))) as second:
        assert [next(second) for _ in range(5)] == [0, 2, 4, 6, 8]
    assert set(threading.enumerate()) <= before


def test_an_error_in_the_middle_of_a_chain_ends_all_of_it():
    before = set(threading.enumerate())

    def broken(items):
        for item in items:
            if item == 3:
                raise ValueError("three")
            yield item

    with (
        pytest.raises(ValueError, match="three"),
        closing(prefetch(iter(range(10**9)))) as first,
        closing(prefetch(broken(first))) as second,
    ):
        list(second)
    assert set(threading.enumerate()) <= before


def test_a_second_interrupt_waits_for_the_thread(monkeypatch):
    release, ended = threading.Event(), threading.Event()

    def slow():
        yield 1
        release.wait(10)
        ended.set()
        yield 2

    join, calls = threading.Thread.join, []

    def interrupted_join(thread, timeout=None):
        calls.append(thread)
        if len(calls) == 1:
            release.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted_join)
    items = prefetch(slow())
    assert next(items) == 1
    with pytest.raises(KeyboardInterrupt):
        items.close()
    assert ended.is_set()
    assert not calls[0].is_alive()
