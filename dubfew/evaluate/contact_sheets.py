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
from dubfew.evaluate.compare import landmarks_of
from dubfew.evaluate.face_geometry import Box, face_boxes, has_face, mouth_box
from dubfew.media import probe, read_frames
from dubfew.utils.files import atomic_path

Picture = NDArray[np.uint8]  # [H, W, 3] RGB

LABEL_WIDTH = 120  # px at least
LINE = 24
GAP = 4
PAPER, INK = (250, 250, 248), (40, 40, 40)


@dataclass(frozen=True)
class SheetRow:
    """One video on a sheet.

    Attributes:
        name: what is written beside it.
        faces: face crops, one per moment. [H, W, 3] each
        mouths: mouth boxes of the same moments. [h, w, 3] each
    """

    name: str
    faces: tuple[Picture, ...]
    mouths: tuple[Picture, ...]

    def __post_init__(self) -> None:
        if len(self.faces) != len(self.mouths):
            raise ShapeError(
                f"row {self.name!r} has {len(self.faces)} faces and {len(self.mouths)} mouths: "
                "give one of each per moment"
            )


def contact_sheet(
    rows: Sequence[SheetRow], *, moments: Sequence[str] = (), title: str = "", tile: int = 192
) -> Image.Image:
    """Lay out rows of faces, then under them rows of mouths, all pictures ``tile`` px wide.

    The mouths stand together because they are what is compared. They are enlarged without
    smoothing away their pixels' softness (Lanczos); faces keep their proportions.

    Args:
        rows: at least one, all with the same number of moments.
        moments: labels of the columns, such as "1.20 s"; none if empty.
        title: one line above.
        tile: width of a picture and largest height of one, px.

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
    heights = [_height(band, tile) for band in bands]
    top = (LINE if title else 0) + (LINE if moments else 0) + GAP
    total = top + sum(len(rows) * (height + GAP) for height in heights) + GAP * 2
    font = ImageFont.load_default(15)
    label = max(LABEL_WIDTH, *(round(font.getlength(row.name)) + 3 * GAP for row in rows))
    sheet = Image.new("RGB", (label + columns * (tile + GAP), total), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((GAP, GAP), title, INK, font)
    for column, moment in enumerate(moments[:columns]):
        draw.text((label + column * (tile + GAP), top - LINE), moment, INK, font)
    y = top
    for band, height in zip(bands, heights, strict=True):
        for row, pictures in zip(rows, band, strict=True):
            draw.text((GAP, y + height // 2 - LINE // 2), row.name, INK, font)
            for column, picture in enumerate(pictures):
                fitted = ImageOps.contain(
                    Image.fromarray(np.ascontiguousarray(picture)),
                    (tile, height),
                    Image.Resampling.LANCZOS,
                )
                sheet.paste(fitted, (label + column * (tile + GAP), y))
            y += height + GAP
        y += GAP
    return sheet


def save_sheet(sheet: Image.Image, path: Path | str) -> None:
    """Write a sheet as PNG, atomically."""
    with atomic_path(Path(path)) as temporary:
        sheet.save(temporary, format="PNG")


def sheet_rows(
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
    marks = landmarks_of(original) if landmarks is None else landmarks
    info = probe(original)
    mouth = mouth_box(marks, info.height, info.width)
    faces = face_boxes(marks, info.height, info.width)
    moments = evenly_spaced(np.flatnonzero(has_face(marks)), count)
    rows = []
    for name, video in videos.items():
        cuts = _cut(video, {index: _some(faces[index]) for index in moments}, mouth)
        rows.append(SheetRow(name, tuple(f for f, _ in cuts), tuple(m for _, m in cuts)))
    return rows, [f"{index / float(info.fps):.2f} s" for index in moments]


def evenly_spaced(candidates: NDArray[np.int64], count: int) -> list[int]:
    """``count`` of the candidates, in the middles of equal parts of them."""
    count = min(count, len(candidates))
    places = (np.arange(count) + 0.5) * len(candidates) / max(count, 1)
    return [int(candidates[int(place)]) for place in places]


def _cut(video: Path, faces: Mapping[int, Box], mouth: Box) -> list[tuple[Picture, Picture]]:
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


def _some(box: Box | None) -> Box:
    if box is None:  # cannot be: moments are chosen among the frames with a face
        raise AssertionError
    return box


def _height(band: Sequence[Sequence[Picture]], tile: int) -> int:
    """Height of a band's rows: that of its tallest picture at full width, at most ``tile``."""
    tallest = max(p.shape[0] / p.shape[1] for row in band for p in row)
    return min(tile, max(1, round(tile * tallest)))
