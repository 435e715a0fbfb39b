"""Redo: new frames in a passage alone, eased at its ends, in a file that fits."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.marks.credentials import read_credentials
from dubfew.media import probe, read_frames
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.render import render
from dubfew.render.options import RenderOptions
from dubfew.render.redo import (
    Passage,
    blend_into_passage,
    join_frames,
    passage_weights,
    resolve_passage,
)
from tests.render.conftest import FRAMES, write_scene

pytestmark = pytest.mark.slow

DUB = Path(str(files("dubfew.demo") / "dub.wav"))
TIMES = np.arange(20) / 25


def passage(start: float, end: float, into: Path = Path("o.mp4")) -> Passage:
    return Passage(into, start, end, None)


def test_weights_rise_and_fall_inside_the_passage():
    weights = passage_weights(TIMES, passage(0.2, 0.48), 2)  # frames 5 to 11
    expected = np.zeros(20)
    expected[5:12] = [1 / 3, 2 / 3, 1, 1, 1, 2 / 3, 1 / 3]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_the_ends_of_the_video_are_no_edges():
    np.testing.assert_array_equal(passage_weights(TIMES, passage(0, 9), 5), np.ones(20))
    assert passage_weights(TIMES, passage(0.4, 9), 3)[[9, 10, 19]].tolist() == [0, 0.25, 1]


def test_a_passage_between_two_frames_is_empty():
    assert not passage_weights(TIMES, passage(0.41, 0.43), 2).any()


def test_motion_eases_from_the_plain_one():
    plain, corrected = (
        MouthMotion(np.full((3, len(MOUTH_POINTS), 3), value, np.float32), np.arange(3.0))
        for value in (1.0, 3.0)
    )
    found = blend_into_passage(plain, corrected, np.array([0, 0.5, 1], np.float32))
    assert found.displacement[:, 0, 0].tolist() == [1, 2, 3]


def test_frames_are_joined_and_faded(clip, tmp_path):
    """The earlier output is black."""
    black = (frame.with_patch(0, 0, *_black(frame)) for frame in read_frames(clip, stop=6))
    into = write_scene(tmp_path / "black.mp4", clip, black)
    new = list(read_frames(clip, stop=6))
    weights = np.array([0, 0.5, 1, 1, 0.5, 0], np.float32)
    joined = list(join_frames(new, passage(0, 1, into), weights))
    means = np.array([frame.to_rgb().mean() for frame in joined])
    whole = np.array([frame.to_rgb().mean() for frame in new])
    np.testing.assert_allclose(means, weights * whole, atol=2)
    assert [frame.stamp for frame in joined] == [frame.stamp for frame in new]
    for frames in (new[:5], [*new, new[0]]):
        with pytest.raises(DubfewError, match="different numbers of frames"):
            list(join_frames(frames, passage(0, 1, into), np.ones(len(frames))))


def _black(frame) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((frame.height, frame.width, 3), np.uint8), np.ones(
        (frame.height, frame.width), bool
    )


def list_packets(path: Path, kind: str) -> list[bytes]:
    """List the packets of one stream."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


def test_only_the_passage_is_new(registry, clip, tmp_path):
    """Lossless outputs, so that kept frames are the same samples."""
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    common = {"audio": DUB, "fit": "trim", "lossless": True, "registry": registry}
    whole = render("actor", out=first, **common)
    redone = render(
        "actor", into=first, from_seconds=0.4, to_seconds=0.8, open=0.3, out=second, **common
    )
    assert (redone.frames, redone.edited_frames) == (FRAMES, 10)
    # Before the passage all packets stay, but for frames that are decoded after one of it.
    assert whole.kept_frames == 0
    assert 8 <= redone.kept_frames <= 10
    # Ten frames need no mouths that the footage lacks.
    assert whole.note.startswith(redone.note)
    for kind in ("video", "audio"):
        before, after = (list_packets(path, kind) for path in (first, second))
        count = redone.kept_frames - 1 if kind == "video" else len(before)
        assert len(before[:count]) >= 5
        assert after[:count] == before[:count]
    assert redone.watermark == whole.watermark
    assert read_credentials(second).state == "valid"
    changed = [
        not np.array_equal(a.to_rgb(), b.to_rgb())
        for a, b in zip(read_frames(first), read_frames(second), strict=True)
    ]
    assert changed == [10 <= number < 20 for number in range(FRAMES)]
    # The mean rate of a scene whose rate varies is not that of an output that holds its last frame.
    varying = dataclasses.replace(probe(clip), fps=Fraction(1350, 61))
    options = {"from_seconds": 0.4, "to_seconds": 0.8}
    assert resolve_passage(RenderOptions(into=first, **options), varying).end == 0.8
    # Files that do not fit are refused before any work.
    scene = write_scene(tmp_path / "other.mp4", clip, read_frames(clip, stop=9))
    with pytest.raises(DubfewError, match="another scene"):
        resolve_passage(RenderOptions(into=first, **options), probe(scene))
    with pytest.raises(DubfewError, match="no output of dubfew"):
        resolve_passage(RenderOptions(into=scene, from_seconds=0.1, to_seconds=0.3), probe(clip))
    late = RenderOptions(into=first, from_seconds=70.0, to_seconds=80.0)
    with pytest.raises(DubfewError, match="ends at"):
        resolve_passage(late, probe(clip))
