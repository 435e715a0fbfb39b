"""Training samples: frames as the renderer sees them, beside the true images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.references.alignment import align_vertices
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, concatenate_inputs, make_footage_inputs
from dubfew.references.selection import spread_rows
from dubfew.textures import TEXTURE_SIZE, unwrap_texture

# Factor from the box of the lips to that of the mouth. A larger box counts more of the cheeks, a
# smaller one cuts off lips whose mesh lies a little beside them.
MOUTH_BOX_SCALE = 1.4


@dataclass(frozen=True)
class TrainingSample:
    """Inputs, true windows and mouth boxes of a batch.

    Attributes:
        inputs: the renderer's inputs.
        target: true RGB windows in [0, 1]. [B, 3, S, S]
        mouth_box: box of the mouth, left, top, right, bottom, window px. [B, 4]
        is_new_actor: True where training shows the person as a new actor, whose texture has nothing
            learned in it yet. [B]
    """

    inputs: RenderInputs
    target: Tensor
    mouth_box: Tensor
    is_new_actor: Tensor

    def to(self, device: torch.device | str) -> TrainingSample:
        """Return the same batch on another device."""
        return TrainingSample(*(getattr(self, f.name).to(device) for f in fields(self)))


def collate_samples(samples: Sequence[TrainingSample]) -> TrainingSample:
    """Join several samples to one batch; all need windows and references of the same sizes."""
    return TrainingSample(
        concatenate_inputs([s.inputs for s in samples]),
        torch.cat([s.target for s in samples]),
        torch.cat([s.mouth_box for s in samples]),
        torch.cat([s.is_new_actor for s in samples]),
    )


def make_sample(
    footage: Footage,
    row: int,
    candidate_rows: NDArray,
    head: HeadModel,
    num_references: int,
    actor_index: int = 0,
    *,
    motion: NDArray[np.float32] | None = None,
    align_mesh: bool = True,
) -> TrainingSample:
    """Make a sample of one frame, its references the nearest among the candidates.

    The mesh is aligned with what the frame shows: no network can learn to undo the errors of
    landmarks, and trying to only makes its pictures soft.

    Args:
        footage: one person's windows.
        row: the frame.
        candidate_rows: rows of the footage to choose references from. [N]
        head: the footage's head model.
        num_references: references of the sample, K.
        actor_index: row of the neural texture.
        motion: mouth motion around the frame; taken from the footage by default. [T, P, 3]
        align_mesh: False for footage whose meshes are exact already.
    """
    target = torch.from_numpy(footage.images[row]).permute(2, 0, 1).float()[None] / 255

    def make_inputs(vertices: NDArray[np.float32]) -> RenderInputs:
        return make_footage_inputs(
            footage,
            row,
            vertices,
            candidate_rows,
            num_references,
            head,
            actor_index,
            motion=motion,
        )

    # The references that align the mesh are those that the sample shows.
    inputs = make_inputs(footage.vertices[row])
    if align_mesh:
        inputs = make_inputs(align_vertices(inputs, target, footage.vertices[row][None])[0])
    # The box is that of the mesh as tracked: it selects pixels and need not be exact.
    mouth_box = torch.from_numpy(compute_mouth_box(footage.vertices[row], head))[None]
    return TrainingSample(inputs, target, mouth_box, torch.tensor([True]))


def compute_mouth_box(
    vertices: NDArray[np.float32],  # [V, 3]
    head: HeadModel,
) -> NDArray[np.float32]:  # [4]
    """Compute the box of the lips, enlarged by 40 %.

    Args:
        vertices: mesh in window px. [V, 3]
        head: head model of the mesh.

    Returns:
        Left, top, right, bottom, window px; may reach beyond the window. [4]
    """
    lips = head.point_matrix(OUTER_LIPS) @ vertices[:, :2]
    low, high = lips.min(0), lips.max(0)
    center, half = (low + high) / 2, (high - low) / 2 * MOUTH_BOX_SCALE
    return np.concatenate([center - half, center + half]).astype(np.float32)


def unwrap_footage_texture(
    footage: Footage, head: HeadModel, num_views: int = 8
) -> NDArray[np.float32]:
    """Unwrap the colors of some footage, from frames spread over it.

    Args:
        footage: one person's windows.
        head: the footage's head model.
        num_views: most frames to use; more hardly change the mean and cost time.

    Returns:
        RGB in [0, 1], gray where no frame shows the skin. [256, 256, 3]
    """
    rows = spread_rows(0, len(footage) - 1, num_views)
    return unwrap_texture(
        head, ((footage.images[r], footage.vertices[r]) for r in rows), TEXTURE_SIZE
    )
