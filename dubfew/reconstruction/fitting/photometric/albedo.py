"""The skin's own colour as a texture, told apart from the light on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.errors import AssetError
from dubfew.reconstruction.shading_torch import linear_to_srgb, srgb_to_linear

# Edge of the albedo, texels: about as fine as the pictures that the fit looks at.
ALBEDO_SIZE_TEXELS = 128
# Of an albedo that is free in every texel: pull of each to the face's mean colour. As strong as
# this many full looks, so that light and not skin explains what changes slowly over the face.
MEAN_COLOR_STIFFNESS = 0.3
# Differences of display colour that say nothing: coding, noise.
MIN_COLOR_RESIDUAL = 0.012
# Prior precision of a texture space's coefficients, over the weight of one texel.
COEFFICIENT_STIFFNESS = 0.1
# Leading components of FLAME's 200 that are used: what follows is finer than the texels here.
NUM_ALBEDO_COMPONENTS = 60


@dataclass(frozen=True)
class Albedo:
    """Colour of a face under white light.

    Attributes:
        image: linear RGB. [T, T, 3]
        residual: mean difference of display colour that stays unexplained there. [T, T]
    """

    image: Tensor
    residual: Tensor

    def sample(
        self,
        uv: Tensor,  # [P, 2]
    ) -> tuple[Tensor, Tensor]:  # [P, 3], [P]
        """Colour and spread at texture places, bilinear, clamped at the border."""
        both = torch.cat([self.image, self.residual[..., None]], -1).permute(2, 0, 1)[None]
        found = F.grid_sample(
            both, (uv * 2 - 1)[None, None], padding_mode="border", align_corners=False
        )[0, :, 0].T
        return found[:, :3], found[:, 3]


@dataclass(frozen=True)
class AlbedoSpace:
    """A linear model of albedos, in display colours.

    Attributes:
        mean: sRGB. [T, T, 3]
        basis: per unit coefficient. [B, T, T, 3]
    """

    mean: Tensor
    basis: Tensor

    @classmethod
    def load(
        cls,
        path: Path | str,
        texture_size: int = ALBEDO_SIZE_TEXELS,
        texel_uv: NDArray | None = None,
    ) -> AlbedoSpace:
        """Read FLAME's texture model, FLAME_texture.npz.

        Args:
            path: the file.
            texture_size: edge of the result.
            texel_uv: where each texel of the result lies in the file's pictures, in [0, 1]; by
                default the result is those pictures, made smaller. [texels, texels, 2]

        Raises:
            AssetError: it is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                mean, basis = file["mean"], file["tex_dir"][..., :NUM_ALBEDO_COMPONENTS]
            edge = int(np.sqrt(mean.size // 3))
            stack = np.concatenate(
                [
                    mean.reshape(1, edge, edge, 3),
                    np.moveaxis(basis.reshape(edge, edge, 3, -1), -1, 0),
                ]
            )[..., ::-1].astype(np.float32)  # OpenCV's order of colours, in 0 to 255
        except (OSError, KeyError, ValueError) as error:
            raise AssetError(
                f"{path} is not FLAME's texture model: register FLAME_texture.npz with `dubfew "
                "assets add flame-texture FILE`"
            ) from error
        pictures = torch.from_numpy(stack).permute(0, 3, 1, 2) / 255
        if texel_uv is None:
            small = F.interpolate(pictures, size=(texture_size, texture_size), mode="area")
        else:
            grid = (
                torch.from_numpy(texel_uv * 2 - 1).float()[None].expand(len(pictures), -1, -1, -1)
            )
            small = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        small = small.permute(0, 2, 3, 1)
        return cls(small[0], small[1:])


def estimate_albedo(
    colors: Tensor,  # [K, T, T, 3]
    light: Tensor,  # [K, T, T, 3]
    weight: Tensor,  # [K, T, T]
    albedo_space: AlbedoSpace | None = None,
) -> Albedo:
    """The albedo that explains what some frames show of every texel, in closed form.

    Args:
        colors: seen, linear RGB. [K, T, T, 3]
        light: that falls there, linear RGB. [K, T, T, 3]
        weight: 0 where a frame does not show a texel, else how well. [K, T, T]
        albedo_space: albedos that are possible; without it every texel is free.

    Returns:
        The albedo of least absolute differences (reweighted least squares).
    """
    shown = weight[..., None]
    total = shown.sum((0, 1, 2)).clamp_min(1e-6)
    skin = (shown * colors / light).sum((0, 1, 2)) / total  # [3]
    robust = shown
    image = skin.expand(*weight.shape[1:], 3)
    for _ in range(3):
        image = (robust * light * colors).sum(0) + MEAN_COLOR_STIFFNESS * skin
        image = image / ((robust * light * light).sum(0) + MEAN_COLOR_STIFFNESS)
        image = image.clamp(0.002, 1.5)
        if albedo_space is not None:
            image = _project_to_space(image, robust.sum(0)[..., 0], albedo_space)
        left = (linear_to_srgb(image * light) - linear_to_srgb(colors)).abs().mean(-1, keepdim=True)
        robust = shown / (left + MIN_COLOR_RESIDUAL) * MIN_COLOR_RESIDUAL
    spread = (shown * left).sum(0) / (shown.sum(0) + 1e-6)
    # What nobody has seen is trusted as little as the worst that was.
    unseen = shown.sum(0) < 1e-3
    worst = spread[~unseen].quantile(0.95) if bool((~unseen).any()) else torch.tensor(0.1)
    spread = torch.where(unseen, worst, spread).clamp_min(MIN_COLOR_RESIDUAL)
    return Albedo(image, spread[..., 0])


def _project_to_space(image: Tensor, weight: Tensor, albedo_space: AlbedoSpace) -> Tensor:
    """The nearest albedo of a space, up to the gain of each colour, which is the light's."""
    flat = weight.flatten()[:, None].expand(-1, 3)
    mean = albedo_space.mean.flatten(0, 1)
    wanted = image.flatten(0, 1)
    gain = (flat * wanted).sum(0) / (flat * srgb_to_linear(mean)).sum(0).clamp_min(1e-6)
    target = (linear_to_srgb((wanted / gain.clamp_min(1e-6)).clamp(0, 1)) - mean).flatten()
    rows = albedo_space.basis.flatten(1)
    weighted = rows * flat.flatten()
    normal = weighted @ rows.T + COEFFICIENT_STIFFNESS * torch.eye(len(rows))
    found = torch.linalg.solve(normal, weighted @ target)
    display = (mean.flatten() + found @ rows).clamp(0.01, 1)
    return (srgb_to_linear(display).reshape(-1, 3) * gain).reshape(image.shape)
