"""A video in which several outputs are compared: beside each other, wiped, or by difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubfew.errors import DubfewError, NoFaceError
from dubfew.evaluate.face_geometry import PixelBox, clip_mouth_box
from dubfew.evaluate.metrics._base import RgbImage
from dubfew.evaluate.options import VIEWS
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.reading import read_sample_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.utils.fonts import load_font

# Width of one video, px: three fit on a screen.
CELL_PX = 480
# Height of the line with the label, px, and size of its font.
LABEL_PX, FONT_PX = 28, 17
# Most videos: more would be too small to see anything.
MAX_VIDEOS = 6
# Time in which the line of a wipe goes to the right and back, s.
WIPE_SECONDS = 4.0
# Factor on differences: eight levels are then plain to see.
DIFFERENCE_GAIN = 8.0
# Frames of the first video in which its mouth is looked for.
MOUTH_SAMPLES = 12
# Quality, x264's scale: faults stay visible.
COMPARE_CRF = 18


def write_comparison(
    videos: Sequence[Path],
    output: Path,
    *,
    labels: Sequence[str] = (),
    view: str = "side",
    zoom: bool = True,
    progress: ProgressCallback = no_progress,
) -> int:
    """Write a video that compares others frame by frame, with the sound of each as a track.

    Frames are those that are shown at the times of the first video. The comparison ends with the
    shortest one.

    Args:
        videos: two to six files; the first is the one that the others are compared with.
        output: file to write.
        labels: names of the videos; default: their file names, with their folders where these are
            alike.
        view: one of ``VIEWS``.
        zoom: also show the mouths, enlarged, in a second row.
        progress: function that is called after every frame.

    Returns:
        Number of frames.

    Raises:
        DubfewError: There are too few or too many videos, or not as many labels.
        NoFaceError: The mouth is to be enlarged and the first video shows no face.
        MediaError: A file cannot be read or written.
    """
    if not 2 <= len(videos) <= MAX_VIDEOS:
        raise DubfewError(f"{len(videos)} videos are given: give 2 to {MAX_VIDEOS}")
    names = list(labels) or name_videos(videos)
    if len(names) != len(videos):
        raise DubfewError(f"{len(names)} labels for {len(videos)} videos: give one for each")
    if view not in VIEWS:
        raise DubfewError(f"no view {view!r}: there are {', '.join(VIEWS)}")
    first = probe(videos[0])
    cells = _Cells(first, find_mouth(videos[0]) if zoom else None)
    # The first video is shown behind every wipe, and needs no column of its own there.
    shown = names[1:] if view == "wipe" else names
    size = (len(shown) * CELL_PX, LABEL_PX + cells.height)
    sounds = [
        AudioSource(path, pad=False, title=name)
        for path, name in zip(videos, names, strict=True)
        if probe(path).has_audio
    ]
    header = _draw_labels([f"{names[0]} | {n}" for n in shown] if view == "wipe" else shown)
    readers = [_follow(path, first.fps) for path in videos]
    count = 0
    with VideoWriter(
        output, VideoInfo(output, *size, first.fps), audio=sounds or None, crf=COMPARE_CRF
    ) as writer:
        for count, frames in enumerate(zip(*readers, strict=False), 1):
            pictures = [cells.draw(frame) for frame in frames]
            columns = _compare(pictures, view, (count - 1) / float(first.fps))
            canvas = np.concatenate([header, np.concatenate(columns, axis=1)], axis=0)
            writer.write(Frame.from_rgb(canvas, count - 1, first.fps))
            progress(Progress("compare", count, first.frames))
    return count


def _compare(pictures: Sequence[RgbImage], view: str, time: float) -> list[RgbImage]:
    """Make the columns of one frame."""
    if view == "side":
        return list(pictures)
    first = pictures[0]
    if view == "difference":
        return [first, *(_amplify(first, other) for other in pictures[1:])]
    # The line goes from the left edge to the right one and back.
    phase = (time / WIPE_SECONDS) % 1
    column = round(first.shape[1] * (1 - abs(2 * phase - 1)))
    return [_wipe(first, other, column) for other in pictures[1:]]


def _amplify(first: RgbImage, second: RgbImage) -> RgbImage:
    """Draw a signed difference around middle gray."""
    difference = (second.astype(np.float32) - first) * DIFFERENCE_GAIN + 128
    return np.asarray(np.rint(difference).clip(0, 255), np.uint8)


def _wipe(first: RgbImage, second: RgbImage, column: int) -> RgbImage:
    """Show one picture left of a line and another one right of it."""
    mixed = second.copy()
    mixed[:, :column] = first[:, :column]
    mixed[:, max(0, column - 1) : column + 1] = 255
    return mixed


class _Cells:
    """Pictures of one size, with the mouth below.

    Args:
        info: properties of the first video.
        mouth: its mouth box, px; None for no second row.
    """

    def __init__(self, info: VideoInfo, mouth: PixelBox | None) -> None:
        aspect = info.height / float(info.width * info.sample_aspect)
        self._whole = 2 * round(CELL_PX * aspect / 2)
        self._info, self._mouth = info, mouth
        self._zoom = 0 if mouth is None else 2 * round(CELL_PX * mouth.height / mouth.width / 2)
        self.height = self._whole + self._zoom

    def draw(self, frame: Frame) -> RgbImage:
        """Draw a frame, and its mouth below."""
        rgb = frame.to_rgb()
        parts = [_resize(rgb, self._whole)]
        if self._mouth is not None:
            # Videos of another size show the mouth at the same place, relative to their size.
            width, height = self._info.square_size
            x, y = frame.width / width, frame.height / height
            box = PixelBox(
                int(self._mouth.left * x),
                int(self._mouth.top * y),
                max(int(self._mouth.left * x) + 1, int(self._mouth.right * x)),
                max(int(self._mouth.top * y) + 1, int(self._mouth.bottom * y)),
            )
            parts.append(_resize(box.crop(rgb), self._zoom))
        return np.concatenate(parts, axis=0)


def _resize(picture: RgbImage, height: int) -> RgbImage:
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((CELL_PX, height), Image.Resampling.LANCZOS))


def name_videos(videos: Sequence[Path]) -> list[str]:
    """Name videos by their files; with the folder where several files have the same name.

    Args:
        videos: the files.

    Example:
        >>> name_videos([Path("film/a.mp4"), Path("dub/a.mp4"), Path("dub/b.mp4")])
        ['film/a.mp4', 'dub/a.mp4', 'b.mp4']
    """
    names = [path.name for path in videos]
    return [
        f"{path.resolve().parent.name}/{path.name}" if names.count(path.name) > 1 else path.name
        for path in videos
    ]


def _draw_labels(names: Sequence[str]) -> NDArray[np.uint8]:
    """Draw the line of labels above the columns; long ones lose their beginning."""
    image = Image.new("RGB", (len(names) * CELL_PX, LABEL_PX), (32, 32, 32))
    draw, font = ImageDraw.Draw(image), load_font(FONT_PX)
    for column, name in enumerate(names):
        shown = name
        while font.getlength(shown) > CELL_PX - 16:
            shown = "…" + shown.lstrip("…")[1:]
        draw.text((column * CELL_PX + 8, 4), shown, (240, 240, 240), font)
    return np.asarray(image)


def _follow(path: Path, fps: Fraction) -> Iterator[Frame]:
    """Yield the frame that a video shows at each time of a steady clock, until it ends."""
    tick, shown = 0, None
    for frame in read_frames(path):
        # A frame is shown until the next one's time; half a tick is within rounding.
        while shown is not None and Fraction(tick) / fps < frame.stamp - Fraction(1, 2) / fps:
            yield shown
            tick += 1
        shown = frame
    if shown is not None:
        yield shown


def find_mouth(path: Path) -> PixelBox:
    """Find the mouth box in a few frames of a video.

    Raises:
        NoFaceError: None of them shows a face.
    """
    with FaceLandmarker() as landmarker:
        found = [landmarker(frame.to_rgb()) for frame in read_sample_frames(path, MOUTH_SAMPLES)]
    seen = [each for each in found if each is not None]
    if not seen:
        raise NoFaceError(f"{path} shows no face to enlarge: use --no-zoom")
    width, height = probe(path).square_size
    return clip_mouth_box(np.stack(seen), height, width)
