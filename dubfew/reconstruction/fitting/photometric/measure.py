"""The photometric error of a track, whatever method fitted it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dubfew.errors import NoFaceError
from dubfew.reconstruction.fitting.landmark_fit import FaceParameters, limit_blas_threads
from dubfew.reconstruction.fitting.photometric.fit import PhotometricFitter
from dubfew.reconstruction.fitting.photometric.stages import FRAME_STAGE, JOINT_STAGE
from dubfew.reconstruction.fitting.photometric.views import read_face_views
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track


def measure_photometric_error(
    path: Path | str, track: Track, *, head: HeadModel | None = None, num_frames: int = 12
) -> float:
    """Measure the difference of color between a clip and its head's albedo under the best light.

    Albedo and light are estimated for the track as it is, from some frames; the difference is
    measured in as many others. A head that slides over the face smears its albedo, so that the
    difference shows how steadily the track follows the face.

    Args:
        path: video that the track is of.
        track: track of any method.
        head: head model that its coefficients belong to; by default the one that it names.
        num_frames: number of frames to estimate the albedo from, and of frames to measure.

    Returns:
        Mean absolute difference of sRGB in [0, 1] over the faces' skin.

    Raises:
        NoFaceError: Fewer than two frames show a face.
    """
    head = head or load_head_model(track.head)
    rows = np.nonzero(track.valid)[0]
    if len(rows) < 2:
        raise NoFaceError(f"{path}: {len(rows)} frames show a face, two or more are needed")
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, 2 * num_frames).astype(int))]
    views = list(read_face_views(path, chosen.tolist(), track.box, 0))
    pose = FaceParameters(
        Rotation.from_rotvec(track.rotation[chosen]).as_matrix(),
        track.translation[chosen].astype(np.float64),
        track.jaw[chosen].astype(np.float64),
        track.expression[chosen].astype(np.float64),
    )
    landmarks, shape = track.landmarks[chosen], track.shape.astype(np.float64)
    # Every other frame gives the albedo, those between them are measured. No stage takes a step.
    learn, test = slice(0, None, 2), slice(1, None, 2)
    fitter = PhotometricFitter(head)
    with limit_blas_threads():
        clip = fitter.fit_clip(
            replace(JOINT_STAGE, steps=0), views[learn], landmarks[learn], pose.select(learn),
            shape, track.camera,
        )  # fmt: skip
        still, light = fitter.fit_frames(
            replace(FRAME_STAGE, steps=0), clip, views[test], landmarks[test], pose.select(test),
            np.zeros(len(views[test]), bool),
        )  # fmt: skip
        return float(fitter.measure_color_errors(clip, views[test], still, light).mean())
