"""The renderer of every size: ``lite`` runs in real time on a laptop's CPU, see `sizes.py`.

A U-Net on space-to-depth input (four pixels to one cell) that does not paint a mouth but says
how to make it from the actor's own pixels: weights of the warped references, small
corrections of where they are looked up, and a residual. With its last layer at zero it
returns the bare warp, so training can only start from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.prior.renderers._base import BlendFields, Renderer, RendererConfig
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.references.inputs import MOTION_WINDOW_FRAMES, RenderInputs
from dubfew.references.warping import WarpedReferences


@dataclass(frozen=True)
class BlendingUNetConfig(RendererConfig):
    """Sizes of a `BlendingUNet`.

    Attributes:
        widths: channels at 1/2, 1/4 and so on of the window's resolution, three of them or more.
            The window has to be divisible by the last of these shares.
        style: length of the style vector.
        reach: largest correction of a reference's place, in units of its half width.
    """

    widths: tuple[int, ...] = (24, 48, 80, 112)
    style: int = 64
    reach: float = 0.06


# Differences between pictures are a few hundredths: brought to about 1, like all other inputs,
# they are what the first steps of training learn from.
COLOR_INPUT_GAIN, DIFFERENCE_INPUT_GAIN = 8.0, 40.0
# The opening between the lips is a small part of the picture.
INTERIOR_INPUT_GAIN = 3.0
# Keeps the variance through a SiLU of unit input: 1 / sqrt(E[silu(z)^2]).
SILU_GAIN = 1.68


def _initialize_layer(layer: nn.Module) -> None:
    """Weights that keep the size of what passes through; no bias."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _normalize_pixels(x: Tensor) -> Tensor:
    """Each pixel's channels brought to a root mean square of 1.

    Without it a training's first steps, which know nothing yet, can push a layer so far that
    its activations stay zero for good.

    Source: Karras et al. 2018, Progressive GAN, sec. 4.2 (pixelwise normalisation).
    """
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4)


def _normalize_and_activate(x: Tensor) -> Tensor:
    return F.silu(_normalize_pixels(x)) * SILU_GAIN


@torch.no_grad()
def _scale_weights(layer: nn.Conv2d | nn.Linear, factor: float) -> None:
    """Start a layer small: its block then passes its input on."""
    layer.weight *= factor


class ModulatedResidualBlock(nn.Module):
    """Residual block whose convolutions are modulated by a style.

    The input is evened, scaled by the style and convolved with shared weights, demodulated by
    the style's own root mean square, so the convolutions are plain ``nn.Conv2d`` and take adapters.

    Source: Karras et al. 2020, StyleGAN2, sec. 2.2, rearranged.
    """

    def __init__(self, width: int, style: int) -> None:
        super().__init__()
        self.scale = nn.Linear(style, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale = 1 + self.scale(style)
        level = torch.rsqrt((scale**2).mean(1, keepdim=True) + 1e-6)
        hidden = F.silu(self.first(_normalize_pixels(x) * (scale * level)[:, :, None, None]))
        return x + self.second(hidden)


class ResidualBlock(nn.Module):
    """Residual block without modulation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(_normalize_pixels(x))))


class BlendingUNet(Renderer):
    """See the module's docstring."""

    config: BlendingUNetConfig

    def __init__(self, config: BlendingUNetConfig | None = None) -> None:
        super().__init__()
        config = config or BlendingUNetConfig()
        # JSON gives lists back.
        self.config = BlendingUNetConfig(**{**vars(config), "widths": tuple(config.widths)})
        k, widths = config.references, self.config.widths
        self.depth = len(widths) - 1
        if self.depth < 2 or config.window % 2 ** len(widths):
            raise ArtefactError(
                f"a window of {config.window} px and {len(widths)} widths do not fit: expected "
                f"three widths or more, and a multiple of {2 ** len(widths)} px"
            )
        # See `_make_network_input`.
        channels = 3 * (k + 3) + 2 + 2 + 3 * k + config.texture_channels + 2
        # Space to depth and the first layer in one.
        self.stem = nn.Conv2d(channels, widths[0], 2, stride=2)
        self.enter = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        for level in range(1, self.depth + 1):
            down = nn.Conv2d(widths[level - 1], widths[level], 3, stride=2, padding=1)
            self.add_module(f"down{level}", down)
            if level < self.depth:
                self.add_module(f"encode{level}", ResidualBlock(widths[level]))
        self.style = nn.Sequential(
            nn.Linear(MOTION_WINDOW_FRAMES * len(MOUTH_POINTS) * 3 + widths[-1], config.style),
            nn.SiLU(),
        )
        self.deepest = ModulatedResidualBlock(widths[-1], config.style)
        for level in range(self.depth - 1, 0, -1):
            join = nn.Conv2d(widths[level + 1] + widths[level], widths[level], 1)
            self.add_module(f"join{level}", join)
            self.add_module(f"decode{level}", ModulatedResidualBlock(widths[level], config.style))
        a = widths[0]
        self.join0 = nn.Conv2d(widths[1] + a, a + 8, 1)
        self.decode0 = nn.Conv2d(a + 8, a + 8, 3, padding=1)
        # Per pixel: logits of the references and of the fill, two offsets each, residual RGB.
        self.leave = nn.Conv2d(a + 8, (k + 1 + 2 * k + 3) * 4, 1)
        self.apply(_initialize_layer)
        for block in self.modules():
            if isinstance(block, ModulatedResidualBlock | ResidualBlock):
                _scale_weights(block.second, 0.1)
            if isinstance(block, ModulatedResidualBlock):
                _scale_weights(block.scale, 0.1)
        _scale_weights(self.leave, 0.0)

    def _get_layer(self, name: str, level: int) -> nn.Module:
        return self.get_submodule(f"{name}{level}")

    def predict_fields(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> BlendFields:
        k, reach = self.config.references, self.config.reach
        x = self.stem(_make_network_input(inputs, texture, warped))
        x = x.contiguous(memory_format=torch.channels_last)
        x = _normalize_and_activate(self.enter(_normalize_and_activate(x)))
        skips = [x]
        for level in range(1, self.depth):
            x = self._get_layer("encode", level)(
                _normalize_and_activate(self._get_layer("down", level)(x))
            )
            skips.append(x)
        x = _normalize_and_activate(self._get_layer("down", self.depth)(x))
        # Displacements are a tenth of the inter-ocular distance: bring them to about 1.
        motion = inputs.motion.flatten(1) * 10
        style = self.style(torch.cat([motion, x.mean((2, 3))], 1))
        x = self.deepest(x, style)
        for level in range(self.depth - 1, 0, -1):
            joined = self._get_layer("join", level)(_upsample_and_concatenate(x, skips[level]))
            x = self._get_layer("decode", level)(joined, style)
        top = _normalize_and_activate(
            self.decode0(
                _normalize_and_activate(self.join0(_upsample_and_concatenate(x, skips[0])))
            )
        )
        out = F.pixel_shuffle(self.leave(top), 2)

        logits, offsets, residual = out.split([k + 1, 2 * k, 3], 1)
        # A weight has to be able to win clearly, a residual seldom is more than a shade.
        logits, residual = logits * 8, blur_residual(residual) / 4
        # Where no mesh is, only the fill can be shown; where there is one, it starts unseen.
        start = torch.cat(
            [
                warped.blend_logits[:, :, None, None].expand(-1, -1, *logits.shape[2:]),
                torch.full_like(logits[:, :1], -6.0),
            ],
            1,
        )
        weights = (logits + start).softmax(1)
        bare = torch.cat([torch.zeros_like(weights[:, :k]), torch.ones_like(weights[:, :1])], 1)
        weights = inputs.mesh_mask * weights + (1 - inputs.mesh_mask) * bare
        b, _, h, w = residual.shape
        return BlendFields(
            blend_weights=weights,
            offsets=torch.tanh(offsets).view(b, k, 2, h, w).permute(0, 1, 3, 4, 2) * reach,
            color_correction=warped.color_correction,
            background_fill=warped.background_fill,
            residual=torch.tanh(residual),
        )


def _make_network_input(inputs: RenderInputs, texture: Tensor, warped: WarpedReferences) -> Tensor:
    """The network's input, every channel of about the same size. [B, C, S, S]"""
    inside = (inputs.alpha > 0).float()
    best = warped.colors[:, 0]
    # How far each reference is moved tells how far it can be trusted, and where.
    moves = (inputs.sampling_grid - _identity_grid(inputs.sampling_grid)).permute(0, 1, 4, 2, 3)
    return torch.cat(
        [
            (inputs.scene + inside * warped.background_fill - 0.5) * COLOR_INPUT_GAIN,
            (best - 0.5) * COLOR_INPUT_GAIN,
            (warped.colors[:, 1:] - best[:, None]).flatten(1, 2) * DIFFERENCE_INPUT_GAIN,
            (inputs.scene - best) * (1 - inside) * inputs.mesh_mask * DIFFERENCE_INPUT_GAIN,
            warped.color_correction[:, 0] * DIFFERENCE_INPUT_GAIN,
            inside * 2 - 1,
            inputs.mesh_mask * 2 - 1,
            # Which part of the face this is: what a reference cannot show (teeth behind lips that
            # are closed there) has to be known from elsewhere.
            (inputs.uv.permute(0, 3, 1, 2) * 2 - 1) * inputs.mesh_mask,
            (moves * inputs.mesh_mask[:, None]).flatten(1, 2) * COLOR_INPUT_GAIN,
            log2_minification(inputs.sampling_grid) * inputs.mesh_mask,
            texture * COLOR_INPUT_GAIN,
            # Teeth and the dark behind them belong here, whatever the references show.
            inputs.mouth_interior * INTERIOR_INPUT_GAIN,
        ],
        1,
    )


def log2_minification(sampling_grid: Tensor) -> Tensor:
    """How many times smaller than here a spot is in each reference, as a binary logarithm.

    Large where a reference hardly shows what is wanted: the inside of a mouth that is closed
    there. [B, K, S, S], in [-4, 4]
    """
    across = sampling_grid[..., :, 1:, :] - sampling_grid[..., :, :-1, :]
    down = sampling_grid[..., 1:, :, :] - sampling_grid[..., :-1, :, :]
    across = torch.cat([across, across[..., :, -1:, :]], -2)
    down = torch.cat([down, down[..., -1:, :, :]], -3)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    unit = (2 / sampling_grid.shape[2]) ** 2  # of a reference that lies on the target
    return -torch.log2((area / unit).clamp(2.0**-4, 2.0**4))


def blur_residual(residual: Tensor) -> Tensor:
    """Without what is finer than a pixel shuffle: else the losses on detail are answered by a
    grid of 2 px that no eye takes for detail. Same shape."""
    across = torch.tensor([0.25, 0.5, 0.25], device=residual.device, dtype=residual.dtype)
    kernel = (across[:, None] * across).expand(residual.shape[1], 1, 3, 3)
    padded = F.pad(residual, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, groups=residual.shape[1])


def _identity_grid(sampling_grid: Tensor) -> Tensor:
    """Where each pixel of a window lies in itself, in [-1, 1]. [S, S, 2]"""
    size = sampling_grid.shape[2]
    at = (torch.arange(size, device=sampling_grid.device) + 0.5) * (2 / size) - 1
    return torch.stack(torch.meshgrid(at, at, indexing="xy"), -1)


def _upsample_and_concatenate(x: Tensor, skip: Tensor) -> Tensor:
    return torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1)
