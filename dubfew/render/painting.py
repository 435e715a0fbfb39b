"""Painting of mouths by painting renderers: windows of frames in, the middle frame's crop out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.data.clip_footage import ClipFootage
from dubfew.data.clip_inputs import ClipInputs
from dubfew.data.clip_samples import SoundFeatureCache, make_clip_inputs, rasterize_clip_inputs
from dubfew.data.layouts import CropGeometry
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.media import Frame
from dubfew.prior.renderers import PaintingRenderer
from dubfew.prior.training.painting_data import make_sample_form
from dubfew.prior.training.textures import sample_clip_texture
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.references.cropping import crop_box
from dubfew.references.light_match import LightTracker
from dubfew.render.stage_timer import StageTimer
from dubfew.render.tasks import FrameTask, PaintedCrop, PredictedFrame, ReferenceSet

# Frames whose crops are placed at once, which bounds memory.
GEOMETRY_BLOCK_FRAMES = 64


@dataclass(frozen=True)
class DrivingSound:
    """Sound that a painting renderer hears.

    Attributes:
        samples: mono at 16 kHz; empty where nothing is heard. [n]
        times: time of each frame of the output since the first sample, s. [N]
    """

    samples: NDArray[np.float32]
    times: NDArray[np.float64]


@dataclass(frozen=True)
class _Crop:
    """One frame as the network sees it."""

    image: NDArray[np.uint8]  # [H, W, 3]
    mask: NDArray[np.bool_]  # [H, W]
    vertices: NDArray[np.float32]  # [V, 3]


class PaintingPredictor:
    """Paint crops with one actor's renderer.

    The references are the same for the whole clip: others would change the picture from frame to
    frame.

    Args:
        renderer: the prior's renderer with the actor's delta merged in.
        texture: the actor's neural texture. [C, H, W]
        crops: the actor's stored pictures.
        references: the actor's mouth windows, by which frames are compared.
        head: head model that the actor was tracked with.
        device: "cpu" or "cuda".
        track: the output's frames with the mouths to render, N rows.
        sound: what is heard.
    """

    # Of the mouth windows one is chosen for each frame, as tasks need; none is shown.
    num_references = 1
    align_meshes = False

    def __init__(
        self,
        renderer: PaintingRenderer,
        texture: Tensor,
        crops: ClipFootage,
        references: ReferenceSet,
        head: HeadModel,
        device: str,
        track: Track,
        sound: DrivingSound,
    ) -> None:
        self.references = references
        self.head = head
        self.timer = StageTimer()
        # Nothing is matched to the scene's light: the network sees the scene around the mask.
        self.light = LightTracker()
        self.left_rows: dict[int, str] = {}
        self._renderer = renderer.to(device).eval()
        self._texture = texture[None].to(device)
        self._device = device
        self._track, self._sound = track, sound
        config = renderer.config
        self._frames = config.frames
        self._form = make_sample_form(config)
        self._layout = config.load_layout()
        # Crops are cut at the network's size: they need not be shrunk after that.
        self._cut_form = type(self._form)(**{**vars(self._form), "shrink": 1})
        self._features = SoundFeatureCache(config.sound)
        rng = np.random.default_rng(0)
        count = min(self._form.references, len(crops))
        rows = np.sort(rng.choice(len(crops), count, replace=False))
        rows = np.resize(rows, self._form.references) if count else rows
        self._references = _shrink_pictures(crops.images[rows], config.shrink)
        self._known: tuple[Tensor, ...] | None = None
        self._block: CropGeometry | None = None
        self._block_start = -1
        self._crops: dict[int, _Crop] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds that each stage has taken so far."""
        return dict(self.timer.seconds)

    def paint_frames(self, items: Iterable[Frame | FrameTask]) -> Iterator[Frame | PredictedFrame]:
        """Paint the tasks of a stream in windows centered on each; untouched frames pass.

        A window holds the frames that are nearest in time to a clock of 25 fps, within one shot;
        at its ends, and beside frames that are not painted, the last frame is repeated.

        Args:
            items: frames and tasks, one for each row of the track.

        Yields:
            As many items as came in, in the same order.
        """
        reach = (self._frames // 2) / CLIP_FPS
        times = self._track.times
        held: dict[int, Frame | FrameTask] = {}
        next_out = 0
        for position, item in enumerate(items):
            held[position] = item
            # A frame can be painted when everything that its window may show has come.
            while next_out < position and times[position] > times[next_out] + reach + 1 / CLIP_FPS:
                yield self._finish(next_out, held)
                next_out += 1
                self._forget(held, times[next_out] - reach - 1 / CLIP_FPS, next_out)
        while next_out in held:
            yield self._finish(next_out, held)
            next_out += 1

    def _forget(self, held: dict[int, Frame | FrameTask], before: float, keep: int) -> None:
        """Drop frames that no window will show any more."""
        for position in [p for p in held if p < keep and self._track.times[p] < before]:
            del held[position]
            self._crops.pop(position, None)

    @torch.inference_mode()
    def _finish(self, position: int, held: dict[int, Frame | FrameTask]) -> Frame | PredictedFrame:
        task = held[position]
        if not isinstance(task, FrameTask):
            return task
        with self.timer.measure("inputs"):
            window = self._choose_window(position, held)
            inputs = self._make_inputs(window, position, held).to(self._device)
            inputs = rasterize_clip_inputs(inputs, self.head)
        with self.timer.measure("network"):
            if self._form.textured:
                sampled = sample_clip_texture(self._texture, inputs.uv, inputs.mesh_mask)
                inputs = inputs.with_texture(sampled)
            if self._known is None:  # all frames have the same references
                self._known = self._renderer.encode_references(inputs.references)
            painted = self._renderer(inputs, self._known)[0, len(window) // 2].float().cpu()
        geometry, row = self._place(position)
        crop = PaintedCrop(
            picture=(painted.clamp(0, 1) * 255).permute(1, 2, 0).numpy(),
            opacity=self._layout.render_opacity(geometry, row),
            box=geometry.boxes[row],
        )
        return PredictedFrame(task, torch.zeros(0), painting=crop)

    def _choose_window(self, position: int, held: dict[int, Frame | FrameTask]) -> list[int]:
        """Choose the positions of a window, nearest in time to a clock of 25 fps."""
        task = held[position]
        assert isinstance(task, FrameTask)
        near = [
            p for p, item in held.items() if isinstance(item, FrameTask) and item.shot == task.shot
        ]
        # Only frames without a gap to this one: beyond a gap the face may be elsewhere.
        first = last = position
        while first - 1 in near:
            first -= 1
        while last + 1 in near:
            last += 1
        run = np.arange(first, last + 1)
        half = self._frames // 2
        offsets = np.arange(self._frames) - half
        moments = self._track.times[position] + offsets / CLIP_FPS
        nearest = np.abs(self._track.times[run][None] - moments[:, None]).argmin(1)
        window = run[nearest]
        window[half] = position
        return [int(p) for p in window]

    def _place(self, position: int) -> tuple[CropGeometry, int]:
        """Return the places of a block of crops, and a frame's row in it."""
        start = position // GEOMETRY_BLOCK_FRAMES * GEOMETRY_BLOCK_FRAMES
        if self._block is None or start != self._block_start:
            part = self._track.select(slice(start, start + GEOMETRY_BLOCK_FRAMES))
            self._block = self._layout.compute_geometry(part, self.head)
            self._block_start = start
        return self._block, position - start

    def _crop(self, position: int, task: FrameTask) -> _Crop:
        """Cut the crop of a frame, once."""
        if position not in self._crops:
            geometry, row = self._place(position)
            box = geometry.boxes[row]
            self._crops[position] = _Crop(
                crop_box(task.frame, box, (self._layout.width, self._layout.height)),
                self._layout.render_mask(geometry, row),
                self._layout.to_crop(task.geometry.vertices[task.geometry_row], box),
            )
        return self._crops[position]

    def _make_inputs(
        self, window: list[int], position: int, held: dict[int, Frame | FrameTask]
    ) -> ClipInputs:
        """Make the inputs of a window."""
        crops = []
        for each in window:
            task = held[each]
            assert isinstance(task, FrameTask)
            crops.append(self._crop(each, task))
        # The clock of the sound, not of the frames: a repeated frame hears on.
        seconds = self._sound.times[position] + (
            (np.arange(len(window)) - len(window) // 2) / CLIP_FPS
        )
        return make_clip_inputs(
            np.stack([crop.image for crop in crops]),
            np.stack([crop.mask for crop in crops]),
            np.stack([crop.vertices for crop in crops]),
            self._references,
            self._features.cut_windows(0, self._sound.samples, seconds),
            self.head,
            self._cut_form,
        )


def _shrink_pictures(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average pictures [N, H, W, 3] over squares of pixels."""
    if factor == 1 or not len(images):
        return images
    count, height, width, _ = images.shape
    cells = images.reshape(count, height // factor, factor, width // factor, factor, 3)
    return (cells.mean((2, 4)) + 0.5).astype(np.uint8)
