"""Video and sound that are not in files: arrays, and file objects."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.media.audio import Audio, AudioSource
from dubfew.media.frame import Frame
from dubfew.media.info import VideoInfo
from dubfew.media.writing import VideoWriter

# Largest denominator of a frame rate given as a float: 29.97 becomes 2997/100.
MAX_RATE_DENOMINATOR = 1001


@dataclass(frozen=True)
class Frames:
    """A video in memory, or one that is made while it is read.

    Attributes:
        images: frames in their order, all of one size; read once. RGB [H, W, 3] uint8 each
        fps: frame rate, best as a ``Fraction``.
        audio: its sound, or None.
    """

    images: Iterable[NDArray[np.uint8]]
    fps: Fraction | float
    audio: Audio | None = None


def write_frames(path: Path, frames: Frames) -> None:
    """Write a video without loss.

    Args:
        path: file to write, .mkv.
        frames: the video.

    Raises:
        MediaError: There are no frames, or one is not uint8 RGB or has another size.
    """
    # Python's floats have no exact 30000/1001; containers want small numbers.
    fps = Fraction(frames.fps).limit_denominator(MAX_RATE_DENOMINATOR)
    if fps <= 0:
        raise MediaError(f"the frame rate is {frames.fps}: give a number above 0")
    images = iter(frames.images)
    # The first picture says how large all are, before a file is begun.
    first = next(images, None)
    if first is None:
        raise MediaError("the video has no frames: give at least one")
    _check_image(first, first.shape)
    info = VideoInfo(path, first.shape[1], first.shape[0], fps, pix_fmt="rgb24")
    sound = None
    if frames.audio is not None:
        sound = AudioSource(path.with_suffix(".wav"))
        write_audio(sound.path, frames.audio)
    with VideoWriter(path, info, audio=sound, lossless=True) as writer:
        writer.write(_make_frame(first, 0, fps))
        for index, image in enumerate(images, 1):
            _check_image(image, first.shape)
            writer.write(_make_frame(image, index, fps))


def write_audio(path: Path, audio: Audio) -> None:
    """Write sound as a WAV file of 32-bit floats.

    Args:
        path: file to write, .wav.
        audio: the sound. Its samples may have several channels. [n] or [n, channels]

    Raises:
        MediaError: The samples are no numbers of that shape, or the rate is not positive.
    """
    from scipy.io import wavfile

    samples = np.asarray(audio.samples)
    if samples.ndim not in (1, 2) or not len(samples) or samples.dtype.kind != "f":
        raise MediaError(
            f"the sound is {samples.dtype} {list(samples.shape)}: give floats in [-1, 1], [n] or "
            "[n, channels]"
        )
    if audio.rate <= 0:
        raise MediaError(f"the sample rate is {audio.rate}: give Hz, such as 48000")
    wavfile.write(path, int(audio.rate), samples.astype(np.float32))


@contextmanager
def store_in_files(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Write videos and sounds that are in memory into temporary files.

    Args:
        values: values by name. `Frames`, `Audio`, pairs of samples and rate, and objects with a
            method ``read`` are written; all others stay as they are.

    Yields:
        The values, with paths in place of what was in memory. The files are removed at the end of
        the context.

    Raises:
        MediaError: A value is no video or sound.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-memory-") as folder:
        stored = {name: _store(value, Path(folder) / name) for name, value in values.items()}
        yield stored


@contextmanager
def receive_file(target: Any) -> Iterator[Path | None]:
    """Write a video into a file object, by way of a temporary file.

    Args:
        target: object with a method ``write``; None for no file.

    Yields:
        The temporary file to write, .mp4, or None. Without an error its content is copied into
        ``target`` at the end of the context.

    Raises:
        MediaError: ``target`` cannot be written to.
    """
    if target is None:
        yield None
        return
    if not hasattr(target, "write"):
        raise MediaError(f"the output is {type(target).__name__}: give a path or a file object")
    with tempfile.TemporaryDirectory(prefix="dubfew-memory-") as folder:
        path = Path(folder) / "dubbed.mp4"
        yield path
        with open(path, "rb") as file:
            shutil.copyfileobj(file, target)


def _store(value: Any, path: Path) -> Any:
    """Write one value beside a path without an ending, and return the file."""
    if isinstance(value, tuple) and len(value) == 2:
        value = Audio(*value)
    if isinstance(value, Audio):
        path = path.with_suffix(".wav")
        write_audio(path, value)
        return path
    if isinstance(value, Frames):
        path = path.with_suffix(".mkv")
        write_frames(path, value)
        return path
    if hasattr(value, "read"):
        with open(path, "wb") as file:
            shutil.copyfileobj(value, file)
        return path
    return value


def _make_frame(image: NDArray[np.uint8], index: int, fps: Fraction) -> Frame:
    """Make the frame of an image."""
    return Frame.from_rgb(np.ascontiguousarray(image), index, fps, pix_fmt="rgb24")


def _check_image(image: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Check that an image is RGB and of the size of the first one."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.shape != shape:
        raise MediaError(
            f"a frame is {image.dtype} {list(image.shape)}: give uint8 RGB [H, W, 3], all of one "
            "size"
        )
