"""Faces to paint into, and what a mouth is painted with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.adapt.pipeline import reference_size
from dubfew.media import Frame, read_frames
from dubfew.motion.extraction import motion_of_track
from dubfew.prior.renderers import Renderer
from dubfew.progress import ProgressCallback, silent
from dubfew.reconstruction.crop import FEATHER, soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import Raster, interpolate, rasterise
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.footage import Footage, Geometry, footage_from, geometry
from dubfew.references.inputs import motion_window, nearest_references
from dubfew.references.selection import resized, spanning
from dubfew.render.background import BackgroundKeeper
from dubfew.render.compositing import Order, Painter

Picture = NDArray[np.uint8]  # [H, W, 3] RGB

SPAN = 24  # frames of a video that a scene is taken from
PAINTED = 3  # of them are painted
LENT = 16  # of them are lent to others as references


@dataclass(frozen=True)
class Scene:
    """A few frames of somebody.

    Attributes:
        name: whose.
        frames: N of them.
        landmarks: in them, px. [N, 478, 3]
        geometry: of the N frames.
        motion: of the frames around each. [N, T, P, 3]
        references: windows of the same person, so that others can be given their mouth.
    """

    name: str
    frames: tuple[Frame, ...]
    landmarks: NDArray[np.float32]
    geometry: Geometry
    motion: NDArray[np.float32]
    references: Footage

    def pictures(self) -> list[Picture]:
        """The frames as they are."""
        return [frame.to_rgb() for frame in self.frames]


@dataclass(frozen=True)
class Paint:
    """What a mouth is painted with.

    Attributes:
        renderer: the prior's, or one with a delta merged in.
        texture: neural texture. [C, H, W]
        references: windows of whoever's mouth it is to be.
    """

    renderer: Renderer
    texture: Tensor
    references: Footage


def film_scene(
    name: str,
    video: Path,
    head: HeadModel,
    window: int,
    *,
    track: Track | None = None,
    first: int = 0,
    progress: ProgressCallback = silent,
) -> Scene:
    """The beginning of a video as a scene.

    Args:
        name: whose.
        video: footage of one person.
        head: head model.
        window: edge of the renderer's window, px.
        track: of the video from frame ``first`` on, if it is known.
        first: frame to begin at.
        progress: told of the tracking.

    Raises:
        MediaError: the video cannot be read.
        NoFaceError: it shows no face there.
    """
    stop = first + SPAN
    if track is None:
        track = track_video(video, head=head, start=first, stop=stop, progress=progress)
    track = track.select(slice(0, SPAN))
    motion = motion_of_track(track, head).displacement
    valid = np.flatnonzero(track.valid)
    rows = valid[((np.arange(PAINTED) + 0.5) * len(valid) / PAINTED).astype(int)]
    kept: list[Frame] = []
    footage = footage_from(
        _keeping(read_frames(video, start=first, stop=stop), set(rows + first), kept),
        track,
        head,
        motion,
        size=reference_size(track, head, window),
        first=first,
    )
    rows = np.array([frame.index - first for frame in kept])
    return Scene(
        name,
        tuple(kept),
        track.landmarks[rows],
        geometry(track.select(rows), head),
        np.stack([motion_window(motion, row) for row in rows]),
        footage.select(spanning(footage.key, LENT)),
    )


def _keeping(frames: Iterable[Frame], wanted: set[int], kept: list[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if frame.index in wanted:
            kept.append(frame)
        yield frame


def painted(
    scene: Scene, paint: Paint, head: HeadModel, device: str, background: BackgroundKeeper
) -> list[Picture]:
    """The scene's frames with another mouth, as `render` would paint it; its motion stays."""
    size = paint.renderer.config
    painter = Painter(
        paint.renderer,
        paint.texture,
        paint.references,
        resized(paint.references, size.window),
        head,
        device,
        background,
        aligns=False,
    )
    keys = scene.geometry.key
    orders = [
        Order(
            frame,
            scene.geometry,
            row,
            scene.motion[row],
            *nearest_references(keys[row], paint.references.key, size.references),
        )
        for row, frame in enumerate(scene.frames)
    ]
    drawings = painter.draw(orders)
    return [
        painter.compose(order, drawing).to_rgb()
        for order, drawing in zip(orders, drawings, strict=True)
    ]


def blank(references: Footage, scene: Scene) -> Footage:
    """References that show nobody: one plain colour, the mean of the scene's mouth windows."""
    colour = scene.references.images.mean((0, 1, 2)).round().astype(np.uint8)
    return replace(references, images=np.broadcast_to(colour, references.images.shape).copy())


def with_texture(scene: Scene, texture: Tensor, head: HeadModel) -> list[Picture]:
    """The scene's frames with a texture's RGB on the mouth's mesh, and nothing else."""
    pictures = []
    for row, picture in enumerate(scene.pictures()):
        hull = scene.geometry.regions.hull[row]
        side = float(scene.geometry.regions.window[row, 2])
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(hull.max(0)).astype(int), picture.shape[1::-1])
        raster = rasterise(
            scene.geometry.vertices[row], head.faces, y1 - y0, x1 - x0, left=x0, top=y0
        )
        alpha = soft_mask(hull, FEATHER * side, x0, y0, 1.0, y1 - y0, x1 - x0) * raster.covered
        shown = _looked_up(raster, texture, head)
        under = picture[y0:y1, x0:x1]
        mixed = under + alpha[..., None] * (shown * 255.0 - under)
        picture[y0:y1, x0:x1] = (mixed + 0.5).astype(np.uint8)
        pictures.append(picture)
    return pictures


def on_mean_head(texture: Tensor, head: HeadModel, size: int = 256) -> Picture:
    """A texture's RGB on the mean head, which looks at the camera, mouth closed; grey around."""
    still = np.zeros((1, len(head.expression_basis)), np.float32)
    shape = np.zeros(len(head.shape_basis), np.float32)
    vertices = head.vertices(shape, still, np.zeros((1, 3), np.float32))[0]
    low, high = vertices.min(0), vertices.max(0)
    scale = 0.95 * size / float((high - low)[:2].max())
    middle = (low + high) / 2
    flat = np.stack(
        [
            size / 2 + scale * (vertices[:, 0] - middle[0]),
            size / 2 - scale * (vertices[:, 1] - middle[1]),
            1 + high[2] - vertices[:, 2],
        ],
        1,
    ).astype(np.float32)
    raster = rasterise(flat, head.faces, size, size)
    picture = np.where(raster.covered[..., None], _looked_up(raster, texture, head), 0.5)
    return (picture * 255 + 0.5).astype(np.uint8)


def _looked_up(raster: Raster, texture: Tensor, head: HeadModel) -> NDArray[np.float32]:
    """RGB in [0, 1] of a texture's first three channels under every pixel. [H, W, 3]"""
    uv = torch.from_numpy(interpolate(raster, head.faces, head.uv))[None]
    colours = torch.nn.functional.grid_sample(
        texture[None, :3].float(), uv * 2 - 1, padding_mode="border", align_corners=False
    )
    return colours[0].permute(1, 2, 0).clamp(0, 1).numpy()
