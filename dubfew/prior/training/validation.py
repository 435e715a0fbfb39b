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

from dubfew.data.samples import Sample, collate, footage_texture, make_sample
from dubfew.prior.losses.objective import mouth_psnr
from dubfew.prior.renderers import Renderer
from dubfew.prior.training.model import bare
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.references.footage import Footage
from dubfew.references.warping import warp
from dubfew.textures import sample_texture

# Of every person so many references and so many frames to judge, from another part of the clip.
REFERENCES, FRAMES = 48, 6
SSIM_WINDOW = 7


@dataclass(frozen=True)
class Judgement:
    """How held-out people look without any adaptation.

    Attributes:
        values: means over people: "psnr_heldout" of the mouth boxes, "psnr_warp" of the bare
            warp in the same frames (dB), "ssim_heldout", and "sharpness_heldout", the detail over
            the truth's. Empty without held-out people.
        clips: the same figures of each person: "psnr", "warp", "ssim", "sharpness".
        pictures: one frame of each person: truth, bare warp and rendered, side by side, RGB.
            [S, 3 * S, 3] uint8
    """

    values: dict[str, float]
    clips: dict[str, dict[str, float]]
    pictures: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class _Case:
    sample: Sample
    colours: Tensor  # [3, H, W]
    warped: Tensor  # [B, 3, S, S]
    psnr_warp: float


class Judge:
    """Renders held-out people as new actors, from references of their own clip."""

    def __init__(
        self,
        people: Iterable[tuple[Footage, Mapping[str, Any]]],
        references: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self.cases: dict[str, _Case] = {}
        head = load_head()
        for number, (footage, header) in enumerate(people):
            half = min(100, len(footage) // 2)
            bank = np.unique(np.linspace(0, half - 1, REFERENCES).astype(int))
            last = len(footage) - 1
            rows = np.unique(np.linspace(min(half + 4, last), last, FRAMES).astype(int))
            sample = collate([make_sample(footage, r, bank, head, references) for r in rows])
            rgb = torch.from_numpy(footage_texture(footage.select(bank), head)).permute(2, 0, 1)
            warped = warp(sample.inputs).blend(sample.inputs)
            name = str(header.get("file") or number)
            psnr = float(mouth_psnr(warped, sample).mean())
            self.cases[name] = _Case(sample, rgb, warped, psnr)

    @torch.no_grad()
    def __call__(self, renderer: Renderer) -> Judgement:
        clips, pictures = {}, {}
        for name, case in self.cases.items():
            sample = case.sample.to(self.device)
            inputs = sample.inputs
            texture = bare(case.colours.to(self.device), renderer.config.texture_channels)
            many = texture.expand(len(inputs.uv), -1, -1, -1)
            picture = renderer(inputs, sample_texture(many, inputs.uv, inputs.covered[:, 0] > 0))
            frames = [_bytes(each) for each in (sample.truth, case.warped, picture)]
            alike = [
                _mouth_measures(truth, painted, box)
                for truth, painted, box in zip(
                    frames[0], frames[2], sample.mouth.cpu().numpy(), strict=True
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
        return Judgement(_means(clips), clips, pictures)


def _means(clips: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    if not clips:
        return {}
    mean = {k: float(np.mean([c[k] for c in clips.values()])) for k in ("psnr", "warp", "ssim")}
    return {
        "psnr_heldout": mean["psnr"],
        "psnr_warp": mean["warp"],
        "ssim_heldout": mean["ssim"],
        # Of ratios the geometric mean is the fair one.
        "sharpness_heldout": float(
            np.exp(np.mean([np.log(c["sharpness"]) for c in clips.values()]))
        ),
    }


def _bytes(picture: Tensor) -> NDArray[np.uint8]:
    """Pictures in [0, 1] [B, 3, S, S] as RGB. [B, S, S, 3]"""
    return (picture.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _mouth_measures(
    truth: NDArray[np.uint8], painted: NDArray[np.uint8], box: NDArray[np.float32]
) -> tuple[float, float]:
    """SSIM in the lips' box, and the variance of the Laplacian over the truth's."""
    size = len(truth)
    # A mouth in a corner still gets a box that SSIM's window fits into.
    left, top = (int(np.clip(v, 0, size - SSIM_WINDOW)) for v in np.floor(box[:2]))
    right, bottom = (
        int(np.clip(v, low + SSIM_WINDOW, size))
        for v, low in zip(np.ceil(box[2:]), (left, top), strict=True)
    )
    a, b = (each[top:bottom, left:right].astype(np.float32) for each in (truth, painted))
    ssim = structural_similarity(a, b, win_size=SSIM_WINDOW, data_range=255.0, channel_axis=2)
    luma = np.array([0.299, 0.587, 0.114], np.float32)
    detail = [float(laplace(each @ luma, mode="reflect").var()) + 1e-3 for each in (a, b)]
    return float(ssim), detail[1] / detail[0]
