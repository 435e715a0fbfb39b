"""The method ``landmarks``: the fit to landmarks is the result."""

from __future__ import annotations

from pathlib import Path

from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track


def keep_landmark_fit(
    path: Path | str,
    track: Track,
    *,
    head: HeadModel,
    first_frame: int,
    progress: ProgressCallback,
) -> Track:
    """Return the track unchanged.

    Args:
        path, head, first_frame, progress: not used; other methods need them.
        track: fit to landmarks.
    """
    return track


REFINE_TRACK = keep_landmark_fit
