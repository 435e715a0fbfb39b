"""Crops of videos that show several pictures beside each other, cut out without loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dubfew.errors import DubfewError
from dubfew.evaluate.face_geometry import PixelBox
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames

# Form of a crop, as programs for pictures have it.
CROP_FORM = "WIDTHxHEIGHT+LEFT+TOP"


def parse_crop(text: str) -> PixelBox:
    """Read a crop.

    Args:
        text: crop such as ``360x288+720+0``: width, height, and its left upper corner, px.

    Raises:
        DubfewError: The text has another form, or the crop is empty.

    Example:
        >>> parse_crop("360x288+720+0")
        PixelBox(left=720, top=0, right=1080, bottom=288)
    """
    found = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text)
    if found is None or "0" in (found[1], found[2]):
        raise DubfewError(f"no crop {text!r}: give {CROP_FORM}, such as 360x288+720+0")
    width, height, left, top = (int(number) for number in found.groups())
    return PixelBox(left, top, left + width, top + height)


def cut_crop(video: Path, box: PixelBox, path: Path) -> None:
    """Write a part of every frame of a video as a video of its own, with its sound.

    Args:
        video: video to cut from.
        box: part of its frames, px.
        path: file to write, with the suffix .mkv; no level is changed.

    Raises:
        MediaError: The video cannot be read.
        DubfewError: The crop reaches beyond the frames.
    """
    info = probe(video)
    width, height = info.square_size
    if box.right > width or box.bottom > height:
        raise DubfewError(
            f"the crop {box.width}x{box.height}+{box.left}+{box.top} reaches beyond {video}, which "
            f"is {width} x {height} px: give one inside of it"
        )
    sound = AudioSource(video, pad=False) if info.has_audio else None
    part = VideoInfo(path, box.width, box.height, info.fps, pix_fmt="rgb24")
    with VideoWriter(path, part, audio=sound, lossless=True) as writer:
        for index, frame in enumerate(read_frames(video)):
            rgb = np.ascontiguousarray(box.crop(frame.to_rgb()))
            made = Frame.from_rgb(rgb, index, info.fps, "rgb24")
            writer.write(made.with_time(index, Fraction(frame.stamp)))


@contextmanager
def crop_videos(
    reference: Path, output: Path, crop_original: str | None, crop: str | None
) -> Iterator[tuple[Path, Path]]:
    """Cut the original and the output out of videos that show more, for as long as they are needed.

    Args:
        reference: video with the original.
        output: video with the output; it may be the same file.
        crop_original: crop of the original; None for all of its video.
        crop: crop of the output; None for all of its video.

    Yields:
        Files of original and output; those that were cut are deleted afterwards.

    Raises:
        DubfewError: A crop cannot be read or reaches beyond the frames.
    """
    with TemporaryDirectory(prefix="dubfew-crops-") as folder:
        files = []
        for name, video, text in (
            ("original", reference, crop_original), ("output", output, crop)
        ):  # fmt: skip
            if text is None:
                files.append(video)
                continue
            files.append(Path(folder) / name / f"{video.stem}.mkv")
            files[-1].parent.mkdir()
            cut_crop(video, parse_crop(text), files[-1])
        yield files[0], files[1]
