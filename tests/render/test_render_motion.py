"""Renders of a take: edits that are seen in the frames, and takes that do not belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dubfew
from dubfew.errors import ArtefactError, DubfewError, MediaError
from dubfew.marks.credentials import read_credentials
from dubfew.media import read_frames
from dubfew.takes.edits import MotionEdit
from dubfew.utils.files import sha256_file
from tests.takes.toys import toy_take


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.to_rgb() for frame in read_frames(path)]


@pytest.fixture(scope="module")
def line(registry, clip, folder) -> Path:
    """The clip's own speech as a take."""
    path = folder / "line.motion"
    dubfew.record_motion(clip, drive="audio").save(path)
    return path


@pytest.mark.slow
def test_an_edit_shows_in_its_frames_alone(registry, clip, short, line, tmp_path):
    """``short`` is silent and lies on the line's clock from 0 s on."""
    take = dubfew.Take.load(line)
    edited = take.edit(MotionEdit("open", 0.15, 0.2, 0.3, ease=0.05))
    edited.save(tmp_path / "edited.motion")
    found = {}
    for name, motion in (("plain", line), ("edited", tmp_path / "edited.motion")):
        out = tmp_path / f"{name}.mp4"
        extra = {"audio": clip, "fit": "trim", "lossless": True, "watermark": False}
        result = dubfew.render(
            "actor", video=short, motion=motion, out=out, registry=registry, **extra
        )
        found[name] = pictures(result.output)
    pairs = zip(found["plain"], found["edited"], strict=True)
    change = [float(np.abs(a.astype(int) - b).mean()) for a, b in pairs]
    # Frames of 40 ms: the lips are apart in those from 0.2 s on.
    assert min(change[5:8]) > 10 * max(change[:2])
    rendering = read_credentials(out).rendering
    assert (rendering["drive"], rendering["motion_sha256"]) == (
        "motion",
        sha256_file(tmp_path / "edited.motion"),
    )


@pytest.mark.slow
def test_a_take_of_another_sound_is_told(registry, short, line, silence, tmp_path):
    plan = dubfew.plan_render(
        "actor", video=short, audio=silence(0.4), motion=line, registry=registry
    )
    assert any("predicted from actor.mp4" in warning for warning in plan.warnings)
    assert plan.mouth == f"follows {line}"
    assert plan.output.name == "short-actor-line.mp4"
    toy_take().save(tmp_path / "toy.motion")
    plan = dubfew.plan_render(
        "actor", video=short, motion=tmp_path / "toy.motion", registry=registry
    )
    assert any("another speech model" in warning for warning in plan.warnings)


def test_takes_that_cannot_be_rendered(registry, short, line, tmp_path):
    wishes = {"video": short, "registry": registry, "out": tmp_path / "o.mp4"}
    with pytest.raises(MediaError, match="no file"):
        dubfew.render("actor", motion=tmp_path / "none.motion", **wishes)
    (tmp_path / "bad.motion").write_bytes(line.read_bytes()[:-100])
    with pytest.raises(ArtefactError, match="dubfew motion"):
        dubfew.render("actor", motion=tmp_path / "bad.motion", **wishes)
    with pytest.raises(DubfewError, match="already"):
        dubfew.render("actor", motion=line, drive="self", **wishes)
    assert not (tmp_path / "o.mp4").exists()
