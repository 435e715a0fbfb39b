"""Toy clips for painting renderers: the toy head in crops at 25 fps, with sound."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from dubfew.data.audio_io import SegmentAudio, serialize_audio
from dubfew.data.clip_footage import ClipFootage, cut_clip_footage
from dubfew.data.clip_inputs import ClipInputs
from dubfew.data.clip_shards import CLIP_MEMBER, serialize_clip
from dubfew.data.shards import SHARD_FORMAT_VERSION, serialize_header, serialize_sample
from dubfew.media import Frame
from dubfew.prior.renderers import PaintingRendererConfig
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from tests.data.people import toy_track


def toy_sound(frames: int, seed: int = 0) -> np.ndarray:
    """A tone that comes and goes, 16 kHz."""
    t = np.arange(frames * 640) / 16000
    return (0.3 * np.sin(2 * np.pi * (200 + 50 * seed) * t) * np.sin(9 * t)).astype(np.float32)


@lru_cache(maxsize=8)
def toy_clip(frames: int = 24, seed: int = 0, layout: str = "face256") -> ClipFootage:
    """Crops of the toy head, its skin a smooth pattern in texture space."""
    head, track = load_head_model(), toy_track(frames, seed)
    meshes = project_head_points(head.vertices(track.shape, track.expression, track.jaw), track)
    track.landmarks[:, head.landmark_ids, :2] = (head.landmark_matrix() @ meshes)[..., :2]
    pictures = []
    for row, mesh in enumerate(meshes):
        raster = rasterize_mesh(mesh, head.faces, 256, 256)
        uv = interpolate_attributes(raster, head.faces, head.uv)
        wave = np.sin(uv[..., :1] * 40 + seed) * np.cos(uv[..., 1:] * 30)
        skin = np.concatenate([0.6 + 0.2 * wave, 0.5 + 0.2 * uv[..., :1], 0.4 + 0.1 * wave], -1)
        picture = np.where(raster.coverage[..., None], skin, 0.2)
        pictures.append(Frame.from_rgb((picture * 255).astype(np.uint8), row, 25))
    return cut_clip_footage(
        iter(pictures), track, head, layout, samples=toy_sound(frames, seed), sound_start=0.0
    )


def write_toy_clips(folder: Path, seeds: range, frames: int = 24, layout: str = "face256") -> Path:
    """Prepared data of toy people, as ``dubfew prior prepare --layout`` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for seed in seeds:
        clip = toy_clip(frames, seed, layout)
        header = {
            "format_version": SHARD_FORMAT_VERSION,
            "file": f"{seed}.mp4",
            "identity": f"toy {seed}",
            "clip": f"toy{seed}",
            "sha256": f"{seed:064d}",
            "license": "CC0",
            "segment": 0,
            "start": 0,
            "stop": frames,
            "frames": frames,
            "seconds": frames / 25,
            "fps": "25",
            "head": "lite",
            "layout": layout,
        }
        audio = SegmentAudio(0.0, clip.samples, np.zeros((1, 80), np.float32), clip.frames / 25)
        files = {
            "json": serialize_header(header),
            CLIP_MEMBER: serialize_clip(clip),
            "audio.safetensors": serialize_audio(audio),
        }
        samples.append(serialize_sample(f"toy{seed}_00000", files))
    (folder / "shard-000000.tar").write_bytes(b"".join(samples) + bytes(1024))
    return folder


def noise_inputs(config: PaintingRendererConfig, batch: int = 1, seed: int = 0) -> ClipInputs:
    """Inputs of noise that fit a renderer of mel sound."""
    generator = torch.Generator().manual_seed(seed)
    layout = config.load_layout()
    frames, height, width = config.frames, layout.height, layout.width
    mask = torch.zeros(batch, frames, 1, height, width)
    mask[..., height // 2 :, width // 4 : -width // 4] = 1

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(batch, *shape, generator=generator)

    return ClipInputs(
        scene=noise(frames, 3, height, width) * (1 - mask),
        mask=mask,
        references=noise(config.references, 3, height, width),
        sound=noise(frames, 80, 16) * 8 - 4,
        uv=noise(frames, height, width, 2),
        mesh_mask=torch.ones(batch, frames, 1, height, width),
        texture=noise(frames, config.texture_channels, height, width) - 0.5,
        actor_index=torch.zeros(batch, dtype=torch.int64),
    )
