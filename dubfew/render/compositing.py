"""One frame: inputs, network, composite at the footage's own resolution."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import Frame
from dubfew.prior.renderers import BlendFields, Renderer
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, render_soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.alignment import ALIGNMENT_ROUNDS, align_vertices
from dubfew.references.cropping import crop_window
from dubfew.references.detail import local_detail_energy, restore_high_frequencies
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs, concatenate_inputs, make_frame_inputs
from dubfew.references.track_geometry import TrackGeometry
from dubfew.references.warping import sample_references, warp_references
from dubfew.render.background import BackgroundPreserver
from dubfew.textures import sample_texture

# Meshes lie about a hundredth of a window beside the truth: what is finer blurs in a blend.
DETAIL_CELLS_PER_WINDOW = 160


@dataclass(frozen=True)
class FrameTask:
    """What to paint into one frame.

    Attributes:
        frame: the untouched frame.
        geometry: mesh and regions of its block of frames.
        geometry_row: the frame's row there.
        motion: mouth motion of the frames around. [T, P, 3]
        reference_rows: rows of the references to use. [K]
        reference_distances: their distances. [K]
        opacity: of the paint; below 1 beside frames that are left as they are.
    """

    frame: Frame
    geometry: TrackGeometry
    geometry_row: int
    motion: NDArray[np.float32]
    reference_rows: NDArray[np.int64]
    reference_distances: NDArray[np.float32]
    opacity: float = 1.0


@dataclass(frozen=True)
class PredictedFrame:
    """An order and what the network says to it.

    Attributes:
        task: what was asked for.
        prediction: see `_pack_fields`. [1, C, S, S]
    """

    task: FrameTask
    prediction: Tensor


class MouthCompositor:
    """Paints mouths with one actor's renderer; counts the seconds of its stages."""

    def __init__(
        self,
        renderer: Renderer,
        texture: Tensor,
        references: Footage,
        window_references: Footage,
        head: HeadModel,
        device: str,
        background: BackgroundPreserver,
        *,
        align_meshes: bool,
        marker: WatermarkEmbedder | None = None,
    ) -> None:
        """``window_references`` holds the references drawn at the renderer's own window size;
        ``align_meshes`` says
        that the frames' own mouths show where the mesh has to lie; ``marker`` puts a watermark
        into the paint."""
        self.renderer = renderer.to(device).eval()
        self.texture = texture[None].to(device)
        self.references = references
        self.window_references = window_references
        self.head = head
        self.device = device
        self.background = background
        self.align_meshes = align_meshes
        self.marker = marker
        self.stage_seconds: dict[str, float] = defaultdict(float)
        self._energy_cache: dict[int, Tensor] = {}  # fine detail of each reference, at this scale:
        self._energy_cache_scale = 0

    @torch.inference_mode()
    def predict_batch(self, tasks: Sequence[FrameTask]) -> list[Tensor]:
        """What the network says of each frame: a drawing for ``compose``. [1, C, S, S] each"""
        clock = time.perf_counter()
        size = self.window_references.window_size
        windows = np.stack(
            [crop_window(o.frame, o.geometry.regions.window[o.geometry_row], size) for o in tasks]
        )
        meshes = np.stack([o.geometry.vertices_in_window(o.geometry_row, size) for o in tasks])
        inputs = self._make_inputs(tasks, windows, meshes)
        clock = self._record_stage("inputs", clock)
        if self.align_meshes:
            seen = torch.from_numpy(windows).permute(0, 3, 1, 2).to(self.device) / 255
            for _ in range(ALIGNMENT_ROUNDS):
                meshes = align_vertices(inputs, seen, meshes)
                inputs = self._make_inputs(tasks, windows, meshes)
            clock = self._record_stage("align", clock)
        many = self.texture.expand(len(tasks), -1, -1, -1)
        sampled = sample_texture(many, inputs.uv, inputs.mesh_mask[:, 0] > 0)
        fields = self.renderer.predict_fields(inputs, sampled, warp_references(inputs))
        drawing = _pack_fields(fields, inputs.sampling_grid).cpu()
        self._record_stage("network", clock)
        return list(drawing.split(1))

    def _make_inputs(
        self,
        tasks: Sequence[FrameTask],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        meshes: NDArray[np.float32],  # [B, V, 3]
    ) -> RenderInputs:
        size = self.window_references.window_size
        batch = [
            make_frame_inputs(
                self.head,
                mesh,
                order.geometry.hull_in_window(order.geometry_row, size),
                window,
                order.motion,
                self.window_references,
                order.reference_rows,
                order.reference_distances,
            )
            for order, window, mesh in zip(tasks, windows, meshes, strict=True)
        ]
        return concatenate_inputs(batch).to(self.device)

    def _record_stage(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self.stage_seconds[stage] += now - started
        return now

    @torch.inference_mode()
    def composite(self, task: FrameTask, prediction: Tensor) -> Frame:
        """The frame with its mouth painted: the drawing over full-size references, blended in."""
        clock = time.perf_counter()
        frame = self._composite(task, prediction)
        self._record_stage("composite", clock)
        return frame

    def _composite(self, task: FrameTask, prediction: Tensor) -> Frame:
        frame, regions = task.frame, task.geometry.regions
        hull, side = regions.hull[task.geometry_row], regions.window[task.geometry_row, 2]
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1 = min(int(np.ceil(hull[:, 0].max())), frame.width)
        y1 = min(int(np.ceil(hull[:, 1].max())), frame.height)
        if x1 <= x0 or y1 <= y0:
            return frame
        alpha = render_soft_mask(
            hull, MASK_FEATHER_FRACTION * float(side), x0, y0, 1.0, y1 - y0, x1 - x0
        )
        picture = self._upsample_prediction(task, prediction, (x0, y0, x1, y1))
        original = frame.crop_rgb(x0, y0, x1, y1).astype(np.float32)
        alpha = self.background.exclude_background(
            frame, regions.box[task.geometry_row], (x0, y0), picture, alpha
        )
        alpha = alpha * np.float32(task.opacity)
        mixed = original + alpha[..., None] * (picture - original)
        inside = _keep_whole_chroma_cells(alpha > 0, x0 % 2, y0 % 2)
        if self.marker is not None:
            self.marker.embed_watermark(
                frame, mixed, inside, (x0, y0), regions.window[task.geometry_row]
            )
        return frame.with_patch(x0, y0, (mixed + 0.5).astype(np.uint8), inside)

    def _upsample_prediction(
        self, task: FrameTask, prediction: Tensor, box: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        """The picture in a box of the frame, from references at their own size. [h, w, 3] 0-255"""
        left, top, side = task.geometry.regions.window[task.geometry_row]
        x0, y0, x1, y1 = box
        u = (torch.arange(x0, x1) + 0.5 - float(left)) * (2 / float(side)) - 1
        v = (torch.arange(y0, y1) + 0.5 - float(top)) * (2 / float(side)) - 1
        grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
        fields = F.grid_sample(
            prediction, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        count = len(task.reference_rows)
        weights, mixed, places = fields.split([count, 3, 2 * count], 1)
        images = torch.from_numpy(self.references.images[task.reference_rows])
        images = images.permute(0, 3, 1, 2).float()[None] / 255
        at = places.view(count, 2, *places.shape[2:]).permute(0, 2, 3, 1)[None]
        colours = sample_references(images, at, "bicubic")
        picture = (weights[0, :, None] * colours[0]).sum(0) + mixed[0]
        energy = sample_references(self._reference_energies(task, float(side)), at)
        energy = (weights[0, :, None] * energy[0]).sum(0, keepdim=True)
        picture = restore_high_frequencies(picture[None], energy, _detail_scale(float(side)))[0]
        return (picture.clamp(0, 1) * 255).permute(1, 2, 0).numpy()

    def _reference_energies(self, task: FrameTask, side: float) -> Tensor:
        """How much fine detail the order's references show, around each pixel. [1, K, 1, R, R]"""
        scale = max(1, round(_detail_scale(side) * self.references.window_size / side))
        if scale != self._energy_cache_scale:
            self._energy_cache_scale, self._energy_cache = scale, {}
        found = []
        for row in task.reference_rows:
            if row not in self._energy_cache:
                image = torch.from_numpy(self.references.images[row]).permute(2, 0, 1)[None]
                energy = local_detail_energy(image.float() / 255, scale)
                # Smooth over more than this: kept small.
                self._energy_cache[row] = F.avg_pool2d(energy, 4, ceil_mode=True)
            found.append(self._energy_cache[row])
        return torch.stack(found, 1)


def _detail_scale(side: float) -> int:
    """Scale of what blending softens, px of the frame, for a window ``side`` px wide."""
    return max(1, round(side / DETAIL_CELLS_PER_WINDOW))


def _pack_fields(fields: BlendFields, places: Tensor) -> Tensor:
    """Fields as channels that can be enlarged together. [B, K + 3 + 2 K, S, S]

    Weights of the references; all that is added to them; where to look each up.
    """
    k = places.shape[1]
    weights = fields.blend_weights[:, :k]
    added = (weights[:, :, None] * fields.color_correction).sum(1)
    added = added + fields.blend_weights[:, k:] * fields.background_fill + fields.residual
    where = (places + fields.offsets).permute(0, 1, 4, 2, 3).flatten(1, 2)
    return torch.cat([weights, added, where], 1)


def _keep_whole_chroma_cells(mask: NDArray[np.bool_], odd_x: int, odd_y: int) -> NDArray[np.bool_]:
    """Only those 2 x 2 cells of the frame that lie inside as a whole: in subsampled video the
    chroma of a cell is shared, and pixels outside the mask are not to change."""
    height, width = mask.shape
    padded = np.zeros((height + odd_y + 1, width + odd_x + 1), bool)
    padded[odd_y : odd_y + height, odd_x : odd_x + width] = mask
    even = padded[: len(padded) // 2 * 2, : padded.shape[1] // 2 * 2]
    cells = even.reshape(len(even) // 2, 2, -1, 2).all((1, 3))
    whole = np.zeros_like(padded)
    whole[: len(even), : even.shape[1]] = cells.repeat(2, 0).repeat(2, 1)
    return whole[odd_y : odd_y + height, odd_x : odd_x + width]
