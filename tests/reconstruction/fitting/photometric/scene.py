"""A head whose pose, albedo and light are known, painted by the model that the fit inverts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.crop import compute_face_regions
from dubfew.reconstruction.fitting.landmark_fit import FaceParameters
from dubfew.reconstruction.fitting.photometric.albedo import FaceAlbedo
from dubfew.reconstruction.fitting.photometric.fit import ClipParameters
from dubfew.reconstruction.fitting.photometric.geometry import HeadProjector
from dubfew.reconstruction.fitting.photometric.shading import shade_normals
from dubfew.reconstruction.fitting.photometric.views import FaceView, crop_face_view
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.shading_torch import linear_to_srgb
from dubfew.reconstruction.track import Camera, Track

SIDE = 200
CAMERA = Camera(460.0, SIDE / 2, SIDE / 2)
FPS = Fraction(25)


class Scene:
    """N frames of a head that speaks and turns a little."""

    def __init__(self, n: int = 6, seed: int = 0) -> None:
        self.head = load_head_model()
        rng = np.random.default_rng(seed)
        spots = np.stack(
            [gaussian_filter(rng.standard_normal((128, 128)), 3) for _ in range(3)], -1
        )
        image = torch.from_numpy(np.clip(0.35 + 0.8 * spots, 0.05, 0.9).astype(np.float32))
        light = torch.zeros(9, 3)
        light[0], light[2], light[3, 0] = 2.4, 0.6, 0.3
        self.shape = np.zeros(len(self.head.shape_basis))
        self.shape[:6] = 1.5, -1.2, 1.0, 1.3, -1.1, 0.9
        self.clip = ClipParameters(
            self.shape, CAMERA, FaceAlbedo(image, torch.full((128, 128), 0.012)), light
        )
        t = np.linspace(0, 2 * np.pi, n, endpoint=False)
        turn = np.stack([0.05 * np.sin(t), 0.12 * np.cos(t), 0.03 * np.sin(2 * t)], 1)
        place = np.stack([0.004 * np.cos(t), -0.03 + 0.004 * np.sin(t), 0.62 + 0 * t], 1)
        jaw = np.stack([0.08 * (1 - np.cos(t)), 0 * t, 0 * t], 1)
        expression = np.zeros((n, len(self.head.expression_basis)))
        expression[:, :4] = 0.7 * np.stack([np.sin(k * t + k) for k in range(1, 5)], 1)
        self.pose = FaceParameters(Rotation.from_rotvec(turn).as_matrix(), place, jaw, expression)
        self._geometry = HeadProjector(self.head)
        self.shown = self._geometry.project_frames(
            self.pose, self.shape, CAMERA.focal, derivatives="none"
        )

    def pictures(self, light: torch.Tensor | None = None) -> NDArray[np.uint8]:
        """[N, SIDE, SIDE, 3]"""
        return np.stack([self._picture(k, light) for k in range(len(self.pose))])

    def _picture(self, k: int, light: torch.Tensor | None) -> NDArray[np.uint8]:
        values, head = self.shown.values[k], self.head
        screen = np.concatenate([values[:, :2] + SIDE / 2, self.shown.depth[k][:, None]], 1)
        raster = rasterize_mesh(screen, head.faces, SIDE, SIDE)
        carried = interpolate_attributes(
            raster, head.faces, np.concatenate([head.uv, values[:, 2:]], 1)
        )
        normal = torch.nn.functional.normalize(torch.from_numpy(carried[..., 2:]), dim=-1)
        albedo, _ = self.clip.albedo.sample(torch.from_numpy(carried[..., :2]).flatten(0, 1))
        lit = albedo.reshape(SIDE, SIDE, 3) * shade_normals(
            normal, self.clip.lighting if light is None else light
        )
        lit[~torch.from_numpy(raster.coverage)] = 0.3
        return (linear_to_srgb(lit).clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()

    def landmarks(self, noise: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
        """As a detector gives them, px. [N, 478, 3]"""
        found = np.zeros((len(self.pose), 478, 3), np.float32)
        found[:, :468, :2] = self.shown.values[:, :468, :2] + SIDE / 2
        found[:, :468, 2] = (self.shown.depth[:, :468] - 0.62) * CAMERA.focal / 0.62
        rng = np.random.default_rng(seed)
        found[..., :2] += noise * rng.standard_normal((len(found), 478, 2))
        return found

    def boxes(self) -> NDArray[np.float32]:
        vectors = Rotation.from_matrix(self.pose.rotation).as_rotvec().astype(np.float32)
        place = self.pose.translation.astype(np.float32)
        return compute_face_regions(self.head, self.shape, vectors, place, CAMERA).box

    def views(self, light: torch.Tensor | None = None) -> list[FaceView]:
        boxes = self.boxes()
        return [
            crop_face_view(Frame.from_rgb(rgb, k, FPS), k, boxes[k])
            for k, rgb in enumerate(self.pictures(light))
        ]

    def error(
        self, pose: FaceParameters, shape: NDArray | None = None, focal: float = CAMERA.focal
    ) -> float:
        """Mean distance of the face's vertices in the picture, px."""
        found = self._geometry.project_frames(
            pose, self.shape if shape is None else shape, focal, derivatives="none"
        )
        away = (found.values - self.shown.values)[:, :468, :2]
        return float(np.linalg.norm(away, axis=-1).mean())

    def track(self, noise: float = 0.0) -> Track:
        """A landmark fit of the scene that knows shape and camera."""
        from dubfew.reconstruction.fitting.photometric.fit import estimate_start_pose

        n, landmarks = len(self.pose), self.landmarks(noise)
        pose = estimate_start_pose(self.head, CAMERA, self.shape, landmarks)
        return Track(
            valid=np.ones(n, bool),
            times=np.arange(n) / 25,
            expression=pose.expression.astype(np.float32),
            jaw=pose.jaw.astype(np.float32),
            neck=np.zeros((n, 3), np.float32),
            rotation=Rotation.from_matrix(pose.rotation).as_rotvec().astype(np.float32),
            translation=pose.translation.astype(np.float32),
            lighting=np.zeros((n, 9, 3), np.float32),
            box=self.boxes(),
            landmarks=landmarks,
            confidence=np.ones(n, np.float32),
            shape=self.shape.astype(np.float32),
            camera=CAMERA,
            fps=FPS,
            width=SIDE,
            height=SIDE,
            head="lite",
            source_sha256="",
        )


def write(path: Path, pictures: NDArray[np.uint8]) -> Path:
    """A lossless video of pictures [N, H, W, 3]."""
    height, width = pictures.shape[1:3]
    info = VideoInfo(path, width, height, FPS)
    with VideoWriter(path, info, lossless=True) as out:
        for k, rgb in enumerate(pictures):
            out.write(Frame.from_rgb(rgb, k, FPS))
    return path
