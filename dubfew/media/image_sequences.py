"""Sequences of pictures: EXR, DPX, PNG and TIFF to a working video, and its changes back into them.

A sequence is dubbed by way of a video without loss. Back in the sequence only those pixels are new
that the render has changed; all others keep their values to the bit, highlights of EXR too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError, OutputExistsError
from dubfew.media.audio import AudioSource
from dubfew.media.frame import Frame
from dubfew.media.image_files import (
    IMAGE_SUFFIXES,
    StoredImage,
    read_image,
    write_image,
    write_matte,
)
from dubfew.media.info import VideoInfo, probe
from dubfew.media.pixels import (
    MATRIX_BT709,
    NATIVE_FORMATS,
    RANGE_LIMITED,
    ColorTags,
    new_picture,
    rgb_to_yuv_matrix,
)
from dubfew.media.reading import read_frames
from dubfew.media.working_color import bt709_matrix
from dubfew.media.writing import VideoWriter
from dubfew.progress import Progress, ProgressCallback, no_progress

# How the numbers of a sequence are read: scene light, or codes of a display or camera.
SEQUENCE_COLORS = ("linear", "coded")
# Pixel format of the working video: full chroma, sixteen bits. Half floats between black and white
# have steps of 1/2048 at most of their value, which are wider than these nearly everywhere.
_WORKING_FORMAT = "yuv444p16le"
# Earlier working videos had ten bits.
_KNOWN_FORMATS = (_WORKING_FORMAT, "yuv444p10le")
_WORKING_COLOR = ColorTags(RANGE_LIMITED, MATRIX_BT709, MATRIX_BT709, MATRIX_BT709)
# Share of a frame that a painted mouth never reaches: where more has changed, the video was encoded
# with loss, and every pixel would be replaced by a poorer one.
MAX_CHANGED_SHARE = 0.5
# Longest sequence, frames: three hours at 60 frames/s.
_MAX_FRAMES = 648_000
_NUMBER = re.compile(r"%0?(\d*)d|(#{1,})|\[(\d+)-(\d+)\]|\*")


@dataclass(frozen=True)
class ImageSequence:
    """Pictures with numbers in their names.

    Attributes:
        pattern: path with a place for the number.
        files: the pictures in their order.
        numbers: their numbers, without a gap.
    """

    pattern: Path
    files: tuple[Path, ...]
    numbers: tuple[int, ...]

    def select(self, first: int, count: int) -> ImageSequence:
        """Select some pictures.

        Args:
            first: place of the first one, from 0.
            count: number of pictures.
        """
        part = slice(first, first + count)
        return ImageSequence(self.pattern, self.files[part], self.numbers[part])

    def name_frame(self, number: int, like: Path) -> str:
        """Return the name of a frame under this pattern, its number as long as in another name."""
        found = _NUMBER.search(self.pattern.name)
        assert found is not None  # as the pattern was found by it
        digits = int(found[1]) if found[1] else len(found[2] or found[3] or "")
        if not digits:
            runs = re.findall(r"\d+", like.stem)
            digits = len(runs[-1]) if runs else 4
        head, tail = self.pattern.name[: found.start()], self.pattern.name[found.end() :]
        return f"{head}{number:0{digits}d}{tail}"


def find_sequence(pattern: Path | str) -> ImageSequence:
    """Find the pictures of a sequence.

    Args:
        pattern: path whose name has a place for the number: ``shot.%04d.exr``, ``shot.####.exr``,
            ``shot.[1001-1100].exr`` or ``shot.*.exr``.

    Raises:
        MediaError: There is no place for a number, no picture, a picture is missing in between, or
            the format is not read.
    """
    pattern = Path(pattern)
    place = check_pattern(pattern)
    head, tail = pattern.name[: place.start()], pattern.name[place.end() :]
    # Pictures of a pattern with a fixed number of digits have at least as many.
    matcher = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    by_number: dict[int, Path] = {}
    low, high = (int(place[3]), int(place[4])) if place[3] else (0, 10**12)
    for path in sorted(pattern.parent.glob("*")):
        found = matcher.fullmatch(path.name)
        if found is None or not low <= int(found[1]) <= high:
            continue
        if int(found[1]) in by_number:
            raise MediaError(f"{path.name} and {by_number[int(found[1])].name} have one number")
        by_number[int(found[1])] = path
    if not by_number:
        raise MediaError(f"no picture fits {pattern}: check the path and the pattern")
    numbers = sorted(by_number)
    if place[3] and (numbers[0] != low or numbers[-1] != high):
        raise MediaError(
            f"{pattern} names {low} to {high}, and there are {numbers[0]} to {numbers[-1]}"
        )
    if numbers[-1] - numbers[0] >= _MAX_FRAMES:
        raise MediaError(f"{pattern} has frames {numbers[0]} to {numbers[-1]}: too many")
    missing = [each for each in range(numbers[0], numbers[-1]) if each not in by_number]
    if missing:
        named = ", ".join(str(each) for each in missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise MediaError(f"{pattern} lacks {len(missing)} frames: {named}")
    return ImageSequence(pattern, tuple(by_number[each] for each in numbers), tuple(numbers))


def check_pattern(pattern: Path) -> re.Match[str]:
    """Check that a path names pictures of a sequence, and return the place of their number.

    Args:
        pattern: see `find_sequence`.

    Raises:
        MediaError: There is no place for a number, or the format is not read.
    """
    place = _NUMBER.search(pattern.name)
    if place is None:
        raise MediaError(f"{pattern} has no place for a number: name it as shot.%04d.exr or ####")
    if pattern.suffix.lower() not in IMAGE_SUFFIXES:
        raise MediaError(f"{pattern} is no sequence of {', '.join(IMAGE_SUFFIXES)}")
    return place


def describe_pictures(sequence: ImageSequence, rate: Fraction | None = None) -> VideoInfo:
    """Describe the video that `make_working_video` makes of a sequence.

    Args:
        sequence: the pictures.
        rate: frame rate; None takes that of the first picture.

    Raises:
        MediaError: The rate is not known, or the first picture cannot be read.
    """
    first = read_image(sequence.files[0])
    rate = rate or first.rate
    if rate is None:
        raise MediaError(f"{sequence.pattern} does not say its frame rate: give --fps")
    height, width = first.rgb.shape[:2]
    return VideoInfo(
        sequence.pattern,
        width,
        height,
        rate,
        frames=len(sequence.files),
        pix_fmt=_WORKING_FORMAT,
        color_range=RANGE_LIMITED,
        colorspace=MATRIX_BT709,
        color_primaries=MATRIX_BT709,
        color_trc=MATRIX_BT709,
    )


def make_working_video(
    sequence: ImageSequence,
    out: Path,
    *,
    rate: Fraction | None = None,
    color: str | None = None,
    sound: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> VideoInfo:
    """Write a sequence as a video that every command reads: FFV1, 16 bits, full chroma.

    Args:
        sequence: the pictures.
        out: file to write, .mkv.
        rate: frame rate; None takes that of the first picture.
        color: "linear" for scene light, "coded" for values as a display or camera has them; None is
            "linear" for EXR alone.
        sound: sound to put beside the pictures, or None.
        progress: function that is called with the number of frames.

    Returns:
        Properties of the video.

    Raises:
        MediaError: The rate is not known, or a picture cannot be read or has another size.
    """
    first = read_image(sequence.files[0])
    info = replace(describe_pictures(sequence, rate), path=out)
    rate, width, height = info.fps, info.width, info.height
    coding = find_coding(sequence, first, color)
    audio = None if sound is None else AudioSource(sound)
    timecode = first.timecode or _count_timecode(sequence.numbers[0], rate)
    with VideoWriter(
        out, info, audio=audio, lossless=True, codec="ffv1", timecode=timecode
    ) as writer:
        for number, image in enumerate(_read_all(sequence, first)):
            planes = _to_planes(coding.encode(image.rgb))
            picture = new_picture(_WORKING_FORMAT, width, height, planes)
            writer.write(Frame(picture, number, number / rate, 1 / rate, _WORKING_COLOR))
            progress(Progress("frames", number + 1, len(sequence.files)))
    return probe(out)


def write_sequence(
    sequence: ImageSequence,
    scene: Path,
    dub: Path,
    out: Path,
    *,
    matte: Path | None = None,
    color: str | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
) -> tuple[int, tuple[str, ...]]:
    """Write a sequence in which what a render has changed is new.

    Args:
        sequence: the original pictures.
        scene: the working video that `make_working_video` made of them.
        dub: the render of it, without loss.
        out: pattern of the new pictures; they keep their numbers.
        matte: pattern of mattes to write beside them, .png: white where a pixel is new. None writes
            none.
        color: as for `make_working_video`.
        overwrite: replace pictures that are there.
        progress: function that is called with the number of frames.

    Returns:
        The number of pictures that have new pixels, and notes.

    Raises:
        OutputExistsError: Pictures are there.
        MediaError: The videos do not belong to the sequence, or the render was encoded with loss.
    """
    names = _name_pictures(out, sequence)
    mattes = [] if matte is None else _name_pictures(matte, sequence)
    if matte is not None and matte.suffix.lower() != ".png":
        raise MediaError(f"{matte} is to be .png: mattes have eight bits")
    if {*names} & {*sequence.files} or {*mattes} & {*sequence.files, *names}:
        raise MediaError(f"{out} would replace the original pictures: name another place")
    there = [path for path in (*names, *mattes) if path.exists()]
    if there and not overwrite:
        raise OutputExistsError(f"{there[0]} exists: give --overwrite, or another pattern")
    first = read_image(sequence.files[0])
    coding = find_coding(sequence, first, color)
    out.parent.mkdir(parents=True, exist_ok=True)
    painted, notes = 0, set[str]()
    frames = zip(names, _read_all(sequence, first), _pair_frames(sequence, scene, dub), strict=True)
    for number, (path, image, (before, after)) in enumerate(frames):
        changed = np.any(
            [a != b for a, b in zip(before.planes(), after.planes(), strict=True)], axis=0
        )
        share = float(changed.mean())
        if share > MAX_CHANGED_SHARE:
            raise MediaError(
                f"{dub} differs from {scene} in {100 * share:.0f} % of a frame: render it with "
                "--lossless"
            )
        # The difference of the two videos is added, so that their rounding does not count.
        step = _from_planes(after) - _from_planes(before)
        rgb = coding.decode(coding.encode(image.rgb) + step)
        note = write_image(image.path, path, rgb, changed)
        if mattes:
            write_matte(mattes[number], changed)
        notes |= {note} - {""}
        painted += bool(changed.any())
        progress(Progress("frames", number + 1, len(names)))
    return painted, tuple(sorted(notes))


@dataclass(frozen=True)
class SequenceCoding:
    """From the values of a sequence to those of its working video, and back, beyond white too.

    Attributes:
        is_linear: whether values are scene light.
        to_bt709: matrix from its linear RGB to that of BT.709. [3, 3]
    """

    is_linear: bool
    to_bt709: NDArray[np.float64]

    def encode(self, rgb: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return display codes, 1 at white. [H, W, 3]"""
        if not self.is_linear:
            return rgb.astype(np.float64)
        # What is no number has no color; its pixels are written back only where something changed.
        light = np.nan_to_num(rgb.astype(np.float64), nan=0.0, posinf=6e4, neginf=-6e4)
        light = light @ self.to_bt709.T
        size = np.abs(light)
        # IEC 61966-2-1 (sRGB), mirrored below black.
        code = np.where(size <= 0.0031308, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055)
        return np.asarray(np.sign(light) * code)

    def decode(self, code: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the sequence's values for display codes; the inverse of `encode`. [H, W, 3]"""
        if not self.is_linear:
            return code.astype(np.float32)
        size = np.abs(code)
        light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
        light = np.sign(code) * light @ np.linalg.inv(self.to_bt709).T
        return np.asarray(light, np.float32)


def find_coding(sequence: ImageSequence, first: StoredImage, color: str | None) -> SequenceCoding:
    """Find how a sequence's values are read.

    Args:
        sequence: the pictures.
        first: its first picture.
        color: one of `SEQUENCE_COLORS`, or None for what its format means.
    """
    if color is None:
        color = "linear" if sequence.pattern.suffix.lower() == ".exr" else "coded"
    is_linear = color == "linear"
    matrix = bt709_matrix(first.corners) if first.corners and is_linear else np.eye(3)
    return SequenceCoding(is_linear, matrix)


def _name_pictures(pattern: Path, sequence: ImageSequence) -> list[Path]:
    """Name pictures like those of a sequence by another pattern."""
    check_pattern(pattern)
    target = ImageSequence(pattern, (), ())
    pairs = zip(sequence.numbers, sequence.files, strict=True)
    return [pattern.parent / target.name_frame(number, path) for number, path in pairs]


def _read_all(sequence: ImageSequence, first: StoredImage) -> Iterator[StoredImage]:
    """Read all pictures; each must have the first one's size."""
    for path in sequence.files:
        image = read_image(path)
        if image.rgb.shape != first.rgb.shape:
            raise MediaError(f"{path} has another size than {sequence.files[0].name}")
        yield image


def _pair_frames(sequence: ImageSequence, scene: Path, dub: Path) -> Iterator[tuple[Frame, Frame]]:
    """Read the frames of the working video and of its render together."""
    facts = [probe(each) for each in (scene, dub)]
    for info in facts:
        if info.pix_fmt not in _KNOWN_FORMATS or info.pix_fmt != facts[0].pix_fmt:
            raise MediaError(
                f"{info.path} has the pixel format {info.pix_fmt}, not that of 'dubfew sequence "
                "read': render with --lossless into .mkv"
            )
    count = 0
    for pair in zip(read_frames(scene), read_frames(dub), strict=False):
        count += 1
        if count > len(sequence.files):
            break
        yield pair
    if count != len(sequence.files):
        raise MediaError(
            f"{sequence.pattern} has {len(sequence.files)} pictures, and {scene.name} and "
            f"{dub.name} other numbers of frames: render the whole, without --fit"
        )


def _to_planes(code: NDArray[np.float64]) -> tuple[NDArray[np.uint16], ...]:
    """Bring display codes to planes of the working video; beyond black and white they are cut."""
    bits = NATIVE_FORMATS[_WORKING_FORMAT].bits
    weights, offset = rgb_to_yuv_matrix(MATRIX_BT709, False, bits)
    yuv = np.clip(code, 0, 1) * 255 @ weights.astype(np.float64) + offset
    levels = np.clip(np.rint(yuv), 0, 2**bits - 1).astype(np.uint16)
    return tuple(np.ascontiguousarray(levels[..., k]) for k in range(3))


def _from_planes(frame: Frame) -> NDArray[np.float64]:
    """Bring planes of the working video to display codes. [H, W, 3]"""
    bits = NATIVE_FORMATS[frame.pix_fmt].bits
    weights, offset = rgb_to_yuv_matrix(MATRIX_BT709, False, bits)
    yuv = np.stack(frame.planes(), axis=2).astype(np.float64) - offset
    return np.asarray(yuv @ np.linalg.inv(weights.astype(np.float64)) / 255)


def _count_timecode(number: int, rate: Fraction) -> str:
    """Write a frame number as a timecode, as editors number sequences; without dropped numbers."""
    base = max(1, round(rate))
    seconds, frames = divmod(number, base)
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frames:02d}"
