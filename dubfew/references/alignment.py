"""Align meshes with their images: the actor's other frames, warped, show where the mesh is off.

Landmarks leave a mesh about a hundredth of a window beside the picture. References that it warps
then land beside the target, and a renderer trained on them learns to be soft. Optical flow from
the warped references to the true image measures the error, and the mesh is moved by it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial

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
from dubfew.utils.torch_threads import map_in_threads

# Passes over all frames. The first brings most, a third one brought less than 0.1 dB.
ALIGNMENT_ROUNDS = 2
# References that are warped onto each frame. More would average out more of the errors of their own
# meshes, but each costs time.
ALIGNMENT_REFERENCES = 3
# Frames that go through the optical flow together, in each of a few threads: bounds memory, changes
# no result.
ALIGNMENT_BATCH_SIZE = 4
# Larger windows are shrunk to this for the flow, px. The flow is smooth, and its cells and reach
# are in pixels: at 512 px it took back nothing of an error of 1 % of the window, at 160 px 63 %
# (docs/findings.md).
MAX_FLOW_WINDOW_PX = 160


@torch.no_grad()
def align_vertices(
    inputs: RenderInputs,
    target: Tensor,  # [B, 3, S, S]
    vertices: NDArray[np.float32],  # [B, V, 3]
) -> NDArray[np.float32]:  # [B, V, 3]
    """Move meshes in the image to where the warped references match the target.

    Args:
        inputs: made with ``vertices``.
        target: the true windows in [0, 1], mouths included. [B, 3, S, S]
        vertices: x, y in window px, depth in m. [B, V, 3]

    Returns:
        Moved meshes; depths stay. [B, V, 3]
    """
    # A drawn mouth is a guess: where its teeth differ from the target's, no mesh is wrong.
    guessed = inputs.rigid_interior * (1 - inputs.reference_shown.amax(1, keepdim=True))
    compared = inputs.mesh_mask * (1 - guessed)
    stacked = torch.cat([target, warp_references(inputs).blend_references(inputs), compared], 1)
    # Measure the flow at no more than the size that its cells are made for.
    scale = target.shape[-1] / min(target.shape[-1], MAX_FLOW_WINDOW_PX)
    if scale > 1:
        stacked = F.interpolate(
            stacked, size=(MAX_FLOW_WINDOW_PX, MAX_FLOW_WINDOW_PX), mode="bilinear", antialias=True
        )
    flow = lucas_kanade_flow(*stacked.split([3, 3, 1], 1))
    # Every vertex moves by the flow at its own position.
    positions = torch.from_numpy(vertices[:, None, :, :2] * (2 / target.shape[-1]) - 1)
    shifts = F.grid_sample(flow, positions.to(flow), padding_mode="border", align_corners=False)
    moved = vertices.copy()
    moved[..., :2] += shifts[:, :, 0].permute(0, 2, 1).cpu().numpy() * scale
    return moved


def align_footage(
    footage: Footage, head: HeadModel, *, progress: ProgressCallback = no_progress
) -> Footage:
    """Align every mesh of some footage with the other frames.

    Args:
        footage: windows of one actor.
        head: the footage's head model.
        progress: called after every batch.

    Returns:
        The footage with other vertices; as it was where it has fewer than a dozen frames, since
        then no frame is far enough in time from another.
    """
    if len(footage) < 2 * MIN_REFERENCE_GAP_ALIGN:
        return footage
    batches = [
        slice(start, min(start + ALIGNMENT_BATCH_SIZE, len(footage)))
        for start in range(0, len(footage), ALIGNMENT_BATCH_SIZE)
    ]
    for round_number in range(ALIGNMENT_ROUNDS):
        moved = []
        align = partial(_align_batch, footage, head)
        with closing(map_in_threads(align, batches)) as aligned:
            for batch, vertices in zip(batches, aligned, strict=True):
                moved.append(vertices)
                done = round_number * len(footage) + batch.stop
                progress(Progress("align", done, ALIGNMENT_ROUNDS * len(footage)))
        # Only now: within a round all frames see the same references.
        footage = replace(footage, vertices=np.concatenate(moved))
    return footage


@torch.no_grad()
def _align_batch(footage: Footage, head: HeadModel, batch: slice) -> NDArray[np.float32]:
    """Return the moved meshes of some consecutive frames. [B, V, 3]"""
    rows = range(batch.start, batch.stop)
    inputs = concatenate_inputs([_make_alignment_inputs(footage, row, head) for row in rows])
    target = torch.from_numpy(footage.images[batch]).permute(0, 3, 1, 2) / 255
    return align_vertices(inputs, target, footage.vertices[batch])


def _make_alignment_inputs(footage: Footage, row: int, head: HeadModel) -> RenderInputs:
    """Make the inputs of one frame with references that are not near in time."""
    candidates = find_candidate_rows(footage.frames, row, MIN_REFERENCE_GAP_ALIGN)
    return make_footage_inputs(
        footage, row, footage.vertices[row], candidates, ALIGNMENT_REFERENCES, head
    )
