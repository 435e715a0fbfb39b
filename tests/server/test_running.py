"""Ending the server."""

from __future__ import annotations

import signal

import pytest

from dubfew.server.running import hold_back_signals


def test_a_signal_ends_the_process_after_the_server_and_not_within() -> None:
    before = signal.getsignal(signal.SIGINT)
    steps = []

    def serve() -> None:
        with hold_back_signals():
            signal.raise_signal(signal.SIGINT)
            steps.append("the server has ended open requests")

    with pytest.raises(KeyboardInterrupt):
        serve()
    assert steps == ["the server has ended open requests"]
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_signal_nothing_happens() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with hold_back_signals():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
