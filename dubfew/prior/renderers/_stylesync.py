"""The generator of "Dubbing for Everyone": StyleGAN2's, styled by sound and face, over textures.

A window of T frames goes through the network at once. The mouth's region of every frame holds the
person's neural texture as the driven mesh shows it; pictures of the person at other times are
stacked on the channels. A face encoder gives a code and the features of every size; the sound and
the face give the style. The decoder is StyleGAN2's, with the encoder's features where StyleGAN2
adds noise. All layers are plain convolutions and linear layers, so that adapters find them.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.3, figures 3 and 4, appendix A.3; Guan et
al. 2023, "StyleSync: High-Fidelity Generalized and Personalized Lip Sync in Style-based Generator"
(arXiv 2305.05445), for the generator; Karras et al. 2020, "Analyzing and Improving the Image
Quality of StyleGAN" (arXiv 1912.04958), for its layers; Prajwal et al. 2020, Wav2Lip (arXiv
2008.10010), for the encoder of sound. docs/stylesync.md lists the choices where they are silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from kornia.filters import filter2d
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.data.clip_inputs import ClipInputs
from dubfew.errors import ArtefactError, ShapeError
from dubfew.prior.renderers._painting import PaintingRenderer, PaintingRendererConfig

# Slope of leaky activations, and the gain that keeps the variance of what passes through them.
LEAKY_RELU_SLOPE, ACTIVATION_GAIN = 0.2, 2**0.5
# Slope in the encoder of sound, as in StyleSync's published code.
SOUND_LEAKY_RELU_SLOPE = 0.01
# Channels of the generator at each size of its features, px; larger sizes have the last.
GENERATOR_WIDTHS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
# Fewest channels of a narrowed layer.
MIN_WIDTH = 8
# Layers of the encoder of sound: inputs, outputs, kernel, stride, padding, residual layers after.
SOUND_LAYERS: tuple[tuple[int, int, int, tuple[int, int], int, int], ...] = (
    (1, 32, 3, (1, 1), 1, 2),
    (32, 64, 3, (3, 1), 1, 2),
    (64, 128, 3, (3, 3), 1, 2),
    (128, 256, 3, (3, 2), 1, 1),
    (256, 512, 3, (1, 1), 0, 0),
    (512, 512, 1, (1, 1), 0, 0),
)
# Taps of the filter before every second pixel is dropped, as in StyleGAN2.
DOWNSAMPLING_TAPS = (1.0, 3.0, 3.0, 1.0)


@dataclass(frozen=True)
class StyleSyncConfig(PaintingRendererConfig):
    """Sizes and switches of a `StyleSyncGenerator`; the fields are keys of stored priors.

    Attributes:
        style: length of a style vector.
        mapping: layers between the code of sound and face and the style. StyleSync has eight;
            in the paper the code is the style.
        narrow: divisor of all widths, for tests.
        composite: how the texture enters: ``replace`` fills the blanked region with it; ``concat``
            puts it beside the blanked frame, with the mask.
        mask_skips: whether the features of large sizes are blanked where the mask is, as in
            StyleSync, whose input is black there.
        hears: False leaves the sound out, for ablations.
    """

    frames: int = 5
    references: int = 5
    texture_channels: int = 16
    style: int = 512
    mapping: int = 8
    narrow: int = 1
    composite: Literal["replace", "concat"] = "replace"
    mask_skips: bool = False
    hears: bool = True


def effective_weight(layer: Any) -> Tensor:
    """Return the weight that a layer applies, with the update of a LoRA wrapper if it has one.

    Args:
        layer: a convolution or linear layer, or PEFT's wrapper of one.

    Returns:
        Weight in the layer's own shape. [outputs, inputs, ...]
    """
    base = getattr(layer, "base_layer", layer)
    if base is layer:
        return layer.weight
    return base.weight + layer.get_delta_weight(layer.active_adapters[0])


def downsampling_blur(x: Tensor) -> Tensor:
    """Blur features so that dropping every second pixel loses no more than it must.

    The result is one pixel larger each way, for a convolution of stride 2 without padding.

    Args:
        x: features. [B, C, h, w]

    Returns:
        Blurred features. [B, C, h + 1, w + 1]
    """
    taps = x.new_tensor(DOWNSAMPLING_TAPS)
    return filter2d(
        F.pad(x, (2, 2, 2, 2)), torch.outer(taps, taps)[None], padding="valid", normalized=True
    )


def activate(x: Tensor) -> Tensor:
    """Apply a leaky ReLU that keeps the variance.

    Args:
        x: features of any shape.
    """
    return F.leaky_relu(x, LEAKY_RELU_SLOPE) * ACTIVATION_GAIN


class SoundLayer(nn.Module):
    """Convolution, group normalization and leaky ReLU, with the input added in residual layers."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: tuple[int, int],
        padding: int,
        *,
        residual: bool = False,
    ) -> None:
        """Make a layer; residual ones keep their size."""
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        # 16 groups, 8 of 32 channels. Groups of fewer than four channels would leave nothing of
        # the last layers' features, which have one pixel.
        self.norm = nn.GroupNorm(max(1, min(16, outputs // 4)), outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, h, w]."""
        y = self.norm(self.convolution(x))
        return F.leaky_relu(x + y if self.residual else y, SOUND_LEAKY_RELU_SLOPE)


class MelSoundEncoder(nn.Sequential):
    """Wav2Lip's encoder of a window of mel steps [B, 1, 80, 16]. [B, 512, 1, 1]"""

    def __init__(self, narrow: int = 1) -> None:
        """Make the layers, their widths divided by ``narrow``."""
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, stride, padding, residual in SOUND_LAYERS:
            first = 1 if inputs == 1 else _narrowed(inputs, narrow)
            width = _narrowed(outputs, narrow)
            layers.append(SoundLayer(first, width, kernel, stride, padding))
            layers += [
                SoundLayer(width, width, 3, (1, 1), 1, residual=True) for _ in range(residual)
            ]
        super().__init__(*layers)


class ModulatedConvolution(nn.Module):
    """Convolution whose inputs are scaled by a style and whose outputs are normalized.

    StyleGAN2 scales and normalizes the weights for each sample. The inputs times the style, and the
    outputs times the norm, are the same numbers, and the convolution stays one that adapters can
    be merged into.

    Source: Karras et al. 2020 (arXiv 1912.04958), equations 1 to 3.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, demodulate: bool = True
    ) -> None:
        """Make a layer."""
        super().__init__()
        self.scale = nn.Linear(style, inputs)
        self.convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Transform features [B, C, h, w] by styles [B, S].

        Args:
            x: features. [B, C, h, w]
            style: one style for each sample. [B, S]

        Returns:
            Features of the same size. [B, outputs, h, w]
        """
        scale = self.scale(style)
        y = self.convolution(x * scale[:, :, None, None])
        if not self.demodulate:
            return y
        # Sums of squares of many weights need single precision.
        power = effective_weight(self.convolution).float().square().sum((2, 3))
        norm = torch.rsqrt(scale.float().square() @ power.T + 1e-8)
        return y * norm[:, :, None, None].to(y)


class StyledLayer(nn.Module):
    """Modulated convolution with the encoder's features beside its result, bias and activation."""

    def __init__(
        self, inputs: int, outputs: int, style: int, skip: int, *, upsample: bool = False
    ) -> None:
        """Make a layer; ``skip`` channels come from the encoder."""
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, style)
        self.upsample = upsample
        # In the place of StyleGAN2's strength of noise.
        self.skip_gain = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(outputs + skip))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor) -> Tensor:
        """Transform features [B, C, h, w], doubling their size in upsampling layers.

        Args:
            x: features. [B, C, h, w]
            style: one style for each sample. [B, S]
            skip: features of the face encoder, of the size of the result. [B, skip, h, w]

        Returns:
            Activated features, those of the encoder behind the layer's own. [B, outputs + skip, h,
                w]
        """
        if self.upsample:
            x = _upsample(x)
        y = torch.cat([self.convolution(x, style), self.skip_gain * skip], 1)
        return activate(y + self.bias[None, :, None, None])


class PaintLayer(nn.Module):
    """From features to the pictures of the window, at one size."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        """Make a layer."""
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Paint features [B, C, h, w].

        Args:
            x: features. [B, C, h, w]
            style: one style for each sample. [B, S]

        Returns:
            Unbounded colors of all frames of the window. [B, outputs, h, w]
        """
        return self.convolution(x, style) + self.bias[None, :, None, None]


class FaceEncoder(nn.Module):
    """Encoder of the stacked frames: the features of every size, and a code."""

    def __init__(self, inputs: int, sizes: list[int], widths: dict[int, int], code: int) -> None:
        """Make the layers; ``sizes`` rise from 4 to that of the crop."""
        super().__init__()
        self.enter = nn.Conv2d(inputs, widths[sizes[-1]], 1)
        self.down = nn.ModuleList(
            nn.Conv2d(widths[size], widths[size // 2], 3, stride=2) for size in sizes[:0:-1]
        )
        self.flatten = nn.Conv2d(widths[sizes[0]], code, sizes[0])
        self.code = nn.Conv2d(code, code, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode [B, C, S, S] to a code [B, code] and features, smallest size first."""
        x = activate(self.enter(x))
        features = [x]
        for layer in self.down:
            x = activate(layer(downsampling_blur(x)))
            features.append(x)
        code = activate(self.code(activate(self.flatten(x))))
        return code.flatten(1), features[::-1]


class StyleSyncGenerator(PaintingRenderer):
    """Generator of windows of frames; see the module's docstring."""

    config: StyleSyncConfig

    def __init__(self, config: StyleSyncConfig | None = None) -> None:
        """Make a network with fresh weights.

        Args:
            config: sizes; those of the paper by default.

        Raises:
            ArtefactError: The values do not fit together.
        """
        super().__init__()
        self.config = config = config or StyleSyncConfig()
        layout = config.load_layout()
        size = layout.height
        if layout.width != size or size < 8 or size & (size - 1):
            raise ArtefactError(
                f"a crop of {layout.height} x {layout.width} px does not fit: expected a square "
                "whose edge is a power of 2, 8 px or more"
            )
        if config.references not in (0, config.frames):
            raise ArtefactError(
                f"{config.references} references do not fit {config.frames} frames: expected one "
                "for each frame, or none"
            )
        if config.composite not in ("replace", "concat") or config.texture_channels < 3:
            raise ArtefactError(
                f"composite {config.composite!r} with {config.texture_channels} channels of "
                "texture: expected 'replace' or 'concat', and 3 channels or more"
            )
        # From 4 px, where StyleGAN2's learned constant begins, to the crop's size.
        sizes = [2**k for k in range(2, size.bit_length())]
        widths = {s: _narrowed(GENERATOR_WIDTHS.get(s, 128), config.narrow) for s in sizes}
        # "concat" adds the blanked frame's colors (3) and the mask (1) to the texture.
        per_frame = config.texture_channels + (4 if config.composite == "concat" else 0)
        inputs = config.frames * per_frame + 3 * config.references
        style, painted = config.style, 3 * config.frames
        self.face = FaceEncoder(inputs, sizes, widths, style)
        # Wav2Lip's encoder ends with 512 numbers.
        sound = _narrowed(512, config.narrow) if config.hears else 0
        self.sound = MelSoundEncoder(config.narrow) if config.hears else None
        self.join = nn.ModuleList([nn.Linear(sound + style, style), nn.Linear(style, style)])
        self.mapping = nn.ModuleList(nn.Linear(style, style) for _ in range(config.mapping))
        # Every layer behind a skip connection has twice its width of inputs: its own features and
        # the encoder's.
        first = widths[4]
        self.start = nn.Parameter(torch.randn(1, first, 4, 4))
        self.first = StyledLayer(first, first, style, first)
        self.first_paint = PaintLayer(2 * first, painted, style)
        self.up = nn.ModuleList()
        self.same = nn.ModuleList()
        self.paints = nn.ModuleList()
        for s in sizes[1:]:
            width = widths[s]
            self.up.append(StyledLayer(2 * widths[s // 2], width, style, width, upsample=True))
            self.same.append(StyledLayer(2 * width, width, style, width))
            self.paints.append(PaintLayer(2 * width, painted, style))
        self._initialize()

    def _initialize(self) -> None:
        """Draw weights that keep the variance of what passes through.

        StyleGAN2 draws them with a deviation of 1 and scales them at run time, which adapters
        could not be merged into; here the scale is in the weights. The steps of Adam are then
        smaller in wide layers than StyleGAN2's.
        """
        hears = set(self.sound.modules()) if self.sound is not None else set()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module not in hears:
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            # A style of nothing scales nothing.
            if isinstance(module, ModulatedConvolution):
                nn.init.ones_(module.scale.bias)

    def paint(self, inputs: ClipInputs, known: tuple[Tensor, ...] = ()) -> Tensor:
        """Paint windows of frames.

        Args:
            inputs: T frames, as many references, sound, and sampled textures. The style hears the
                window of the middle frame, 0.2 s.

        Returns:
            RGB in [0, 1]; the whole crop is painted anew. [B, T, 3, S, S]

        Raises:
            ShapeError: The windows have another number of frames, references or channels.
        """
        config = self.config
        found = (inputs.scene.shape[1], inputs.references.shape[1], inputs.texture.shape[2])
        expected = (config.frames, config.references, config.texture_channels)
        if found != expected:
            raise ShapeError(
                f"windows have {found[0]} frames, {found[1]} references and {found[2]} channels "
                f"of texture, expected {expected[0]}, {expected[1]} and {expected[2]}"
            )
        code, features = self.face(self._stack(inputs))
        heard = [code]
        # One style for all frames of the window, so the sound of its middle stands for all.
        if self.sound is not None:
            window = inputs.sound[:, config.frames // 2, None]
            heard.insert(0, self.sound(window.to(code)).flatten(1))
        z = torch.cat(heard, 1)
        for layer in self.join:
            z = activate(layer(z))
        # StyleGAN2's normalization of the latent code, before the mapping network.
        style = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            style = activate(layer(style))
        if config.mask_skips:
            features = [_blank(each, inputs.mask) for each in features]
        x = self.first(self.start.expand(len(style), -1, -1, -1), style, features[0])
        picture = self.first_paint(x, style)
        for up, same, paint, skip in zip(
            self.up, self.same, self.paints, features[1:], strict=True
        ):
            x = same(up(x, style, skip), style, skip)
            # StyleGAN2's skip generator: every size adds its picture to that of the size before.
            picture = _upsample(picture) + paint(x, style)
        # A sigmoid keeps colors in [0, 1]; clamping would stop the gradients of dark mouths.
        return torch.sigmoid(picture).unflatten(1, (config.frames, 3))

    def _stack(self, inputs: ClipInputs) -> Tensor:
        """Stack frames, textures and references on the channels. [B, C, S, S]"""
        texture = inputs.texture * inputs.mask
        # Colors are around 0 outside of the mask; a texture's first channels are colors, too.
        scene = inputs.scene * 2 - (1 - inputs.mask)
        colors = texture[:, :, :3] * 2 - inputs.mask * inputs.mesh_mask
        features = texture[:, :, 3:]
        if self.config.composite == "replace":
            frames = torch.cat([scene + colors, features], 2)
        else:
            frames = torch.cat([scene, colors, features, inputs.mask], 2)
        references = inputs.references * 2 - 1
        return torch.cat([frames.flatten(1, 2), references.flatten(1, 2)], 1)


def _narrowed(width: int, narrow: int) -> int:
    return max(MIN_WIDTH, width // narrow)


def _upsample(x: Tensor) -> Tensor:
    """Double the size; bilinear is StyleGAN2's filter of the taps 1, 3, 3, 1."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _blank(features: Tensor, mask: Tensor) -> Tensor:
    """Blank features of 32 px and more where the mask of any frame is."""
    if features.shape[-1] < 32:
        return features
    small = F.adaptive_max_pool2d(mask.amax(1), features.shape[-2:])
    return features * (1 - small)
