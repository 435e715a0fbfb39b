"""A video that shows what a render did to each frame: where it painted, what it left, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.track import FLAG_DESCRIPTIONS, Track
from dubfew.utils.fonts import load_font

# Colors of painted pixels, of what lies over the face, and of the border of frames that are left.
PAINTED_RGB, OVERLAY_RGB, LEFT_RGB = (0, 200, 80), (230, 40, 40), (230, 40, 40)
# Opacity of these colors: the picture is still seen below.
TINT_OPACITY = 0.45
# Height of the text, as a fraction of the picture's, and at least, px; width of the border.
TEXT_HEIGHT, MIN_TEXT_PX, BORDER_FRACTION = 1 / 28, 11, 1 / 90

# Called with the index of a frame, the place of its paint, the opacity of each of its pixels, and
# how far things before the face cover them. [h, w] both
PaintObserver = Callable[[int, tuple[int, int], NDArray[np.float32], NDArray[np.float32]], None]


class DebugVideo:
    """Writes the frames of an output with the paint's opacity, overlays and reasons drawn in.

    A context manager: the file takes its place at the end.

    Args:
        path: video to write.
        info: properties of the scene.
        track: track of the output's frames.
    """

    def __init__(self, path: Path, info: VideoInfo, track: Track) -> None:
        self._track = track
        width, height = (size // 2 * 2 for size in info.square_size)
        self._size = (width, height)
        plain = VideoInfo(path, width, height, info.fps, time_base=info.time_base)
        self._writer = VideoWriter(path, plain, preset="veryfast")
        self._font = load_font(max(MIN_TEXT_PX, round(height * TEXT_HEIGHT)))
        # Paint of frames that were composited and are not written yet.
        self._painted: dict[
            int, tuple[tuple[int, int], NDArray[np.float32], NDArray[np.float32]]
        ] = {}

    def __enter__(self) -> DebugVideo:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, traceback)

    def observe_paint(
        self,
        index: int,
        corner: tuple[int, int],
        alpha: NDArray[np.float32],
        covered: NDArray[np.float32],
    ) -> None:
        """Remember the paint of a frame until the frame is written, see `PaintObserver`."""
        self._painted[index] = (corner, alpha, covered)

    def write(self, frame: Frame, row: int, left: str) -> None:
        """Draw and write one frame of the output.

        Args:
            frame: the finished frame.
            row: its row in the track.
            left: why it was left as it is beyond what the track says, or "".
        """
        rgb = frame.to_rgb().astype(np.float32)
        paint = self._painted.pop(frame.index, None)
        share = 0.0
        if paint is not None:
            (x, y), alpha, covered = paint
            part = rgb[y : y + alpha.shape[0], x : x + alpha.shape[1]]
            for opacity, color in ((alpha, PAINTED_RGB), (covered, OVERLAY_RGB)):
                tint = TINT_OPACITY * opacity[..., None]
                part += tint * (np.array(color, np.float32) - part)
            share = float(alpha.max(initial=0))
        image = Image.fromarray(rgb.astype(np.uint8)[: self._size[1], : self._size[0]])
        reasons = [
            word for bit, word in FLAG_DESCRIPTIONS.items() if self._track.flags[row] & bit
        ] + ([left] if left else [])
        if reasons:
            line = "left: " + ", ".join(reasons)
        elif paint is not None:
            line = f"painted, {100 * share:.0f} %"
        else:
            line = "not painted"
        self._draw_line(image, f"{frame.index}  {frame.time:.2f} s  {line}", bool(reasons))
        drawn = Frame.from_rgb(np.asarray(image))
        self._writer.write(
            Frame(drawn.picture, frame.index, frame.stamp, frame.duration, drawn.color)
        )

    def _draw_line(self, image: Image.Image, line: str, is_left: bool) -> None:
        """Write a line at the top, and a border around frames that are left."""
        draw = ImageDraw.Draw(image)
        border = max(2, round(image.height * BORDER_FRACTION))
        if is_left:
            draw.rectangle((0, 0, image.width - 1, image.height - 1), None, LEFT_RGB, border)
        place = (2 * border, 2 * border)
        draw.text(place, line, (255, 255, 255), self._font, stroke_width=2, stroke_fill=(0, 0, 0))
