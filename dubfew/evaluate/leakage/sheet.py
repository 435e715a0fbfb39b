"""Contact sheet of everything that was decoded of each actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.contact_sheets import SheetRow, draw_contact_sheet, save_contact_sheet
from dubfew.evaluate.leakage.scenes import LeakScene, RgbImage

# Labels of the columns. Pictures of an actor are given in this order.
SHEET_COLUMNS = (
    "the actor",
    "texture alone",
    "delta, no picture",
    "delta, a stranger's",
    "whole adapter",
    "after deletion",
    "prior, no picture",
)
# Edge of the face crop in units of the larger side of the landmarks' box: a margin for the
# forehead, which the landmarks do not reach.
FACE_CROP_FACTOR = 1.25
# Width of a picture on the sheet, px: seven columns fit on a screen.
SHEET_TILE_PX = 176
# Center of the mouth and half of its crop on a picture of the mean head, as fractions of the edge.
MEAN_MOUTH_CENTER, MEAN_MOUTH_HALF = (0.5, 0.7), 0.28

# A face and its mouth. [H, W, 3] each
FaceAndMouth = tuple[RgbImage, RgbImage]


def crop_face_and_mouth(picture: RgbImage, scene: LeakScene) -> FaceAndMouth:
    """Crop face and mouth window of a scene's first frame.

    Args:
        picture: that frame, untouched or painted. [H, W, 3]
        scene: scene whose landmarks say where the face is.
    """
    # A square around the landmarks, with a margin for the forehead.
    points = scene.landmarks[0, :, :2]
    low, high = points.min(0), points.max(0)
    half = FACE_CROP_FACTOR * float((high - low).max()) / 2
    left, top, side = scene.geometry.regions.window[0]
    return (
        _crop_square(picture, (low + high) / 2, half),
        _crop_square(picture, np.array([left + side / 2, top + side / 2]), float(side) / 2),
    )


def crop_mean_head(picture: RgbImage) -> FaceAndMouth:
    """Crop the mouth of a picture of the mean head [S, S, 3]; the face is the whole picture."""
    size = len(picture)
    center = np.array(MEAN_MOUTH_CENTER) * size
    return picture, _crop_square(picture, center, size * MEAN_MOUTH_HALF)


def _crop_square(picture: RgbImage, center: NDArray, half: float) -> RgbImage:
    """The part of a square that lies inside the picture."""
    x0, y0 = np.maximum(np.round(center - half).astype(int), 0)
    x1, y1 = np.minimum(np.round(center + half).astype(int), picture.shape[1::-1])
    return picture[y0:y1, x0:x1]


def write_decoded_sheet(
    path: Path, decoded: Mapping[str, Sequence[FaceAndMouth]], title: str
) -> None:
    """Write a contact sheet with a row for every actor.

    Args:
        path: PNG file to write.
        decoded: pictures of each actor by name, in the order of `SHEET_COLUMNS`.
        title: line above.
    """
    rows = [
        SheetRow(name, tuple(face for face, _ in each), tuple(mouth for _, mouth in each))
        for name, each in decoded.items()
    ]
    save_contact_sheet(
        draw_contact_sheet(rows, moments=SHEET_COLUMNS, title=title, tile_px=SHEET_TILE_PX), path
    )
