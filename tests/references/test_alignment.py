"""Meshes are moved to where the actor's other frames match the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dubfew.data.samples import make_sample
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.alignment import align_vertices
from dubfew.references.warping import warp_references
from tests.data.people import toy_footage


def test_a_drawn_mouth_moves_a_mesh_less():
    """Two drawings pull apart where they are compared, and less where they are a guess."""
    footage = toy_footage()
    inputs = make_sample(footage, 5, np.array([8, 9]), load_head_model(), 2).inputs
    size = inputs.scene.shape[-1]
    guessed = (inputs.alpha > 0.5).float()
    stripes = (torch.arange(size) // 3 % 2).float().expand(1, 3, size, size)
    target = torch.from_numpy(footage.images[5]).permute(2, 0, 1)[None] / 255
    target = torch.lerp(target, stripes, guessed)

    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    identity = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)

    def move(drawn: torch.Tensor, guess: bool) -> np.ndarray:
        """Vertices after alignment, the drawing as a guess or as a picture of the actor's."""
        picture = torch.lerp(warp_references(inputs).blend_references(inputs), drawn, guessed)
        changed = replace(
            inputs,
            references=picture[:, None].expand(-1, inputs.references.shape[1], -1, -1, -1),
            sampling_grid=identity.expand_as(inputs.sampling_grid),
            rigid_interior=float(guess) * guessed,
            cavity=drawn * guessed,
            reference_shown=(1 - float(guess) * guessed).expand_as(inputs.reference_shown),
        )
        return align_vertices(changed, target, footage.vertices[5][None])[0, :, :2]

    one, other = stripes.roll(1, -1), stripes.roll(-1, -1)
    compared = np.abs(move(one, guess=False) - move(other, guess=False)).mean()
    assert compared > 0.2
    assert np.abs(move(one, guess=True) - move(other, guess=True)).mean() < 0.85 * compared
