"""Footage to clips: real footage where it is, refusals anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import VideoInfo, VideoWriter
from dubfew.media.frame import Frame
from dubfew.speech.training.speech_clip import load_speech_clip


def test_footage_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with VideoWriter(path, VideoInfo(path, 64, 64, 25)) as writer:
        for index in range(3):
            writer.write(Frame.from_rgb(np.full((64, 64, 3), 90, np.uint8), index))
    with pytest.raises(MediaError, match="sound"):
        load_speech_clip(path)


@pytest.mark.slow
def test_a_filmed_clip(shared: Path) -> None:
    clip = load_speech_clip(shared / "clips" / "grid_lbax4n.mpg")
    gap = clip.motion.aperture()
    assert len(gap) == 75
    assert len(clip.samples) / 16000 == pytest.approx(3.0, abs=0.1)
    assert np.quantile(gap, 0.05) < 0.02  # it closes
    assert 0.08 < np.quantile(gap, 0.95) < 0.3  # and opens as a mouth does
