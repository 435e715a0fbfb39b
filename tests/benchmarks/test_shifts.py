"""Changes of the truth that pretend to be paintings, and the figures made of losses."""

from __future__ import annotations

import pytest
import torch

from benchmarks.shifts import document, move_lower_lip, relative, shift_frames, swing
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS


def test_a_shift_repeats_the_left_edge() -> None:
    frames = torch.arange(4.0).expand(1, 5, 3, 2, 4)
    assert shift_frames(frames, 2)[0, 0, 0, 0].tolist() == [0, 0, 0, 1]
    assert shift_frames(frames, 0) is frames


def test_the_lower_lip_moves_and_the_upper_face_stays() -> None:
    landmarks = torch.full((1, 5, 478, 2), 40.0)
    angle = torch.arange(len(OUTER_LIPS)) / len(OUTER_LIPS) * 6.28
    for ring, height in ((OUTER_LIPS, 6), (INNER_LIPS, 2)):
        oval = torch.stack([40 + 12 * angle.cos(), 40 + height * angle.sin()], 1)
        landmarks[:, :, list(ring)] = oval[: len(ring)]
    for point in (14, 17, 84, 314, 87, 317):
        landmarks[:, :, point] = torch.tensor([40.0, 45.0])
    # A bright line across the lower lip.
    frames = torch.zeros(1, 5, 3, 80, 80)
    frames[..., 45, :] = 1
    moved = move_lower_lip(frames, landmarks, 4)
    column = moved[0, 0, 0, :, 40]
    assert int(column.argmax()) == pytest.approx(49, abs=1)
    assert torch.equal(moved[..., :38, :], frames[..., :38, :])
    torch.testing.assert_close(move_lower_lip(frames, landmarks, 0), frames, atol=1e-4, rtol=0)


def test_figures() -> None:
    assert relative([1.0, 4.0, 2.0]) == [0.25, 1.0, 0.5]
    assert swing([1.0, 4.0]) == 0.75
    losses = {"L1": {"shift": [0.0, *[1.0] * 8], "lip": [1.0, 1, 0, 1, 1]}}
    text = document(losses, "a note")
    assert "a note" in text
    assert "| L1 | 0.000 | 1.000 |" in text
