"""A signal is noted once, and then handled as before."""

from __future__ import annotations

import signal
import threading

import pytest

from dubfew.training.interruption import deferred_interrupts


def test_the_first_signal_is_noted_and_the_second_ends() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupts() as interruption:
        assert not interruption.requested
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ignored_signals_and_other_threads_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupts() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.requested
    finally:
        signal.signal(signal.SIGINT, before)
    found = []

    def work() -> None:
        with deferred_interrupts() as inner:
            found.append((inner.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]
