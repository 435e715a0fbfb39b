"""Compositing of predicted mouths into frames, at the footage's own resolution."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import Frame
from dubfew.media.pixels import NATIVE_FORMATS, keep_whole_cells
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, render_soft_mask
from dubfew.references.footage import Footage
from dubfew.render.background import BackgroundPreserver, sample_box
from dubfew.render.debug import PaintObserver
from dubfew.render.mouth_kernels import (
    ReadyReferences,
    blend_references,
    measure_detail,
    mix_pixels,
    restore_detail,
)
from dubfew.render.stage_timer import StageTimer
from dubfew.render.tasks import FrameTask, PaintedCrop, PredictedFrame

# Scale of the detail that is restored, as a fraction of the mouth window: 1 / 160. Meshes lie about
# a hundredth of a window beside the truth, so everything finer blurs in a blend. A smaller divisor
# restores coarser structures as well, which are sharp already.
DETAIL_CELLS_PER_WINDOW = 160
# Factor by which stored maps of detail energy are shrunk. They are smooth over more pixels than
# this, and would otherwise take as much memory as the references.
ENERGY_SHRINK_FACTOR = 4

PixelRectangle = tuple[int, int, int, int]  # left, top, right, bottom, px


class MouthCompositor:
    """Draw predicted mouths from full-size references and blend them into frames.

    Args:
        references: the actor's references at their own resolution.
        background: keeps background pixels inside the mask as they are in the scene; None paints
            them as well.
        marker: embeds a watermark into the painted pixels; None for no watermark.
        observer: called with the paint of every frame; None for nobody.
    """

    def __init__(
        self,
        references: Footage,
        background: BackgroundPreserver | None,
        marker: WatermarkEmbedder | None = None,
        observer: PaintObserver | None = None,
    ) -> None:
        self.references = references
        self.background = background
        self.marker = marker
        self.observer = observer
        self.timer = StageTimer()
        self._ready = ReadyReferences(references.images)
        # Detail energy of each reference by its row, at one scale.
        self._energy_cache: dict[int, NDArray[np.float32]] = {}
        self._energy_cache_scale = 0

    @torch.inference_mode()
    def composite(self, predicted: PredictedFrame) -> Frame:
        """Paint the mouth of one frame.

        Args:
            predicted: the frame and the network's prediction for it.

        Returns:
            The frame with other pixels inside the mouth mask, or the frame itself if the mask lies
            outside of it.
        """
        with self.timer.measure("composite"):
            return self._composite(predicted)

    def _composite(self, predicted: PredictedFrame) -> Frame:
        task = predicted.task
        frame, regions = task.frame, task.geometry.regions
        hull, window = regions.hull[task.geometry_row], regions.window[task.geometry_row]
        side = float(window[2])
        # Smallest rectangle of whole pixels around the mask, inside the frame.
        low, high = hull.min(0), hull.max(0)
        if predicted.painting is not None:
            low, high = find_opaque_part(predicted.painting)
        x0, y0 = np.maximum(np.floor(low).astype(int), 0)
        x1 = min(int(np.ceil(high[0])), frame.width)
        y1 = min(int(np.ceil(high[1])), frame.height)
        if x1 <= x0 or y1 <= y0 or predicted.opacity == 0:
            return frame
        # Blend in float32, so that the watermark is added before rounding.
        if predicted.painting is not None:
            mouth, alpha = resample_painting(predicted.painting, (x0, y0, x1, y1))
        else:
            feather = MASK_FEATHER_FRACTION * side
            alpha = render_soft_mask(hull, feather, x0, y0, 1.0, y1 - y0, x1 - x0)
            mouth = self._draw_mouth(predicted, (x0, y0, x1, y1))
        original = frame.crop_levels(x0, y0, x1, y1)
        if self.background is not None:
            alpha = self.background.exclude_background(
                frame,
                regions.box[task.geometry_row],
                (x0, y0),
                mouth,
                alpha,
                task.landmarks,
                task.shot,
            )
        alpha = alpha * np.float32(task.opacity * predicted.opacity)
        covered = np.zeros_like(alpha)
        if predicted.overlay is not None:
            covered = _sample_overlay(predicted.overlay.mask, window, (x0, y0, x1, y1))
            alpha = alpha * (1 - covered)
        if self.observer is not None:
            self.observer(frame.index, (int(x0), int(y0)), alpha, covered)
        mixed = mix_pixels(original, mouth, alpha)
        inside = keep_whole_cells(alpha > 0, NATIVE_FORMATS[frame.pix_fmt], x0, y0)
        if self.marker is not None:
            self.marker.embed_watermark(frame, mixed, inside, (x0, y0), window)
        if not frame.is_deep:
            mixed = np.floor(mixed + np.float32(0.5))
        return frame.with_patch(x0, y0, mixed, inside)

    def _draw_mouth(self, predicted: PredictedFrame, box: PixelRectangle) -> NDArray[np.float32]:
        """Draw a prediction in a rectangle of the frame. [h, w, 3] RGB 0 to 255

        The blend fields are enlarged to the frame's resolution, and the references are sampled at
        theirs, so that the mouth is as sharp as the footage.
        """
        task = predicted.task
        window = task.geometry.regions.window[task.geometry_row]
        # Channels last: all fields of a pixel lie side by side.
        fields = np.ascontiguousarray(predicted.prediction[0].permute(1, 2, 0).numpy())
        places = self._ready.find_places(task.reference_rows)
        energies = self._detail_energies(task, float(window[2]))
        colors, energy = blend_references(fields, self._ready.pixels, places, energies, window, box)
        # Blending softens: amplify what is left of the fine detail to the references' energy.
        mouth = restore_detail(colors, energy, _detail_scale(float(window[2])))
        if predicted.light is not None:
            levels = torch.from_numpy(mouth).permute(2, 0, 1) / 255
            lit = predicted.light.to_scene(levels, _window_grid(window, box)) * 255
            mouth = np.ascontiguousarray(lit.permute(1, 2, 0).numpy())
        if predicted.veil is None:
            return mouth
        left, top, side = map(float, window)
        x0, x1 = ((edge - left) / side for edge in box[::2])
        y0, y1 = ((edge - top) / side for edge in box[1::2])
        veiled = predicted.veil.lay_over(mouth / np.float32(255), (x0, y0, x1, y1))
        return veiled.clip(0, 1) * np.float32(255)

    def _detail_energies(self, task: FrameTask, side: float) -> NDArray[np.float32]:
        """Energy of the fine detail around each pixel of a task's references. [K, r, r]"""
        # The scale in px of the references instead of the frame.
        scale = max(1, round(_detail_scale(side) * self.references.window_size / side))
        if scale != self._energy_cache_scale:
            self._energy_cache_scale, self._energy_cache = scale, {}
        energies = []
        for row in task.reference_rows:
            if row not in self._energy_cache:
                self._energy_cache[row] = measure_detail(
                    self.references.images[row], scale, ENERGY_SHRINK_FACTOR
                )
            energies.append(self._energy_cache[row])
        return np.stack(energies)


def _sample_overlay(
    overlay: NDArray[np.bool_], window: NDArray[np.float32], box: PixelRectangle
) -> NDArray[np.float32]:
    """How far things before the face cover each pixel of a box of the frame, 0 to 1. [h, w]"""
    scale = len(overlay) / float(window[2])
    corner = [float(window[0]), float(window[1])] * 2
    place = [(edge - start) * scale for edge, start in zip(box, corner, strict=True)]
    return sample_box(overlay.astype(np.float32), place, (box[3] - box[1], box[2] - box[0]))


def find_opaque_part(painting: PaintedCrop) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the box of the frame, inside of the crop, in which a painting is shown.

    Returns:
        Left and top, and right and bottom, px of the frame; empty where nothing is shown.
    """
    rows, columns = np.nonzero(painting.opacity > 0)
    left, top, right, bottom = painting.box.astype(np.float64)
    if not len(rows):
        return np.array([left, top]), np.array([left, top])
    scale = np.array(
        [
            (right - left) / painting.opacity.shape[1],
            (bottom - top) / painting.opacity.shape[0],
        ]
    )
    corner = np.array([left, top])
    low = corner + np.array([columns.min(), rows.min()]) * scale
    high = corner + np.array([columns.max() + 1, rows.max() + 1]) * scale
    # Whole pixels of the frame that lie in the crop.
    return np.maximum(low, np.ceil(corner)), np.minimum(high, np.floor([right, bottom]))


def resample_painting(
    painting: PaintedCrop, box: PixelRectangle
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a painting in a rectangle of the frame that lies in its crop.

    Args:
        painting: the crop.
        box: left, top, right, bottom, whole px of the frame.

    Returns:
        RGB, 0 to 255 [h, w, 3], and the opacity of each pixel [h, w].
    """
    left, top, right, bottom = (float(v) for v in painting.box)
    height, width = painting.opacity.shape
    across, down = width / (right - left), height / (bottom - top)
    place = (
        max((box[0] - left) * across, 0.0),
        max((box[1] - top) * down, 0.0),
        min((box[2] - left) * across, float(width)),
        min((box[3] - top) * down, float(height)),
    )
    size = (box[2] - box[0], box[3] - box[1])

    def resize(channel: NDArray[np.float32], how: Image.Resampling) -> NDArray[np.float32]:
        image = Image.fromarray(np.ascontiguousarray(channel))
        return np.asarray(image.resize(size, how, box=place))

    colors = [resize(painting.picture[..., k], Image.Resampling.BICUBIC) for k in range(3)]
    # Bilinear: cubic weights would overshoot and paint beyond the mask's edge.
    alpha = resize(painting.opacity, Image.Resampling.BILINEAR)
    return np.clip(np.stack(colors, -1), 0, 255), np.clip(alpha, 0, 1)


def _window_grid(window: NDArray[np.float32], box: PixelRectangle) -> Tensor:
    """Pixel centers of a box of the frame in coordinates of the window, -1 to 1. [h, w, 2]"""
    left, top, side = map(float, window)
    x0, y0, x1, y1 = box
    u = (torch.arange(x0, x1) + 0.5 - left) * (2 / side) - 1
    v = (torch.arange(y0, y1) + 0.5 - top) * (2 / side) - 1
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)


def _detail_scale(side: float) -> int:
    """Scale of the detail that blending softens, px of the frame, in a window ``side`` px wide."""
    return max(1, round(side / DETAIL_CELLS_PER_WINDOW))
