"""The blending U-Net, the network of the renderers ``lite``, ``base`` and ``large``.

A U-Net that does not paint a mouth but says how to blend it from the actor's own pixels: weights of
the warped references, small corrections of their sampling grids, and a residual. Its input is
folded (four pixels to one cell), which makes the first layers four times cheaper. The last layer
starts at zero: an untrained network renders the bare warp, and training starts from there.

The style vector, from mouth motion and the deepest features, modulates the deeper blocks.

Source: Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation"
(arXiv 1505.04597) for the skips. The blend fields are dubfew's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.prior.renderers._base import BlendFields, Renderer, RendererConfig, pack_fields
from dubfew.prior.renderers._unet_kernels import (
    normalize_features,
    pack_output,
    stack_network_input,
)
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.references.inputs import MOTION_WINDOW_FRAMES, RenderInputs
from dubfew.references.resampled_planes import dilate
from dubfew.references.warping import WarpedReferences
from dubfew.utils.kernel_tensors import fits_kernels


@dataclass(frozen=True)
class BlendingUNetConfig(RendererConfig):
    """Sizes of a `BlendingUNet`; the fields are keys of stored priors.

    Attributes:
        widths: channels at 1/2, 1/4 and so on of the window's resolution, three or more. The window
            is divisible by 2 to the power of their number.
        style: length of the style vector.
        reach: largest correction of a sampling grid, in half widths of a reference. 0.06 is about
            5 px of 160: landmarks err by less, and a larger reach lets references smear.
    """

    widths: tuple[int, ...] = (24, 48, 80, 112)
    style: int = 64
    reach: float = 0.06


# Gains that bring inputs to about 1: colors around their mean, and differences between images,
# which are a few hundredths. Smaller inputs would be lost on the first steps of training.
COLOR_INPUT_GAIN, DIFFERENCE_INPUT_GAIN = 8.0, 40.0
# Gain on the mask of the opening between the lips, which is a small part of the window.
INTERIOR_INPUT_GAIN = 3.0
# Gain on mouth motion, whose displacements are about a tenth of the inter-ocular distance.
MOTION_INPUT_GAIN = 10
# Keeps the variance of unit inputs through a SiLU: 1 / sqrt(E[silu(z)^2]).
SILU_GAIN = 1.68
# Factor on the initial weights of a residual block's last layer and of its modulation: a new block
# nearly passes its input on, so that deep networks learn from the start.
RESIDUAL_INIT_GAIN = 0.1
# Added to mean squares of pixels and of scales before they are divided by: no division by 0.
PIXEL_NORM_EPSILON, STYLE_NORM_EPSILON = 1e-4, 1e-6
# Gain on the logits of blend weights: one reference must be able to win clearly.
LOGIT_GAIN = 8
# Edge of the square, px of the window, that widens the part of a mouth that leaves the mesh.
RIGID_EDGE_PX = 5
# Divisor of the residual: it is seldom more than a shade of a color.
RESIDUAL_DIVISOR = 4
# Largest minification or magnification that is distinguished, as a power of two.
MAX_LOG2_MINIFICATION = 4.0


def _initialize_layer(layer: nn.Module) -> None:
    """Draw weights that keep the variance of what passes through; start biases at 0."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _normalize_pixels(x: Tensor) -> Tensor:
    """Scale each pixel's channels to a root mean square of 1.

    Without it the first steps of a training can push a layer so far that its activations stay zero
    for good.

    Source: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and
    Variation" (arXiv 1710.10196), section 4.2.
    """
    if torch.is_grad_enabled():
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + PIXEL_NORM_EPSILON)
    # The same in one pass, without the squares of all channels.
    energy = torch.linalg.vector_norm(x, dim=1, keepdim=True).square_()
    return x * energy.div_(x.shape[1]).add_(PIXEL_NORM_EPSILON).rsqrt_()


def _normalize_and_activate(x: Tensor) -> Tensor:
    """Normalize pixels, then apply a SiLU that keeps their variance."""
    if fits_kernels(x):
        return normalize_features(x, PIXEL_NORM_EPSILON, SILU_GAIN)
    return F.silu(_normalize_pixels(x)) * SILU_GAIN


@torch.no_grad()
def _scale_weights(layer: nn.Conv2d | nn.Linear, factor: float) -> None:
    """Multiply a new layer's weights by a factor."""
    layer.weight *= factor


class ModulatedResidualBlock(nn.Module):
    """Residual block whose first convolution is modulated by a style.

    StyleGAN2 scales the weights of the convolution by the style, then demodulates them. Here the
    normalized input is scaled instead, divided by the root mean square of the scales. So the
    convolution is a plain ``nn.Conv2d`` that adapters can be merged into.

    Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv
    1912.04958), section 2.2.
    """

    def __init__(self, width: int, style: int) -> None:
        """Make a block.

        Args:
            width: channels of input and output.
            style: length of the style vector.
        """
        super().__init__()
        self.scale = nn.Linear(style, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Transform features.

        Args:
            x: features. [B, C, s, s]
            style: style vectors. [B, style]

        Returns:
            Features of the same shape.
        """
        scale = 1 + self.scale(style)
        level = torch.rsqrt((scale**2).mean(1, keepdim=True) + STYLE_NORM_EPSILON)
        hidden = F.silu(self.first(_normalize_pixels(x) * (scale * level)[:, :, None, None]))
        return x + self.second(hidden)


class ResidualBlock(nn.Module):
    """Residual block without modulation."""

    def __init__(self, width: int) -> None:
        """Make a block of ``width`` channels."""
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, s, s] into features of the same shape."""
        return x + self.second(F.silu(self.first(_normalize_pixels(x))))


class UNetRenderer(Renderer):
    """Base class of renderers with the layers of a `BlendingUNet`, whatever computes them.

    Subclasses implement ``run_layers``.

    Attributes:
        config: sizes of the network.
    """

    config: BlendingUNetConfig

    def predict_fields(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> BlendFields:
        """Predict the blend fields of a batch.

        Args:
            inputs: scene, references, mesh and motion of the batch.
            texture: sampled neural texture. [B, C, S, S]
            warped: references in the pose of the scene, as `warp_references` gives them.

        Returns:
            Fields at the size of the window.
        """
        network_input = make_network_input(inputs, texture, warped)
        output = self.run_layers(network_input, inputs.motion)
        return make_fields(output, inputs, warped, self.config)

    def predict_packed(
        self, inputs: RenderInputs, texture: Tensor, warped: WarpedReferences
    ) -> Tensor:
        """Predict packed blend fields of a batch, see `Renderer.predict_packed`."""
        network_input = make_network_input(inputs, texture, warped)
        output = self.run_layers(network_input, inputs.motion)
        return pack_output_fields(output, inputs, warped, self.config)

    def run_layers(self, network_input: Tensor, motion: Tensor) -> Tensor:
        """Run the layers alone, from the stacked input to the numbers that fields are made of.

        Args:
            network_input: see `make_network_input`. [B, C, S, S]
            motion: mouth motion, see `RenderInputs`. [B, T, P * 3]

        Returns:
            Logits, offsets and residual of each cell's four pixels, for `make_fields`.
            [B, 4 (3 K + 4), S / 2, S / 2]

        Raises:
            NotImplementedError: The class is the base class.
        """
        raise NotImplementedError


class BlendingUNet(UNetRenderer):
    """U-Net that predicts blend fields; see the module's docstring.

    The names of its layers are keys of stored priors and adapters.
    """

    config: BlendingUNetConfig

    def __init__(self, config: BlendingUNetConfig | None = None) -> None:
        """Make a network with fresh weights, which renders the bare warp.

        Args:
            config: sizes; those of ``lite`` by default.

        Raises:
            ArtefactError: There are fewer than three widths, or the window cannot be halved as
                often as there are widths.
        """
        super().__init__()
        config = config or BlendingUNetConfig()
        # Widths are a list if the configuration was read from JSON.
        self.config = BlendingUNetConfig(**{**vars(config), "widths": tuple(config.widths)})
        k, widths = config.references, self.config.widths
        self.depth = len(widths) - 1
        if self.depth < 2 or config.window % 2 ** len(widths):
            raise ArtefactError(
                f"a window of {config.window} px and {len(widths)} widths do not fit: expected "
                f"three widths or more, and a multiple of {2 ** len(widths)} px"
            )
        # Channels of `make_network_input`, in its order, summed up.
        channels = 3 * (k + 3) + 2 + 2 + 3 * k + config.texture_channels + 2
        # Folding four pixels into one cell and the first layer, in one convolution.
        self.stem = nn.Conv2d(channels, widths[0], 2, stride=2)
        self.enter = nn.Conv2d(widths[0], widths[0], 3, padding=1)
        # Down: a strided layer into each level, and a block in all but the deepest.
        for level in range(1, self.depth + 1):
            down = nn.Conv2d(widths[level - 1], widths[level], 3, stride=2, padding=1)
            self.add_module(f"down{level}", down)
            if level < self.depth:
                self.add_module(f"encode{level}", ResidualBlock(widths[level]))
        # The style vector, from mouth motion and the mean of the deepest features.
        self.style = nn.Sequential(
            nn.Linear(MOTION_WINDOW_FRAMES * len(MOUTH_POINTS) * 3 + widths[-1], config.style),
            nn.SiLU(),
        )
        self.deepest = ModulatedResidualBlock(widths[-1], config.style)
        # Up: join with the skip of the level, then a block.
        for level in range(self.depth - 1, 0, -1):
            join = nn.Conv2d(widths[level + 1] + widths[level], widths[level], 1)
            self.add_module(f"join{level}", join)
            self.add_module(f"decode{level}", ModulatedResidualBlock(widths[level], config.style))
        # The finest level has 8 channels more than the stem, since every field is made of them.
        a = widths[0]
        self.join0 = nn.Conv2d(widths[1] + a, a + 8, 1)
        self.decode0 = nn.Conv2d(a + 8, a + 8, 3, padding=1)
        # Output of each of a cell's four pixels: logits of the references and of the fill, two
        # offsets for each reference, residual RGB.
        self.leave = nn.Conv2d(a + 8, (k + 1 + 2 * k + 3) * 4, 1)
        # PyTorch's own weights shrink what passes through a layer.
        self.apply(_initialize_layer)
        for block in self.modules():
            if isinstance(block, ModulatedResidualBlock | ResidualBlock):
                _scale_weights(block.second, RESIDUAL_INIT_GAIN)
            if isinstance(block, ModulatedResidualBlock):
                _scale_weights(block.scale, RESIDUAL_INIT_GAIN)
        _scale_weights(self.leave, 0.0)

    def _get_layer(self, name: str, level: int) -> nn.Module:
        """Return a layer by its name and level."""
        return self.get_submodule(f"{name}{level}")

    def run_layers(self, network_input: Tensor, motion: Tensor) -> Tensor:
        """Run the layers with torch, see `UNetRenderer.run_layers`."""
        # Down to the deepest level, keeping the features of each level for the way up.
        x = self.stem(network_input)
        # The layout that convolutions on CPUs are fastest in.
        x = x.contiguous(memory_format=torch.channels_last)
        x = _normalize_and_activate(self.enter(_normalize_and_activate(x)))
        skips = [x]
        for level in range(1, self.depth):
            x = self._get_layer("encode", level)(
                _normalize_and_activate(self._get_layer("down", level)(x))
            )
            skips.append(x)
        x = _normalize_and_activate(self._get_layer("down", self.depth)(x))
        style = self.style(torch.cat([motion.flatten(1) * MOTION_INPUT_GAIN, x.mean((2, 3))], 1))
        # Up again.
        x = self.deepest(x, style)
        for level in range(self.depth - 1, 0, -1):
            joined = _join_levels(self._get_layer("join", level), x, skips[level])
            x = self._get_layer("decode", level)(joined, style)
        joined = _join_levels(self.join0, x, skips[0])
        top = _normalize_and_activate(self.decode0(_normalize_and_activate(joined)))
        if torch.is_grad_enabled() or not isinstance(self.leave, nn.Conv2d):
            return cast(Tensor, self.leave(top))
        return _mix_channels(top, self.leave.weight, self.leave.bias)


def make_network_input(inputs: RenderInputs, texture: Tensor, warped: WarpedReferences) -> Tensor:
    """Stack the network's input, all channels of about the same size. [B, C, S, S]

    Args:
        inputs: scene, references, mesh and motion of the batch.
        texture: sampled neural texture. [B, C, S, S]
        warped: references in the pose of the scene.
    """
    if fits_kernels(inputs.scene):
        gains = (COLOR_INPUT_GAIN, DIFFERENCE_INPUT_GAIN, INTERIOR_INPUT_GAIN)
        return stack_network_input(inputs, texture, warped, gains, MAX_LOG2_MINIFICATION)
    inside = (inputs.alpha > 0).float()
    best = warped.colors[:, 0]
    # A reference that is moved far at a pixel can be trusted less there.
    moves = (inputs.sampling_grid - _identity_grid(inputs.sampling_grid)).permute(0, 1, 4, 2, 3)
    return torch.cat(
        [
            (inputs.scene + inside * warped.surroundings - 0.5) * COLOR_INPUT_GAIN,
            (best - 0.5) * COLOR_INPUT_GAIN,
            (warped.colors[:, 1:] - best[:, None]).flatten(1, 2) * DIFFERENCE_INPUT_GAIN,
            (inputs.scene - best) * (1 - inside) * inputs.mesh_mask * DIFFERENCE_INPUT_GAIN,
            warped.color_correction[:, 0] * DIFFERENCE_INPUT_GAIN,
            inside * 2 - 1,
            inputs.mesh_mask * 2 - 1,
            # Place on the face, for what no reference shows (teeth behind lips that are closed in
            # it): the network has to know it by heart.
            (inputs.uv.permute(0, 3, 1, 2) * 2 - 1) * inputs.mesh_mask,
            (moves * inputs.mesh_mask[:, None]).flatten(1, 2) * COLOR_INPUT_GAIN,
            log2_minification(inputs.sampling_grid) * inputs.mesh_mask,
            texture * COLOR_INPUT_GAIN,
            # The place of teeth and the dark behind them, whatever the references show.
            inputs.mouth_interior * INTERIOR_INPUT_GAIN,
        ],
        1,
    )


def make_fields(
    output: Tensor, inputs: RenderInputs, warped: WarpedReferences, config: BlendingUNetConfig
) -> BlendFields:
    """Turn the network's output into fields in their ranges.

    Args:
        output: what `BlendingUNet.run_layers` gives. [B, 4 (3 K + 4), S / 2, S / 2]
        inputs: scene, references, mesh and motion of the batch.
        warped: references in the pose of the scene.
        config: sizes of the network.
    """
    k = config.references
    logits, offsets, residual = F.pixel_shuffle(output, 2).split([k + 1, 2 * k, 3], 1)
    logits, residual = logits * LOGIT_GAIN, blur_residual(residual) / RESIDUAL_DIVISOR
    corrected = _find_corrected(inputs)
    logits, offsets, residual = logits * corrected, offsets * corrected, residual * corrected
    # Outputs of zero give the blend weights of the bare warp.
    weights = (logits + warped.blend_logits).softmax(1)
    # References are defined on the mesh alone: beside it there is only the fill.
    fill_only = torch.cat([torch.zeros_like(weights[:, :k]), torch.ones_like(weights[:, :1])], 1)
    weights = inputs.mesh_mask * weights + (1 - inputs.mesh_mask) * fill_only
    b, _, h, w = residual.shape
    return BlendFields(
        blend_weights=weights,
        offsets=torch.tanh(offsets).view(b, k, 2, h, w).permute(0, 1, 3, 4, 2) * config.reach,
        color_correction=warped.color_correction,
        background_fill=warped.background_fill,
        residual=torch.tanh(residual),
    )


def pack_output_fields(
    output: Tensor, inputs: RenderInputs, warped: WarpedReferences, config: BlendingUNetConfig
) -> Tensor:
    """Turn the network's output into packed fields, see `pack_fields`, at once where that is fast.

    Args:
        output: what `BlendingUNet.run_layers` gives. [B, 4 (3 K + 4), S / 2, S / 2]
        inputs: scene, references, mesh and motion of the batch.
        warped: references in the pose of the scene.
        config: sizes of the network.

    Returns:
        Packed fields. [B, K + 3 + 2 K, S, S]
    """
    if not fits_kernels(inputs.scene):
        return pack_fields(make_fields(output, inputs, warped, config), inputs.sampling_grid)
    return pack_output(
        output,
        _find_corrected(inputs),
        inputs,
        warped,
        config.reach,
        LOGIT_GAIN,
        RESIDUAL_DIVISOR,
    )


def _find_corrected(inputs: RenderInputs) -> Tensor:
    """How far the network corrects the warp at each pixel, 0 to 1. [B, 1, S, S]

    Where the inside of a mouth leaves the mesh, the warp stands as it is: priors learned to correct
    what the mesh carries, and make the rest worse (docs/findings.md, "The mouth's inside"). The
    edge of such a part is unlike all they saw, too.
    """
    return 1 - dilate(inputs.rigid_interior, RIGID_EDGE_PX // 2)


def log2_minification(sampling_grid: Tensor) -> Tensor:
    """Compute how many times smaller than in the target a pixel's spot is in each reference.

    The value is large where a reference hardly shows the spot, such as the inside of a mouth that
    is closed in the reference.

    Args:
        sampling_grid: place of each pixel in each reference, in [-1, 1]. [B, K, S, S, 2]

    Returns:
        Binary logarithm of the ratio of areas, in [-4, 4]. [B, K, S, S]
    """
    # Area of a pixel's parallelogram in the reference, from finite differences.
    across = sampling_grid[..., :, 1:, :] - sampling_grid[..., :, :-1, :]
    down = sampling_grid[..., 1:, :, :] - sampling_grid[..., :-1, :, :]
    across = torch.cat([across, across[..., :, -1:, :]], -2)
    down = torch.cat([down, down[..., -1:, :, :]], -3)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    pixel_area = (2 / sampling_grid.shape[2]) ** 2  # without any minification
    low, high = 2.0**-MAX_LOG2_MINIFICATION, 2.0**MAX_LOG2_MINIFICATION
    return -torch.log2((area / pixel_area).clamp(low, high))


def blur_residual(residual: Tensor) -> Tensor:
    """Remove what is finer than the network's cells of 2 px.

    Otherwise the network lowers the losses on detail by a grid of 2 px, which looks like no detail.

    Args:
        residual: the network's output. [B, C, S, S]

    Returns:
        The residual after a binomial filter of 3 px, same shape.
    """
    across = torch.tensor([0.25, 0.5, 0.25], device=residual.device, dtype=residual.dtype)
    kernel = (across[:, None] * across).expand(residual.shape[1], 1, 3, 3)
    # Edges repeat, or the border of the window would turn dark.
    padded = F.pad(residual, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, groups=residual.shape[1])


def _identity_grid(sampling_grid: Tensor) -> Tensor:
    """Make the grid of a window that is sampled at its own pixels, in [-1, 1]. [S, S, 2]"""
    size = sampling_grid.shape[2]
    centers = (torch.arange(size, device=sampling_grid.device) + 0.5) * (2 / size) - 1
    return torch.stack(torch.meshgrid(centers, centers, indexing="xy"), -1)


def _join_levels(layer: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
    """Join features of twice the size and those of the way down by a layer of one pixel.

    Args:
        layer: convolution of 1 x 1, which trained adapters may wrap.
        x: features of the level below. [B, C, s, s]
        skip: features of the way down. [B, D, 2 s, 2 s]
    """
    # A layer that another package has wrapped computes what it likes.
    if torch.is_grad_enabled() or not isinstance(layer, nn.Conv2d):
        return cast(Tensor, layer(torch.cat([F.interpolate(x, scale_factor=2), skip], 1)))
    # The same with fewer products: pixels that are repeated have the same product.
    below, beside = layer.weight.split([x.shape[1], skip.shape[1]], 1)
    repeated = F.interpolate(_mix_channels(x, below, layer.bias), scale_factor=2)
    return _mix_channels(skip, beside).add_(repeated)


def _mix_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with a kernel of one pixel, as one product of matrices without gradients.

    On one thread torch's convolution copies features that have channels last to and fro.

    Args:
        x: features. [B, C, s, s]
        weight: kernel. [D, C, 1, 1]
        bias: what is added. [D]

    Returns:
        Features, channels last in memory. [B, D, s, s]
    """
    mixed = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias)
    return mixed.permute(0, 3, 1, 2)
