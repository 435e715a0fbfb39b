"""How well a track explains what a clip's pictures show, whatever it was fitted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dubfew.errors import NoFaceError
from dubfew.reconstruction.fitting.landmark_fit import Pose, one_thread
from dubfew.reconstruction.fitting.photometric.fit import PhotometricFitter
from dubfew.reconstruction.fitting.photometric.stages import FRAMES, JOINT
from dubfew.reconstruction.fitting.photometric.views import read_views
from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.track import Track


def photometric_error(
    path: Path | str, track: Track, *, head: HeadModel | None = None, frames: int = 12
) -> float:
    """Mean difference of colour between a clip and its head's albedo under the best light.

    Albedo and light are estimated for the track as it is, from some frames; the difference is
    taken in as many others. A head that slides over the face smears its albedo.

    Args:
        path: the video that the track is of.
        track: of any method.
        head: the model that its coefficients belong to.
        frames: how many to learn the albedo from, and how many to look at.

    Returns:
        Mean absolute difference of sRGB in [0, 1] over the faces' skin.

    Raises:
        NoFaceError: fewer than two frames show a face.
    """
    head = head or load_head(track.head)
    rows = np.nonzero(track.valid)[0]
    if len(rows) < 2:
        raise NoFaceError(f"{path}: {len(rows)} frames show a face, two or more are needed")
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, 2 * frames).astype(int))]
    views = list(read_views(path, chosen.tolist(), track.box, 0))
    pose = Pose(
        Rotation.from_rotvec(track.rotation[chosen]).as_matrix(),
        track.translation[chosen].astype(np.float64),
        track.jaw[chosen].astype(np.float64),
        track.expression[chosen].astype(np.float64),
    )
    marks, shape = track.landmarks[chosen], track.shape.astype(np.float64)
    learn, look = slice(0, None, 2), slice(1, None, 2)
    fitter = PhotometricFitter(head)
    with one_thread():
        clip = fitter.joint(
            replace(JOINT, steps=0), views[learn], marks[learn], pose.select(learn), shape,
            track.camera,
        )  # fmt: skip
        still, light = fitter.frames(
            replace(FRAMES, steps=0), clip, views[look], marks[look], pose.select(look),
            np.zeros(len(views[look]), bool),
        )  # fmt: skip
        return float(fitter.errors(clip, views[look], still, light).mean())
