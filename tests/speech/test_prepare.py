"""Footage to training clips: real footage where it is, refusals anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import VideoInfo, VideoWriter
from dubfew.media.frame import Frame
from dubfew.speech.corpus import load_corpus
from dubfew.speech.prepare import prepare, prepare_clip


def _mute_video(path: Path) -> Path:
    info = VideoInfo(path, 64, 64, 25)
    with VideoWriter(path, info) as writer:
        for index in range(3):
            writer.write(Frame.from_rgb(np.full((64, 64, 3), 90, np.uint8), index))
    return path


def test_footage_without_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="sound"):
        prepare_clip(_mute_video(tmp_path / "mute.mp4"))


def test_a_folder_goes_on_past_what_is_unusable(tmp_path: Path) -> None:
    _mute_video(tmp_path / "mute.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("not a video")
    written, passed = prepare(tmp_path, tmp_path / "out")
    assert written == []
    assert set(passed) == {"mute.mp4", "broken.mp4"}


def test_a_filmed_clip(shared: Path, tmp_path: Path) -> None:
    name = "grid_lbax4n.mpg"
    shutil.copy(shared / "clips" / name, tmp_path / name)
    entries = [{"file": name, "split": "train"}, {"file": "missing.mp4", "split": "validate"}]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    written, passed = prepare(tmp_path, tmp_path / "out")
    assert (written, passed) == (["grid_lbax4n"], {})
    (clip,) = load_corpus(tmp_path / "out")
    gap = clip.motion.aperture()
    assert len(gap) == 75
    assert len(clip.samples) / 16000 == pytest.approx(3.0, abs=0.1)
    assert np.quantile(gap, 0.05) < 0.02  # it closes
    assert 0.08 < np.quantile(gap, 0.95) < 0.3  # and opens as a mouth does
