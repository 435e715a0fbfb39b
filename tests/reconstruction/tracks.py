"""A track with known errors: its landmarks are those of the head, shifted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.crop import compute_face_regions
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.projection import project_posed_points, rotvecs_to_matrices
from dubfew.reconstruction.track import Camera, Track

SIZE = 160
CAMERA = Camera(400.0, SIZE / 2, SIZE / 2)
FPS = Fraction(25)


def known_track(n: int = 30, *, shift: float = 2.0, shake: float = 0.0, start: int = 0) -> Track:
    """Make a head at rest whose landmarks lie to the right of it.

    Args:
        n: number of frames.
        shift: distance of the landmarks from the head, px.
        shake: distance by which every second frame's landmarks lie lower, px.
        start: number of the first frame in its video.
    """
    head = load_head_model()
    rest = np.zeros((n, len(head.expression_basis)), np.float32)
    jaw, rotation = np.zeros((n, 3), np.float32), np.zeros((n, 3), np.float32)
    translation = np.tile(np.array([0, -0.02, 0.6], np.float32), (n, 1))
    shape = np.zeros(len(head.shape_basis), np.float32)
    points = head.landmark_matrix() @ head.vertices(shape, rest, jaw)
    landmarks = np.zeros((n, 478, 3), np.float32)
    image = project_posed_points(points, rotvecs_to_matrices(rotation), translation, CAMERA)
    landmarks[:, head.landmark_ids, :2] = image[..., :2] + [shift, 0]
    landmarks[::2, :, 1] += shake
    return Track(
        valid=np.ones(n, bool),
        times=(np.arange(n) + start) / float(FPS),
        expression=rest,
        jaw=jaw,
        neck=np.zeros((n, 3), np.float32),
        rotation=rotation,
        translation=translation,
        lighting=np.zeros((n, 9, 3), np.float32),
        box=compute_face_regions(head, shape, rotation, translation, CAMERA).box,
        landmarks=landmarks,
        confidence=np.ones(n, np.float32),
        shape=shape,
        camera=CAMERA,
        fps=FPS,
        width=SIZE,
        height=SIZE,
        head=head.name,
        source_sha256="0" * 64,
    )


def gray_video(path: Path, n: int = 30) -> Path:
    """Write frames whose brightness is four times their number."""
    with VideoWriter(path, VideoInfo(path, SIZE, SIZE, FPS), lossless=True) as out:
        for index in range(n):
            out.write(Frame.from_rgb(np.full((SIZE, SIZE, 3), 4 * index, np.uint8), index, FPS))
    return path
