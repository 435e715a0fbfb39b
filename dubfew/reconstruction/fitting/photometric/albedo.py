"""The skin's own color as a texture, separated from the light on it."""

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

# Edge of the albedo, texels: about as fine as the views that the fit works on.
ALBEDO_SIZE_TEXELS = 128
# Pull of every texel of a free albedo to the face's mean color, as strong as this many frames that
# show it fully. So light and not skin explains what changes slowly over the face; larger values
# wash the albedo out.
MEAN_COLOR_STIFFNESS = 0.3
# Difference of display color that coding and noise make. Smaller differences carry no information.
MIN_COLOR_RESIDUAL = 0.012
# Prior precision of a texture space's coefficients, over the weight of one texel. Larger values
# keep the albedo nearer to the space's mean.
COEFFICIENT_STIFFNESS = 0.1
# Leading components of FLAME's 200 that are used: later ones are finer than the texels here.
NUM_ALBEDO_COMPONENTS = 60
# Rounds of reweighting, which turn squares into absolute differences. With one, a frame that shows
# something else pulls the albedo along.
NUM_REWEIGHTING_ROUNDS = 3
# Range of an albedo: skin is never quite black, and the gain of light may put it a little above 1.
MIN_ALBEDO, MAX_ALBEDO = 0.002, 1.5
# Residual that is assumed where not a single texel was seen.
UNSEEN_RESIDUAL = 0.1


@dataclass(frozen=True)
class FaceAlbedo:
    """Color of a face under white light.

    Attributes:
        image: linear RGB. [T, T, 3]
        residual: mean difference of display color that stays unexplained there. [T, T]
    """

    image: Tensor
    residual: Tensor

    def sample(
        self,
        uv: Tensor,  # [P, 2]
    ) -> tuple[Tensor, Tensor]:  # [P, 3], [P]
        """Look up color and residual at places of the texture, bilinear, clamped at the border.

        Args:
            uv: texture coordinates in [0, 1], origin top left. [P, 2]

        Returns:
            Linear RGB [P, 3] and residual [P]; differentiable in ``uv``.
        """
        both = torch.cat([self.image, self.residual[..., None]], -1).permute(2, 0, 1)[None]
        sampled = F.grid_sample(
            both, (uv * 2 - 1)[None, None], padding_mode="border", align_corners=False
        )[0, :, 0].T
        return sampled[:, :3], sampled[:, 3]


@dataclass(frozen=True)
class AlbedoSpace:
    """A linear model of albedos, in display colors.

    Attributes:
        mean: mean albedo, sRGB. [T, T, 3]
        basis: displacement per unit of each coefficient. [B, T, T, 3]
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
            path: file to read.
            texture_size: edge of the result, texels.
            texel_uv: where each texel of the result lies in the file's pictures, in [0, 1]; by
                default the result is those pictures, made smaller. [texels, texels, 2]

        Raises:
            AssetError: The file is not FLAME's texture model.
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
            )[..., ::-1].astype(np.float32)  # BGR, in 0 to 255
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
) -> FaceAlbedo:
    """Estimate the albedo that explains what K frames show of every texel.

    A texel's color in a frame is albedo times light. The albedo minimizes the absolute differences
    in display color, by iteratively reweighted least squares, each round in closed form.

    Args:
        colors: observed colors, linear RGB. [K, T, T, 3]
        light: light that falls on each texel, linear RGB. [K, T, T, 3]
        weight: 0 where a frame does not show a texel, else how well it does. [K, T, T]
        albedo_space: albedos that are possible; without it every texel is free.

    Returns:
        The albedo. Texels that no frame shows have the face's mean color and a large residual.
    """
    visible = weight[..., None]
    total = visible.sum((0, 1, 2)).clamp_min(1e-6)
    skin = (visible * colors / light).sum((0, 1, 2)) / total  # [3]
    robust = visible
    image = skin.expand(*weight.shape[1:], 3)
    for _ in range(NUM_REWEIGHTING_ROUNDS):
        # Least squares per texel, with the pull to the mean color as one more observation.
        image = (robust * light * colors).sum(0) + MEAN_COLOR_STIFFNESS * skin
        image = image / ((robust * light * light).sum(0) + MEAN_COLOR_STIFFNESS)
        image = image.clamp(MIN_ALBEDO, MAX_ALBEDO)
        if albedo_space is not None:
            image = _project_to_space(image, robust.sum(0)[..., 0], albedo_space)
        error = (linear_to_srgb(image * light) - linear_to_srgb(colors)).abs()
        error = error.mean(-1, keepdim=True)
        robust = visible / (error + MIN_COLOR_RESIDUAL) * MIN_COLOR_RESIDUAL
    spread = (visible * error).sum(0) / (visible.sum(0) + 1e-6)
    # A texel that was never seen is trusted as little as the worst that was.
    unseen = visible.sum(0) < 1e-3
    worst = (
        spread[~unseen].quantile(0.95) if bool((~unseen).any()) else torch.tensor(UNSEEN_RESIDUAL)
    )
    spread = torch.where(unseen, worst, spread).clamp_min(MIN_COLOR_RESIDUAL)
    return FaceAlbedo(image, spread[..., 0])


def _project_to_space(image: Tensor, weight: Tensor, albedo_space: AlbedoSpace) -> Tensor:
    """The nearest albedo of a space, up to the gain of each color, which is the light's. [T, T, 3]

    Args:
        image: albedo, linear RGB. [T, T, 3]
        weight: importance of each texel. [T, T]
        albedo_space: the space.
    """
    flat = weight.flatten()[:, None].expand(-1, 3)
    mean = albedo_space.mean.flatten(0, 1)
    texels = image.flatten(0, 1)
    # Brightness and tint of the whole face belong to the light: fit them first, put them back last.
    gain = (flat * texels).sum(0) / (flat * srgb_to_linear(mean)).sum(0).clamp_min(1e-6)
    target = (linear_to_srgb((texels / gain.clamp_min(1e-6)).clamp(0, 1)) - mean).flatten()
    # Ridge regression of the display colors on the basis.
    rows = albedo_space.basis.flatten(1)
    weighted = rows * flat.flatten()
    normal = weighted @ rows.T + COEFFICIENT_STIFFNESS * torch.eye(len(rows))
    coefficients = torch.linalg.solve(normal, weighted @ target)
    display = (mean.flatten() + coefficients @ rows).clamp(0.01, 1)
    return (srgb_to_linear(display).reshape(-1, 3) * gain).reshape(image.shape)
