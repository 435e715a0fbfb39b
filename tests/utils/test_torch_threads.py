"""Cores that torch leaves to the other stages of a pipeline."""

import threading

import pytest
import torch

from dubfew.utils import torch_threads
from dubfew.utils.torch_threads import map_in_threads, share_cores


@pytest.fixture
def set_threads():
    """Set torch's threads as in a process that has so many cores; they are restored."""
    usual = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(usual)


def test_threads_of_the_block_compute_with_half_of_the_cores(set_threads, monkeypatch) -> None:
    monkeypatch.setattr(torch_threads, "num_available_cpus", lambda: 6)
    set_threads(6)
    found = []
    with share_cores() as count:
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert count == 3
    assert found == [3]
    assert torch.get_num_threads() == 6


@pytest.mark.parametrize(("cores", "threads"), [(6, 4), (1, 1)])
def test_another_number_than_the_default_stands(
    cores: int, threads: int, set_threads, monkeypatch
) -> None:
    monkeypatch.setattr(torch_threads, "num_available_cpus", lambda: cores)
    set_threads(threads)
    with share_cores() as count:
        assert count == torch.get_num_threads() == threads


def test_items_are_computed_side_by_side_and_come_in_order(set_threads) -> None:
    set_threads(6)
    both = threading.Barrier(2, timeout=60)

    def compute(item: int) -> tuple[int, int]:
        if item < 2:
            both.wait()  # ends only if two are computed at once
        return item, torch.get_num_threads()

    assert list(map_in_threads(compute, range(5), 3)) == [(item, 2) for item in range(5)]
    assert torch.get_num_threads() == 6


def test_an_error_of_an_item_is_raised(set_threads) -> None:
    set_threads(2)

    def compute(item: int) -> None:
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(map_in_threads(compute, range(3)))
    assert torch.get_num_threads() == 2
