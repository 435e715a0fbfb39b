"""Work that processes share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dubfew.training import accelerator as module
from dubfew.training.accelerator import share_work


def test_each_item_is_worked_on_once_and_results_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items, done = ["a", "b", "c", "d", "e"], []

    def work(item: str) -> str:
        done.append(item)
        return item.upper()

    one = SimpleNamespace(process_index=0, num_processes=1)
    assert share_work(one, items, work) == ["A", "B", "C", "D", "E"]
    done.clear()
    # The second of two processes; what the first one gives comes from Accelerate.
    others = [(0, "A"), (2, "C"), (4, "E")]
    monkeypatch.setattr(module, "gather_object", lambda own: [*others, *own])
    two = SimpleNamespace(process_index=1, num_processes=2)
    assert share_work(two, items, work) == ["A", "B", "C", "D", "E"]
    assert done == ["b", "d"]
