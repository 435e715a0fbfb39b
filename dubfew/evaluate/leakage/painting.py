"""Mouths painted into scenes: by the renderer of ``dubfew render``, or with a texture alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.evaluate.leakage.scenes import LeakScene, LentPictures, RgbImage
from dubfew.prior.renderers import PaintingRenderer, Renderer
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, render_soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.base import RasterizedMesh
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.references.selection import find_nearest_references
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.painting import DrivingSound, PaintingPredictor
from dubfew.render.prediction import MouthPredictor
from dubfew.render.streaming import match_frames, predict_frames, prepare_frames
from dubfew.render.tasks import FrameTask, PredictedFrame, ReferenceSet

# Part of the picture that the mean head fills; the rest is a margin.
HEAD_FILL = 0.95
# Distance of the nearest point of the mean head from the camera, m. The projection is orthographic,
# so any positive distance gives the same picture.
HEAD_DISTANCE = 1.0


@dataclass(frozen=True)
class MouthSource:
    """Everything that the network paints a mouth from.

    Attributes:
        renderer: the prior's, or one with an actor's delta merged in.
        texture: neural texture. [C, H, W]
        choose_pictures: pictures to use in a scene, such as an actor's own in every scene.
    """

    renderer: Renderer | PaintingRenderer
    texture: Tensor
    choose_pictures: Callable[[LeakScene], LentPictures]


def paint_mouth(
    scene: LeakScene,
    source: MouthSource,
    head: HeadModel,
    device: str,
    background: BackgroundPreserver,
) -> list[RgbImage]:
    """Paint another mouth into a scene as ``render`` would; the mouth's motion stays.

    Args:
        scene: frames to paint into.
        source: renderer, texture and references.
        head: head model of scene and references.
        device: "cpu" or "cuda".
        background: keeps background pixels as they are.

    Returns:
        The painted frames. [H, W, 3] each
    """
    pictures = source.choose_pictures(scene)
    # The same predictor and compositor as in a render; there is no watermark.
    predictor: MouthPredictor | PaintingPredictor
    if isinstance(source.renderer, PaintingRenderer):
        assert pictures.crops is not None  # scenes and actors of such a prior have them
        references = ReferenceSet(pictures.references, pictures.references)
        predictor = PaintingPredictor(
            source.renderer,
            source.texture,
            pictures.crops,
            references,
            head,
            device,
            scene.track,
            DrivingSound(scene.sound, scene.track.times - scene.sound_start),
        )
    else:
        references = ReferenceSet.from_footage(pictures.references, source.renderer.config.window)
        predictor = MouthPredictor(
            source.renderer,
            source.texture,
            references,
            head,
            device,
            align_meshes=False,
            match_light=False,
        )
    compositor = MouthCompositor(references.footage, background)
    # Each frame takes the references that are nearest to its own mouth and pose.
    tasks = [
        FrameTask(
            frame,
            scene.geometry,
            row,
            scene.motion[row],
            *find_nearest_references(
                scene.geometry.key[row], references.footage.key, predictor.num_references
            ),
        )
        for row, frame in enumerate(scene.frames)
    ]
    batches = match_frames(prepare_frames(tasks, predictor), predictor)
    return [
        compositor.composite(predicted).to_rgb()
        for predicted in predict_frames(batches, predictor)
        if isinstance(predicted, PredictedFrame)
    ]


def paint_texture(
    scene: LeakScene,
    texture: Tensor,  # [C, Ht, Wt]
    head: HeadModel,
) -> list[RgbImage]:
    """Paint a texture's RGB onto the mouth's mesh in a scene, without any network.

    Args:
        scene: frames to paint into.
        texture: neural texture, whose first three channels are RGB in [0, 1]; of a prior without
            textures nothing, C is 0. [C, Ht, Wt]
        head: head model of the scene.

    Returns:
        The painted frames, untouched ones without a texture. [H, W, 3] each
    """
    if not len(texture):  # of a prior without textures
        return scene.rgb_frames()
    pictures = []
    for row, picture in enumerate(scene.rgb_frames()):
        hull = scene.geometry.regions.hull[row]
        side = float(scene.geometry.regions.window[row, 2])
        # Smallest rectangle around the mouth mask, inside the frame.
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(hull.max(0)).astype(int), picture.shape[1::-1])
        raster = rasterize_mesh(
            scene.geometry.vertices[row], head.faces, y1 - y0, x1 - x0, left=x0, top=y0
        )
        mask = render_soft_mask(hull, MASK_FEATHER_FRACTION * side, x0, y0, 1.0, y1 - y0, x1 - x0)
        alpha = mask * raster.coverage
        colors = _look_up_texture(raster, texture, head)
        under = picture[y0:y1, x0:x1]
        mixed = under + alpha[..., None] * (colors * 255.0 - under)
        picture[y0:y1, x0:x1] = (mixed + 0.5).astype(np.uint8)
        pictures.append(picture)
    return pictures


def draw_on_mean_head(
    texture: Tensor,  # [C, Ht, Wt]
    head: HeadModel,
    size: int = 256,
) -> RgbImage:  # [size, size, 3]
    """Draw a texture's RGB on the mean head, which faces the camera with a closed mouth.

    Args:
        texture: neural texture, whose first three channels are RGB in [0, 1]. [C, Ht, Wt]
        head: head model of the texture.
        size: edge of the picture, px.

    Returns:
        The head on gray. [size, size, 3]
    """
    # Neutral expression, mean shape, closed jaw.
    expression = np.zeros((1, len(head.expression_basis)), np.float32)
    shape = np.zeros(len(head.shape_basis), np.float32)
    vertices = head.vertices(shape, expression, np.zeros((1, 3), np.float32))[0]
    low, high = vertices.min(0), vertices.max(0)
    # An orthographic view that fills the picture.
    scale = HEAD_FILL * size / float((high - low)[:2].max())
    middle = (low + high) / 2
    projected = np.stack(
        [
            size / 2 + scale * (vertices[:, 0] - middle[0]),
            size / 2 - scale * (vertices[:, 1] - middle[1]),  # y points up in head space
            HEAD_DISTANCE + high[2] - vertices[:, 2],
        ],
        1,
    ).astype(np.float32)
    raster = rasterize_mesh(projected, head.faces, size, size)
    picture = np.where(raster.coverage[..., None], _look_up_texture(raster, texture, head), 0.5)
    return (picture * 255 + 0.5).astype(np.uint8)


def _look_up_texture(
    raster: RasterizedMesh, texture: Tensor, head: HeadModel
) -> NDArray[np.float32]:
    """RGB in [0, 1] of a texture's first three channels under every pixel. [H, W, 3]

    Gray where there is no texture.
    """
    if not len(texture):
        return np.full((*raster.face_id.shape, 3), 0.5, np.float32)
    uv = torch.from_numpy(interpolate_attributes(raster, head.faces, head.uv))[None]
    colors = torch.nn.functional.grid_sample(
        texture[None, :3].float(), uv * 2 - 1, padding_mode="border", align_corners=False
    )
    return colors[0].permute(1, 2, 0).clamp(0, 1).numpy()
