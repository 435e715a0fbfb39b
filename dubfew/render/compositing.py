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

from dubfew.marks.watermark import Marker
from dubfew.media import Frame
from dubfew.prior.renderers import Fields, Renderer
from dubfew.reconstruction.crop import FEATHER, soft_mask
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.alignment import ROUNDS, aligned
from dubfew.references.detail import detail_energy, restore
from dubfew.references.footage import Footage, Geometry, cut_window
from dubfew.references.inputs import RenderInputs, frame_inputs, stack
from dubfew.references.warping import sample, warp
from dubfew.render.background import BackgroundKeeper
from dubfew.textures import sample_texture

# Meshes lie about a hundredth of a window beside the truth: what is finer blurs in a blend.
DETAIL_CELLS = 160


@dataclass(frozen=True)
class Order:
    """What to paint into one frame.

    Attributes:
        frame: the untouched frame.
        geometry: mesh and regions of its block of frames.
        row: the frame's row there.
        motion: mouth motion of the frames around. [T, P, 3]
        references: rows of the references to use. [K]
        scores: their distances. [K]
        opacity: of the paint; below 1 beside frames that are left as they are.
    """

    frame: Frame
    geometry: Geometry
    row: int
    motion: NDArray[np.float32]
    references: NDArray[np.int64]
    scores: NDArray[np.float32]
    opacity: float = 1.0


@dataclass(frozen=True)
class Drawn:
    """An order and what the network says to it.

    Attributes:
        order: what was asked for.
        drawing: see `_drawing`. [1, C, S, S]
    """

    order: Order
    drawing: Tensor


class Painter:
    """Paints mouths with one actor's renderer; counts the seconds of its stages."""

    def __init__(
        self,
        renderer: Renderer,
        texture: Tensor,
        references: Footage,
        small: Footage,
        head: HeadModel,
        device: str,
        background: BackgroundKeeper,
        *,
        aligns: bool,
        marker: Marker | None = None,
    ) -> None:
        """``small`` holds the references drawn at the renderer's own window size; ``aligns`` says
        that the frames' own mouths show where the mesh has to lie; ``marker`` puts a watermark
        into the paint."""
        self.renderer = renderer.to(device).eval()
        self.texture = texture[None].to(device)
        self.references = references
        self.small = small
        self.head = head
        self.device = device
        self.background = background
        self.aligns = aligns
        self.marker = marker
        self.seconds: dict[str, float] = defaultdict(float)
        self._energy: dict[int, Tensor] = {}  # fine detail of each reference, at this scale:
        self._scale = 0

    @torch.inference_mode()
    def draw(self, orders: Sequence[Order]) -> list[Tensor]:
        """What the network says of each frame: a drawing for ``compose``. [1, C, S, S] each"""
        clock = time.perf_counter()
        size = self.small.size
        windows = np.stack(
            [cut_window(o.frame, o.geometry.regions.window[o.row], size) for o in orders]
        )
        meshes = np.stack([o.geometry.in_window(o.row, size) for o in orders])
        inputs = self._inputs(orders, windows, meshes)
        clock = self._note("inputs", clock)
        if self.aligns:
            seen = torch.from_numpy(windows).permute(0, 3, 1, 2).to(self.device) / 255
            for _ in range(ROUNDS):
                meshes = aligned(inputs, seen, meshes)
                inputs = self._inputs(orders, windows, meshes)
            clock = self._note("align", clock)
        many = self.texture.expand(len(orders), -1, -1, -1)
        sampled = sample_texture(many, inputs.uv, inputs.covered[:, 0] > 0)
        fields = self.renderer.fields(inputs, sampled, warp(inputs))
        drawing = _drawing(fields, inputs.places).cpu()
        self._note("network", clock)
        return list(drawing.split(1))

    def _inputs(
        self,
        orders: Sequence[Order],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        meshes: NDArray[np.float32],  # [B, V, 3]
    ) -> RenderInputs:
        size = self.small.size
        batch = [
            frame_inputs(
                self.head,
                mesh,
                order.geometry.hull_in_window(order.row, size),
                window,
                order.motion,
                self.small,
                order.references,
                order.scores,
            )
            for order, window, mesh in zip(orders, windows, meshes, strict=True)
        ]
        return stack(batch).to(self.device)

    def _note(self, stage: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - since
        return now

    @torch.inference_mode()
    def compose(self, order: Order, drawing: Tensor) -> Frame:
        """The frame with its mouth painted: the drawing over full-size references, blended in."""
        clock = time.perf_counter()
        frame = self._composite(order, drawing)
        self._note("composite", clock)
        return frame

    def _composite(self, order: Order, drawing: Tensor) -> Frame:
        frame, regions = order.frame, order.geometry.regions
        hull, side = regions.hull[order.row], regions.window[order.row, 2]
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1 = min(int(np.ceil(hull[:, 0].max())), frame.width)
        y1 = min(int(np.ceil(hull[:, 1].max())), frame.height)
        if x1 <= x0 or y1 <= y0:
            return frame
        alpha = soft_mask(hull, FEATHER * float(side), x0, y0, 1.0, y1 - y0, x1 - x0)
        picture = self._enlarge(order, drawing, (x0, y0, x1, y1))
        original = frame.crop_rgb(x0, y0, x1, y1).astype(np.float32)
        alpha = self.background.keep(frame, regions.box[order.row], (x0, y0), picture, alpha)
        alpha = alpha * np.float32(order.opacity)
        mixed = original + alpha[..., None] * (picture - original)
        inside = _whole_cells(alpha > 0, x0 % 2, y0 % 2)
        if self.marker is not None:
            self.marker.mark(frame, mixed, inside, (x0, y0), regions.window[order.row])
        return frame.with_patch(x0, y0, (mixed + 0.5).astype(np.uint8), inside)

    def _enlarge(
        self, order: Order, drawing: Tensor, box: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        """The picture in a box of the frame, from references at their own size. [h, w, 3] 0-255"""
        left, top, side = order.geometry.regions.window[order.row]
        x0, y0, x1, y1 = box
        u = (torch.arange(x0, x1) + 0.5 - float(left)) * (2 / float(side)) - 1
        v = (torch.arange(y0, y1) + 0.5 - float(top)) * (2 / float(side)) - 1
        grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)[None]
        fields = F.grid_sample(
            drawing, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        count = len(order.references)
        weights, mixed, places = fields.split([count, 3, 2 * count], 1)
        images = torch.from_numpy(self.references.images[order.references])
        images = images.permute(0, 3, 1, 2).float()[None] / 255
        at = places.view(count, 2, *places.shape[2:]).permute(0, 2, 3, 1)[None]
        colours = sample(images, at, "bicubic")
        picture = (weights[0, :, None] * colours[0]).sum(0) + mixed[0]
        energy = sample(self._energies(order, float(side)), at)
        energy = (weights[0, :, None] * energy[0]).sum(0, keepdim=True)
        picture = restore(picture[None], energy, _detail_scale(float(side)))[0]
        return (picture.clamp(0, 1) * 255).permute(1, 2, 0).numpy()

    def _energies(self, order: Order, side: float) -> Tensor:
        """How much fine detail the order's references show, around each pixel. [1, K, 1, R, R]"""
        scale = max(1, round(_detail_scale(side) * self.references.size / side))
        if scale != self._scale:
            self._scale, self._energy = scale, {}
        found = []
        for row in order.references:
            if row not in self._energy:
                image = torch.from_numpy(self.references.images[row]).permute(2, 0, 1)[None]
                energy = detail_energy(image.float() / 255, scale)
                # Smooth over more than this: kept small.
                self._energy[row] = F.avg_pool2d(energy, 4, ceil_mode=True)
            found.append(self._energy[row])
        return torch.stack(found, 1)


def _detail_scale(side: float) -> int:
    """Scale of what blending softens, px of the frame, for a window ``side`` px wide."""
    return max(1, round(side / DETAIL_CELLS))


def _drawing(fields: Fields, places: Tensor) -> Tensor:
    """Fields as channels that can be enlarged together. [B, K + 3 + 2 K, S, S]

    Weights of the references; all that is added to them; where to look each up.
    """
    k = places.shape[1]
    weights = fields.weights[:, :k]
    added = (weights[:, :, None] * fields.light).sum(1)
    added = added + fields.weights[:, k:] * fields.fill + fields.residual
    where = (places + fields.offsets).permute(0, 1, 4, 2, 3).flatten(1, 2)
    return torch.cat([weights, added, where], 1)


def _whole_cells(mask: NDArray[np.bool_], odd_x: int, odd_y: int) -> NDArray[np.bool_]:
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
