"""The photometric fit of one clip: Gauss-Newton steps on pixels and landmarks together.

In every step all terms are linearized around the present parameters and the sum of squares is
solved at once; reweighting turns squares of color differences into absolute differences. The
rasterizer decides which pixel shows which face, and this is held fixed within a step. So pixels do
not move the head's outline; landmarks do.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone" (arXiv 2401.06126), appendix A.1; the
solver follows Thies et al. 2016, "Face2Face" (CVPR).
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
    AlbedoSpace,
    FaceAlbedo,
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

# Mean of a face's albedo over texels and colors. Pictures cannot tell bright skin from bright
# light; so skin is always this bright, and its color under white light is the clip's.
SKIN_LUMINANCE = 0.35
# Pull of a frame's light to the clip's, and of the clip's light to even light, over a pixel's
# weight. For comparison: albedo squared times the mean square of a harmonic is about 0.01. Larger
# values keep the light steadier, smaller ones let it explain what the albedo should.
FRAME_LIGHT_STIFFNESS, CLIP_LIGHT_STIFFNESS = 3e-4, 5e-4
# Color of the skin where no pixel of a face is seen: any gray does.
UNSEEN_SKIN_LUMINANCE = 0.2


@dataclass(frozen=True)
class ClipParameters:
    """What all frames of a clip share.

    Attributes:
        shape: identity coefficients. [S]
        camera: camera of all frames.
        albedo: albedo of the face.
        lighting: light of the clip, as in ``Track.lighting``; each frame's own is near it. [9, 3]
    """

    shape: NDArray[np.float64]
    camera: Camera
    albedo: FaceAlbedo
    lighting: Tensor


class PhotometricFitter:
    """Fits one head model to the pictures of one clip.

    Args:
        head: head model.
        albedo_space: albedos that are possible; None leaves every texel free.
    """

    def __init__(self, head: HeadModel, albedo_space: AlbedoSpace | None = None) -> None:
        self.head = head
        self._albedo_space = albedo_space
        self._projector = HeadProjector(head)
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
        """Fit what a clip's frames share to some of them together (stage 2).

        Args:
            stage: terms, steps and what is optimized.
            views: faces in K frames.
            landmarks: detected landmarks of those frames, px. [K, 478, 3]
            pose: parameters of those frames to start from.
            shape: identity coefficients to start from. [S]
            camera: camera to start from.
            progress: called after every step.

        Returns:
            Shape, camera, albedo and light; without steps, the albedo and light of what was given.
        """
        start = np.log(camera.focal)
        for step in range(stage.steps + 1):
            # The last round has no step: it estimates albedo and light for the final parameters.
            last = step == stage.steps
            projected = self._projector.project_frames(
                pose, shape, camera.focal, derivatives="none" if last else "clip"
            )
            pixels = self._collect_pixels(views, projected, camera)
            albedo, lighting = self._estimate_albedo_and_light(views, projected, pixels, camera)
            if last:
                break
            hessians, gradients = self._build_equations(
                stage, views, projected, pixels, landmarks, camera, albedo, [lighting] * len(views)
            )
            frame_values = np.concatenate([pose.jaw, pose.expression], 1)
            clip_values = np.append(shape, np.log(camera.focal) - start)
            step_frames, step_clip = solve_joint_step(
                stage, hessians, gradients, frame_values, clip_values
            )
            pose = apply_step(pose, step_frames)
            shape = shape + step_clip[SHAPE_COLUMNS]
            # The logarithm is what steps: a focal length stays positive.
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
        """Fit what varies, for N frames of a clip in a row (stage 3).

        Args:
            stage: terms and steps.
            clip: what the frames share; it is not changed.
            views: faces in the N frames.
            landmarks: detected landmarks of those frames, px. [N, 478, 3]
            pose: parameters of those frames to start from.
            follows_previous: True where a frame follows the one before it without a gap or cut. [N]
            previous_pose: final parameters of the frame before the first one, if there is one.

        Returns:
            Parameters of the frames, and their light as in ``Track.lighting`` [N, 9, 3].
        """
        light = [clip.lighting] * len(views)
        for step in range(stage.steps + 1):
            last = step == stage.steps
            projected = self._projector.project_frames(
                pose, clip.shape, clip.camera.focal, derivatives="none" if last else "frame"
            )
            pixels = self._collect_pixels(views, projected, clip.camera)
            # Light first, in closed form; the step then explains what light cannot.
            light = [
                self._estimate_frame_light(frame_pixels, clip, previous)
                for frame_pixels, previous in zip(pixels, light, strict=True)
            ]
            if last:
                break
            hessians, gradients = self._build_equations(
                stage, views, projected, pixels, landmarks, clip.camera, clip.albedo, light
            )
            pose = apply_step(
                pose,
                solve_chain_step(stage, hessians, gradients, pose, follows_previous, previous_pose),
            )
        return pose, torch.stack(light).numpy()

    def measure_color_errors(
        self,
        clip: ClipParameters,
        views: Sequence[FaceView],
        pose: FaceParameters,
        lighting: NDArray,  # [N, 9, 3]
    ) -> NDArray[np.float64]:  # [N]
        """Measure the mean absolute difference of color over the face of each frame.

        Args:
            clip: what the frames share.
            views: faces in N frames.
            pose: parameters of those frames.
            lighting: light of those frames. [N, 9, 3]

        Returns:
            Differences of sRGB in [0, 1]; pixels that something covers are left out. [N]
        """
        projected = self._projector.project_frames(
            pose, clip.shape, clip.camera.focal, derivatives="none"
        )
        pixels = self._collect_pixels(views, projected, clip.camera)
        return np.array(
            [
                compute_photometric_residual(
                    frame_pixels, clip.albedo, torch.from_numpy(light)
                ).mean_abs_error
                for frame_pixels, light in zip(pixels, lighting, strict=True)
            ]
        )

    def _collect_pixels(
        self, views: Sequence[FaceView], projected: ProjectedVertices, camera: Camera
    ) -> list[FacePixels]:
        """The pixels of skin in every frame."""
        return [
            collect_face_pixels(
                view, projected.values[k], projected.depth[k], camera, self.head, self._skin_faces
            )
            for k, view in enumerate(views)
        ]

    def _build_equations(
        self,
        stage: FitStage,
        views: Sequence[FaceView],
        projected: ProjectedVertices,
        pixels: Sequence[FacePixels],
        landmarks: NDArray,
        camera: Camera,
        albedo: FaceAlbedo,
        light: Sequence[Tensor],
    ) -> tuple[NDArray, NDArray]:
        """Gauss-Newton Hessians J'WJ [N, D, D] and gradients J'Wr [N, D], frame by frame."""
        equations = [
            self._build_frame_equations(
                stage.weights, view, projected.values[k], projected.jacobian[k], pixels[k],
                landmarks[k], camera, albedo, light[k],
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
        values: NDArray,  # [V, 5]
        vertex_jacobian: NDArray,  # [V, 5, D]
        pixels: FacePixels,
        landmarks: NDArray,  # [478, 3]
        camera: Camera,
        albedo: FaceAlbedo,
        light: Tensor,  # [9, 3]
    ) -> tuple[NDArray, NDArray]:
        """Hessian [D, D] and gradient [D] of one frame: the sum of both terms."""
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
        projected: ProjectedVertices,
        pixels: Sequence[FacePixels],
        camera: Camera,
    ) -> tuple[FaceAlbedo, Tensor]:
        """Albedo and light [9, 3] of some frames of one clip.

        Light comes first, as if the whole face had one color; the albedo explains the rest; then
        the light is solved once more for that albedo.
        """
        observed = torch.cat([p.observed_linear for p in pixels])
        normal = torch.cat([p.normal for p in pixels])
        weight = torch.ones(len(observed))
        # Light of 1 from everywhere: the first harmonic is a constant.
        even = torch.zeros(NUM_SH_COEFFICIENTS, 3)
        even[0] = 1 / SH_NORMALIZATION[0]
        seen = len(observed) > 0
        skin = observed.mean(0) if seen else torch.full((3,), UNSEEN_SKIN_LUMINANCE)
        skin = (skin * SKIN_LUMINANCE / skin.mean().clamp_min(1e-4)).clamp_min(1e-3)
        brightness = (observed / skin).mean() if seen else torch.tensor(1.0)
        plain = skin.expand(len(observed), 3)
        light = solve_lighting(
            observed, plain, normal, weight, even * brightness, CLIP_LIGHT_STIFFNESS
        )
        samples = [
            self._texel_sampler.sample(view, projected.values[k], projected.depth[k], camera)
            for k, view in enumerate(views)
        ]
        albedo = estimate_albedo(
            torch.stack([texels.color for texels in samples]),
            torch.stack([shade_normals(texels.normal, light) for texels in samples]),
            torch.stack([texels.weight for texels in samples]),
            self._albedo_space,
        )
        if seen:
            uv = torch.cat([p.uv for p in pixels])
            light = solve_lighting(
                observed, albedo.sample(uv)[0], normal, weight, light, CLIP_LIGHT_STIFFNESS
            )
        return albedo, light

    def _estimate_frame_light(
        self, pixels: FacePixels, clip: ClipParameters, previous_light: Tensor
    ) -> Tensor:
        """Light of one frame [9, 3]; ``previous_light`` decides which pixels something covers."""
        if not len(pixels):
            return clip.lighting
        albedo, _ = clip.albedo.sample(pixels.uv)
        weight = compute_photometric_residual(pixels, clip.albedo, previous_light).weight
        return solve_lighting(
            pixels.observed_linear,
            albedo,
            pixels.normal,
            weight,
            clip.lighting,
            FRAME_LIGHT_STIFFNESS,
        )


def estimate_start_pose(
    head: HeadModel,
    camera: Camera,
    shape: NDArray,  # [S]
    landmarks: NDArray,  # [N, 478, 3]
) -> FaceParameters:
    """Estimate the parameters of N frames from landmarks alone, for a given identity.

    Args:
        head: head model.
        camera: camera of all frames.
        shape: identity coefficients. [S]
        landmarks: detected landmarks, px. [N, 478, 3]
    """
    fitter = LandmarkFitter(head, camera)
    return fitter.refine_parameters(landmarks, shape, fitter.estimate_initial_pose(landmarks))
