"""UV maps of faces, for compositors: which place of the head's texture each pixel of a dub shows.

What is painted on the texture, such as a mole or a correction, lands on the face that speaks. The
mesh is that of the landmarks, with the texture coordinates of the ``lite`` head.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from dubfew.reconstruction.detection.clip_detections import ClipDetections
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh

# Depth of the faces' middle, in widths of the picture: so far away that nothing is foreshortened
# inside of a triangle, as landmarks have it.
_DEPTH_WIDTHS = 100.0
# Length of the filter that takes the tracker's noise out of a picture's way, frames. It follows
# parabolas, so that what moves stays where it is.
SMOOTHED_FRAMES = 5


def make_uv_map(
    landmarks: NDArray[np.floating],  # [478, 3]
    width: int,
    height: int,
) -> NDArray[np.float32]:  # [H, W, 3]
    """Make the UV map of a face in one frame.

    Red and green are the texture coordinates, 0 to 1 from left to right and from below to above, as
    compositing programs count them. Blue is 1 where the face is. Between open lips there is none.

    Args:
        landmarks: face mesh, px. [478, 3]
        width: width of the picture, px.
        height: height of the picture, px.
    """
    vertices, faces, uv = _load_face_mesh()
    points = landmarks[vertices].astype(np.float32)
    points[:, 2] += _DEPTH_WIDTHS * width
    raster = rasterize_mesh(points, faces, height, width, cull_backfaces=True)
    values = np.column_stack([uv[:, 0], 1 - uv[:, 1], np.ones(len(uv))])
    return interpolate_attributes(raster, faces, values)


def smooth_seen_frames(
    values: NDArray[np.floating],
    person: DetectedPerson,
    shots: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Smooth values of the frames in which a person is seen, but not over gaps and cuts.

    Args:
        values: one row for each of these frames. [M, ...]
        person: the person.
        shots: shot of each frame of the clip. [N]
    """
    smooth = np.array(values, np.float64)
    borders = np.flatnonzero((np.diff(person.frames) > 1) | (np.diff(shots[person.frames]) != 0))
    for run in np.split(np.arange(len(smooth)), borders + 1):
        if len(run) >= SMOOTHED_FRAMES:
            smooth[run] = savgol_filter(smooth[run], SMOOTHED_FRAMES, 2, axis=0, mode="interp")
    return smooth


def find_same_person(
    person: DetectedPerson, found: ClipDetections, points: tuple[int, ...]
) -> DetectedPerson | None:
    """Find a person of one video in another one with the same frames.

    Args:
        person: the person in the first video.
        found: people of the second one.
        points: landmarks by which they are compared.

    Returns:
        The person whose points lie nearest; None if nobody is within a tenth of the face's width.
    """
    best, least = None, 0.1 * person.face_width
    for other in found.people:
        _, mine, theirs = np.intersect1d(person.frames, other.frames, return_indices=True)
        if not len(mine):
            continue
        rows = [each.landmarks[:, list(points), :2] for each in (person, other)]
        distance = np.linalg.norm(rows[0][mine] - rows[1][theirs], axis=2).mean()
        if distance < least:
            best, least = other, distance
    return best


@cache
def _load_face_mesh() -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Return landmark of each vertex [V], triangles [F, 3] and texture coordinates [V, 2]."""
    head = load_head_model()
    carriers = head.faces[head.landmark_faces, head.landmark_barycentric.argmax(axis=1)]
    # What fills the mouth, and the strip around the face, carry no landmarks.
    place = np.full(len(head.template), -1, np.int32)
    place[carriers] = np.arange(len(carriers))
    faces = place[head.faces]
    faces = faces[(faces >= 0).all(axis=1)]
    return head.landmark_ids.astype(np.int64), faces, head.uv[carriers]
