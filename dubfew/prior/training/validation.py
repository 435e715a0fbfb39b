"""People whom the training does not see, rendered at every checkpoint."""

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

# Of every person so many references and so many frames to judge, from another part of the clip.
VALIDATION_REFERENCES, VALIDATION_FRAMES = 48, 6
SSIM_WINDOW_PX = 7


@dataclass(frozen=True)
class ValidationResult:
    """How held-out people look without any adaptation.

    Attributes:
        metrics: means over people: "psnr_heldout" of the mouth boxes, "psnr_warp" of the bare
            warp in the same frames (dB), "ssim_heldout", and "sharpness_heldout", the detail over
            the truth's. Empty without held-out people.
        metrics_by_clip: the same figures of each person: "psnr", "warp", "ssim", "sharpness".
        preview_images: one frame of each person: truth, bare warp and rendered, side by side, RGB.
            [S, 3 * S, 3] uint8
    """

    metrics: dict[str, float]
    metrics_by_clip: dict[str, dict[str, float]]
    preview_images: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class _HeldOutClip:
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
        self.device = device
        self.held_out_clips: dict[str, _HeldOutClip] = {}
        head = load_head_model()
        for number, (footage, header) in enumerate(people):
            bank, rows = split_validation_rows(
                len(footage), VALIDATION_REFERENCES, VALIDATION_FRAMES
            )
            sample = collate_samples(
                [make_sample(footage, r, bank, head, num_references) for r in rows]
            )
            rgb = torch.from_numpy(
                unwrap_footage_texture(footage.select_frames(bank), head)
            ).permute(2, 0, 1)
            warped = warp_references(sample.inputs).blend_references(sample.inputs)
            name = str(header.get("file") or number)
            psnr = float(mouth_psnr(warped, sample).mean())
            self.held_out_clips[name] = _HeldOutClip(sample, rgb, warped, psnr)

    @torch.no_grad()
    def __call__(self, renderer: Renderer) -> ValidationResult:
        clips, pictures = {}, {}
        for name, case in self.held_out_clips.items():
            sample = case.sample.to(self.device)
            inputs = sample.inputs
            texture = texture_from_colors(
                case.unwrapped_colors.to(self.device), renderer.config.texture_channels
            )
            many = texture.expand(len(inputs.uv), -1, -1, -1)
            picture = renderer(inputs, sample_texture(many, inputs.uv, inputs.mesh_mask[:, 0] > 0))
            frames = [_to_uint8_images(each) for each in (sample.target, case.warp_images, picture)]
            alike = [
                _measure_mouth(truth, painted, box)
                for truth, painted, box in zip(
                    frames[0], frames[2], sample.mouth_box.cpu().numpy(), strict=True
                )
            ]
            ssim, detail = np.array(alike).T
            clips[name] = {
                "psnr": float(mouth_psnr(picture, sample).mean()),
                "warp": case.psnr_warp,
                "ssim": float(ssim.mean()),
                "sharpness": float(np.exp(np.log(detail).mean())),
            }
            pictures[name] = np.concatenate([each[0] for each in frames], 1)
        return ValidationResult(_average_metrics(clips), clips, pictures)


def _average_metrics(metrics_by_clip: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    if not metrics_by_clip:
        return {}
    mean = {
        k: float(np.mean([c[k] for c in metrics_by_clip.values()]))
        for k in ("psnr", "warp", "ssim")
    }
    return {
        "psnr_heldout": mean["psnr"],
        "psnr_warp": mean["warp"],
        "ssim_heldout": mean["ssim"],
        # Of ratios the geometric mean is the fair one.
        "sharpness_heldout": float(
            np.exp(np.mean([np.log(c["sharpness"]) for c in metrics_by_clip.values()]))
        ),
    }


def _to_uint8_images(images: Tensor) -> NDArray[np.uint8]:
    """Pictures in [0, 1] [B, 3, S, S] as RGB. [B, S, S, 3]"""
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _measure_mouth(
    target: NDArray[np.uint8], prediction: NDArray[np.uint8], mouth_box: NDArray[np.float32]
) -> tuple[float, float]:
    """SSIM in the lips' box, and the variance of the Laplacian over the truth's."""
    size = len(target)
    # A mouth in a corner still gets a box that SSIM's window fits into.
    left, top = (int(np.clip(v, 0, size - SSIM_WINDOW_PX)) for v in np.floor(mouth_box[:2]))
    right, bottom = (
        int(np.clip(v, low + SSIM_WINDOW_PX, size))
        for v, low in zip(np.ceil(mouth_box[2:]), (left, top), strict=True)
    )
    a, b = (each[top:bottom, left:right].astype(np.float32) for each in (target, prediction))
    ssim = structural_similarity(a, b, win_size=SSIM_WINDOW_PX, data_range=255.0, channel_axis=2)
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    detail = [float(laplace(each @ luma, mode="reflect").var()) + 1e-3 for each in (a, b)]
    return float(ssim), detail[1] / detail[0]
