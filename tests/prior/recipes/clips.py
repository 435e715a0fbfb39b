"""Small windows of noise, and a renderer that paints what it is told to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubfew.data.clip_inputs import ClipInputs, ClipSample

SIZE = 64


def make_sample(frames: int, seed: int = 0) -> ClipSample:
    """Two windows with one reference and windows of mel16."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(2, frames, 3, SIZE, SIZE, generator=generator)
    mask = torch.zeros(2, frames, 1, SIZE, SIZE)
    mask[..., 20:50, 10:-10] = 1
    inputs = ClipInputs(
        scene=target * (1 - mask),
        mask=mask,
        references=torch.rand(2, 1, 3, SIZE, SIZE, generator=generator),
        sound=torch.randn(2, frames, 29, 5, generator=generator),
        uv=torch.zeros(2, frames, SIZE, SIZE, 2),
        mesh_mask=torch.zeros(2, frames, 1, SIZE, SIZE),
        texture=torch.zeros(2, frames, 0, SIZE, SIZE),
        actor_index=torch.zeros(2, dtype=torch.int64),
    )
    return ClipSample(inputs, target, torch.zeros(2, frames, 478, 2))


class Painter(nn.Module):
    """Paints the scene with one value inside the mask."""

    def __init__(self, config) -> None:
        super().__init__()
        self.config = config
        self.value = nn.Parameter(torch.tensor(0.5))

    def forward(self, inputs: ClipInputs) -> Tensor:
        return inputs.scene + inputs.mask * self.value
