"""Meshes laid more exactly on their pictures, by what the actor's other frames look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.optical_flow import displacement
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, row_inputs, stack
from dubfew.references.warping import warp

# The first round brings most; a third one brought less than 0.1 dB.
ROUNDS = 2
REFERENCES = 3
# Frames nearer in time than this look like the frame itself, errors included.
NEIGHBOURS = 5
BATCH = 8
# Larger windows are looked at no larger than this, px: the field that is looked for is smooth,
# and its cells are to be as fine against the lips as they are here.
LARGEST = 160


@torch.no_grad()
def aligned(
    inputs: RenderInputs,
    seen: Tensor,  # [B, 3, S, S]
    vertices: NDArray[np.float32],  # [B, V, 3]
) -> NDArray[np.float32]:  # [B, V, 3]
    """Meshes moved in the picture to where the warped references say that they are.

    Args:
        inputs: made with ``vertices``.
        seen: the true windows in [0, 1], mouths included. [B, 3, S, S]
        vertices: x, y in window px, depth in m. [B, V, 3]
    """
    pictures = torch.cat([seen, warp(inputs).blend(inputs), inputs.covered], 1)
    shrunk = seen.shape[-1] / min(seen.shape[-1], LARGEST)
    if shrunk > 1:
        pictures = F.interpolate(pictures, size=(LARGEST, LARGEST), mode="bilinear", antialias=True)
    field = displacement(*pictures.split([3, 3, 1], 1))
    places = torch.from_numpy(vertices[:, None, :, :2] * (2 / seen.shape[-1]) - 1)
    moves = F.grid_sample(field, places.to(field), padding_mode="border", align_corners=False)
    moved = vertices.copy()
    moved[..., :2] += moves[:, :, 0].permute(0, 2, 1).cpu().numpy() * shrunk
    return moved


@torch.no_grad()
def align_footage(
    footage: Footage, head: HeadModel, *, progress: ProgressCallback = silent
) -> Footage:
    """Every mesh of some footage aligned with the other frames.

    Footage of fewer than a dozen frames comes back as it is: every frame would be its own
    neighbour.
    """
    if len(footage) < 2 * NEIGHBOURS + 2:
        return footage
    for turn in range(ROUNDS):
        moved = []
        for start in range(0, len(footage), BATCH):
            rows = range(start, min(start + BATCH, len(footage)))
            inputs = stack([_inputs(footage, row, head) for row in rows])
            seen = torch.from_numpy(footage.images[start : rows.stop]).permute(0, 3, 1, 2) / 255
            moved.append(aligned(inputs, seen, footage.vertices[start : rows.stop]))
            done = turn * len(footage) + rows.stop
            progress(Progress("align", done, ROUNDS * len(footage)))
        footage = replace(footage, vertices=np.concatenate(moved))
    return footage


def _inputs(footage: Footage, row: int, head: HeadModel) -> RenderInputs:
    """One frame with references among those that are not near in time."""
    bank = np.nonzero(np.abs(footage.frames - footage.frames[row]) > NEIGHBOURS)[0]
    if not len(bank):
        bank = np.delete(np.arange(len(footage)), row)
    return row_inputs(footage, row, footage.vertices[row], bank, REFERENCES, head)
