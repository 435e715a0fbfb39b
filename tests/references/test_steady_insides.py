"""What is seen between the lips: held while they are open, free where they close."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.references.selection import select_nearest
from dubfew.references.steady_insides import MAX_FARTHER, MouthInsides, find_teeth, hold_insides

# Three references with teeth, three without.
TEETH = np.array([True, True, True, False, False, False])
OPEN = 0.15


def shown(nearer: list[int], gaps: list[float], shots: list[int] | None = None, by: float = 0.004):
    """Which kind the first three references have; ``nearer`` is 1 where teeth are nearer."""
    count = len(nearer)
    distances = np.full((count, 6), 0.05, np.float32) + np.arange(6, dtype=np.float32) * 1e-5
    for row, teeth in enumerate(nearer):
        distances[row, TEETH if teeth else ~TEETH] -= by
    held = hold_insides(
        distances,
        MouthInsides(TEETH, np.array(gaps, np.float32)),
        np.array(shots or [0] * count),
        3,
    )
    assert held.dtype == np.float32
    rows, _ = select_nearest(held, 3)
    kinds = TEETH[rows]
    assert (kinds == kinds[:, :1]).all()
    return kinds[:, 0].astype(int).tolist()


def test_an_open_mouth_keeps_what_it_shows() -> None:
    """Two frames of eight would change to and fro; eight frames are cheaper of one kind."""
    nearer = [0, 0, 1, 1, 0, 0, 0, 0]
    assert shown(nearer, [OPEN] * 8) == [0] * 8
    assert shown(nearer, [0.0] * 8) == nearer


def test_a_closure_frees_the_choice() -> None:
    nearer = [1, 1, 1, 0, 0, 0]
    assert shown(nearer, [OPEN, OPEN, 0.0, 0.0, OPEN, OPEN]) == nearer
    assert shown(nearer, [OPEN] * 6, [0, 0, 0, 1, 1, 1]) == nearer


def test_what_is_much_nearer_wins() -> None:
    """The footage shows the mouth that is asked for: no hold."""
    nearer = [0, 0, 1, 1, 0, 0]
    assert shown(nearer, [OPEN] * 6, by=0.04) == nearer
    # One frame alone is cheaper held, but its references are too far for that.
    assert shown([0, 1, 0], [OPEN] * 3, by=MAX_FARTHER + 0.002) == [0, 1, 0]
    assert shown([0, 1, 0], [OPEN] * 3, by=MAX_FARTHER - 0.002) == [0, 0, 0]


@pytest.mark.parametrize("teeth", [np.ones(6, bool), np.zeros(6, bool)])
def test_footage_of_one_kind_stays_as_it_is(teeth: np.ndarray) -> None:
    distances = np.random.default_rng(0).uniform(0, 1, (4, 6)).astype(np.float32)
    insides = MouthInsides(teeth, np.full(4, OPEN, np.float32))
    np.testing.assert_array_equal(hold_insides(distances, insides, np.zeros(4, int), 3), distances)
    nothing = MouthInsides(TEETH, np.zeros(0, np.float32))
    assert hold_insides(distances[:0], nothing, np.zeros(0, int), 3).shape == (0, 6)


def test_too_few_references_of_a_kind_are_not_held() -> None:
    """With one picture of teeth, the second and third reference would be of the other kind."""
    teeth = np.array([True, False, False, False])
    distances = np.array([[0.049, 0.05, 0.05, 0.05]] * 3, np.float32)
    insides = MouthInsides(teeth, np.full(3, OPEN, np.float32))
    np.testing.assert_array_equal(hold_insides(distances, insides, np.zeros(3, int), 3), distances)


def test_windows_with_teeth_are_found() -> None:
    """Drawn mouths: a bright band between red lips, and a dark one."""

    class Footage:
        images = np.full((2, 64, 64, 3), (150, 90, 80), np.uint8)

        @staticmethod
        def project_points(rows: np.ndarray, matrix: object) -> np.ndarray:
            angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            ring = np.stack([-0.5 * np.cos(angle), -0.3 * np.sin(angle)], 1)
            return np.repeat(ring[None].astype(np.float32), len(rows), axis=0)

    Footage.images[0, 22:42, 16:48] = (210, 205, 200)
    Footage.images[1, 22:42, 16:48] = (25, 10, 10)

    class Head:
        inner_lip_matrix = None

    assert find_teeth(Footage, Head).tolist() == [True, False]  # type: ignore[arg-type]
