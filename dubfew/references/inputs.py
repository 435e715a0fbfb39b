"""Inputs of a blending renderer, put together from a frame's mesh and an actor's references.

A blending renderer (`dubfew.prior.renderers`) moves and mixes pixels of references. `RenderInputs`
holds one frame per row of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.reconstruction.crop import render_soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.background_points import rate_far_from_lips
from dubfew.references.cavity_parts import MouthColors
from dubfew.references.footage import Footage
from dubfew.references.mesh_attributes import rasterize_attributes
from dubfew.references.mouth_cavity import measure_mouth_colors
from dubfew.references.mouth_interior import ReferenceMouth, map_mouth_interior
from dubfew.references.selection import find_nearest_references
from dubfew.references.track_geometry import feather_width

# Frames of motion that modulate the renderer, centered on the frame: 5 at 25 fps are 200 ms, about
# a syllable. Stored priors have this number in the shape of their weights.
MOTION_WINDOW_FRAMES = 5


# Gain of what the mesh's points say of background: halfway between one on skin and one beside the
# face nothing counts any more.
BACKGROUND_GAIN = 2.0


@dataclass(frozen=True)
class RenderInputs:
    """A batch of B frames, each with K references; S is the edge of the window.

    Attributes:
        scene: RGB window in [0, 1], zero inside the mask. [B, 3, S, S]
        alpha: opacity of the paint in [0, 1]; above 0 is inside the mask. [B, 1, S, S]
        mesh_mask: 1 where the mesh covers the pixel, else 0. [B, 1, S, S]
        mouth_interior: first channel 1 where the opening between the lips shows, else 0; second
            channel the height in the opening, -1 at the upper lip to 1 at the lower one, and 0
            outside of it. [B, 2, S, S]
        uv: texture coordinates in [0, 1]. [B, S, S, 2]
        cavity: RGB of a plain cavity behind the lips, in the light of the first reference; 0
            outside of the opening. [B, 3, S, S]
        references: RGB windows of the actor in [0, 1], of any size. [B, K, 3, R, R]
        sampling_grid: position of each pixel in each reference, in [-1, 1] as `grid_sample` takes
            it. [B, K, S, S, 2]
        reference_shown: how far each reference shows what lies at the pixel, 0 to 1; 1 outside of
            the opening. [B, K, S, S]
        rigid_interior: how far the inside of the mouth lies elsewhere in the first reference than
            the mesh says, because teeth are rigid, 0 to 1. [B, 1, S, S]
        reference_distances: distance of each reference's key from the frame's, in inter-ocular
            distances. [B, K]
        motion: mouth displacements of the frames around, inter-ocular distances. [B, T, P * 3]
        actor_index: row of the neural texture. [B] int64
    """

    scene: Tensor
    alpha: Tensor
    mesh_mask: Tensor
    mouth_interior: Tensor
    uv: Tensor
    cavity: Tensor
    references: Tensor
    sampling_grid: Tensor
    reference_shown: Tensor
    rigid_interior: Tensor
    reference_distances: Tensor
    motion: Tensor
    actor_index: Tensor

    def to(self, device: torch.device | str) -> RenderInputs:
        """Return the same batch on another device."""
        return RenderInputs(*(getattr(self, f.name).to(device) for f in fields(self)))


def concatenate_inputs(batches: Sequence[RenderInputs]) -> RenderInputs:
    """Join several batches to one; all need the same S, R, K and T."""
    return RenderInputs(
        *(torch.cat([getattr(item, f.name) for item in batches]) for f in fields(RenderInputs))
    )


def split_inputs(inputs: RenderInputs, frames: int = 1) -> list[RenderInputs]:
    """Split a batch into its frames, as views, or into batches of a few frames."""
    columns = [getattr(inputs, field.name).split(frames) for field in fields(RenderInputs)]
    return [RenderInputs(*row) for row in zip(*columns, strict=True)]


def turn_inputs(inputs: RenderInputs, count: int) -> RenderInputs:
    """Turn the windows of a batch, references excepted, which are found by their grid as before.

    Args:
        inputs: the batch.
        count: quarter turns against the clock.
    """
    turned = {
        name: torch.rot90(getattr(inputs, name), count, (-2, -1))
        for name in (
            "scene",
            "alpha",
            "mesh_mask",
            "mouth_interior",
            "cavity",
            "reference_shown",
            "rigid_interior",
        )
    }
    for name in ("uv", "sampling_grid"):
        turned[name] = torch.rot90(getattr(inputs, name), count, (-3, -2))
    return replace(inputs, **{name: values.contiguous() for name, values in turned.items()})


def make_footage_inputs(
    footage: Footage,
    row: int,
    vertices: NDArray[np.float32],  # [V, 3]
    candidate_rows: NDArray,  # [N]
    num_references: int,
    head: HeadModel,
    actor_index: int = 0,
    *,
    motion: NDArray[np.float32] | None = None,  # [T, P, 3]
) -> RenderInputs:
    """Make the inputs of one of the footage's own frames (B = 1).

    The references are the nearest among the candidates.

    Args:
        footage: an actor's windows.
        row: the frame.
        vertices: mesh of the frame in window px; the footage's own, or a better one. [V, 3]
        candidate_rows: rows of the footage to choose references from. [N]
        num_references: how many references, K; fewer candidates than that repeat the nearest.
        head: the footage's head model.
        actor_index: row of the neural texture.
        motion: mouth motion around the frame; taken from the footage's rows around it by default.
            Footage that does not hold the neighbors in time needs it. [T, P, 3]
    """
    picked, distances = find_nearest_references(
        footage.key[row], footage.key[candidate_rows], num_references
    )
    return make_frame_inputs(
        head,
        vertices,
        footage.hulls[row],
        footage.images[row],
        select_motion_window(footage.motion, row) if motion is None else motion,
        footage,
        candidate_rows[picked],
        distances,
        actor_index,
    )


def make_frame_inputs(
    head: HeadModel,
    vertices: NDArray[np.float32],  # [V, 3]
    hull: NDArray[np.float32],  # [48, 2]
    image: NDArray[np.uint8],  # [S, S, 3]
    motion: NDArray[np.float32],  # [T, P, 3]
    reference_footage: Footage,
    reference_rows: NDArray,  # [K]
    reference_distances: NDArray[np.float32],  # [K]
    actor_index: int = 0,
    *,
    colors: MouthColors | None = None,
    mouths: dict[int, ReferenceMouth] | None = None,
) -> RenderInputs:
    """Make the inputs of one frame (B = 1).

    Args:
        head: faces and texture layout.
        vertices: mesh to render, in window px. [V, 3]
        hull: the frame's mask in window px. [48, 2]
        image: the frame's own window; nothing inside the mask is used. [S, S, 3]
        motion: mouth motion of the frames around. [T, P, 3]
        reference_footage: the actor's windows, of any size.
        reference_rows: rows of the references. [K]
        reference_distances: their distances from the frame. [K]
        actor_index: row of the neural texture.
        colors: colors around the actor's mouth, see `measure_footage_colors`; by default those of
            the references, which change with them.
        mouths: mouths of the footage's references by their rows, which are added as they are met;
            for frames of the same footage, so that none is looked at twice.
    """
    size = len(image)
    # Blank the mouth: the renderer may not see what it has to paint.
    alpha = render_soft_mask(hull, feather_width(size), 0.0, 0.0, 1.0, size, size)
    outside = np.where(alpha[..., None] > 0, 0, image)
    return RenderInputs(
        scene=_images_to_tensor(outside[None]),
        alpha=torch.from_numpy(alpha)[None, None],
        reference_distances=torch.from_numpy(np.ascontiguousarray(reference_distances))[None],
        motion=torch.from_numpy(motion.reshape(1, len(motion), -1).astype(np.float32)),
        actor_index=torch.tensor([actor_index]),
        **_place_references(
            head, vertices, size, reference_footage, reference_rows, colors, mouths
        ),
    )


def show_other_mouth(
    inputs: RenderInputs,
    head: HeadModel,
    vertices: NDArray[np.float32],  # [V, 3]
    reference_footage: Footage,
    reference_rows: NDArray,  # [K]
    *,
    colors: MouthColors | None = None,
    mouths: dict[int, ReferenceMouth] | None = None,
) -> RenderInputs:
    """Show another mouth, with other references, in a frame's own picture and mask.

    Args:
        inputs: inputs of the frame (B = 1); motion and distances of references stay those.
        head: faces and texture layout.
        vertices: mesh with the other mouth, in window px. [V, 3]
        reference_footage: the actor's windows, of any size.
        reference_rows: rows of the references. [K]
        colors: see `make_frame_inputs`.
        mouths: see `make_frame_inputs`.
    """
    size = inputs.scene.shape[-1]
    placed = _place_references(
        head, vertices, size, reference_footage, reference_rows, colors, mouths
    )
    return replace(inputs, **placed)


def _place_references(
    head: HeadModel,
    vertices: NDArray[np.float32],  # [V, 3]
    size: int,
    footage: Footage,
    rows: NDArray,  # [K]
    colors: MouthColors | None,
    mouths: dict[int, ReferenceMouth] | None,
) -> dict[str, Tensor]:
    """Place references by a mesh: those of the inputs' fields that depend on them, by name."""
    mouths = {} if mouths is None else mouths
    rings = footage.project_points(rows, head.inner_lip_matrix)
    for row, ring in zip(rows, rings, strict=True):
        mouths.setdefault(int(row), ReferenceMouth(footage.images[row], ring))
    ring = head.inner_lip_matrix @ vertices[:, :2]
    eye_distance = head.measure_eye_distance(vertices)
    far = rate_far_from_lips(vertices[:, :2], ring, eye_distance)
    attributes = rasterize_attributes(
        head,
        vertices,
        size,
        footage.vertices[rows, :, :2] * (2 / footage.window_size) - 1,
        footage.background_points[rows] * far,
    )
    grid, shown = attributes.places, attributes.shown
    interior = map_mouth_interior(
        attributes.interior[0] > 0,
        ring * np.float32(2 / size) - 1,
        eye_distance * 2 / size,
        [mouths[int(row)] for row in rows],
        grid,
        lambda: colors or measure_footage_colors(footage, rows, head),
    )
    grid[:, interior.rows, interior.columns] = interior.positions
    grid[:, interior.seam_rows, interior.seam_columns] += interior.seam_shifts
    shown[:, interior.rows, interior.columns] = interior.shown
    rigid = np.zeros((1, size, size), np.float32)
    rigid[0, interior.rows, interior.columns] = interior.rigid
    cavity = np.zeros((3, size, size), np.float32)
    cavity[:, interior.rows, interior.columns] = interior.cavity.T
    arrays = {
        "mesh_mask": attributes.mask[None],
        "mouth_interior": attributes.interior,
        "uv": attributes.uv,
        "cavity": cavity,
        "sampling_grid": grid,
        "reference_shown": shown,
        "rigid_interior": rigid,
    }
    placed = {name: torch.from_numpy(values)[None] for name, values in arrays.items()}
    return {**placed, "references": _images_to_tensor(footage.images[rows])[None]}


def measure_footage_colors(
    footage: Footage, rows: NDArray, head: HeadModel, *, inside: bool = True
) -> MouthColors:
    """Measure the colors around the mouth in some windows of footage, and what its inside shows.

    Args:
        footage: an actor's windows.
        rows: rows to measure in, at least one. [N]
        head: the footage's head model.
        inside: whether open mouths correct what the network predicts.
    """
    rings = footage.project_points(rows, head.inner_lip_matrix)
    cheeks = footage.project_points(rows, head.cheek_matrix)
    eyes = [
        head.measure_eye_distance(mesh) * 2 / footage.window_size for mesh in footage.vertices[rows]
    ]
    windows = zip(footage.images[rows], rings, cheeks, eyes, strict=True)
    return measure_mouth_colors(windows, inside=inside)


def _images_to_tensor(rgb: NDArray[np.uint8]) -> Tensor:
    """Convert [N, H, W, 3] in 0 to 255 to [N, 3, H, W] in [0, 1]."""
    planes = torch.from_numpy(rgb).permute(0, 3, 1, 2)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def select_motion_window(
    motion: NDArray[np.float32],  # [N, P, 3]
    row: int,
) -> NDArray[np.float32]:  # [T, P, 3]
    """Select the motion of the frames around one; the first and last frame are held at the ends.

    Args:
        motion: mouth motion of consecutive frames. [N, P, 3]
        row: the frame in the middle.

    Returns:
        T = `MOTION_WINDOW_FRAMES` frames. [T, P, 3]

    Example:
        >>> motion = np.arange(9, dtype=np.float32).reshape(9, 1, 1)
        >>> select_motion_window(motion, 1)[:, 0, 0].tolist()
        [0.0, 0.0, 1.0, 2.0, 3.0]
    """
    reach = MOTION_WINDOW_FRAMES // 2
    rows = np.clip(np.arange(row - reach, row + reach + 1), 0, len(motion) - 1)
    return motion[rows]
