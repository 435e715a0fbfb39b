"""Meshes laid more exactly on their pictures, by what the actor's other frames look like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.optical_flow import lucas_kanade_flow
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, concatenate_inputs, make_footage_inputs
from dubfew.references.selection import MIN_REFERENCE_GAP_ALIGN, find_candidate_rows
from dubfew.references.warping import warp_references

# The first round brings most; a third one brought less than 0.1 dB.
ALIGNMENT_ROUNDS = 2
ALIGNMENT_REFERENCES = 3
ALIGNMENT_BATCH_SIZE = 8
# Larger windows are looked at no larger than this, px: the field that is looked for is smooth,
# and its cells are to be as fine against the lips as they are here.
MAX_FLOW_WINDOW_PX = 160


@torch.no_grad()
def align_vertices(
    inputs: RenderInputs,
    target: Tensor,  # [B, 3, S, S]
    vertices: NDArray[np.float32],  # [B, V, 3]
) -> NDArray[np.float32]:  # [B, V, 3]
    """Meshes moved in the picture to where the warped references say that they are.

    Args:
        inputs: made with ``vertices``.
        target: the true windows in [0, 1], mouths included. [B, 3, S, S]
        vertices: x, y in window px, depth in m. [B, V, 3]
    """
    pictures = torch.cat(
        [target, warp_references(inputs).blend_references(inputs), inputs.mesh_mask], 1
    )
    shrunk = target.shape[-1] / min(target.shape[-1], MAX_FLOW_WINDOW_PX)
    if shrunk > 1:
        pictures = F.interpolate(
            pictures, size=(MAX_FLOW_WINDOW_PX, MAX_FLOW_WINDOW_PX), mode="bilinear", antialias=True
        )
    field = lucas_kanade_flow(*pictures.split([3, 3, 1], 1))
    places = torch.from_numpy(vertices[:, None, :, :2] * (2 / target.shape[-1]) - 1)
    moves = F.grid_sample(field, places.to(field), padding_mode="border", align_corners=False)
    moved = vertices.copy()
    moved[..., :2] += moves[:, :, 0].permute(0, 2, 1).cpu().numpy() * shrunk
    return moved


@torch.no_grad()
def align_footage(
    footage: Footage, head: HeadModel, *, progress: ProgressCallback = no_progress
) -> Footage:
    """Every mesh of some footage aligned with the other frames.

    Footage of fewer than a dozen frames comes back as it is: every frame would be its own
    neighbour.
    """
    if len(footage) < 2 * MIN_REFERENCE_GAP_ALIGN:
        return footage
    for turn in range(ALIGNMENT_ROUNDS):
        moved = []
        for start in range(0, len(footage), ALIGNMENT_BATCH_SIZE):
            rows = range(start, min(start + ALIGNMENT_BATCH_SIZE, len(footage)))
            inputs = concatenate_inputs(
                [_make_alignment_inputs(footage, row, head) for row in rows]
            )
            seen = torch.from_numpy(footage.images[start : rows.stop]).permute(0, 3, 1, 2) / 255
            moved.append(align_vertices(inputs, seen, footage.vertices[start : rows.stop]))
            done = turn * len(footage) + rows.stop
            progress(Progress("align", done, ALIGNMENT_ROUNDS * len(footage)))
        footage = replace(footage, vertices=np.concatenate(moved))
    return footage


def _make_alignment_inputs(footage: Footage, row: int, head: HeadModel) -> RenderInputs:
    """One frame with references among those that are not near in time."""
    candidates = find_candidate_rows(footage.frames, row, MIN_REFERENCE_GAP_ALIGN)
    return make_footage_inputs(
        footage, row, footage.vertices[row], candidates, ALIGNMENT_REFERENCES, head
    )
