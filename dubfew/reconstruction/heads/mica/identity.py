"""Whose head it is: MICA's shape, averaged over the frames that show the face best."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from dubfew.assets import asset_path, require_asset
from dubfew.errors import AssetError, DubfewError, NoFaceError
from dubfew.media import Frame, read_frames
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS
from dubfew.reconstruction.heads.mica.crop import (
    ARCFACE_TEMPLATE_PX,
    align_face_chip,
    extract_five_points,
)
from dubfew.reconstruction.options import IDENTITY_SOURCES

if TYPE_CHECKING:  # loads torch, which tracking by landmarks does without
    from dubfew.reconstruction.heads.mica.checkpoint import MicaModel

# Where a track's shape may come from; auto is mica where its file and FLAME are there.
NUM_CANDIDATE_FRAMES = 24  # frames whose pictures are looked at: one in every 24th of the clip
NUM_USED_FRAMES = 8  # the best of them
TURN_SCALE_RADIANS = 0.35  # rad: farther than that a face no longer counts as frontal
LIP_GAP_SCALE = 0.15  # gap of the lips over the distance of the eyes' outer corners
FOREHEAD_LANDMARK, CHIN_LANDMARK = 10, 152
UPPER_LIP_LANDMARK, LOWER_LIP_LANDMARK = 13, 14
# Distance of the eyes' middles in an aligned picture, px: smaller faces are enlarged, show less.
TEMPLATE_EYE_DISTANCE_PX = float(np.linalg.norm(ARCFACE_TEMPLATE_PX[0] - ARCFACE_TEMPLATE_PX[1]))
# m: holds at 0 only what the vertices cannot tell apart.
SHAPE_RIDGE_METERS = 1e-5


def score_face_views(landmarks: NDArray) -> NDArray[np.float64]:
    """Score how well frames show a face, by its landmarks: frontal, large, mouth closed.

    Args:
        landmarks: px, z in px too; NaN rows without a face. [N, 478, 3]

    Returns:
        0 (no face) to 1. [N]
    """
    points = np.nan_to_num(np.asarray(landmarks, np.float64))
    seen = np.isfinite(landmarks).all((1, 2))
    across = points[:, EYE_CORNERS[1]] - points[:, EYE_CORNERS[0]]
    down = points[:, CHIN_LANDMARK] - points[:, FOREHEAD_LANDMARK]
    normal = np.cross(across, down)
    width = np.maximum(np.linalg.norm(across, axis=1), 1e-9)
    turn = np.arccos(
        np.clip(normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-9), -1, 1)
    )
    gape = (
        np.linalg.norm(points[:, LOWER_LIP_LANDMARK] - points[:, UPPER_LIP_LANDMARK], axis=1)
        / width
    )
    eyes = extract_five_points(points)[:, :2]
    # Larger than the network's input is no better.
    size = np.minimum(np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1) / TEMPLATE_EYE_DISTANCE_PX, 1)
    return seen * size * np.exp(-((turn / TURN_SCALE_RADIANS) ** 2) - gape / LIP_GAP_SCALE)


def select_candidate_rows(
    landmarks: NDArray, num_parts: int = NUM_CANDIDATE_FRAMES
) -> NDArray[np.int64]:
    """Select the best frame of each of ``num_parts`` equal parts of a clip.

    Parts without a face are left out.

    Args:
        landmarks: px, NaN rows without a face. [N, 478, 3]
        num_parts: number of parts.

    Returns:
        Rows in rising order. [K <= count]
    """
    score = score_face_views(landmarks)
    parts = np.array_split(np.arange(len(score)), min(num_parts, len(score)))
    rows = np.array([part[score[part].argmax()] for part in parts], np.int64)
    return rows[score[rows] > 0]


def measure_chip_sharpness(chips: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the variance of the Laplacian of aligned pictures [N, 112, 112, 3]. [N]"""
    gray = chips.astype(np.float32).mean(-1)
    return np.array([laplace(picture).var() for picture in gray], np.float64)


def select_face_chips(
    frames: Iterable[Frame],
    landmarks: NDArray,
    *,
    num_candidates: int = NUM_CANDIDATE_FRAMES,
    num_used: int = NUM_USED_FRAMES,
) -> NDArray[np.uint8]:
    """Select aligned pictures of a face from the frames that show it best.

    Args:
        frames: of the clip, in order, one for each row of landmarks. No more of them are read
            than needed, and only the candidates are converted.
        landmarks: px, NaN rows without a face. [N, 478, 3]
        num_candidates: how many frames to look at, spread over the clip.
        num_used: how many of them to keep, those that are fit and sharp.

    Returns:
        RGB, in order of time. [K <= used, 112, 112, 3] uint8

    Raises:
        NoFaceError: no row has a face.
    """
    # The best view of each part of the clip, so that they differ in light and pose.
    rows = select_candidate_rows(landmarks, num_candidates)
    if not len(rows):
        raise NoFaceError("no frame has a face: there is no identity to read")
    wanted = set(rows.tolist())
    # One pass over the frames. Only the candidates are converted, and nothing is read after the
    # last.
    pictures = []
    for row, frame in enumerate(frames):
        if row in wanted:
            pictures.append(align_face_chip(frame.to_rgb(), landmarks[row]))
        if row >= rows[-1]:
            break
    chips = np.stack(pictures)
    # Of the candidates the sharp ones are kept, in the order of time.
    score = score_face_views(landmarks[rows[: len(chips)]]) * measure_chip_sharpness(chips)
    return chips[np.sort(np.argsort(-score, kind="stable")[:num_used])]


def estimate_mica_shape(
    frames: Iterable[Frame], landmarks: NDArray, mica: MicaModel
) -> NDArray[np.float32]:
    """Estimate a person's shape coefficients in the basis that MICA was trained with.

    Each picture goes through the networks by itself, as in MICA; coefficients are averaged,
    which averages the vertices of the heads.

    Args:
        frames: of the clip, in order, one for each row of landmarks.
        landmarks: of one person, px, NaN rows without a face. [N, 478, 3]
        mica: the networks.

    Returns:
        [300]

    Raises:
        NoFaceError: no row has a face.
    """
    return mica.predict_shapes(select_face_chips(frames, landmarks)).mean(0)


def convert_mica_shape(head: HeadModel, mica: MicaModel, shape: NDArray) -> NDArray[np.float32]:
    """Convert MICA's shape coefficients to the FLAME model that the user registered.

    FLAME's editions differ in their bases. Where the head's basis is not that of MICA's file, the
    result brings the vertices nearest to those of MICA's head.

    Args:
        head: its first vertices are FLAME's, of any edition; any number of coefficients.
        mica: whose template and basis ``shape`` belongs to.
        shape: [300]

    Returns:
        [S]

    Raises:
        AssetError: the head is not FLAME.
    """
    if len(head.template) < NUM_FLAME_VERTICES:
        raise _not_flame_error(head)
    # Of the same edition the coefficients are the same, and a head with fewer takes the first.
    count = len(head.shape_basis)
    own = head.shape_basis[:, :NUM_FLAME_VERTICES]
    same = mica.shape_basis is None or np.allclose(own, mica.shape_basis[:count], rtol=0, atol=1e-6)
    if mica.template is None or mica.shape_basis is None or same:
        return np.asarray(shape[:count], np.float32)
    wanted = (
        mica.template
        + np.tensordot(shape, mica.shape_basis, 1)
        - head.template[:NUM_FLAME_VERTICES]
    )
    # Where the head's origin lies is no matter of its shape.
    basis = (own - own.mean(1, keepdims=True)).reshape(count, -1).astype(np.float64)
    target = (wanted - wanted.mean(0)).ravel().astype(np.float64)
    # Least squares with a small ridge: directions that the vertices hardly show stay near zero.
    normal = basis @ basis.T + np.eye(count) * SHAPE_RIDGE_METERS**2
    return np.linalg.solve(normal, basis @ target).astype(np.float32)


def check_identity_source(identity: str, head: HeadModel) -> None:
    """Check, before the work begins, that a head can have its shape from a source.

    Args:
        identity: one of ``IDENTITY_SOURCES``.
        head: head model of the track.

    Raises:
        DubfewError: The source is not one of ``IDENTITY_SOURCES``.
        AssetError: MICA is asked for and its file is not there, or the head is not FLAME.
    """
    if identity not in IDENTITY_SOURCES:
        raise DubfewError(f"identity {identity!r}: choose one of {', '.join(IDENTITY_SOURCES)}")
    if identity == "mica":
        if not _is_flame(head):
            raise _not_flame_error(head)
        require_asset("mica")


def estimate_clip_shape(
    path: Path | str,
    landmarks: NDArray,
    head: HeadModel,
    identity: str = "auto",
    *,
    first_frame: int = 0,
) -> NDArray[np.float32] | None:
    """Estimate the shape of a clip's person by MICA, where that is wanted and possible.

    Args:
        path: the clip.
        landmarks: of one person, from frame ``first_frame`` on, px, NaN rows without a face. [N,
            478, 3]
        head: whose shape coefficients are asked for.
        identity: one of ``IDENTITY_SOURCES``.
        first_frame: frame of the first row.

    Returns:
        [S], or None: fit the landmarks.

    Raises:
        As ``check_identity_source``.
        AssetError: the file is not MICA's.
    """
    check_identity_source(identity, head)
    if identity == "landmarks" or not _is_flame(head) or not np.isfinite(landmarks).any():
        return None
    file = asset_path("mica")
    if file is None:
        return None
    from dubfew.reconstruction.heads.mica.checkpoint import load_mica

    mica = load_mica(file)
    return convert_mica_shape(
        head, mica, estimate_mica_shape(read_frames(path, start=first_frame), landmarks, mica)
    )


def _is_flame(head: HeadModel) -> bool:
    return head.name.split("-")[0] == "flame"


def _not_flame_error(head: HeadModel) -> AssetError:
    return AssetError(f"MICA's shape is one of FLAME's, not of head {head.name}: --head flame")
