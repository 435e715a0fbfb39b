"""Faces to paint into, and what a mouth is painted with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.adapt.actor_footage import choose_reference_size
from dubfew.media import Frame, read_frames
from dubfew.motion.extraction import motion_from_track
from dubfew.prior.renderers import Renderer
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, render_soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.base import RasterizedMesh
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import Footage
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import farthest_point_sampling, find_nearest_references
from dubfew.references.track_geometry import TrackGeometry, compute_track_geometry
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.prediction import MouthPredictor
from dubfew.render.tasks import FrameTask, PredictedFrame, ReferenceSet

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB

SCENE_SPAN_FRAMES = 24  # frames of a video that a scene is taken from
PAINTED_FRAMES = 3  # of them are painted
LENT_REFERENCES = 16  # of them are lent to others as references


@dataclass(frozen=True)
class LeakScene:
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
    geometry: TrackGeometry
    motion: NDArray[np.float32]
    references: Footage

    def rgb_frames(self) -> list[RgbImage]:
        """The frames as they are."""
        return [frame.to_rgb() for frame in self.frames]


@dataclass(frozen=True)
class MouthSource:
    """What a mouth is painted with.

    Attributes:
        renderer: the prior's, or one with a delta merged in.
        texture: neural texture. [C, H, W]
        mouth_references: windows of whoever's mouth it is to be.
    """

    renderer: Renderer
    texture: Tensor
    mouth_references: Footage


def load_scene(
    name: str,
    video: Path,
    head: HeadModel,
    window: int,
    *,
    track: Track | None = None,
    first: int = 0,
    progress: ProgressCallback = no_progress,
) -> LeakScene:
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
    stop = first + SCENE_SPAN_FRAMES
    if track is None:
        track = track_video(video, head=head, start=first, stop=stop, progress=progress)
    track = track.select(slice(0, SCENE_SPAN_FRAMES))
    motion = motion_from_track(track, head).displacement
    valid = np.flatnonzero(track.valid)
    rows = valid[((np.arange(PAINTED_FRAMES) + 0.5) * len(valid) / PAINTED_FRAMES).astype(int)]
    kept: list[Frame] = []
    footage = footage_from_frames(
        _collect_frames(read_frames(video, start=first, stop=stop), set(rows + first), kept),
        track,
        head,
        motion,
        window_size=choose_reference_size(track, head, window),
        frame_numbers=first + np.arange(len(track)),
    )
    rows = np.array([frame.index - first for frame in kept])
    return LeakScene(
        name,
        tuple(kept),
        track.landmarks[rows],
        compute_track_geometry(track.select(rows), head),
        np.stack([select_motion_window(motion, row) for row in rows]),
        footage.select_frames(farthest_point_sampling(footage.key, LENT_REFERENCES)),
    )


def _collect_frames(
    frames: Iterable[Frame], wanted: set[int], collected: list[Frame]
) -> Iterator[Frame]:
    for frame in frames:
        if frame.index in wanted:
            collected.append(frame)
        yield frame


def paint_mouth(
    scene: LeakScene,
    source: MouthSource,
    head: HeadModel,
    device: str,
    background: BackgroundPreserver,
) -> list[RgbImage]:
    """The scene's frames with another mouth, as `render` would paint it; its motion stays."""
    config = source.renderer.config
    references = ReferenceSet.from_footage(source.mouth_references, config.window)
    predictor = MouthPredictor(
        source.renderer, source.texture, references, head, device, align_meshes=False
    )
    compositor = MouthCompositor(references.footage, background)
    keys = scene.geometry.key
    tasks = [
        FrameTask(
            frame,
            scene.geometry,
            row,
            scene.motion[row],
            *find_nearest_references(keys[row], source.mouth_references.key, config.references),
        )
        for row, frame in enumerate(scene.frames)
    ]
    predictions = predictor.predict_batch(tasks)
    return [
        compositor.composite(PredictedFrame(task, prediction)).to_rgb()
        for task, prediction in zip(tasks, predictions, strict=True)
    ]


def make_blank_references(references: Footage, scene: LeakScene) -> Footage:
    """References that show nobody: one plain colour, the mean of the scene's mouth windows."""
    colour = scene.references.images.mean((0, 1, 2)).round().astype(np.uint8)
    return replace(references, images=np.broadcast_to(colour, references.images.shape).copy())


def paint_texture(scene: LeakScene, texture: Tensor, head: HeadModel) -> list[RgbImage]:
    """The scene's frames with a texture's RGB on the mouth's mesh, and nothing else."""
    pictures = []
    for row, picture in enumerate(scene.rgb_frames()):
        hull = scene.geometry.regions.hull[row]
        side = float(scene.geometry.regions.window[row, 2])
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(hull.max(0)).astype(int), picture.shape[1::-1])
        raster = rasterize_mesh(
            scene.geometry.vertices[row], head.faces, y1 - y0, x1 - x0, left=x0, top=y0
        )
        alpha = (
            render_soft_mask(hull, MASK_FEATHER_FRACTION * side, x0, y0, 1.0, y1 - y0, x1 - x0)
            * raster.coverage
        )
        shown = _look_up_texture(raster, texture, head)
        under = picture[y0:y1, x0:x1]
        mixed = under + alpha[..., None] * (shown * 255.0 - under)
        picture[y0:y1, x0:x1] = (mixed + 0.5).astype(np.uint8)
        pictures.append(picture)
    return pictures


def draw_on_mean_head(texture: Tensor, head: HeadModel, size: int = 256) -> RgbImage:
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
    raster = rasterize_mesh(flat, head.faces, size, size)
    picture = np.where(raster.coverage[..., None], _look_up_texture(raster, texture, head), 0.5)
    return (picture * 255 + 0.5).astype(np.uint8)


def _look_up_texture(
    raster: RasterizedMesh, texture: Tensor, head: HeadModel
) -> NDArray[np.float32]:
    """RGB in [0, 1] of a texture's first three channels under every pixel. [H, W, 3]"""
    uv = torch.from_numpy(interpolate_attributes(raster, head.faces, head.uv))[None]
    colours = torch.nn.functional.grid_sample(
        texture[None, :3].float(), uv * 2 - 1, padding_mode="border", align_corners=False
    )
    return colours[0].permute(1, 2, 0).clamp(0, 1).numpy()
