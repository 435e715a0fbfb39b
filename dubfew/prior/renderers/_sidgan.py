"""SIDGAN: a pyramid that paints the face anew at three sizes, from coarse to fine.

Two encoders of the same form see the blanked frame (query) and a frame of the same person at
another time (reference). Six blocks grow a picture from the query at a 32nd of its size; each sees
the features of both encoders at its size, and the first three the sound as well. The last three
paint RGB. Each level is painted anew and not added to the one before: an addition could not take
away what went wrong there.

The paper's sizes of features and outputs are kept; layers and widths stand in a supplement that was
not at hand. In place of its unnamed normalization stands pixel normalization: an instance
normalization behind a convolution takes out the mean over all positions, and with it most of the
sound, which is the same everywhere, and the light of the picture.

Source: Muaz et al. 2023, "SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant
Learning", sections 3.1, 3.2 and figure 3. Pixel normalization: Karras et al. 2018, "Progressive
Growing of GANs for Improved Quality, Stability, and Variation" (arXiv 1710.10196), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.prior.renderers._painting import PaintingRenderer, PaintingRendererConfig
from dubfew.prior.syncnets._embedding import EmbeddingSyncConfig, SoundEmbedding

if TYPE_CHECKING:
    from dubfew.data.clip_inputs import ClipInputs

# Slope of activations for negative inputs; 0 would stop their gradients.
LEAKY_RELU_SLOPE = 0.2
# Channels of the six levels, coarsest first. The paper does not say them.
LEVEL_WIDTHS = (512, 512, 256, 128, 64, 32)
# Least channels of a level in narrow networks: the norm of a pixel leaves too little in fewer.
MIN_WIDTH = 8
# Blocks that hear the sound: it shapes lips and jaw, not texture. Section 3.2.
SOUND_BLOCKS = 3
# Levels that paint, by the divisor of the crop's size, coarsest first: 128, 256 and 512 px.
LEVEL_NAMES = ("coarse", "middle", "fine")
# Length of the sound's embedding. Section 3.1.
SOUND_EMBEDDING = 512


@dataclass(frozen=True)
class SidganConfig(PaintingRendererConfig):
    """Sizes of a `SidganGenerator`; the fields are keys of stored priors.

    Attributes:
        layout: entry of `dubfew.data.layouts.LAYOUTS`.
        narrow: divides the channels of all layers, for small networks.
        pyramid: whether the two coarser levels paint as well; False is the ablation of table 4.
        sound_encoder: SyncNet whose encoder of sound the network has: ``aps``, or ``wav2lip`` for
            the ablation with the vanilla sync loss.
        norm: ``pixel``, or ``instance`` for comparison.
    """

    layout: str = "sidgan"
    narrow: int = 1
    pyramid: bool = True
    sound_encoder: Literal["aps", "wav2lip"] = "aps"
    norm: Literal["pixel", "instance"] = "pixel"


class _Norm(nn.Module):
    """Bring features to the size 1, over the channels of a pixel or over a channel's pixels."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "instance":
            return F.instance_norm(x)
        # In single precision: squares of half precision overflow above 255.
        size = x.float().square().mean(1, keepdim=True)
        return x * torch.rsqrt(size + 1e-8).to(x.dtype)


def _layer(inputs: int, outputs: int, norm: str, stride: int = 1) -> nn.Sequential:
    """Make a 3 x 3 convolution, an activation and a normalization.

    Pixel normalization follows the activation, as in its paper; instance normalization precedes it.
    """
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1)
    activation = nn.LeakyReLU(LEAKY_RELU_SLOPE)
    if norm == "instance":
        return nn.Sequential(convolution, _Norm(norm), activation)
    return nn.Sequential(convolution, activation, _Norm(norm))


class SidganGenerator(PaintingRenderer):
    """The network of the module's docstring; the names of its layers are keys of stored priors."""

    config: SidganConfig

    def __init__(self, config: SidganConfig | None = None) -> None:
        """Make a network with fresh weights.

        Raises:
            ArtefactError: The crop's size is no multiple of 32, there is not one reference, or
                ``narrow`` leaves no channels.
        """
        super().__init__()
        self.config = config = config or SidganConfig()
        layout = config.load_layout()
        if layout.height % 32 or layout.width % 32:
            raise ArtefactError(
                f"sidgan cannot paint {layout.width} x {layout.height} px: multiples of 32 only"
            )
        if config.references != 1 or config.narrow < 1:
            raise ArtefactError(
                f"sidgan takes one reference and a 'narrow' of 1 or more, not "
                f"{config.references} and {config.narrow}"
            )
        widths = [max(MIN_WIDTH, width // config.narrow) for width in LEVEL_WIDTHS]
        # Encoders begin at the full size, with the last of the widths.
        self.query_encoder = _encoder(widths[::-1], config.norm)
        self.reference_encoder = _encoder(widths[::-1], config.norm)
        self.sound_encoder = SoundEmbedding(
            EmbeddingSyncConfig(
                config.sound, config.narrow, polyphase=config.sound_encoder == "aps"
            )
        )
        heard = max(4, SOUND_EMBEDDING // config.narrow)
        self.blocks = nn.ModuleList()
        for number, (before, width) in enumerate(pairwise([3, *widths])):
            # A block takes what the one before made, and the features of both encoders at its size.
            inputs = before + 2 * width + (heard if number < SOUND_BLOCKS else 0)
            self.blocks.append(
                nn.Sequential(
                    *_layer(inputs, width, config.norm), *_layer(width, width, config.norm)
                )
            )
        # Without a pyramid the finest level alone has a layer of colors.
        painting = LEVEL_NAMES if config.pyramid else LEVEL_NAMES[-1:]
        self.rgb = nn.ModuleDict(
            {
                name: nn.Conv2d(width, 3, 3, padding=1)
                for name, width in zip(LEVEL_NAMES, widths[-len(LEVEL_NAMES) :], strict=True)
                if name in painting
            }
        )

    def train(self, mode: bool = True) -> SidganGenerator:
        """Switch to training; a frozen encoder of sound keeps its running statistics."""
        super().train(mode)
        if not any(p.requires_grad for p in self.sound_encoder.parameters()):
            self.sound_encoder.eval()
        return self

    def encode_references(self, references: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of the reference at every level, coarsest first. [B, C, h, w] each

        Args:
            references: RGB of another frame, for each window. [B, 1, 3, H, W]
        """
        return tuple(_encode(self.reference_encoder, references[:, 0]))

    def paint_levels(
        self, inputs: ClipInputs, finest: str = "fine", known: tuple[Tensor, ...] = ()
    ) -> dict[str, Tensor]:
        """Paint a batch at all levels up to one.

        Args:
            inputs: blanked frames, one reference and sound. [B, T, ...]
            finest: one of `LEVEL_NAMES`; later blocks are not computed.
            known: result of `encode_references`; computed if empty.

        Returns:
            RGB in [0, 1] by level, coarsest first. [B, T, 3, H / d, W / d], d = 4, 2, 1
        """
        batch, frames = inputs.scene.shape[:2]
        query = inputs.scene.flatten(0, 1)
        queries = _encode(self.query_encoder, query)
        # A window has one reference: it is encoded once and repeated.
        references = [
            features.repeat_interleave(frames, 0)
            for features in known or self.encode_references(inputs.references)
        ]
        sound = self.sound_encoder(inputs.sound.flatten(0, 1))[..., None, None]
        height, width = queries[0].shape[2:]
        x = F.interpolate(query, (height, width), mode="area")
        painted = {}
        for number, block in enumerate(self.blocks):
            if number:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            parts = [x, queries[number], references[number]]
            if number < SOUND_BLOCKS:
                parts.append(sound.to(x.dtype).expand(-1, -1, *x.shape[2:]))
            x = block(torch.cat(parts, 1))
            level = number - (len(self.blocks) - len(LEVEL_NAMES))
            if level >= 0:
                name = LEVEL_NAMES[level]
                if name in self.rgb:
                    painted[name] = self.rgb[name](x).sigmoid().unflatten(0, (batch, frames))
                if name == finest:
                    break
        return painted

    def paint(self, inputs: ClipInputs, known: tuple[Tensor, ...] = ()) -> Tensor:
        """Paint a batch, see `PaintingRenderer.paint`. [B, T, 3, H, W]"""
        return self.paint_levels(inputs, known=known)["fine"]

    def list_parts_behind(self, finest: str) -> list[nn.Module]:
        """List the parts that `paint_levels` does not use up to a level."""
        place = LEVEL_NAMES.index(finest) + 1
        blocks = self.blocks[len(self.blocks) - len(LEVEL_NAMES) + place :]
        return [*blocks, *(self.rgb[name] for name in LEVEL_NAMES[place:] if name in self.rgb)]


def _encoder(widths: list[int], norm: str) -> nn.ModuleList:
    """Make an encoder: one layer at the full size, then one for each halving."""
    layers = [_layer(3, widths[0], norm)]
    layers += [_layer(a, b, norm, stride=2) for a, b in pairwise(widths)]
    return nn.ModuleList(layers)


def _encode(encoder: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """Compute the features of every level, coarsest first."""
    features = []
    for layer in encoder:
        x = layer(x)
        features.append(x)
    return features[::-1]
