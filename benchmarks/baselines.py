"""Baselines without any training, which a trained renderer has to beat.

All of them edit the same pixels: the mouth region of each frame, feathered at its edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from dubfew.evaluate.face_geometry import (
    FACE_CROP_SIZE_PX,
    LIP_POINTS,
    STILL_POINTS,
    PixelBox,
    face_boxes,
    fit_similarity_transform,
    has_face,
)
from dubfew.evaluate.regions import EditRegion
from dubfew.media import Frame, probe, read_frames

# Standard deviation of the blurred baseline, px at the 256 px face crop. At this value teeth melt
# into one band, as in outputs that users complain about.
BLUR_SIGMA_PX = 2.0
# Width of the feathered edge as a fraction of the region's width. A hard edge would be visible.
FEATHER_FRACTION = 0.03

Landmarks = NDArray[np.float32]  # [N, 478, 3] px, NaN rows without a face


@dataclass(frozen=True)
class Reference:
    """One face of the actor to paste from.

    Attributes:
        pixels: crop of the frame. [h, w, 3] RGB
        box: position of the crop in its frame.
        landmarks: landmarks in the frame, px. [478, 3]
    """

    pixels: NDArray[np.uint8]
    box: PixelBox
    landmarks: NDArray[np.float32]


def references_of(clip: Path, landmarks: Landmarks) -> list[Reference]:
    """Crop the face out of every frame of a clip; whole frames would fill the memory.

    Args:
        clip: footage of the actor.
        landmarks: landmarks of its frames, px. [N, 478, 3]
    """
    info = probe(clip)
    boxes = face_boxes(landmarks, info.height, info.width)
    references = []
    for frame, box, marks in zip(read_frames(clip), boxes, landmarks, strict=False):
        if box is not None:
            pixels = frame.crop_rgb(box.left, box.top, box.right, box.bottom)
            references.append(Reference(pixels, box, marks))
    return references


def pasted(
    clip: Path, landmarks: Landmarks, references: list[Reference], region: EditRegion
) -> Iterable[Frame]:
    """Paste the mouth of the reference with the nearest lips into each frame.

    The reference is placed by the similarity transform of the points that speech does not move.
    Nothing is warped.

    Args:
        clip: scene to edit.
        landmarks: landmarks of its frames, px. [N, 478, 3]
        references: faces of the actor.
        region: pixels to edit.

    Yields:
        All frames of the clip; those without a face are untouched.
    """
    # Compare lips as if all heads stood where the first reference's does.
    home = references[0].landmarks[list(STILL_POINTS), :2]
    shapes = np.stack([_lips_at(home, reference.landmarks) for reference in references])
    faces = has_face(landmarks)
    for frame in read_frames(clip):
        if frame.index >= len(faces) or not faces[frame.index]:
            yield frame
            continue
        marks = landmarks[frame.index]
        distance = np.linalg.norm(shapes - _lips_at(home, marks), axis=-1).mean(axis=-1)
        reference = references[int(distance.argmin())]
        rigid = list(STILL_POINTS)
        to_reference = fit_similarity_transform(marks[rigid, :2], reference.landmarks[rigid, :2])
        paint = partial(_sample, reference, to_reference)
        yield _edit(frame, region(frame.index), paint)


def blurred(clip: Path, landmarks: Landmarks, region: EditRegion) -> Iterable[Frame]:
    """Blur the mouth of each frame, to imitate a renderer without fine detail.

    Args:
        clip: scene to edit.
        landmarks: landmarks of its frames, px. [N, 478, 3]
        region: pixels to edit.

    Yields:
        All frames of the clip; those without a face are untouched.
    """
    info = probe(clip)
    boxes = face_boxes(landmarks, info.height, info.width)
    for frame in read_frames(clip):
        face = boxes[frame.index] if frame.index < len(boxes) else None
        if face is None:
            yield frame
            continue
        sigma = BLUR_SIGMA_PX * face.width / FACE_CROP_SIZE_PX

        def soften(
            box: PixelBox, frame: Frame = frame, sigma: float = sigma
        ) -> NDArray[np.float32]:
            """Blur the frame in a box."""
            # The filter reaches beyond the region, so that its edge does not turn dark.
            whole = frame.to_rgb().astype(np.float32)
            margin = int(np.ceil(4 * sigma))
            top, left = max(0, box.top - margin), max(0, box.left - margin)
            part = whole[top : box.bottom + margin, left : box.right + margin]
            soft = gaussian_filter(part, (sigma, sigma, 0))
            y, x = box.top - top, box.left - left
            return soft[y : y + box.height, x : x + box.width]

        yield _edit(frame, region(frame.index), soften)


def _lips_at(
    home: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> NDArray[np.float64]:  # [40, 2]
    """Move the lips of one frame so that its rigid points lie where ``home``'s do."""
    matrix = fit_similarity_transform(landmarks[list(STILL_POINTS), :2], home)
    return np.asarray(landmarks[list(LIP_POINTS), :2] @ matrix[:, :2].T + matrix[:, 2])


def _sample(
    reference: Reference, matrix: NDArray[np.float64], box: PixelBox
) -> NDArray[np.float32]:  # [h, w, 3]
    """Resample a reference in a box of the target frame, bicubically.

    Bilinear sampling would cost the pasted mouth a quarter of its sharpness.
    """
    rows, columns = np.mgrid[box.top : box.bottom, box.left : box.right] + 0.5
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2] - reference.box.left - 0.5
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2] - reference.box.top - 0.5
    channels = [
        map_coordinates(
            reference.pixels[..., c].astype(np.float32), (y, x), order=3, mode="nearest"
        )
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def _edit(
    frame: Frame, region: NDArray[np.bool_] | None, paint: Callable[[PixelBox], NDArray[np.float32]]
) -> Frame:
    """Paint a region of a frame, blended over the region's edge."""
    if region is None or not region.any():
        return frame
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    box = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    mask = box.crop(region)
    # Distance to the region's edge, also where the region touches the border of its box.
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    alpha = np.clip(depth / max(1.0, FEATHER_FRACTION * box.width), 0, 1)[..., None]
    before = frame.crop_rgb(box.left, box.top, box.right, box.bottom)
    mixed = before + alpha * (paint(box) - before)
    return frame.with_patch(box.left, box.top, np.rint(mixed).clip(0, 255).astype(np.uint8), mask)
