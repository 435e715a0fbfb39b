"""Inputs of a painting renderer and training samples: windows of consecutive frames of one person.

A painting renderer (`dubfew.prior.renderers`) draws every pixel of a crop. `ClipInputs` holds one
window of T frames per row of the batch. H x W is the size of the renderer's crop layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ClipInputs:
    """A batch of B windows of T consecutive frames at 25 fps, each with N references.

    Attributes:
        scene: RGB crops in [0, 1], zero inside the mask. [B, T, 3, H, W]
        mask: 1 inside of the blanked part, else 0; does not depend on the mouth. [B, T, 1, H, W]
        references: RGB crops in [0, 1] of the same person at other times, unmasked.
            [B, N, 3, H, W]
        sound: the window of the sound feature around each frame, bands first, see
            `dubfew.data.sound_features.cut_sound_window`; F and L are 0 for renderers that hear
            nothing. [B, T, F, L]
        uv: texture coordinates in [0, 1] of the driven mesh; zeros for renderers without a
            texture. [B, T, H, W, 2]
        mesh_mask: 1 where the driven mesh covers the pixel. [B, T, 1, H, W]
        texture: the person's neural texture, sampled at ``uv`` and 0 beside the mesh; C is 0 for
            renderers without a texture, and until `with_texture` was called. [B, T, C, H, W]
        actor_index: row of the neural texture. [B] int64
        vertices: the driven mesh, px and depth, of inputs that are rasterized on the device, see
            `dubfew.data.clip_samples.rasterize_clip_inputs`; without it empty. [B, T, V, 3]
    """

    scene: Tensor
    mask: Tensor
    references: Tensor
    sound: Tensor
    uv: Tensor
    mesh_mask: Tensor
    texture: Tensor
    actor_index: Tensor
    vertices: Tensor = field(default_factory=lambda: torch.zeros(0))

    def to(self, device: torch.device | str) -> ClipInputs:
        """Return the same batch on another device."""
        return ClipInputs(*(getattr(self, f.name).to(device) for f in fields(self)))

    def with_texture(self, texture: Tensor) -> ClipInputs:
        """Return the same batch with sampled textures [B, T, C, H, W]."""
        return replace(self, texture=texture)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return B, T, H and W."""
        return (*self.scene.shape[:2], *self.scene.shape[-2:])


@dataclass(frozen=True)
class ClipSample:
    """Inputs of a batch beside the true pictures.

    Attributes:
        inputs: the renderer's inputs.
        target: true RGB crops in [0, 1]. [B, T, 3, H, W]
        landmarks: detected landmarks of the true pictures, crop px. Only losses may use them: they
            show the mouth. [B, T, 478, 2]
    """

    inputs: ClipInputs
    target: Tensor
    landmarks: Tensor

    def to(self, device: torch.device | str) -> ClipSample:
        """Return the same batch on another device."""
        return ClipSample(*(getattr(self, f.name).to(device) for f in fields(self)))


def concatenate_clip_inputs(batches: Sequence[ClipInputs]) -> ClipInputs:
    """Join several batches to one; all need the same sizes."""
    return ClipInputs(
        *(torch.cat([getattr(item, f.name) for item in batches]) for f in fields(ClipInputs))
    )


def collate_clip_samples(samples: Sequence[ClipSample]) -> ClipSample:
    """Join several samples to one batch; all need the same sizes."""
    return ClipSample(
        concatenate_clip_inputs([sample.inputs for sample in samples]),
        torch.cat([sample.target for sample in samples]),
        torch.cat([sample.landmarks for sample in samples]),
    )
