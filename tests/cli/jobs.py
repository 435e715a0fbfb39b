"""Clips, commands and checks that the tests of the command line share.

A failed job ends with code 1 and one line that states what was found and what to do. It leaves no
file, no temporary file, and the registry as it was.
"""

from __future__ import annotations

import json
import struct
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from typer.testing import Result

from dubfew.cli.app import app
from tests.commands import CommandRunner

# Frames and edge (px) of the clips: enough for a face detector, and encoded in an instant.
NUM_FRAMES, FRAME_SIZE_PX = 6, 256
# Options of `adapt` for the reference warp without training, which takes a second.
QUICK = ("--prior", "warp", "--steps", "0", "--json")


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],  # RGB [H, W, 3] uint8
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: Sequence[int] | None = None,  # ms
) -> Path:
    """Encode pictures as a video, at 25 fps or at the given times."""
    with av.open(str(path), "w") as container:
        options = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        base = Fraction(1, 25) if ticks is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        for number, rgb in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            picture = picture.reformat(format=pix_fmt)
            picture.pts, picture.time_base = number if ticks is None else ticks[number], base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path) -> None:
    """Set an MP4's metadata so that players show it rotated by 90 degrees clockwise."""
    data = path.read_bytes()
    upright, rotated = (
        struct.pack(
            ">9i", *(v << 16 for v in m[:2]), 0, *(v << 16 for v in m[2:]), 0, 0, 0, 1 << 30
        )
        for m in ((1, 0, 0, 1), (0, 1, -1, 0))
    )
    place = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:place] + rotated + data[place + len(rotated) :])


def write_tone(path: Path, count: int, rate: int = 16000, channels: int = 1) -> Path:
    """Write ``count`` samples of a tone as a WAV file."""
    tone = (np.sin(np.arange(count) / rate * 1200) * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(tone.repeat(channels).tobytes())
    return path


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CommandRunner().invoke(app, [str(argument) for argument in arguments])


def render(clips: Path, video: str, *more: object, actor: str = "two") -> Result:
    """Run `dubfew render` on one of the clips."""
    return run("render", "--json", "--actor", actor, "--video", clips / video, *more)


def contents(folder: Path) -> dict[str, int]:
    """Return the size of every file below a folder, except working files of SQLite and locks."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", "swept"))
    }


def assert_failed(result: Result, *words: str) -> None:
    """Check that a job failed with one line that has these words, and left no file behind."""
    assert result.exit_code == 1, result.output
    *progress, error = result.stderr.splitlines()
    assert error.startswith("dubfew: error: ")
    assert not any("error" in line for line in progress)
    assert "unexpected" not in error
    for word in words:
        assert word in error
    # With --json the same is on stdout.
    if result.stdout:
        found = json.loads(result.stdout)["error"]
        assert (found["exit_code"], f"dubfew: error: {found['message']}") == (1, error)
    assert not any(Path().iterdir())
