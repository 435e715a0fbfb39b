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

from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.fitting.landmark_fit import LandmarkFitter, Pose
from dubfew.reconstruction.fitting.photometric.albedo import (
    TEXELS,
    Albedo,
    AlbedoSpace,
    estimate_albedo,
)
from dubfew.reconstruction.fitting.photometric.geometry import Geometry, Shown, normal_equations
from dubfew.reconstruction.fitting.photometric.shading import (
    BANDS,
    shade,
    solve_lighting,
    to_linear,
)
from dubfew.reconstruction.fitting.photometric.solve import moved, solve_chain, solve_joint
from dubfew.reconstruction.fitting.photometric.stages import Stage
from dubfew.reconstruction.fitting.photometric.terms import (
    Landmarks,
    Pixels,
    difference,
    difference_slopes,
    face_part,
    in_view,
    look,
)
from dubfew.reconstruction.fitting.photometric.views import SIZE, View
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.rasterizer.raster import interpolate, rasterise
from dubfew.reconstruction.track import Camera

# Luminance of a face's mean albedo. How bright the skin is and how bright the light cannot be
# told apart in pictures; so skin is always this bright, and its colour under white light is
# that of the clip.
SKIN = 0.35
# Pull of a frame's light to the clip's, and of the clip's to even light, over what a pixel says:
# skin's albedo and a harmonic's mean, both squared, are about 0.01.
FRAME_STIFFNESS, CLIP_STIFFNESS = 3e-4, 5e-4


@dataclass(frozen=True)
class Clip:
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
        space: albedos that are possible; None: free in every texel.
    """

    def __init__(self, head: HeadModel, space: AlbedoSpace | None = None) -> None:
        self.head = head
        self._space = space
        self._geometry = Geometry(head)
        self._part = face_part(head)
        self._landmarks = Landmarks(head)
        plane = np.concatenate([head.uv * TEXELS, np.ones((len(head.uv), 1))], 1)
        self._texels = rasterise(plane.astype(np.float32), head.faces, TEXELS, TEXELS)

    def joint(
        self,
        stage: Stage,
        views: Sequence[View],
        landmarks: NDArray,  # [K, 478, 3]
        pose: Pose,
        shape: NDArray,  # [S]
        camera: Camera,
        progress: ProgressCallback = silent,
    ) -> Clip:
        """Stage 2: what does not vary, from some frames of a clip together."""
        start = np.log(camera.focal)
        for step in range(stage.steps + 1):
            last = step == stage.steps
            shown = self._geometry.show(
                pose, shape, camera.focal, slopes="none" if last else "clip"
            )
            pixels = self._look(views, shown, camera)
            albedo, lighting = self._colours(views, shown, pixels, camera)
            if last:
                break
            normals, slopes = self._equations(
                stage, views, shown, pixels, landmarks, camera, albedo, [lighting] * len(views)
            )
            value = np.concatenate([pose.jaw, pose.expression], 1)
            common = np.append(shape, np.log(camera.focal) - start)
            step_frames, step_clip = solve_joint(stage, normals, slopes, value, common)
            pose = moved(pose, step_frames)
            shape = shape + step_clip[:-1]
            camera = replace(camera, focal=float(camera.focal * np.exp(step_clip[-1])))
            progress(Progress("joint", step + 1, stage.steps))
        return Clip(shape, camera, albedo, lighting)

    def frames(
        self,
        stage: Stage,
        clip: Clip,
        views: Sequence[View],
        landmarks: NDArray,  # [N, 478, 3]
        pose: Pose,
        linked: NDArray[np.bool_],  # [N]
        before: Pose | None = None,
    ) -> tuple[Pose, NDArray[np.float32]]:
        """Stage 3: what varies, for N frames of a clip in a row.

        Args:
            stage: terms and steps.
            clip: held fixed.
            views: of the frames.
            landmarks: px. [N, 478, 3]
            pose: where to start.
            linked: frame follows the one before it without a gap or cut. [N]
            before: the frame before the first one, already fitted.

        Returns:
            Pose and lighting [N, 9, 3].
        """
        light = [clip.lighting] * len(views)
        for step in range(stage.steps + 1):
            last = step == stage.steps
            shown = self._geometry.show(
                pose, clip.shape, clip.camera.focal, slopes="none" if last else "frame"
            )
            pixels = self._look(views, shown, clip.camera)
            light = [
                self._frame_light(p, clip, near) for p, near in zip(pixels, light, strict=True)
            ]
            if last:
                break
            normals, slopes = self._equations(
                stage, views, shown, pixels, landmarks, clip.camera, clip.albedo, light
            )
            pose = moved(pose, solve_chain(stage, normals, slopes, pose, linked, before))
        return pose, torch.stack(light).numpy()

    def errors(
        self, clip: Clip, views: Sequence[View], pose: Pose, lighting: NDArray
    ) -> NDArray[np.float64]:
        """Mean absolute difference of colour over each frame's face, sRGB in [0, 1]. [N]"""
        shown = self._geometry.show(pose, clip.shape, clip.camera.focal, slopes="none")
        pixels = self._look(views, shown, clip.camera)
        return np.array(
            [
                difference(p, clip.albedo, torch.from_numpy(own)).mean
                for p, own in zip(pixels, lighting, strict=True)
            ]
        )

    def _look(self, views: Sequence[View], shown: Shown, camera: Camera) -> list[Pixels]:
        return [
            look(view, shown.values[k], shown.depth[k], camera, self.head, self._part)
            for k, view in enumerate(views)
        ]

    def _equations(
        self,
        stage: Stage,
        views: Sequence[View],
        shown: Shown,
        pixels: Sequence[Pixels],
        landmarks: NDArray,
        camera: Camera,
        albedo: Albedo,
        light: Sequence[Tensor],
    ) -> tuple[NDArray, NDArray]:
        """J'WJ [N, D, D] and J'Wr [N, D] of both terms, frame by frame."""
        weights = stage.weights
        normals, slopes = [], []
        for k, (view, p) in enumerate(zip(views, pixels, strict=True)):
            by_vertex = shown.slopes[k]
            normal, slope = self._landmarks.equations(
                shown.values[k], by_vertex, landmarks[k], camera
            )
            normal, slope = normal * weights.landmark, slope * weights.landmark
            if len(p):
                off = difference(p, albedo, light[k])
                by_pixel = difference_slopes(p, albedo, light[k])
                by_pixel[..., :2] *= view.scale
                photo = normal_equations(
                    p.face, p.barycentric, by_pixel, off.residual.numpy(),
                    weights.photometric * off.weight.numpy(), self.head.faces, by_vertex,
                )  # fmt: skip
                normal, slope = normal + photo[0], slope + photo[1]
            normals.append(normal)
            slopes.append(slope)
        return np.stack(normals), np.stack(slopes)

    def _colours(
        self, views: Sequence[View], shown: Shown, pixels: Sequence[Pixels], camera: Camera
    ) -> tuple[Albedo, Tensor]:
        """Albedo and light of some frames of one clip: light first, skin explains the rest."""
        seen = torch.cat([p.linear for p in pixels])
        normal = torch.cat([p.normal for p in pixels])
        weight = torch.ones(len(seen))
        even = torch.zeros(BANDS, 3)
        even[0] = 1 / 0.282095
        skin = seen.mean(0) if len(seen) else torch.full((3,), 0.2)
        skin = (skin * SKIN / skin.mean().clamp_min(1e-4)).clamp_min(1e-3)
        bright = (seen / skin).mean() if len(seen) else torch.tensor(1.0)
        plain = skin.expand(len(seen), 3)
        light = solve_lighting(seen, plain, normal, weight, even * bright, CLIP_STIFFNESS)
        colours, lit, visible = [], [], []
        for k, view in enumerate(views):
            colour, facing, looks = self._texel_colours(view, shown, k, camera)
            colours.append(colour)
            lit.append(shade(facing, light))
            visible.append(looks)
        albedo = estimate_albedo(
            torch.stack(colours), torch.stack(lit), torch.stack(visible), self._space
        )
        if len(seen):
            uv = torch.cat([p.uv for p in pixels])
            light = solve_lighting(seen, albedo.at(uv)[0], normal, weight, light, CLIP_STIFFNESS)
        return albedo, light

    def _texel_colours(
        self, view: View, shown: Shown, k: int, camera: Camera
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Linear colour [T, T, 3], normal [T, T, 3] and visibility [T, T] of every texel."""
        placed = in_view(shown.values[k], shown.depth[k], view, camera)
        carried = interpolate(
            self._texels,
            self.head.faces,
            np.concatenate([placed, shown.values[k][:, 2:]], 1).astype(np.float32),
        )
        normal = torch.nn.functional.normalize(torch.from_numpy(carried[..., 3:]), dim=-1)
        grid = torch.from_numpy(carried[..., :2] * (2 / SIZE) - 1)[None]
        colour = torch.nn.functional.grid_sample(
            view.picture[None], grid, padding_mode="border", align_corners=False
        )[0].permute(1, 2, 0)
        raster = rasterise(placed, self.head.faces, SIZE, SIZE)
        front = interpolate(raster, self.head.faces, placed[:, 2:])[..., 0]
        at = np.clip(carried[..., 1::-1].astype(np.int64), 0, SIZE - 1)
        hidden = front[at[..., 0], at[..., 1]] < carried[..., 2] - 0.004
        part = self._part[self._texels.face_id] & self._texels.covered
        ok = part & ~hidden & view.seen[at[..., 0], at[..., 1]]
        ok &= ((carried[..., :2] > 0) & (carried[..., :2] < SIZE)).all(-1)
        facing = (normal[..., 2] - 0.15).clamp_min(0) * torch.from_numpy(ok)
        return to_linear(colour), normal, facing

    def _frame_light(self, pixels: Pixels, clip: Clip, near: Tensor) -> Tensor:
        if not len(pixels):
            return clip.lighting
        albedo, _ = clip.albedo.at(pixels.uv)
        kept = difference(pixels, clip.albedo, near).weight
        return solve_lighting(
            pixels.linear, albedo, pixels.normal, kept, clip.lighting, FRAME_STIFFNESS
        )


def start_pose(head: HeadModel, camera: Camera, shape: NDArray, landmarks: NDArray) -> Pose:
    """Where landmarks alone [N, 478, 3] put the head."""
    fitter = LandmarkFitter(head, camera)
    return fitter.refine(landmarks, shape, fitter.start(landmarks))
