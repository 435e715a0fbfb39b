"""Signature of all tracking methods."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dubfew.progress import ProgressCallback
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track


class TrackRefiner(Protocol):
    """Entry of ``TRACKING_METHODS``: improve a track that was fitted to landmarks."""

    def __call__(
        self,
        path: Path | str,
        track: Track,
        *,
        head: HeadModel,
        first_frame: int,
        progress: ProgressCallback,
    ) -> Track:
        """Fit the head again.

        Args:
            path: the video that was tracked.
            track: fit to landmarks, of the video's frames from ``first_frame`` on.
            head: head model of the track.
            first_frame: number of the track's first frame in the video.
            progress: called while the work goes on.

        Returns:
            The track with better parameters, ``method`` set to the method's name.

        Raises:
            MediaError: The file cannot be read as video.
        """
        ...
