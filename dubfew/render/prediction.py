"""Prediction of mouths: network inputs of a batch of frames, mesh alignment, and the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.prior.renderers import Renderer
from dubfew.reconstruction.detection.face_turns import count_quarter_turns
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, OUTER_LIPS
from dubfew.references.alignment import ALIGNMENT_ROUNDS, align_vertices
from dubfew.references.cropping import crop_window
from dubfew.references.inputs import (
    RenderInputs,
    concatenate_inputs,
    make_frame_inputs,
    measure_footage_colors,
    show_other_mouth,
    split_inputs,
    turn_inputs,
)
from dubfew.references.light_fit import LightMatch
from dubfew.references.light_match import LightTracker, bring_to_actor_light
from dubfew.references.mouth_interior import ReferenceMouth
from dubfew.references.overlays import Overlay, SceneView, remove_overlay
from dubfew.references.skin_cells import FrameCells, SkinCells
from dubfew.references.veil import Veil
from dubfew.references.warping import warp_references
from dubfew.render.stage_timer import StageTimer
from dubfew.render.tasks import FrameTask, PredictedFrame, ReferenceSet
from dubfew.textures import sample_texture

# Frames of a batch that go through the network together: on a CPU no more time than for four, and
# half of the memory.
NETWORK_FRAMES = 2
# Stands for the fields of a frame that is left as it is.
NO_PREDICTION = torch.empty(0)


@dataclass(frozen=True)
class _FrameLight:
    """What was found of a frame: its light, the opacity of paint, what lies over the face, and what
    veils it."""

    light: LightMatch | None = None
    opacity: float = 1.0
    overlay: Overlay | None = None
    veil: Veil | None = None

    @property
    def changes_window(self) -> bool:
        """Whether the network has to see another window than the frame's own."""
        return any(each is not None for each in (self.light, self.overlay, self.veil))


@dataclass(frozen=True)
class PreparedBatch:
    """Some frames with all that the network needs, as `MouthPredictor.prepare_batch` makes it.

    Attributes:
        tasks: the frames. B of them
        windows: what they show around the mouth, in the scene's light and, once that is matched, in
            the actor's. [B, S, S, 3]
        meshes: their meshes, px of the windows. [B, V, 3]
        inputs: inputs of the renderer, on its device.
        lights: what was found of each frame; none before the light is matched.
    """

    tasks: Sequence[FrameTask]
    windows: NDArray[np.uint8]
    meshes: NDArray[np.float32]
    inputs: RenderInputs
    lights: Sequence[_FrameLight] = ()


class MouthPredictor:
    """Predict blend fields of mouths with one actor's renderer.

    Args:
        renderer: the prior's renderer with the actor's delta merged in.
        texture: the actor's neural texture. [C, H, W]
        references: the actor's references.
        head: head model that the actor was tracked with.
        device: "cpu" or "cuda".
        align_meshes: whether the frames show the mouths that are rendered, so that the meshes can
            be aligned with the pictures before the references are warped.
        match_light: whether the mouths take on the scene's light. The leak test shows an actor's
            colors on other faces, where a match would hide them.
    """

    def __init__(
        self,
        renderer: Renderer,
        texture: Tensor,  # [C, H, W]
        references: ReferenceSet,
        head: HeadModel,
        device: str,
        *,
        align_meshes: bool,
        match_light: bool = True,
    ) -> None:
        self.references = references
        self.head = head
        self.align_meshes = align_meshes
        self.match_light = match_light
        # Three threads may work at once, see `make_batch`.
        self._timers = self._inputs_timer, self._light_timer, self._network_timer = (
            StageTimer(),
            StageTimer(),
            StageTimer(),
        )
        self.light = LightTracker()
        # Why frames stay as they are although the track has a face, by their rows.
        self.left_rows: dict[int, str] = {}
        # The layout that convolutions on CPUs are fastest in, as their input.
        laid = renderer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._renderer: Renderer = laid.to(device).eval()
        # All features of a texel side by side, as they are sampled.
        self._texture = texture[None].to(device).contiguous(memory_format=torch.channels_last)
        self._device = device
        # Of all references together: those of a frame's own would change from frame to frame.
        rows = np.arange(len(references.windows))
        self._mouths: dict[int, ReferenceMouth] = {}
        self._eye_corners = head.point_matrix(EYE_CORNERS)
        self._colors = measure_footage_colors(references.windows, rows, head)

    @property
    def num_references(self) -> int:
        """Number of references that the renderer blends in every frame."""
        return self._renderer.config.references

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds that each stage has taken so far."""
        return {stage: value for each in self._timers for stage, value in each.seconds.items()}

    def predict_batch(self, tasks: Sequence[FrameTask]) -> list[PredictedFrame]:
        """Prepare some frames and run the network on them.

        Args:
            tasks: frames to paint, at least one, in the order of the video.

        Returns:
            See `predict_prepared`.
        """
        return self.predict_prepared(self.prepare_batch(tasks))

    def prepare_batch(self, tasks: Sequence[FrameTask]) -> PreparedBatch:
        """Make the network's inputs of some frames, in the light of the actor's footage.

        Args:
            tasks: frames to paint, at least one, in the order of the video.
        """
        return self.match_batch(self.make_batch(tasks))

    @torch.inference_mode()
    def make_batch(self, tasks: Sequence[FrameTask]) -> PreparedBatch:
        """Make the network's inputs of some frames, in the light of the scene.

        One thread may make batches while a second one matches the light of earlier ones, and a
        third predicts those before.

        Args:
            tasks: frames to paint, at least one, in the order of the video.
        """
        size = self.references.windows.window_size
        with self._inputs_timer.measure("inputs"):
            # Windows as the frames show them, and meshes in pixels of these windows.
            windows = np.stack([_crop_task_window(task, size) for task in tasks])
            meshes = np.stack([t.geometry.vertices_in_window(t.geometry_row, size) for t in tasks])
            return PreparedBatch(tasks, windows, meshes, self._make_inputs(tasks, windows, meshes))

    @torch.inference_mode()
    def match_batch(self, batch: PreparedBatch) -> PreparedBatch:
        """Bring a batch into the light of the actor's footage.

        Args:
            batch: as `make_batch` makes it, in the order of the video.
        """
        with self._light_timer.measure("light"):
            inputs, windows, lights = self._match_light(batch.tasks, batch.windows, batch.inputs)
        return replace(batch, inputs=inputs, windows=windows, lights=lights)

    @torch.inference_mode()
    def predict_prepared(self, batch: PreparedBatch) -> list[PredictedFrame]:
        """Run the network on prepared frames.

        Args:
            batch: the frames and their inputs.

        Returns:
            The tasks with their blend fields, on the CPU, and the light of the scene. The fields
            are empty where a frame is left as it is.
        """
        # Frames that are left as they are need no prediction.
        shown = [row for row, found in enumerate(batch.lights) if found.opacity > 0]
        predictions: dict[int, Tensor] = {}
        if shown:
            inputs = batch.inputs
            if len(shown) < len(batch.tasks):
                inputs = concatenate_inputs([split_inputs(inputs)[row] for row in shown])
            painted = [batch.tasks[row] for row in shown]
            fields = self._run_network(painted, batch.windows[shown], batch.meshes[shown], inputs)
            predictions = dict(zip(shown, fields.split(1), strict=True))
        return [
            PredictedFrame(
                task,
                predictions.get(row, NO_PREDICTION),
                found.light,
                found.opacity,
                overlay=found.overlay,
                veil=found.veil,
            )
            for row, (task, found) in enumerate(zip(batch.tasks, batch.lights, strict=True))
        ]

    def _run_network(
        self,
        tasks: Sequence[FrameTask],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        meshes: NDArray[np.float32],  # [B, V, 3]
        inputs: RenderInputs,
    ) -> Tensor:
        """Packed blend fields of frames that are painted, on the CPU. [B, K + 3 + 2 K, S, S]"""
        if self.align_meshes:
            with self._network_timer.measure("align"):
                inputs = self._align(tasks, windows, meshes, inputs)
        turns = [count_quarter_turns(self._eye_corners @ mesh[:, :2]) for mesh in meshes]
        with self._network_timer.measure("network"):
            # The network has learned from upright faces.
            inputs = _turn_rows(inputs, turns)
            parts = [inputs]
            if self._device == "cpu":
                parts = split_inputs(inputs, NETWORK_FRAMES)
            fields = torch.cat([self._predict_fields(part) for part in parts])
        if not any(turns):
            return fields
        rows = zip(fields.split(1), turns, strict=True)
        return torch.cat([torch.rot90(row, -count, (-2, -1)) for row, count in rows])

    def _predict_fields(self, inputs: RenderInputs) -> Tensor:
        """Packed blend fields of upright inputs, on the CPU. [B, K + 3 + 2 K, S, S]"""
        # All frames share one texture: a view, no copy.
        texture = self._texture.expand(len(inputs.scene), -1, -1, -1)
        sampled = sample_texture(texture, inputs.uv, inputs.mesh_mask[:, 0] > 0)
        return self._renderer.predict_packed(inputs, sampled, warp_references(inputs)).cpu()

    def _match_light(
        self,
        tasks: Sequence[FrameTask],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        inputs: RenderInputs,
    ) -> tuple[RenderInputs, NDArray[np.uint8], list[_FrameLight]]:
        """Inputs and windows in the light of the actor's footage, and what was found."""
        if not self.match_light:
            return inputs, windows, [_FrameLight()] * len(tasks)
        parts = split_inputs(inputs)
        seen = [_hide_beyond_frame(*each) for each in zip(parts, tasks, strict=True)]
        lights: list[_FrameLight] = []
        for row, (part, task, window) in enumerate(zip(seen, tasks, windows, strict=True)):
            if not self.light.has_met(task.shot):
                begin = [r for r, t in enumerate(tasks) if r >= row and t.shot == task.shot]
                self.light.begin_shot(
                    [seen[r] for r in begin],
                    [partial(self._pair_mouth, tasks[r], windows[r], seen[r]) for r in begin],
                    task.shot,
                )
            match = self.light.match(
                part,
                task.shot,
                _view_scene(task, window),
                partial(self._show_filmed_mouth, task, window, part),
            )
            lights.append(
                _FrameLight(
                    match, self.light.opacity, self.light.things.overlay, self.light.veils.veil
                )
            )
            if self.light.left_reason:
                self.left_rows[task.row] = self.light.left_reason
        # Most scenes are in the footage's own light: nothing is copied then.
        if not any(found.changes_window for found in lights):
            return inputs, windows, lights
        windows = windows.copy()
        for row, (part, found) in enumerate(zip(parts, lights, strict=True)):
            if found.veil is not None:
                windows[row] = found.veil.lift(windows[row])
            if found.light is not None:
                windows[row] = bring_to_actor_light(windows[row], part, found.light)
            if found.overlay is not None:
                windows[row] = remove_overlay(windows[row], part, found.overlay)
        scene = torch.from_numpy(windows).to(inputs.scene).permute(0, 3, 1, 2) / 255
        blanked = torch.where(inputs.alpha > 0, 0, scene)
        return replace(inputs, scene=blanked), windows, lights

    def _pair_mouth(
        self,
        task: FrameTask,
        window: NDArray[np.uint8],  # [S, S, 3]
        inputs: RenderInputs,
    ) -> SkinCells | None:
        """Pair the references with the mouth that a frame shows; None if that is not known."""
        own = self._show_filmed_mouth(task, window, inputs)
        return None if own is None else FrameCells(own).pair_mouth(window)

    def _show_filmed_mouth(
        self,
        task: FrameTask,
        window: NDArray[np.uint8],  # [S, S, 3]
        inputs: RenderInputs,
    ) -> RenderInputs | None:
        """Inputs with the mouth that a frame shows; None if that is not known."""
        if self.align_meshes:
            return inputs
        if task.find_filmed is None:
            return None
        filmed = task.find_filmed()
        own = show_other_mouth(
            inputs,
            self.head,
            filmed.geometry.vertices_in_window(filmed.geometry_row, len(window)),
            self.references.windows,
            filmed.reference_rows,
            colors=self._colors,
            mouths=self._mouths,
        )
        return _hide_beyond_frame(own, task)

    def _align(
        self,
        tasks: Sequence[FrameTask],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        meshes: NDArray[np.float32],  # [B, V, 3]
        inputs: RenderInputs,
    ) -> RenderInputs:
        """Inputs with the meshes moved to where the frames' own pixels show the mouths."""
        # Each round warps the references by the mesh so far, and moves the mesh by what is left.
        images = torch.from_numpy(windows).permute(0, 3, 1, 2).to(self._device) / 255
        for _ in range(ALIGNMENT_ROUNDS):
            meshes = align_vertices(inputs, images, meshes)
            inputs = self._make_inputs(tasks, windows, meshes)
        return inputs

    def _make_inputs(
        self,
        tasks: Sequence[FrameTask],
        windows: NDArray[np.uint8],  # [B, S, S, 3]
        meshes: NDArray[np.float32],  # [B, V, 3]
    ) -> RenderInputs:
        """Inputs of a batch on the renderer's device."""
        size = self.references.windows.window_size
        batch = [
            make_frame_inputs(
                self.head,
                mesh,
                task.geometry.hull_in_window(task.geometry_row, size),
                window,
                task.motion,
                self.references.windows,
                task.reference_rows,
                task.reference_distances,
                colors=self._colors,
                mouths=self._mouths,
            )
            for task, window, mesh in zip(tasks, windows, meshes, strict=True)
        ]
        return concatenate_inputs(batch).to(self._device)


def _turn_rows(inputs: RenderInputs, turns: Sequence[int]) -> RenderInputs:
    """Turn each frame of a batch by quarter turns against the clock."""
    if not any(turns):
        return inputs
    rows = zip(split_inputs(inputs), turns, strict=True)
    return concatenate_inputs([turn_inputs(row, count) for row, count in rows])


def _hide_beyond_frame(inputs: RenderInputs, task: FrameTask) -> RenderInputs:
    """Inputs in which the mesh ends at the frame's edge: what lies beyond was not filmed.

    The window repeats the frame's last row there, such as a collar, where the references show skin.
    """
    left, top, side = (float(v) for v in task.geometry.regions.window[task.geometry_row])
    size = inputs.mesh_mask.shape[-1]
    scale = size / side
    x0, y0 = (max(0, math.ceil(-edge * scale)) for edge in (left, top))
    x1 = min(size, math.floor((task.frame.width - left) * scale))
    y1 = min(size, math.floor((task.frame.height - top) * scale))
    if (x0, y0, x1, y1) == (0, 0, size, size):
        return inputs
    filmed = np.s_[..., y0 : max(y0, y1), x0 : max(x0, x1)]
    mesh = torch.zeros_like(inputs.mesh_mask)
    mesh[filmed] = inputs.mesh_mask[filmed]
    return replace(inputs, mesh_mask=mesh)


def _view_scene(task: FrameTask, window: NDArray[np.uint8]) -> SceneView | None:
    """What a task's frame shows in its window [S, S, 3], or None without landmarks."""
    if task.landmarks is None:
        return None
    left, top, side = task.geometry.regions.window[task.geometry_row]
    lips = task.landmarks[list(OUTER_LIPS), :2] - np.array([left, top], np.float32)
    return SceneView(window, lips * np.float32(len(window) / side))


def _crop_task_window(task: FrameTask, size: int) -> NDArray[np.uint8]:
    """The mouth window of a task's frame, as drawn by the network. [size, size, 3]"""
    return crop_window(task.frame, task.geometry.regions.window[task.geometry_row], size)
