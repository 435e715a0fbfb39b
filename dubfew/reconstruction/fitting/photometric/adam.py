"""The photometric fit by a differentiable renderer and Adam, as the paper has it.

The head is drawn with its albedo and light, the drawing is compared with the view pixel by pixel,
and the difference flows back through shading, texture and barycentrics into the parameters.
`fit.PhotometricFitter` minimizes the same sum by Gauss-Newton steps and is faster by far. Albedo
and light are solved between the steps in closed form in both, since they are least squares.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), appendix A.1, eq. 3; its renderer is PyTorch3D
(``DUBFEW_RASTERISER=pytorch3d``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.photometric.albedo import MIN_COLOR_RESIDUAL, FaceAlbedo
from dubfew.reconstruction.fitting.photometric.fit import ClipParameters, PhotometricFitter
from dubfew.reconstruction.fitting.photometric.layout import (
    CLIP_PARAMETER_COLUMNS,
    EXPRESSION_COLUMNS,
    FRAME_PARAMETER_COLUMNS,
    LOG_FOCAL_COLUMN,
    NORMAL_VALUES,
    NUM_POSE_PARAMETERS,
    ROTATION_COLUMNS,
    SHAPE_COLUMNS,
    TRANSLATION_COLUMNS,
)
from dubfew.reconstruction.fitting.photometric.shading import shade_normals
from dubfew.reconstruction.fitting.photometric.solve import (
    EFFECTIVE_FRAMES,
    apply_step,
    clip_pull,
    prior_precision,
    temporal_precision,
)
from dubfew.reconstruction.fitting.photometric.stages import FitStage
from dubfew.reconstruction.fitting.photometric.terms import (
    OCCLUSION_COLOR_DIFFERENCE,
    RIM_PX,
)
from dubfew.reconstruction.fitting.photometric.views import VIEW_SIZE_PX, FaceView
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.head_torch import axis_angle_to_matrix
from dubfew.reconstruction.rasterizer.batch import rasterize_batch
from dubfew.reconstruction.shading_torch import linear_to_srgb
from dubfew.reconstruction.track import Camera

# Steps of Adam in the place of one Gauss-Newton step, after which albedo and light are solved
# again. The paper says neither steps nor rates.
ADAM_STEPS_PER_ROUND = 15
# First step of Adam for each kind of parameter: rad, m, rad, and the coefficients' and the
# logarithm's own units. Larger ones shake lips that the landmarks have put right.
ADAM_RATES = {
    "rotation": 4e-3,
    "translation": 1e-3,
    "jaw": 6e-3,
    "expression": 4e-2,
    "shape": 4e-2,
    "focal": 1e-2,
}
# Fraction of the rates that is left at the end, along a cosine: steps of full size never settle.
FINAL_RATE_FRACTION = 0.05


@dataclass(frozen=True)
class _Scene:
    """What a loss needs to know beside the parameters.

    Attributes:
        images: views, sRGB in [0, 1]. [N, 3, SIZE, SIZE]
        inside: True where a view lies inside its frame. [N, SIZE, SIZE]
        offset: left and top edge of each view, px of the frame. [N, 2]
        scale: px of the view per px of the frame. [N]
        landmarks: detected landmarks, px of the frame. [N, 478, 3]
        camera: camera, whose focal length may be a parameter.
        rotation: rotations that the parameters' own are multiplied with. [N, 3, 3]
    """

    images: Tensor
    inside: Tensor
    offset: Tensor
    scale: Tensor
    landmarks: NDArray
    camera: Camera
    rotation: Tensor

    @classmethod
    def of(
        cls,
        views: Sequence[FaceView],
        landmarks: NDArray,
        camera: Camera,
        rotation: NDArray,
    ) -> _Scene:
        """Stack the views of N frames."""
        return cls(
            torch.stack([view.image for view in views]),
            torch.from_numpy(np.stack([view.inside_frame for view in views])),
            torch.tensor([[view.left, view.top] for view in views], dtype=torch.float32),
            torch.tensor([view.scale for view in views], dtype=torch.float32),
            landmarks,
            camera,
            torch.from_numpy(rotation.astype(np.float32)),
        )


class AdamFitter(PhotometricFitter):
    """Fits a head model to a clip's pictures by gradients through a renderer; see the module."""

    def fit_clip(
        self,
        stage: FitStage,
        views: Sequence[FaceView],
        landmarks: NDArray,  # [K, 478, 3]
        pose: FaceParameters,
        shape: NDArray,  # [S]
        camera: Camera,
        progress: ProgressCallback = no_progress,
    ) -> ClipParameters:
        """Fit what a clip's frames share (stage 2); see `PhotometricFitter.fit_clip`."""
        start = camera.focal

        def place(clip: NDArray) -> tuple[NDArray, Camera]:
            focal = float(start * np.exp(clip[LOG_FOCAL_COLUMN]))
            return clip[SHAPE_COLUMNS], replace(camera, focal=focal)

        def color(step: NDArray, clip: NDArray) -> tuple[FaceAlbedo, list[Tensor]]:
            here, now = place(clip)
            projected = self._projector.project_frames(
                apply_step(pose, step), here, now.focal, derivatives="none"
            )
            pixels = self._collect_pixels(views, projected, now)
            albedo, light = self._estimate_albedo_and_light(views, projected, pixels, now)
            return albedo, [light] * len(views)

        step, values = self._descend(
            stage,
            _Scene.of(views, landmarks, camera, pose.rotation),
            pose,
            np.append(shape, 0.0),
            color,
            # As in the Gauss-Newton solution: the frames' mean counts as if they were four.
            clip_weight=len(views) / EFFECTIVE_FRAMES,
            progress=progress,
        )
        shape, camera = place(values)
        albedo, lights = color(step, values)
        return ClipParameters(shape, camera, albedo, lights[0])

    def fit_frames(
        self,
        stage: FitStage,
        clip: ClipParameters,
        views: Sequence[FaceView],
        landmarks: NDArray,  # [N, 478, 3]
        pose: FaceParameters,
        follows_previous: NDArray[np.bool_],  # [N]
        previous_pose: FaceParameters | None = None,
    ) -> tuple[FaceParameters, NDArray[np.float32]]:
        """Fit what varies (stage 3); see `PhotometricFitter.fit_frames`."""
        light = [clip.lighting] * len(views)

        def color(step: NDArray, shared: NDArray) -> tuple[FaceAlbedo, list[Tensor]]:
            nonlocal light
            projected = self._projector.project_frames(
                apply_step(pose, step), clip.shape, clip.camera.focal, derivatives="none"
            )
            pixels = self._collect_pixels(views, projected, clip.camera)
            light = [
                self._estimate_frame_light(frame_pixels, clip, previous)
                for frame_pixels, previous in zip(pixels, light, strict=True)
            ]
            return clip.albedo, light

        step, _ = self._descend(
            stage,
            _Scene.of(views, landmarks, clip.camera, pose.rotation),
            pose,
            np.append(clip.shape, 0.0),
            color,
            follows_previous=follows_previous,
            previous_pose=previous_pose,
        )
        color(step, np.append(clip.shape, 0.0))
        return apply_step(pose, step), torch.stack(light).numpy()

    def _descend(
        self,
        stage: FitStage,
        scene: _Scene,
        pose: FaceParameters,
        clip: NDArray,  # [S + 1]
        color: Callable[[NDArray, NDArray], tuple[FaceAlbedo, list[Tensor]]],
        *,
        clip_weight: float = 0.0,
        follows_previous: NDArray[np.bool_] | None = None,
        previous_pose: FaceParameters | None = None,
        progress: ProgressCallback = no_progress,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Descend from a pose; return the frames' step [N, 9 + E] and the clip's values [S + 1].

        Args:
            stage: terms, rounds and what is optimized.
            scene: views and landmarks.
            pose: parameters to start from.
            clip: shape, and logarithm of the focal length over the scene's, to start from.
            color: solves for albedo and the frames' light at a step and a clip's values.
            clip_weight: weight of the pull of shape and focal length.
            follows_previous: True where a frame is tied to the one before it. [N]
            previous_pose: final parameters of the frame before the first one.
            progress: called after every round.
        """
        count, columns = len(pose), NUM_POSE_PARAMETERS + 3 + pose.expression.shape[1]
        begin = np.concatenate(
            [np.zeros((count, 3)), pose.translation, pose.jaw, pose.expression], 1
        )
        start, clip_start = (torch.from_numpy(v.astype(np.float32)) for v in (begin, clip))
        # Every parameter in steps of its own rate, so that one rate serves all; 0 freezes it.
        unit = _make_units(stage, FRAME_PARAMETER_COLUMNS, columns)
        clip_unit = _make_units(stage, CLIP_PARAMETER_COLUMNS, len(clip))
        moves = torch.zeros(count, columns, requires_grad=True)
        clip_moves = torch.zeros(len(clip), requires_grad=True)
        optimizer = torch.optim.Adam([moves, clip_moves], lr=1.0)
        total = stage.steps * ADAM_STEPS_PER_ROUND
        for step in range(total):
            frame, shared = start + unit * moves, clip_start + clip_unit * clip_moves
            if step % ADAM_STEPS_PER_ROUND == 0:
                done = (frame - start).detach().double().numpy()
                albedo, light = color(done, shared.detach().double().numpy())
            loss = self._draw_and_compare(stage, scene, frame, shared, albedo, light)
            loss = loss + _pull_to_priors(stage, frame, shared, clip_weight)
            if follows_previous is not None:
                loss = loss + _tie_frames(
                    stage, scene.rotation, frame, follows_previous, previous_pose
                )
            optimizer.param_groups[0]["lr"] = FINAL_RATE_FRACTION + (1 - FINAL_RATE_FRACTION) * (
                0.5 + 0.5 * math.cos(math.pi * step / total)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if (step + 1) % ADAM_STEPS_PER_ROUND == 0:
                progress(Progress(stage.name, (step + 1) // ADAM_STEPS_PER_ROUND, stage.steps))
        found = (unit * moves).detach().double().numpy()
        return found, (clip_start + clip_unit * clip_moves).detach().double().numpy()

    def _draw_and_compare(
        self,
        stage: FitStage,
        scene: _Scene,
        frame: Tensor,  # [N, 9 + E]
        clip: Tensor,  # [S + 1]
        albedo: FaceAlbedo,
        light: Sequence[Tensor],
    ) -> Tensor:
        """Draw all frames; the sum of the photometric and the landmark term."""
        absolute = torch.cat([clip[:-1], clip[-1:] + math.log(scene.camera.focal)])
        values, depth = self._projector.project_tensors(frame, absolute, scene.rotation)
        loss = stage.weights.landmark * self._landmark_term.compute_loss(
            values, scene.landmarks, scene.camera
        )
        differences = draw_differences(
            self.head,
            self._skin_faces,
            values,
            depth,
            scene.images,
            scene.inside,
            scene.offset,
            scene.scale,
            scene.camera,
            albedo,
            light,
        )
        return loss + stage.weights.photometric * differences.sum()


def draw_differences(
    head: HeadModel,
    skin_faces: NDArray[np.bool_],  # [F]
    values: Tensor,  # [N, V, 5]
    depth: Tensor,  # [N, V]
    images: Tensor,  # [N, 3, SIZE, SIZE]
    inside: Tensor,  # [N, SIZE, SIZE]
    offset: Tensor,  # [N, 2]
    scale: Tensor,  # [N]
    camera: Camera,
    albedo: FaceAlbedo,
    light: Sequence[Tensor],
) -> Tensor:  # [N]
    """Draw heads and compare them with views; differentiable in ``values`` and ``depth``.

    Args:
        head: head model.
        skin_faces: faces whose color is compared. [F]
        values: projected vertices: x, y (px from the principal point) and normal. [N, V, 5]
        depth: their camera-space depth, m. [N, V]
        images: views, sRGB in [0, 1]. [N, 3, SIZE, SIZE]
        inside: True where a view lies inside its frame. [N, SIZE, SIZE]
        offset: left and top edge of each view, px of the frame. [N, 2]
        scale: px of the view per px of the frame. [N]
        camera: camera of the frames.
        albedo: albedo of the face; texels that it explains badly count less.
        light: light of each frame, as in ``Track.lighting``. N of [9, 3]

    Returns:
        Mean over the skin of the absolute differences, summed over colors; covered pixels and
        those beside an edge are left out. [N]
    """
    center = values.new_tensor([camera.cx, camera.cy])
    at = (values[..., :2] + center - offset[:, None]) * scale[:, None, None]
    faces = torch.from_numpy(head.faces.astype(np.int64))
    raster = rasterize_batch(
        torch.cat([at, depth[..., None]], -1), faces, VIEW_SIZE_PX, VIEW_SIZE_PX
    )
    uv = torch.from_numpy(np.asarray(head.uv, np.float32)).expand(len(values), -1, -1)
    carried = raster.interpolate(faces, torch.cat([uv, values[..., NORMAL_VALUES]], -1))
    skin = torch.from_numpy(skin_faces)[raster.face_id.clamp_min(0)] & raster.coverage & inside
    kept = ~_widen(~skin)
    losses = []
    for k, own_light in enumerate(light):
        place = kept[k]
        if not place.any():
            losses.append(values.new_zeros(()))
            continue
        shown = carried[k][place]
        color, spread = albedo.sample(shown[:, :2])
        normal = F.normalize(shown[:, 2:], dim=-1, eps=1e-6)
        drawn = linear_to_srgb(color * shade_normals(normal, own_light))
        difference = (images[k][:, place].T - drawn).abs()
        # What differs so much that something covers the face, and what blurs into it.
        covered = torch.zeros_like(place)
        covered[place] = difference.detach().mean(-1) >= OCCLUSION_COLOR_DIFFERENCE
        weight = (~_widen(covered[None])[0][place]) * (MIN_COLOR_RESIDUAL / spread.detach())
        losses.append((difference.sum(-1) * weight).sum() / len(shown))
    return torch.stack(losses)


def _widen(mask: Tensor) -> Tensor:
    """Widen masks [N, H, W] by ``RIM_PX``."""
    size = 2 * RIM_PX + 1
    return F.max_pool2d(mask[:, None].float(), size, 1, RIM_PX)[:, 0] > 0


def _make_units(stage: FitStage, columns: dict, count: int) -> Tensor:
    """Make the first steps of parameters, 0 for those that the stage leaves alone."""
    unit = torch.zeros(count)
    for name, place in columns.items():
        if name in stage.optimized_parameters:
            unit[place] = ADAM_RATES[name]
    return unit


def _pull_to_priors(stage: FitStage, frame: Tensor, clip: Tensor, clip_weight: float) -> Tensor:
    """Half the squares of the parameters under their priors."""
    prior = prior_precision(stage, frame.shape[1] - EXPRESSION_COLUMNS.start)
    own = torch.from_numpy(prior[NUM_POSE_PARAMETERS:].astype(np.float32))
    pull = torch.from_numpy(clip_pull(stage, len(clip)).astype(np.float32))
    squares = (own * frame[:, NUM_POSE_PARAMETERS:] ** 2).sum()
    return 0.5 * (squares + clip_weight * (pull * clip**2).sum())


def _tie_frames(
    stage: FitStage,
    rotation: Tensor,  # [N, 3, 3]
    frame: Tensor,  # [N, 9 + E]
    follows_previous: NDArray[np.bool_],
    previous_pose: FaceParameters | None,
) -> Tensor:
    """Half the squares of changes from frame to frame."""
    near = torch.from_numpy(temporal_precision(stage, frame.shape[1]).astype(np.float32))
    turned = axis_angle_to_matrix(frame[:, ROTATION_COLUMNS]) @ rotation
    rest = frame[:, TRANSLATION_COLUMNS.start :]
    tied = torch.from_numpy(follows_previous.astype(np.float32))
    if previous_pose is not None:
        last = np.concatenate(
            [previous_pose.translation, previous_pose.jaw, previous_pose.expression], 1
        )
        turned = torch.cat([torch.from_numpy(previous_pose.rotation).to(turned), turned])
        rest = torch.cat([torch.from_numpy(last).to(rest), rest])
    else:
        tied = tied[1:]
    # For small angles the difference of two rotations' matrices is twice the squared angle.
    turn = ((turned[1:] - turned[:-1]) ** 2).sum((1, 2)) / 2 * near[0]
    change = ((rest[1:] - rest[:-1]) ** 2 * near[TRANSLATION_COLUMNS.start :]).sum(1)
    return 0.5 * (tied * (turn + change)).sum()
