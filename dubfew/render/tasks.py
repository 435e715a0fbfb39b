"""Frames on their way through a render: what to paint, and what the network predicted for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dubfew.media import Frame
from dubfew.references.footage import Footage, resize_footage
from dubfew.references.light_fit import LightMatch
from dubfew.references.overlays import Overlay
from dubfew.references.track_geometry import TrackGeometry
from dubfew.references.veil import Veil


@dataclass(frozen=True)
class ReferenceSet:
    """The references of one actor, at their own resolution and at that of the network.

    Attributes:
        footage: windows at their own resolution, whose pixels are composited.
        windows: the same windows at the edge that the renderer works at, which the network sees.
    """

    footage: Footage
    windows: Footage

    @classmethod
    def from_footage(cls, footage: Footage, window_size: int) -> ReferenceSet:
        """Resize references for a renderer.

        Args:
            footage: windows at their own resolution.
            window_size: edge of the renderer's window, px.
        """
        return cls(footage, resize_footage(footage, window_size))


@dataclass(frozen=True)
class FilmedMouth:
    """The mouth that a frame shows before it is painted.

    Attributes:
        geometry: mesh and regions of some frames of the scene as filmed.
        geometry_row: the frame's row in ``geometry``.
        reference_rows: rows of the references that resemble the filmed mouth. [K]
        reference_distances: distance of each reference's key from the frame's. [K]
    """

    geometry: TrackGeometry
    geometry_row: int
    reference_rows: NDArray[np.int64]
    reference_distances: NDArray[np.float32]


@dataclass(frozen=True)
class FrameTask:
    """One frame whose mouth is to be painted.

    Attributes:
        frame: the untouched frame.
        geometry: mesh and regions of the frame's block of frames.
        geometry_row: the frame's row in ``geometry``.
        motion: mouth motion of the frames around, in inter-ocular distances. [T, P, 3]
        reference_rows: rows of the references to use. [K]
        reference_distances: distance of each reference's key from the frame's. [K]
        opacity: opacity of the painted mouth, 0 to 1; below 1 beside frames that are skipped.
        shot: number of the frame's shot.
        row: the frame's row in the track.
        landmarks: landmarks of the scene's face, px of the frame. [478, 3]
        find_filmed: finds the frame's own mouth; None where it is not to be looked at, or is the
            one to render.
    """

    frame: Frame
    geometry: TrackGeometry
    geometry_row: int
    motion: NDArray[np.float32]
    reference_rows: NDArray[np.int64]
    reference_distances: NDArray[np.float32]
    opacity: float = 1.0
    shot: int = 0
    row: int = 0
    landmarks: NDArray[np.float32] | None = None
    find_filmed: Callable[[], FilmedMouth] | None = None


@dataclass(frozen=True)
class PaintedCrop:
    """A crop that a painting renderer drew.

    Attributes:
        picture: RGB, 0 to 255. [H, W, 3]
        opacity: how far each pixel is shown, 0 to 1; 0 outside of the layout's mask. [H, W]
        box: left, top, right, bottom of the crop, px of the frame. [4]
    """

    picture: NDArray[np.float32]
    opacity: NDArray[np.float32]
    box: NDArray[np.float32]


@dataclass(frozen=True)
class PredictedFrame:
    """A task and the network's prediction for it.

    Attributes:
        task: the frame to paint.
        prediction: blend fields in the window, see `dubfew.prior.renderers._base.pack_fields`.
            [1, C, S, S]
        light: brings the painted mouth into the scene's light; None where that is the footage's.
        opacity: opacity of the painted mouth, 0 to 1, on top of the task's; 0 where the frame shows
            something else than the actor's skin around the mouth.
        painting: crop of a painting renderer, which has no blend fields; None for others.
        overlay: what lies over the face in the network's window, and stays; None for nothing.
        veil: smoke or a shadow that lies over the painted mouth as well; None for none.
    """

    task: FrameTask
    prediction: Tensor
    light: LightMatch | None = None
    opacity: float = 1.0
    painting: PaintedCrop | None = None
    overlay: Overlay | None = None
    veil: Veil | None = None
