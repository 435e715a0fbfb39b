"""Contact sheets: faces and mouths of several videos at the same moments, in one PNG.

Numbers miss much that an eye sees at once, so every benchmark writes a sheet beside its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from dubfew.errors import MediaError, ShapeError
from dubfew.evaluate.clip_landmarks import detect_landmarks
from dubfew.evaluate.face_geometry import PixelBox, clip_mouth_box, face_boxes, has_face
from dubfew.media import probe, read_frames
from dubfew.utils.files import atomic_path
from dubfew.utils.fonts import load_font

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB

# Smallest width of the column of names, px; longer names widen it.
MIN_LABEL_WIDTH_PX = 120
# Height of a line of text, px, and size of its font.
LINE_HEIGHT_PX, FONT_SIZE_PX = 24, 15
# Gap between pictures, px.
TILE_GAP_PX = 4
# Colors of background and text, RGB: off-white and dark gray, which distract less than extremes.
PAPER_COLOR, INK_COLOR = (250, 250, 248), (40, 40, 40)


@dataclass(frozen=True)
class SheetRow:
    """One video on a sheet.

    Attributes:
        name: label beside the pictures.
        faces: face crops, one per moment. [H, W, 3] each
        mouths: mouth boxes of the same moments. [h, w, 3] each

    Raises:
        ShapeError: There are not as many faces as mouths.
    """

    name: str
    faces: tuple[RgbImage, ...]
    mouths: tuple[RgbImage, ...]

    def __post_init__(self) -> None:
        if len(self.faces) != len(self.mouths):
            raise ShapeError(
                f"row {self.name!r} has {len(self.faces)} faces and {len(self.mouths)} mouths: "
                "give one of each per moment"
            )


def draw_contact_sheet(
    rows: Sequence[SheetRow], *, moments: Sequence[str] = (), title: str = "", tile_px: int = 192
) -> Image.Image:
    """Lay out rows of faces, and rows of mouths under them.

    The mouths stand together so that they can be compared. Pictures keep their proportions, and are
    resized by Lanczos's filter, which neither sharpens a soft mouth nor blurs a sharp one.

    Args:
        rows: at least one row, all with the same number of moments.
        moments: labels of the columns, such as "1.20 s"; empty for no labels.
        title: one line above; empty for no line.
        tile_px: width of a picture and its largest height, px.

    Returns:
        The sheet.

    Raises:
        ShapeError: There are no rows, or rows of different lengths.
    """
    lengths = {len(row.faces) for row in rows}
    if len(lengths) != 1 or lengths == {0}:
        raise ShapeError(
            f"contact sheet rows have {sorted(lengths)} moments: give one number above zero"
        )
    columns = lengths.pop()
    # First all faces, then all mouths: mouths that are compared lie next to each other.
    bands = [[row.faces for row in rows], [row.mouths for row in rows]]
    heights = [_band_height(band, tile_px) for band in bands]
    # Width and height of the sheet: labels and pictures, then title, moments and both bands.
    font = load_font(FONT_SIZE_PX)
    label = max(
        MIN_LABEL_WIDTH_PX, *(round(font.getlength(row.name)) + 3 * TILE_GAP_PX for row in rows)
    )
    lefts = [label + column * (tile_px + TILE_GAP_PX) for column in range(columns)]
    top = LINE_HEIGHT_PX * (bool(title) + bool(moments)) + TILE_GAP_PX
    total = top + sum(len(rows) * (height + TILE_GAP_PX) for height in heights) + TILE_GAP_PX * 2
    sheet = Image.new("RGB", (label + columns * (tile_px + TILE_GAP_PX), total), PAPER_COLOR)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((TILE_GAP_PX, TILE_GAP_PX), title, INK_COLOR, font)
    for left, moment in zip(lefts, moments, strict=False):
        draw.text((left, top - LINE_HEIGHT_PX), moment, INK_COLOR, font)
    y = top
    for band, height in zip(bands, heights, strict=True):
        for row, pictures in zip(rows, band, strict=True):
            text_top = y + height // 2 - LINE_HEIGHT_PX // 2
            draw.text((TILE_GAP_PX, text_top), row.name, INK_COLOR, font)
            for left, picture in zip(lefts, pictures, strict=True):
                sheet.paste(_fit_picture(picture, tile_px, height), (left, y))
            y += height + TILE_GAP_PX
        y += TILE_GAP_PX
    return sheet


def _fit_picture(picture: RgbImage, width: int, height: int) -> Image.Image:
    """A picture resized to fit into a tile, with its proportions."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return ImageOps.contain(image, (width, height), Image.Resampling.LANCZOS)


def save_contact_sheet(sheet: Image.Image, path: Path | str) -> None:
    """Write a sheet as PNG, atomically.

    Args:
        sheet: picture from `draw_contact_sheet`.
        path: file to write.
    """
    with atomic_path(Path(path)) as temporary:
        sheet.save(temporary, format="PNG")


def make_sheet_rows(
    videos: Mapping[str, Path],
    *,
    count: int = 6,
    landmarks: NDArray[np.float32] | None = None,
) -> tuple[list[SheetRow], list[str]]:
    """Crop faces and mouths of several videos of the same scene at evenly spaced moments.

    Args:
        videos: files by their names on the sheet. The first is the original, whose landmarks say
            where to crop in all of them.
        count: number of moments; fewer if the clip has fewer frames with a face.
        landmarks: landmarks of the original if they are known, px. [N, 478, 3]

    Returns:
        One row per video, and the labels of the moments.

    Raises:
        NoFaceError: The original shows no face.
        MediaError: A video cannot be read, or ends before the last moment.
    """
    # The same boxes for all videos, so that pictures can be compared pixel by pixel.
    original = next(iter(videos.values()))
    marks = detect_landmarks(original) if landmarks is None else landmarks
    info = probe(original)
    width, height = info.square_size
    mouth = clip_mouth_box(marks, height, width)
    faces = face_boxes(marks, height, width)
    moments = pick_evenly_spaced(np.flatnonzero(has_face(marks)), count)
    boxes = {index: box for index in moments if (box := faces[index]) is not None}
    rows = []
    for name, video in videos.items():
        crops = _crop_moments(video, boxes, mouth)
        rows.append(SheetRow(name, tuple(f for f, _ in crops), tuple(m for _, m in crops)))
    return rows, [f"{index / float(info.fps):.2f} s" for index in moments]


def pick_evenly_spaced(candidates: NDArray[np.int64], count: int) -> list[int]:
    """Pick candidates from the middles of equal parts of them.

    Args:
        candidates: numbers to choose from. [N]
        count: how many to pick; all of them if there are fewer.

    Example:
        >>> pick_evenly_spaced(np.arange(10), 2)
        [2, 7]
    """
    count = min(count, len(candidates))
    positions = (np.arange(count) + 0.5) * len(candidates) / max(count, 1)
    return [int(candidates[int(position)]) for position in positions]


def _crop_moments(
    video: Path, faces: Mapping[int, PixelBox], mouth: PixelBox
) -> list[tuple[RgbImage, RgbImage]]:
    """Face and mouth of the frames for which a face box is given."""
    crops = []
    for frame in read_frames(video, stop=max(faces) + 1):
        if frame.index in faces:
            face = faces[frame.index]
            crops.append(
                (
                    frame.crop_rgb(face.left, face.top, face.right, face.bottom),
                    frame.crop_rgb(mouth.left, mouth.top, mouth.right, mouth.bottom),
                )
            )
    # Pictures of other moments beside the original would mislead.
    if len(crops) < len(faces):
        raise MediaError(
            f"{video} ends before frame {max(faces)}: give videos as long as their original"
        )
    return crops


def _band_height(band: Sequence[Sequence[RgbImage]], tile_px: int) -> int:
    """Height of a band's rows: that of its tallest picture at full width, at most ``tile_px``."""
    tallest = max(p.shape[0] / p.shape[1] for row in band for p in row)
    return min(tile_px, max(1, round(tile_px * tallest)))
