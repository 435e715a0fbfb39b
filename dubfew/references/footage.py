"""One actor's footage as the renderer sees it: mouth windows with their meshes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import ShapeError
from dubfew.media import Frame, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    FaceRegions,
    compute_track_regions,
    project_head_points,
)
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Track

# A mouth's shape counts once, a head turn of 1 rad as much as lips moved by 0.15 eye distances:
# found on train clips, where it gave the best bare warp (see docs/architecture.md).
POSE_WEIGHT = 0.15


@dataclass(frozen=True)
class TrackGeometry:
    """The mesh of N frames in the image, and where to paint.

    Attributes:
        vertices: x, y in px of the whole frame, depth in m. [N, V, 3]
        regions: boxes, windows and masks.
        key: mouth shape and head pose, to compare frames by Euclidean distance, in inter-ocular
            distances. [N, D]
    """

    vertices: NDArray[np.float32]
    regions: FaceRegions
    key: NDArray[np.float32]

    def vertices_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Vertices of one frame in pixels of its window drawn ``window_size`` px wide. [V, 3]"""
        left, top, side = self.regions.window[row]
        scaled = self.vertices[row].copy()
        scaled[:, :2] = (scaled[:, :2] - (left, top)) * (window_size / side)
        return scaled

    def hull_in_window(self, row: int, window_size: int) -> NDArray[np.float32]:
        """Corners of one frame's mask in pixels of its window. [48, 2]"""
        left, top, side = self.regions.window[row]
        return (self.regions.hull[row] - (left, top)) * (window_size / side)


def compute_track_geometry(track: Track, head: HeadModel) -> TrackGeometry:
    """Mesh, windows and keys of a track (a block of frames at a time keeps memory small)."""
    vertices = head.vertices(track.shape, track.expression, track.jaw, track.neck)
    return TrackGeometry(
        project_head_points(vertices, track),
        compute_track_regions(track, head),
        compute_frame_keys(track, head),
    )


def compute_frame_keys(track: Track, head: HeadModel) -> NDArray[np.float32]:
    """What makes two frames of one actor alike for a reference, see `Geometry.key`. [N, D]"""
    lips = head.point_matrix(OUTER_LIPS + INNER_LIPS)
    posed = np.matmul(lips, head.vertices(track.shape, track.expression, track.jaw))
    shape = posed / head.inter_ocular_distance(track.shape)
    # Mean over the lips' points, so that the number of points does not set the scale.
    shape = shape.reshape(len(track), -1) / np.sqrt(lips.shape[0])
    return np.concatenate([shape, POSE_WEIGHT * track.rotation], 1).astype(np.float32)


def feather_width(window_size: int) -> float:
    """Width of the mask's fade in a window drawn ``window_size`` px wide, px."""
    return MASK_FEATHER_FRACTION * window_size


@dataclass(frozen=True)
class Footage:
    """Windows of N frames of one actor.

    Attributes:
        images: RGB mouth windows. [N, S, S, 3] uint8
        vertices: projected mesh in window px, depth in m. [N, V, 3]
        hulls: corners of the mask in window px. [N, 48, 2]
        key: see `Geometry.key`. [N, D]
        motion: displacement of the mouth points, inter-ocular distances. [N, P, 3]
        frames: number of each frame in the clip. [N]
    """

    images: NDArray[np.uint8]
    vertices: NDArray[np.float32]
    hulls: NDArray[np.float32]
    key: NDArray[np.float32]
    motion: NDArray[np.float32]
    frames: NDArray[np.int64]

    def __post_init__(self) -> None:
        n, size = (*self.images.shape[:2], 0, 0)[:2]
        expected: dict[str, tuple[int | None, ...]] = {
            "images": (n, size, size, 3),
            "vertices": (n, None, 3),
            "hulls": (n, None, 2),
            "key": (n, None),
            "motion": (n, None, 3),
            "frames": (n,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if len(found) != len(shape) or any(
                e not in (None, f) for e, f in zip(shape, found, strict=True)
            ):
                wanted = ", ".join("any" if e is None else str(e) for e in shape)
                raise ShapeError(f"footage {name} have shape {found}, expected ({wanted})")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def window_size(self) -> int:
        """Edge of the windows, px."""
        return int(self.images.shape[1])

    def select_frames(self, rows: NDArray | Sequence[int]) -> Footage:
        """Only these frames, in this order."""
        index = np.asarray(rows, np.int64)
        return Footage(
            *(
                getattr(self, name)[index]
                for name in ("images", "vertices", "hulls", "key", "motion", "frames")
            )
        )


class CroppableFrame(Protocol):
    """What `crop_window` needs of a frame."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    def crop_rgb(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]: ...


def crop_window(frame: CroppableFrame, window: NDArray, output_size: int) -> NDArray[np.uint8]:
    """One square window [left, top, side] (px, sub-pixel) of a frame, resampled with
    anti-aliasing; what lies outside the frame repeats its edge. [size, size, 3]"""
    left, top, side = (float(v) for v in window)
    margin = 2 + side / output_size  # reach of the resampling filter
    x0, y0 = int(np.floor(left - margin)), int(np.floor(top - margin))
    x1, y1 = int(np.ceil(left + side + margin)), int(np.ceil(top + side + margin))
    inner = (
        min(max(x0, 0), frame.width - 1),
        min(max(y0, 0), frame.height - 1),
        max(min(x1, frame.width), 1),
        max(min(y1, frame.height), 1),
    )
    inner = (inner[0], inner[1], max(inner[2], inner[0] + 1), max(inner[3], inner[1] + 1))
    pixels = frame.crop_rgb(*inner)
    padding = (
        (max(0, inner[1] - y0), max(0, y1 - inner[3])),
        (max(0, inner[0] - x0), max(0, x1 - inner[2])),
    )
    if any(p for pair in padding for p in pair):
        pixels = np.pad(pixels, (*padding, (0, 0)), mode="edge")
    box = (left - x0, top - y0, left - x0 + side, top - y0 + side)
    image = Image.fromarray(pixels).resize(
        (output_size, output_size), Image.Resampling.LANCZOS, box=box
    )
    return np.asarray(image)


def footage_from_frames(
    frames: Iterator[Frame],
    track: Track,
    head: HeadModel,
    motion: NDArray[np.float32],
    *,
    window_size: int,
    rows: Sequence[int] | None = None,
    first_frame: int = 0,
    progress: ProgressCallback = no_progress,
) -> Footage:
    """Cut the windows of the wanted frames out of a stream.

    Args:
        frames: the clip that was tracked, from the track's first frame.
        track: its track.
        head: the track's head model.
        motion: mouth motion of every row. [N, P, 3]
        window_size: edge of the windows, px.
        rows: which rows of the track; all usable ones by default.
        first_frame: number of the track's first frame in the clip.
        progress: told every ten frames.
    """
    shapes = compute_track_geometry(track, head)
    wanted = np.nonzero(track.usable)[0] if rows is None else np.asarray(rows, np.int64)
    images: dict[int, NDArray[np.uint8]] = {}
    needed = set(wanted.tolist())
    for frame in frames:
        row = frame.index - first_frame
        if row in needed:
            images[row] = crop_window(frame, shapes.regions.window[row], window_size)
            if len(images) % 10 == 0:
                progress(Progress("cut", len(images), len(needed)))
        if len(images) == len(needed):
            break
    wanted = np.array([row for row in wanted if row in images], np.int64)
    return Footage(
        images=np.stack([images[row] for row in wanted]),
        vertices=np.stack([shapes.vertices_in_window(row, window_size) for row in wanted]),
        hulls=np.stack([shapes.hull_in_window(row, window_size) for row in wanted]),
        key=shapes.key[wanted],
        motion=motion[wanted],
        frames=wanted + first_frame,
    )


def load_clip_footage(
    path: Path | str,
    track: Track,
    head: HeadModel,
    *,
    window_size: int,
    progress: ProgressCallback = no_progress,
) -> Footage:
    """Windows of every usable frame of a clip."""
    from dubfew.motion.extraction import motion_from_track

    motion = motion_from_track(track, head).displacement
    return footage_from_frames(
        read_frames(path, stop=len(track)),
        track,
        head,
        motion,
        window_size=window_size,
        progress=progress,
    )
