"""What was decoded of each actor, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.contact_sheets import SheetRow, draw_contact_sheet, save_contact_sheet
from dubfew.evaluate.leakage.scenes import LeakScene, RgbImage

SHEET_COLUMNS = (
    "the actor",
    "texture alone",
    "delta, no picture",
    "delta, a stranger's",
    "whole adapter",
    "after deletion",
    "prior, no picture",
)
FACE_CROP_FACTOR = 1.25  # side of the face that is cut out, in that of its landmarks


def crop_face_and_mouth(picture: RgbImage, scene: LeakScene) -> tuple[RgbImage, RgbImage]:
    """Face and mouth window of a scene's first frame, out of that frame or a painted one."""
    points = scene.landmarks[0, :, :2]
    low, high = points.min(0), points.max(0)
    half = FACE_CROP_FACTOR * float((high - low).max()) / 2
    left, top, side = scene.geometry.regions.window[0]
    return (
        _crop_square(picture, (low + high) / 2, half),
        _crop_square(picture, np.array([left + side / 2, top + side / 2]), float(side) / 2),
    )


def crop_mean_head(picture: RgbImage) -> tuple[RgbImage, RgbImage]:
    """A picture of the mean head, whole and its lower half."""
    size = len(picture)
    return picture, _crop_square(picture, np.array([size / 2, size * 0.7]), size * 0.28)


def _crop_square(picture: RgbImage, centre: NDArray, half: float) -> RgbImage:
    x0, y0 = np.maximum(np.round(centre - half).astype(int), 0)
    x1, y1 = np.minimum(np.round(centre + half).astype(int), picture.shape[1::-1])
    return picture[y0:y1, x0:x1]


def write_decoded_sheet(
    path: Path, decoded: Mapping[str, Sequence[tuple[RgbImage, RgbImage]]], title: str
) -> None:
    """Write a contact sheet: a row for every actor, in the columns of `SHEET_COLUMNS`."""
    rows = [
        SheetRow(name, tuple(face for face, _ in each), tuple(mouth for _, mouth in each))
        for name, each in decoded.items()
    ]
    save_contact_sheet(
        draw_contact_sheet(rows, moments=SHEET_COLUMNS, title=title, tile_px=176), path
    )
