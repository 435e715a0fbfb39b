"""Validation on people whom the training does not see, at every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import laplace
from skimage.metrics import structural_similarity
from torch import Tensor

from dubfew.data.samples import TrainingSample, collate_samples, make_sample, unwrap_footage_texture
from dubfew.data.sampling import split_validation_rows
from dubfew.prior.losses.objective import mouth_psnr
from dubfew.prior.renderers import Renderer
from dubfew.prior.training.model import texture_from_colors
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.footage import Footage
from dubfew.references.warping import warp_references
from dubfew.textures import sample_texture
from dubfew.utils.luma import LUMA_BT601

# References of every person, as many as an actor stores, and frames to render, from another part of
# the clip. More frames make a validation slower and less noisy.
VALIDATION_REFERENCES, VALIDATION_FRAMES = 48, 6
# Edge of the window that SSIM compares in, px: scikit-image's default. Mouths may be little larger.
SSIM_WINDOW_PX = 7
# Added to the variances of the Laplacian that sharpness is a ratio of: flat images give 1.
MIN_DETAIL_VARIANCE = 1e-3
# Weights of RGB in luma.


@dataclass(frozen=True)
class ValidationResult:
    """Figures and images of held-out people who are rendered without an adaptation.

    Attributes:
        metrics: means over the people, empty if there are none: ``psnr_heldout`` of the mouth boxes
            and ``psnr_warp`` of the bare warp in the same frames (dB), ``ssim_heldout``, and
            ``sharpness_heldout``, the amount of detail relative to the target's.
        metrics_by_clip: the same of each person: ``psnr``, ``warp``, ``ssim``, ``sharpness``.
        preview_images: one frame of each person: target, bare warp and rendered, side by side, RGB.
            [S, 3 * S, 3] uint8
    """

    metrics: dict[str, float]
    metrics_by_clip: dict[str, dict[str, float]]
    preview_images: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class _HeldOutClip:
    """Everything about one held-out clip that does not depend on the renderer."""

    sample: TrainingSample
    unwrapped_colors: Tensor  # [3, H, W]
    warp_images: Tensor  # [B, 3, S, S]
    psnr_warp: float


class HeldOutValidator:
    """Renders held-out people as new actors, from references of their own clip."""

    def __init__(
        self,
        people: Iterable[tuple[Footage, Mapping[str, Any]]],
        num_references: int,
        device: torch.device,
    ) -> None:
        """Choose frames and references of each person; the choice stays for all validations.

        Args:
            people: footage and header of the held-out people.
            num_references: references of each frame.
            device: device that the renderer is on.
        """
        self.device = device
        self.held_out_clips: dict[str, _HeldOutClip] = {}
        head = load_head_model()
        for number, (footage, header) in enumerate(people):
            reference_rows, target_rows = split_validation_rows(
                len(footage), VALIDATION_REFERENCES, VALIDATION_FRAMES
            )
            sample = collate_samples(
                [
                    make_sample(footage, row, reference_rows, head, num_references)
                    for row in target_rows
                ]
            )
            # Colors from the references alone, as of an actor whose other frames are unknown.
            rgb = torch.from_numpy(
                unwrap_footage_texture(footage.select_frames(reference_rows), head)
            ).permute(2, 0, 1)
            warped = warp_references(sample.inputs).blend_references(sample.inputs)
            name = str(header.get("file") or number)
            psnr = float(mouth_psnr(warped, sample).mean())
            self.held_out_clips[name] = _HeldOutClip(sample, rgb, warped, psnr)

    @torch.no_grad()
    def __call__(self, renderer: Renderer) -> ValidationResult:
        """Render all held-out clips and measure the mouths.

        Args:
            renderer: network in evaluation mode.
        """
        metrics_by_clip, previews = {}, {}
        for name, clip in self.held_out_clips.items():
            sample = clip.sample.to(self.device)
            prediction = self._render(renderer, clip, sample)
            target, warped, rendered = (
                to_uint8_images(images) for images in (sample.target, clip.warp_images, prediction)
            )
            boxes = sample.mouth_box.cpu().numpy()
            measured = [measure_mouth(*each) for each in zip(target, rendered, boxes, strict=True)]
            ssim, sharpness = np.array(measured).T
            metrics_by_clip[name] = {
                "psnr": float(mouth_psnr(prediction, sample).mean()),
                "warp": clip.psnr_warp,
                "ssim": float(ssim.mean()),
                "sharpness": float(np.exp(np.log(sharpness).mean())),
            }
            previews[name] = np.concatenate([target[0], warped[0], rendered[0]], 1)
        return ValidationResult(average_metrics(metrics_by_clip), metrics_by_clip, previews)

    def _render(self, renderer: Renderer, clip: _HeldOutClip, sample: TrainingSample) -> Tensor:
        """Render a clip's frames with its colors and no learned features. [B, 3, S, S]"""
        inputs = sample.inputs
        texture = texture_from_colors(
            clip.unwrapped_colors.to(self.device), renderer.config.texture_channels
        )
        texture = texture.expand(len(inputs.uv), -1, -1, -1)
        return renderer(inputs, sample_texture(texture, inputs.uv, inputs.mesh_mask[:, 0] > 0))


def average_metrics(metrics_by_clip: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Average the figures over the clips, under the names that logs have."""
    if not metrics_by_clip:
        return {}
    names = {"psnr": "psnr_heldout", "warp": "psnr_warp", "ssim": "ssim_heldout"}
    # Only blending renderers have a warp to compare with.
    known = next(iter(metrics_by_clip.values()))
    return {
        **{
            name: float(np.mean([c[k] for c in metrics_by_clip.values()]))
            for k, name in names.items()
            if k in known
        },
        # The geometric mean, since twice and half the detail are equally far from 1.
        "sharpness_heldout": float(
            np.exp(np.mean([np.log(c["sharpness"]) for c in metrics_by_clip.values()]))
        ),
    }


def to_uint8_images(images: Tensor) -> NDArray[np.uint8]:
    """Turn images in [0, 1] [B, 3, S, S] into RGB of 8 bits. [B, S, S, 3]"""
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def measure_mouth(
    target: NDArray[np.uint8], prediction: NDArray[np.uint8], mouth_box: NDArray[np.float32]
) -> tuple[float, float]:
    """Measure SSIM in the lips' box, and sharpness relative to the target's.

    Args:
        target: true picture, RGB. [H, W, 3]
        prediction: rendered picture, RGB. [H, W, 3]
        mouth_box: left, top, right, bottom, px. [4]
    """
    size = target.shape[1::-1]  # width and height
    # Keep the box inside the window and at least as large as SSIM's window.
    left, top = (
        int(np.clip(v, 0, edge - SSIM_WINDOW_PX))
        for v, edge in zip(np.floor(mouth_box[:2]), size, strict=True)
    )
    right, bottom = (
        int(np.clip(v, low + SSIM_WINDOW_PX, edge))
        for v, low, edge in zip(np.ceil(mouth_box[2:]), (left, top), size, strict=True)
    )
    a, b = (each[top:bottom, left:right].astype(np.float32) for each in (target, prediction))
    ssim = structural_similarity(a, b, win_size=SSIM_WINDOW_PX, data_range=255.0, channel_axis=2)
    # The variance of the Laplacian of luma is the amount of detail.
    luma = LUMA_BT601
    detail = [
        float(laplace(each @ luma, mode="reflect").var()) + MIN_DETAIL_VARIANCE for each in (a, b)
    ]
    return float(ssim), detail[1] / detail[0]
