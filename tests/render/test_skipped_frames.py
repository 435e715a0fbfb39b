"""Frames with a reason to be left as they are come out bit for bit; beside them nothing jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.media import read_frames
from dubfew.reconstruction.crop import render_mouth_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import (
    FLAG_CUT_BY_EDGE,
    FLAG_MOUTH_COVERED,
    FLAG_NO_FACE,
    FLAG_OTHER_PERSON,
    FLAG_TURNED_AWAY,
    Track,
)
from dubfew.render import pipeline, render
from dubfew.render.transitions import (
    MOTION_EASE_FRAMES,
    PAINT_FADE_FRAMES,
    paint_opacity,
    transition_weights,
)
from tests.render.conftest import FRAMES, write_scene
from tests.render.test_render import assert_only_the_mask_changed

pytestmark = pytest.mark.slow

LEFT = {
    9: FLAG_TURNED_AWAY,
    10: FLAG_MOUTH_COVERED,
    11: FLAG_TURNED_AWAY | FLAG_CUT_BY_EDGE,
    12: FLAG_MOUTH_COVERED,
}
GONE = {24: FLAG_NO_FACE, 25: FLAG_NO_FACE | FLAG_OTHER_PERSON}


@pytest.fixture
def flagged(track, monkeypatch) -> Track:
    """The scene's track as rendering gets it, with frames of every reason."""
    flags, valid = track.flags.copy(), track.valid.copy()
    for row, bits in {**LEFT, **GONE}.items():
        flags[row] = bits
        valid[row] = not bits & FLAG_NO_FACE
    made = replace(track, flags=flags, valid=valid)
    original = pipeline.track_scene

    def forced(*wishes, **more):
        return made, original(*wishes, **more)[1]

    monkeypatch.setattr(pipeline, "track_scene", forced)
    return made


@pytest.mark.parametrize("drive", ["self", "audio"])
def test_flagged_frames_are_bit_for_bit_the_scene(flagged, registry, clip, tmp_path, drive):
    out = tmp_path / "out.mp4"
    marked = drive == "audio"  # its watermark does not fade
    result = render(
        "actor", drive=drive, lossless=True, watermark=marked, out=out, registry=registry
    )
    assert result.edited_frames == FRAMES - len(LEFT) - len(GONE)
    assert "6 of 30 frames left as they are (no face 1, turned away 2, mouth covered 2" in (
        result.note
    )
    change = np.zeros(FRAMES)
    head = load_head_model()
    for before, after in zip(read_frames(clip), read_frames(out), strict=True):
        if before.index in {**LEFT, **GONE}:
            for ours, theirs in zip(after.planes(), before.planes(), strict=True):
                np.testing.assert_array_equal(ours, theirs)
        else:
            mask = render_mouth_mask(flagged, head, before.index, before.height, before.width) > 0
            assert assert_only_the_mask_changed(before, after, mask)
            difference = before.planes()[0][mask].astype(float) - after.planes()[0][mask]
            change[before.index] = np.abs(difference).mean()
    seen = paint_opacity(transition_weights(flagged))
    np.testing.assert_array_equal(seen == 0, [row in {**LEFT, **GONE} for row in range(FRAMES)])
    # The paint fades beside what was flagged, and not beside a face that is gone.
    assert (seen[[9 - PAINT_FADE_FRAMES, 8, 13, 12 + PAINT_FADE_FRAMES]] < 1).all()
    assert (seen[[9 - MOTION_EASE_FRAMES, 12 + MOTION_EASE_FRAMES, 23, 26]] == 1).all()
    if drive == "self":  # all that differs is the paint
        assert (
            change[[8, 13]].max()
            < 0.6 * change[[9 - MOTION_EASE_FRAMES, 12 + MOTION_EASE_FRAMES]].min()
        )


def test_a_scene_that_is_left_as_a_whole(track, registry, clip, tmp_path, monkeypatch):
    covered = replace(track, flags=np.full(len(track), FLAG_MOUTH_COVERED, np.uint8))
    monkeypatch.setattr(pipeline, "track_scene", lambda *wishes, **more: (covered, ""))
    scene = write_scene(tmp_path / "scene.mp4", clip, read_frames(clip))
    out = tmp_path / "out.mp4"
    result = render("actor", video=scene, drive="self", lossless=True, out=out, registry=registry)
    assert (result.frames, result.edited_frames) == (FRAMES, 0)
    for ours, theirs in zip(read_frames(out), read_frames(scene), strict=True):
        for a, b in zip(ours.planes(), theirs.planes(), strict=True):
            np.testing.assert_array_equal(a, b)
