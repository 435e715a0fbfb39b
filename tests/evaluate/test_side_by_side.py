"""Comparison videos, of plain colors."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import DubfewError, NoFaceError
from dubfew.evaluate.side_by_side import CELL_PX, LABEL_PX, write_comparison
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames


def plain(path: Path, level: int, frames: int, fps: int = 25, width: int = 96) -> Path:
    """A gray video."""
    picture = np.full((64, width, 3), level, np.uint8)
    with VideoWriter(path, VideoInfo(path, width, 64, Fraction(fps)), lossless=True) as writer:
        for index in range(frames):
            writer.write(Frame.from_rgb(picture, index, Fraction(fps)))
    return path


def spoken(path: Path) -> Path:
    """A gray video with a tenth of a second of noise."""
    sound = path.with_suffix(".wav")
    noise = np.random.default_rng(0).normal(0, 1000, 1600).astype("<i2")
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    with VideoWriter(path, VideoInfo(path, 96, 64, Fraction(25)), audio=AudioSource(sound)) as out:
        for index in range(3):
            out.write(Frame.from_rgb(np.full((64, 96, 3), 90, np.uint8), index))
    return path


def columns_of(path: Path, index: int) -> list[float]:
    """Mean level of each column of a frame, below the labels."""
    frame = list(read_frames(path))[index].to_rgb()[LABEL_PX + 4 :].mean((0, 2))
    return [float(part.mean()) for part in np.split(frame, len(frame) // CELL_PX)]


@pytest.mark.slow
def test_beside_each_other(tmp_path: Path):
    videos = [plain(tmp_path / f"{level}.mkv", level, 4) for level in (60, 120, 180)]
    out = tmp_path / "out.mp4"
    assert write_comparison(videos, out, zoom=False) == 4
    info = probe(out)
    assert (info.width, info.height) == (3 * CELL_PX, LABEL_PX + 320)
    assert columns_of(out, 2) == pytest.approx([60, 120, 180], abs=3)


def test_difference_is_amplified_around_gray(tmp_path: Path):
    videos = [plain(tmp_path / f"{level}.mkv", level, 2) for level in (100, 105, 95)]
    out = tmp_path / "out.mp4"
    write_comparison(videos, out, zoom=False, view="difference")
    assert columns_of(out, 0) == pytest.approx([100, 128 + 40, 128 - 40], abs=6)


@pytest.mark.slow
def test_wipe_starts_with_the_second_and_moves(tmp_path: Path):
    videos = [plain(tmp_path / f"{level}.mkv", level, 30) for level in (40, 200)]
    out = tmp_path / "out.mp4"
    write_comparison(videos, out, zoom=False, view="wipe")
    assert columns_of(out, 0) == pytest.approx([200], abs=5)
    # After 1 s of 4 the line is in the middle.
    assert columns_of(out, 25) == pytest.approx([120], abs=8)


@pytest.mark.slow
def test_another_rate_and_size_follow_the_clock(tmp_path: Path):
    fast = plain(tmp_path / "fast.mkv", 50, 50, fps=50)
    slow = plain(tmp_path / "slow.mkv", 150, 25, fps=25, width=128)
    assert write_comparison([slow, fast], tmp_path / "a.mp4", zoom=False) == 25
    assert write_comparison([fast, slow], tmp_path / "b.mp4", zoom=False) in (49, 50)


def test_what_cannot_be_compared(tmp_path: Path):
    one = plain(tmp_path / "a.mkv", 50, 2)
    out = tmp_path / "out.mp4"
    with pytest.raises(DubfewError, match="2 to 6"):
        write_comparison([one], out)
    with pytest.raises(DubfewError, match="3 labels for 2"):
        write_comparison([one, one], out, labels=["a", "b", "c"])
    with pytest.raises(NoFaceError, match="--no-zoom"):
        write_comparison([one, one], out)
    assert not out.exists()


def test_sounds_are_named_like_their_videos(tmp_path: Path):
    videos = [spoken(tmp_path / f"{name}.mp4") for name in ("a", "b")]
    out = tmp_path / "out.mp4"
    write_comparison(videos, out, labels=["film", "dub"], zoom=False)
    with av.open(str(out)) as container:
        titles = [stream.metadata["handler_name"] for stream in container.streams.audio]
    assert titles == ["film", "dub"]
