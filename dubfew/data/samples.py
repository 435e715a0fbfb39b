"""Training samples: frames as the renderer sees them, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import OUTER_LIPS
from dubfew.references.alignment import aligned
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, row_inputs, stack
from dubfew.textures import TEXTURE_SIZE, unwrap


@dataclass(frozen=True)
class Sample:
    """Inputs, the true windows and the lips' boxes of a batch.

    Attributes:
        inputs: what the renderer sees.
        truth: RGB windows in [0, 1]. [B, 3, S, S]
        mouth: box of the lips, left, top, right, bottom, px. [B, 4]
        fresh: True where training shows the person as a new actor, whose texture has nothing
            learned in it yet. [B]
    """

    inputs: RenderInputs
    truth: Tensor
    mouth: Tensor
    fresh: Tensor

    def to(self, device: torch.device | str) -> Sample:
        """The same batch on another device."""
        return Sample(*(getattr(self, f.name).to(device) for f in fields(self)))


def collate(samples: Sequence[Sample]) -> Sample:
    """Several samples as one batch."""
    return Sample(
        stack([s.inputs for s in samples]),
        torch.cat([s.truth for s in samples]),
        torch.cat([s.mouth for s in samples]),
        torch.cat([s.fresh for s in samples]),
    )


def make_sample(
    footage: Footage,
    row: int,
    bank: NDArray,
    head: HeadModel,
    references: int,
    actor: int = 0,
) -> Sample:
    """One frame as a sample, its references the nearest among the rows ``bank``.

    The mesh is aligned with what the frame shows: no network can learn to undo the errors of
    landmarks, and trying to only makes its pictures soft.
    """
    truth = torch.from_numpy(footage.images[row]).permute(2, 0, 1).float()[None] / 255
    inputs = row_inputs(footage, row, footage.vertices[row], bank, references, head, actor)
    vertices = aligned(inputs, truth, footage.vertices[row][None])[0]
    inputs = row_inputs(footage, row, vertices, bank, references, head, actor)
    mouth = torch.from_numpy(mouth_box(footage.vertices[row], head))[None]
    return Sample(inputs, truth, mouth, torch.tensor([True]))


def mouth_box(vertices: NDArray[np.float32], head: HeadModel) -> NDArray[np.float32]:
    """Box of the lips in window px, enlarged by 40 %: left, top, right, bottom. [4]"""
    lips = head.points(OUTER_LIPS) @ vertices[:, :2]
    low, high = lips.min(0), lips.max(0)
    centre, half = (low + high) / 2, (high - low) / 2 * 1.4
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def footage_texture(footage: Footage, head: HeadModel, views: int = 8) -> NDArray[np.float32]:
    """Unwrapped colours of some footage, from frames spread over it. [256, 256, 3]"""
    rows = np.unique(np.linspace(0, len(footage) - 1, views).astype(int))
    return unwrap(head, ((footage.images[r], footage.vertices[r]) for r in rows), TEXTURE_SIZE)
