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
from dubfew.reconstruction.fitting.photometric.shading import to_display, to_linear

# Edge of the albedo, texels: about as fine as the pictures that the fit looks at.
TEXELS = 128
# Of an albedo that is free in every texel: pull of each to the face's mean colour. As strong as
# this many full looks, so that light and not skin explains what changes slowly over the face.
PULL = 0.3
# Differences of display colour that say nothing: coding, noise.
SMALLEST_SPREAD = 0.012
# Prior precision of a texture space's coefficients, over the weight of one texel.
SPACE_STIFFNESS = 0.1
# Leading components of FLAME's 200 that are used: what follows is finer than the texels here.
COMPONENTS = 60


@dataclass(frozen=True)
class Albedo:
    """Colour of a face under white light.

    Attributes:
        image: linear RGB. [T, T, 3]
        spread: mean difference of display colour that stays unexplained there. [T, T]
    """

    image: Tensor
    spread: Tensor

    def at(
        self,
        uv: Tensor,  # [P, 2]
    ) -> tuple[Tensor, Tensor]:  # [P, 3], [P]
        """Colour and spread at texture places, bilinear, clamped at the border."""
        both = torch.cat([self.image, self.spread[..., None]], -1).permute(2, 0, 1)[None]
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
        cls, path: Path | str, texels: int = TEXELS, places: NDArray | None = None
    ) -> AlbedoSpace:
        """Read FLAME's texture model, FLAME_texture.npz.

        Args:
            path: the file.
            texels: edge of the result.
            places: where each texel of the result lies in the file's pictures, in [0, 1]; by
                default the result is those pictures, made smaller. [texels, texels, 2]

        Raises:
            AssetError: it is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                mean, basis = file["mean"], file["tex_dir"][..., :COMPONENTS]
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
        if places is None:
            small = F.interpolate(pictures, size=(texels, texels), mode="area")
        else:
            grid = torch.from_numpy(places * 2 - 1).float()[None].expand(len(pictures), -1, -1, -1)
            small = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        small = small.permute(0, 2, 3, 1)
        return cls(small[0], small[1:])


def estimate_albedo(
    colours: Tensor,  # [K, T, T, 3]
    light: Tensor,  # [K, T, T, 3]
    weight: Tensor,  # [K, T, T]
    space: AlbedoSpace | None = None,
) -> Albedo:
    """The albedo that explains what some frames show of every texel, in closed form.

    Args:
        colours: seen, linear RGB. [K, T, T, 3]
        light: that falls there, linear RGB. [K, T, T, 3]
        weight: 0 where a frame does not show a texel, else how well. [K, T, T]
        space: albedos that are possible; without it every texel is free.

    Returns:
        The albedo of least absolute differences (reweighted least squares).
    """
    shown = weight[..., None]
    total = shown.sum((0, 1, 2)).clamp_min(1e-6)
    skin = (shown * colours / light).sum((0, 1, 2)) / total  # [3]
    robust = shown
    image = skin.expand(*weight.shape[1:], 3)
    for _ in range(3):
        image = (robust * light * colours).sum(0) + PULL * skin
        image = image / ((robust * light * light).sum(0) + PULL)
        image = image.clamp(0.002, 1.5)
        if space is not None:
            image = _in_space(image, robust.sum(0)[..., 0], space)
        left = (to_display(image * light) - to_display(colours)).abs().mean(-1, keepdim=True)
        robust = shown / (left + SMALLEST_SPREAD) * SMALLEST_SPREAD
    spread = (shown * left).sum(0) / (shown.sum(0) + 1e-6)
    # What nobody has seen is trusted as little as the worst that was.
    unseen = shown.sum(0) < 1e-3
    worst = spread[~unseen].quantile(0.95) if bool((~unseen).any()) else torch.tensor(0.1)
    spread = torch.where(unseen, worst, spread).clamp_min(SMALLEST_SPREAD)
    return Albedo(image, spread[..., 0])


def _in_space(image: Tensor, weight: Tensor, space: AlbedoSpace) -> Tensor:
    """The nearest albedo of a space, up to the gain of each colour, which is the light's."""
    flat = weight.flatten()[:, None].expand(-1, 3)
    mean = space.mean.flatten(0, 1)
    wanted = image.flatten(0, 1)
    gain = (flat * wanted).sum(0) / (flat * to_linear(mean)).sum(0).clamp_min(1e-6)
    target = (to_display((wanted / gain.clamp_min(1e-6)).clamp(0, 1)) - mean).flatten()
    rows = space.basis.flatten(1)
    weighted = rows * flat.flatten()
    normal = weighted @ rows.T + SPACE_STIFFNESS * torch.eye(len(rows))
    found = torch.linalg.solve(normal, weighted @ target)
    display = (mean.flatten() + found @ rows).clamp(0.01, 1)
    return (to_linear(display).reshape(-1, 3) * gain).reshape(image.shape)
