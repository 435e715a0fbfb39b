"""What a renderer sees of a frame, and how it is put together from geometry and references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.reconstruction.crop import soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import interpolate, rasterise
from dubfew.references.footage import Footage, feather

# Frames of motion that modulate the renderer, centred on the frame: 5 at 25 fps is 200 ms,
# about a syllable.
MOTION_WINDOW = 5


@dataclass(frozen=True)
class RenderInputs:
    """A batch of B frames, each with K references; S is the edge of the window.

    Attributes:
        target: RGB window in [0, 1], zero inside the mask. [B, 3, S, S]
        alpha: opacity of the paint in [0, 1]; above 0 is inside the mask. [B, 1, S, S]
        covered: 1 where the mesh covers the pixel. [B, 1, S, S]
        inside: 1 where the opening between the lips shows; how far down in it, -1 to 1, and 0
            elsewhere. [B, 2, S, S]
        uv: texture coordinates in [0, 1]. [B, S, S, 2]
        references: RGB windows of the actor in [0, 1], of any size. [B, K, 3, R, R]
        places: where each pixel lies in each reference, in [-1, 1] as `grid_sample` has it.
            [B, K, S, S, 2]
        scores: how far each reference is from the wanted frame, see `Geometry.key`. [B, K]
        motion: mouth displacements of the frames around, inter-ocular distances. [B, T, P * 3]
        actor: row of the neural texture. [B] int64
    """

    target: Tensor
    alpha: Tensor
    covered: Tensor
    inside: Tensor
    uv: Tensor
    references: Tensor
    places: Tensor
    scores: Tensor
    motion: Tensor
    actor: Tensor

    def to(self, device: torch.device | str) -> RenderInputs:
        """The same batch on another device."""
        return RenderInputs(*(getattr(self, f.name).to(device) for f in fields(self)))


def stack(batch: Sequence[RenderInputs]) -> RenderInputs:
    """Several batches as one."""
    return RenderInputs(
        *(torch.cat([getattr(item, f.name) for item in batch]) for f in fields(RenderInputs))
    )


def nearest_references(key: NDArray, bank: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """Rows of the bank nearest to a key, nearest first.

    Args:
        key: of the wanted frame. [D]
        bank: keys of the references. [R, D]
        count: how many; a smaller bank repeats its nearest.

    Returns:
        Rows [count] and distances [count].
    """
    distance = np.linalg.norm(bank - key, axis=1)
    rows = np.argsort(distance, kind="stable")[:count]
    rows = np.concatenate([rows, np.repeat(rows[:1], count - len(rows))])
    return rows, distance[rows].astype(np.float32)


def row_inputs(
    footage: Footage,
    row: int,
    vertices: NDArray[np.float32],  # [V, 3]
    bank: NDArray,  # [N]
    references: int,
    head: HeadModel,
    actor: int = 0,
) -> RenderInputs:
    """The inputs of one of the footage's own frames (B = 1), its references the nearest among the
    rows ``bank``, its mesh ``vertices``."""
    picked, scores = nearest_references(footage.key[row], footage.key[bank], references)
    return frame_inputs(
        head,
        vertices,
        footage.hulls[row],
        footage.images[row],
        motion_window(footage.motion, row),
        footage,
        bank[picked],
        scores,
        actor,
    )


def frame_inputs(
    head: HeadModel,
    vertices: NDArray[np.float32],  # [V, 3]
    hull: NDArray[np.float32],  # [48, 2]
    image: NDArray[np.uint8],  # [S, S, 3]
    motion: NDArray[np.float32],  # [T, P, 3]
    bank: Footage,
    rows: NDArray,  # [K]
    scores: NDArray[np.float32],  # [K]
    actor: int = 0,
) -> RenderInputs:
    """The inputs of one frame (B = 1).

    Args:
        head: gives faces and texture layout.
        vertices: the wanted mesh in window px. [V, 3]
        hull: the frame's mask in window px. [48, 2]
        image: the frame's own window; nothing inside the mask is used. [S, S, 3]
        motion: mouth motion of the frames around. [T, P, 3]
        bank: the actor's references.
        rows: which references. [K]
        scores: their distances. [K]
        actor: row of the neural texture.
    """
    size = len(image)
    raster = rasterise(vertices, head.faces, size, size)
    opening, height = head.mouth_inside
    attributes = [head.uv, height[:, None]]
    for row in rows:
        attributes.append(bank.vertices[row, :, :2] * (2 / bank.size) - 1)
    carried = interpolate(raster, head.faces, np.concatenate(attributes, 1))
    # Face -1 is no face; what is read for it does not count.
    inside = opening[raster.face_id] & raster.covered
    places = carried[..., 3:].reshape(size, size, len(rows), 2).transpose(2, 0, 1, 3)
    alpha = soft_mask(hull, feather(size), 0.0, 0.0, 1.0, size, size)
    outside = np.where(alpha[..., None] > 0, 0, image)
    references = bank.images[rows]
    return RenderInputs(
        target=_picture(outside)[None],
        alpha=torch.from_numpy(alpha)[None, None],
        covered=torch.from_numpy(raster.covered.astype(np.float32))[None, None],
        inside=torch.from_numpy(np.stack([inside, inside * carried[..., 2]]).astype(np.float32))[
            None
        ],
        uv=torch.from_numpy(np.ascontiguousarray(carried[..., :2]))[None],
        references=torch.stack([_picture(r) for r in references])[None],
        places=torch.from_numpy(np.ascontiguousarray(places))[None],
        scores=torch.from_numpy(np.ascontiguousarray(scores))[None],
        motion=torch.from_numpy(motion.reshape(1, len(motion), -1).astype(np.float32)),
        actor=torch.tensor([actor]),
    )


def _picture(rgb: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).float() / 255


def motion_window(motion: NDArray[np.float32], row: int) -> NDArray[np.float32]:
    """Motion of the frames around one, held at the ends. [T, P, 3]"""
    reach = MOTION_WINDOW // 2
    rows = np.clip(np.arange(row - reach, row + reach + 1), 0, len(motion) - 1)
    return motion[rows]
