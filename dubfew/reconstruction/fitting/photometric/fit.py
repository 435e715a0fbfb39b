"""Photometric fit: the head laid on the pictures, not on landmarks alone.

Every term is linearised around the present parameters and the sum of squares is solved at once
(Gauss and Newton; absolute differences by reweighting). Which pixel shows which face comes from
the rasteriser and is held fixed within a step; outlines are therefore the landmarks' affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.fitting.landmark_fit import FaceParameters, LandmarkFitter
from dubfew.reconstruction.fitting.photometric.albedo import (
    Albedo,
    AlbedoSpace,
    estimate_albedo,
)
from dubfew.reconstruction.fitting.photometric.geometry import (
    HeadProjector,
    ProjectedVertices,
    build_normal_equations,
)
from dubfew.reconstruction.fitting.photometric.layout import (
    LOG_FOCAL_COLUMN,
    POSITION_VALUES,
    SHAPE_COLUMNS,
)
from dubfew.reconstruction.fitting.photometric.shading import (
    NUM_SH_COEFFICIENTS,
    shade_normals,
    solve_lighting,
)
from dubfew.reconstruction.fitting.photometric.solve import (
    apply_step,
    solve_chain_step,
    solve_joint_step,
)
from dubfew.reconstruction.fitting.photometric.stages import FitStage, TermWeights
from dubfew.reconstruction.fitting.photometric.terms import (
    FacePixels,
    LandmarkTerm,
    collect_face_pixels,
    compute_photometric_jacobian,
    compute_photometric_residual,
    find_skin_faces,
)
from dubfew.reconstruction.fitting.photometric.texels import TexelSampler
from dubfew.reconstruction.fitting.photometric.views import FaceView
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.shading_model import SH_NORMALIZATION
from dubfew.reconstruction.track import Camera

# Luminance of a face's mean albedo. How bright the skin is and how bright the light cannot be
# told apart in pictures; so skin is always this bright, and its colour under white light is
# that of the clip.
SKIN_LUMINANCE = 0.35
# Pull of a frame's light to the clip's, and of the clip's to even light, over what a pixel says:
# skin's albedo and a harmonic's mean, both squared, are about 0.01.
FRAME_LIGHT_STIFFNESS, CLIP_LIGHT_STIFFNESS = 3e-4, 5e-4


@dataclass(frozen=True)
class ClipParameters:
    """What does not vary in a clip.

    Attributes:
        shape: identity. [S]
        camera: of all frames.
        albedo: of the face.
        lighting: mean of the frames'. [9, 3]
    """

    shape: NDArray[np.float64]
    camera: Camera
    albedo: Albedo
    lighting: Tensor


class PhotometricFitter:
    """Fits one head model to the pictures of one clip.

    Args:
        head: the model.
        albedo_space: albedos that are possible; None: free in every texel.
    """

    def __init__(self, head: HeadModel, albedo_space: AlbedoSpace | None = None) -> None:
        self.head = head
        self._albedo_space = albedo_space
        self._geometry = HeadProjector(head)
        self._skin_faces = find_skin_faces(head)
        self._landmark_term = LandmarkTerm(head)
        self._texel_sampler = TexelSampler(head, self._skin_faces)

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
        """Stage 2: what does not vary, from some frames of a clip together."""
        start = np.log(camera.focal)
        for step in range(stage.steps + 1):
            last = step == stage.steps
            shown = self._geometry.project_frames(
                pose, shape, camera.focal, derivatives="none" if last else "clip"
            )
            pixels = self._collect_pixels(views, shown, camera)
            albedo, lighting = self._estimate_albedo_and_light(views, shown, pixels, camera)
            if last:
                break
            normals, slopes = self._build_equations(
                stage, views, shown, pixels, landmarks, camera, albedo, [lighting] * len(views)
            )
            value = np.concatenate([pose.jaw, pose.expression], 1)
            common = np.append(shape, np.log(camera.focal) - start)
            step_frames, step_clip = solve_joint_step(stage, normals, slopes, value, common)
            pose = apply_step(pose, step_frames)
            shape = shape + step_clip[SHAPE_COLUMNS]
            camera = replace(
                camera, focal=float(camera.focal * np.exp(step_clip[LOG_FOCAL_COLUMN]))
            )
            progress(Progress("joint", step + 1, stage.steps))
        return ClipParameters(shape, camera, albedo, lighting)

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
        """Stage 3: what varies, for N frames of a clip in a row.

        Args:
            stage: terms and steps.
            clip: held fixed.
            views: of the frames.
            landmarks: px. [N, 478, 3]
            pose: where to start.
            follows_previous: frame follows the one before it without a gap or cut. [N]
            previous_pose: the frame before the first one, already fitted.

        Returns:
            Pose and lighting [N, 9, 3].
        """
        light = [clip.lighting] * len(views)
        for step in range(stage.steps + 1):
            last = step == stage.steps
            shown = self._geometry.project_frames(
                pose, clip.shape, clip.camera.focal, derivatives="none" if last else "frame"
            )
            pixels = self._collect_pixels(views, shown, clip.camera)
            light = [
                self._estimate_frame_light(p, clip, near)
                for p, near in zip(pixels, light, strict=True)
            ]
            if last:
                break
            normals, slopes = self._build_equations(
                stage, views, shown, pixels, landmarks, clip.camera, clip.albedo, light
            )
            pose = apply_step(
                pose,
                solve_chain_step(stage, normals, slopes, pose, follows_previous, previous_pose),
            )
        return pose, torch.stack(light).numpy()

    def measure_color_errors(
        self,
        clip: ClipParameters,
        views: Sequence[FaceView],
        pose: FaceParameters,
        lighting: NDArray,
    ) -> NDArray[np.float64]:
        """Mean absolute difference of colour over each frame's face, sRGB in [0, 1]. [N]"""
        shown = self._geometry.project_frames(
            pose, clip.shape, clip.camera.focal, derivatives="none"
        )
        pixels = self._collect_pixels(views, shown, clip.camera)
        return np.array(
            [
                compute_photometric_residual(p, clip.albedo, torch.from_numpy(own)).mean_abs_error
                for p, own in zip(pixels, lighting, strict=True)
            ]
        )

    def _collect_pixels(
        self, views: Sequence[FaceView], shown: ProjectedVertices, camera: Camera
    ) -> list[FacePixels]:
        return [
            collect_face_pixels(
                view, shown.values[k], shown.depth[k], camera, self.head, self._skin_faces
            )
            for k, view in enumerate(views)
        ]

    def _build_equations(
        self,
        stage: FitStage,
        views: Sequence[FaceView],
        shown: ProjectedVertices,
        pixels: Sequence[FacePixels],
        landmarks: NDArray,
        camera: Camera,
        albedo: Albedo,
        light: Sequence[Tensor],
    ) -> tuple[NDArray, NDArray]:
        """J'WJ [N, D, D] and J'Wr [N, D] of both terms, frame by frame."""
        equations = [
            self._build_frame_equations(
                stage.weights, view, shown.values[k], shown.jacobian[k], pixels[k], landmarks[k],
                camera, albedo, light[k],
            )
            for k, view in enumerate(views)
        ]  # fmt: skip
        return np.stack([hessian for hessian, _ in equations]), np.stack(
            [gradient for _, gradient in equations]
        )

    def _build_frame_equations(
        self,
        weights: TermWeights,
        view: FaceView,
        values: NDArray,
        vertex_jacobian: NDArray,
        pixels: FacePixels,
        landmarks: NDArray,
        camera: Camera,
        albedo: Albedo,
        light: Tensor,
    ) -> tuple[NDArray, NDArray]:
        """J'WJ [D, D] and J'Wr [D] of one frame."""
        hessian, gradient = self._landmark_term.build_equations(
            values, vertex_jacobian, landmarks, camera
        )
        hessian, gradient = hessian * weights.landmark, gradient * weights.landmark
        if not len(pixels):
            return hessian, gradient
        difference = compute_photometric_residual(pixels, albedo, light)
        pixel_jacobian = compute_photometric_jacobian(pixels, albedo, light)
        # From px of the view to px of the frame, in which the vertices' positions are.
        pixel_jacobian[..., POSITION_VALUES] *= view.scale
        photometric_hessian, photometric_gradient = build_normal_equations(
            pixels.face_ids, pixels.barycentric, pixel_jacobian, difference.residual.numpy(),
            weights.photometric * difference.weight.numpy(), self.head.faces, vertex_jacobian,
        )  # fmt: skip
        return hessian + photometric_hessian, gradient + photometric_gradient

    def _estimate_albedo_and_light(
        self,
        views: Sequence[FaceView],
        shown: ProjectedVertices,
        pixels: Sequence[FacePixels],
        camera: Camera,
    ) -> tuple[Albedo, Tensor]:
        """Albedo and light of some frames of one clip: light first, skin explains the rest."""
        seen = torch.cat([p.observed_linear for p in pixels])
        normal = torch.cat([p.normal for p in pixels])
        weight = torch.ones(len(seen))
        even = torch.zeros(NUM_SH_COEFFICIENTS, 3)
        even[0] = 1 / SH_NORMALIZATION[0]
        skin = seen.mean(0) if len(seen) else torch.full((3,), 0.2)
        skin = (skin * SKIN_LUMINANCE / skin.mean().clamp_min(1e-4)).clamp_min(1e-3)
        bright = (seen / skin).mean() if len(seen) else torch.tensor(1.0)
        plain = skin.expand(len(seen), 3)
        light = solve_lighting(seen, plain, normal, weight, even * bright, CLIP_LIGHT_STIFFNESS)
        colours, lit, visible = [], [], []
        for k, view in enumerate(views):
            texels = self._texel_sampler.sample(view, shown.values[k], shown.depth[k], camera)
            colours.append(texels.color)
            lit.append(shade_normals(texels.normal, light))
            visible.append(texels.weight)
        albedo = estimate_albedo(
            torch.stack(colours), torch.stack(lit), torch.stack(visible), self._albedo_space
        )
        if len(seen):
            uv = torch.cat([p.uv for p in pixels])
            light = solve_lighting(
                seen, albedo.sample(uv)[0], normal, weight, light, CLIP_LIGHT_STIFFNESS
            )
        return albedo, light

    def _estimate_frame_light(
        self, pixels: FacePixels, clip: ClipParameters, previous_light: Tensor
    ) -> Tensor:
        if not len(pixels):
            return clip.lighting
        albedo, _ = clip.albedo.sample(pixels.uv)
        kept = compute_photometric_residual(pixels, clip.albedo, previous_light).weight
        return solve_lighting(
            pixels.observed_linear,
            albedo,
            pixels.normal,
            kept,
            clip.lighting,
            FRAME_LIGHT_STIFFNESS,
        )


def estimate_start_pose(
    head: HeadModel, camera: Camera, shape: NDArray, landmarks: NDArray
) -> FaceParameters:
    """Where landmarks alone [N, 478, 3] put the head."""
    fitter = LandmarkFitter(head, camera)
    return fitter.refine_parameters(landmarks, shape, fitter.estimate_initial_pose(landmarks))
