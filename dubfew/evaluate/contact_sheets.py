"""Contact sheets: the same moments of several videos, faces and enlarged mouths, in one PNG.

Numbers miss what an eye sees at once; every benchmark writes a sheet beside its table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dubfew.errors import MediaError, ShapeError
from dubfew.evaluate.clip_landmarks import detect_landmarks
from dubfew.evaluate.face_geometry import PixelBox, clip_mouth_box, face_boxes, has_face
from dubfew.media import probe, read_frames
from dubfew.utils.files import atomic_path

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB

MIN_LABEL_WIDTH_PX = 120  # px at least
LINE_HEIGHT_PX = 24
TILE_GAP_PX = 4
PAPER_COLOR, INK_COLOR = (250, 250, 248), (40, 40, 40)


@dataclass(frozen=True)
class SheetRow:
    """One video on a sheet.

    Attributes:
        name: what is written beside it.
        faces: face crops, one per moment. [H, W, 3] each
        mouths: mouth boxes of the same moments. [h, w, 3] each
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
    """Lay out rows of faces, then under them rows of mouths, all pictures ``tile_px`` px wide.

    The mouths stand together because they are what is compared. They are enlarged without
    smoothing away their pixels' softness (Lanczos); faces keep their proportions.

    Args:
        rows: at least one, all with the same number of moments.
        moments: labels of the columns, such as "1.20 s"; none if empty.
        title: one line above.
        tile_px: width of a picture and largest height of one, px.

    Raises:
        ShapeError: no rows, or rows of different lengths.
    """
    lengths = {len(row.faces) for row in rows}
    if len(lengths) != 1 or lengths == {0}:
        raise ShapeError(
            f"contact sheet rows have {sorted(lengths)} moments: give one number above zero"
        )
    columns = lengths.pop()
    bands = [[row.faces for row in rows], [row.mouths for row in rows]]
    heights = [_band_height(band, tile_px) for band in bands]
    top = (LINE_HEIGHT_PX if title else 0) + (LINE_HEIGHT_PX if moments else 0) + TILE_GAP_PX
    total = top + sum(len(rows) * (height + TILE_GAP_PX) for height in heights) + TILE_GAP_PX * 2
    font = ImageFont.load_default(15)
    label = max(
        MIN_LABEL_WIDTH_PX, *(round(font.getlength(row.name)) + 3 * TILE_GAP_PX for row in rows)
    )
    sheet = Image.new("RGB", (label + columns * (tile_px + TILE_GAP_PX), total), PAPER_COLOR)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((TILE_GAP_PX, TILE_GAP_PX), title, INK_COLOR, font)
    for column, moment in enumerate(moments[:columns]):
        draw.text(
            (label + column * (tile_px + TILE_GAP_PX), top - LINE_HEIGHT_PX),
            moment,
            INK_COLOR,
            font,
        )
    y = top
    for band, height in zip(bands, heights, strict=True):
        for row, pictures in zip(rows, band, strict=True):
            draw.text(
                (TILE_GAP_PX, y + height // 2 - LINE_HEIGHT_PX // 2), row.name, INK_COLOR, font
            )
            for column, picture in enumerate(pictures):
                fitted = ImageOps.contain(
                    Image.fromarray(np.ascontiguousarray(picture)),
                    (tile_px, height),
                    Image.Resampling.LANCZOS,
                )
                sheet.paste(fitted, (label + column * (tile_px + TILE_GAP_PX), y))
            y += height + TILE_GAP_PX
        y += TILE_GAP_PX
    return sheet


def save_contact_sheet(sheet: Image.Image, path: Path | str) -> None:
    """Write a sheet as PNG, atomically."""
    with atomic_path(Path(path)) as temporary:
        sheet.save(temporary, format="PNG")


def make_sheet_rows(
    videos: Mapping[str, Path],
    *,
    count: int = 6,
    landmarks: NDArray[np.float32] | None = None,
) -> tuple[list[SheetRow], list[str]]:
    """Cut the same evenly spaced moments out of several videos of the same scene.

    Args:
        videos: name on the sheet -> file. The first is the original: its landmarks say where
            to cut in all of them.
        count: number of moments (fewer if the clip has fewer frames with a face).
        landmarks: of the original if already known. [N, 478, 3] px

    Returns:
        One row per video, and the moments' labels.

    Raises:
        NoFaceError: the original shows no face.
        MediaError: a video ends before the last moment.
    """
    original = next(iter(videos.values()))
    marks = detect_landmarks(original) if landmarks is None else landmarks
    info = probe(original)
    mouth = clip_mouth_box(marks, info.height, info.width)
    faces = face_boxes(marks, info.height, info.width)
    moments = pick_evenly_spaced(np.flatnonzero(has_face(marks)), count)
    rows = []
    for name, video in videos.items():
        cuts = _crop_moments(video, {index: _require_box(faces[index]) for index in moments}, mouth)
        rows.append(SheetRow(name, tuple(f for f, _ in cuts), tuple(m for _, m in cuts)))
    return rows, [f"{index / float(info.fps):.2f} s" for index in moments]


def pick_evenly_spaced(candidates: NDArray[np.int64], count: int) -> list[int]:
    """``count`` of the candidates, in the middles of equal parts of them."""
    count = min(count, len(candidates))
    places = (np.arange(count) + 0.5) * len(candidates) / max(count, 1)
    return [int(candidates[int(place)]) for place in places]


def _crop_moments(
    video: Path, faces: Mapping[int, PixelBox], mouth: PixelBox
) -> list[tuple[RgbImage, RgbImage]]:
    cuts = []
    for frame in read_frames(video, stop=max(faces) + 1):
        if frame.index in faces:
            face = faces[frame.index]
            cuts.append(
                (
                    frame.crop_rgb(face.left, face.top, face.right, face.bottom),
                    frame.crop_rgb(mouth.left, mouth.top, mouth.right, mouth.bottom),
                )
            )
    if len(cuts) < len(faces):
        raise MediaError(
            f"{video} ends before frame {max(faces)}: give videos as long as their original"
        )
    return cuts


def _require_box(box: PixelBox | None) -> PixelBox:
    if box is None:  # cannot be: moments are chosen among the frames with a face
        raise AssertionError
    return box


def _band_height(band: Sequence[Sequence[RgbImage]], tile_px: int) -> int:
    """Height of a band's rows: that of its tallest picture at full width, at most ``tile_px``."""
    tallest = max(p.shape[0] / p.shape[1] for row in band for p in row)
    return min(tile_px, max(1, round(tile_px * tallest)))
