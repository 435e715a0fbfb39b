"""Toy footage: the lite head with a painted skin, talking and turning a little."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

import numpy as np
import torch

from dubfew.data.samples import TrainingSample
from dubfew.motion.extraction import motion_from_track
from dubfew.prior.renderers import BlendingUNetConfig
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Camera, Track
from dubfew.references.footage import Footage
from dubfew.references.track_geometry import compute_track_geometry

SIZE = 64
TOY = BlendingUNetConfig(
    window=SIZE, references=2, texture_channels=5, widths=(8, 8, 8, 8), style=8
)


def toy_track(frames: int = 24, seed: int = 0) -> Track:
    """A head that nods, turns and opens its mouth."""
    head = load_head_model()
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 4 * np.pi, frames)
    zeros = np.zeros((frames, 3), np.float32)
    jaw = zeros.copy()
    jaw[:, 0] = 0.1 + 0.1 * np.sin(2 * t + seed)
    rotation = zeros.copy()
    rotation[:, 1] = 0.1 * np.sin(t)
    translation = zeros + np.array([0, 0, 0.6], np.float32)
    translation[:, 0] = 0.01 * np.cos(t)
    expression = np.zeros((frames, len(head.expression_basis)), np.float32)
    expression[:, :4] = 0.3 * rng.standard_normal((frames, 4))
    return Track(
        valid=np.ones(frames, bool),
        times=np.arange(frames) / 25,
        expression=expression,
        jaw=jaw,
        neck=zeros,
        rotation=rotation,
        translation=translation,
        lighting=np.zeros((frames, 9, 3), np.float32),
        box=np.zeros((frames, 4), np.float32),
        landmarks=np.zeros((frames, 478, 3), np.float32),
        confidence=np.ones(frames, np.float32),
        shape=(0.3 * rng.standard_normal(len(head.shape_basis))).astype(np.float32),
        camera=Camera(400.0, 128.0, 128.0),
        fps=Fraction(25),
        width=256,
        height=256,
        head="lite",
        source_sha256="",
    )


def toy_footage(frames: int = 24, seed: int = 0, size: int = SIZE, shade: float = 0.0) -> Footage:
    """Windows of that head, its skin a smooth pattern in texture space.

    An opening jaw darkens the skin by ``shade``: what a warped reference cannot know.
    """
    head = load_head_model()
    track = toy_track(frames, seed)
    shapes = compute_track_geometry(track, head)
    images, vertices = [], []
    for row in range(frames):
        placed = shapes.vertices_in_window(row, size)
        raster = rasterize_mesh(placed, head.faces, size, size)
        uv = interpolate_attributes(raster, head.faces, head.uv)
        wave = np.sin(uv[..., :1] * 40 + seed) * np.cos(uv[..., 1:] * 30)
        skin = np.concatenate([0.6 + 0.2 * wave, 0.5 + 0.2 * uv[..., :1], 0.4 + 0.1 * wave], -1)
        skin *= 1 - shade * track.jaw[row, 0] / 0.2
        picture = np.where(raster.coverage[..., None], skin, 0.2)
        images.append((picture * 255).astype(np.uint8))
        vertices.append(placed)
    return Footage(
        images=np.stack(images),
        vertices=np.stack(vertices),
        hulls=np.stack([shapes.hull_in_window(row, size) for row in range(frames)]),
        key=shapes.key,
        motion=motion_from_track(track, head).displacement,
        frames=np.arange(frames),
    )


def equal_samples(a: TrainingSample, b: TrainingSample) -> bool:
    """Whether two samples are equal to the last bit."""
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name != "inputs"]
    pairs += [(getattr(a.inputs, f.name), getattr(b.inputs, f.name)) for f in fields(a.inputs)]
    return all(torch.equal(x, y) for x, y in pairs)
