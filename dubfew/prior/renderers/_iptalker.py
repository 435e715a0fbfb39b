"""IPTalker: aligns references with the sound by attention, warps their features, paints the mouth.

The alignment module makes one code from the sound and the lower halves of the references. The
warping module turns it into a flow that moves the features of all references. The inpainting
module, a SPADE decoder, paints the frame from the warped features and those of the masked frame.

Source: "Identity-Preserving Video Dubbing Using Motion Warping" (IPTalker), arXiv 2501.04586. What
the paper leaves open is said where it is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.data.sound_features import SOUND_FEATURES
from dubfew.errors import ArtefactError
from dubfew.prior.renderers._deformation import FlowNetwork, warp_features
from dubfew.prior.renderers._layers import (
    LEAKY_RELU_SLOPE,
    MODULATION_WIDTH,
    MultiHeadAttention,
    PreActivationBlock,
    SoundEncoder,
    SpadeBlock,
    convolution_block,
    image_encoder,
    upsampling_block,
)
from dubfew.prior.renderers._painting import PaintingRenderer, PaintingRendererConfig

if TYPE_CHECKING:
    from dubfew.data.clip_inputs import ClipInputs

# Spread of the tokens that tell sound and images apart at the start, as of word embeddings in BERT.
TOKEN_STD = 0.02
# Factor between the width of tokens and the hidden layer of a unit, as in the original Transformer.
HIDDEN_FACTOR = 4


@dataclass(frozen=True)
class IPTalkerConfig(PaintingRendererConfig):
    """Sizes of an `IPTalker`; the fields are keys of stored priors.

    The paper names none but the features' size, a fourth of the crop's.

    Attributes:
        layout: entry of `dubfew.data.layouts.LAYOUTS`.
        references: pictures of the person at other times, N.
        sound: entry of `dubfew.data.sound_features.SOUND_FEATURES`.
        narrow: divides the channels of all layers and the code, for small networks.
        width: channels of the features of the source and of each reference, C.
        code: length of tokens and of the alignment feature.
        units: number of audio-visual alignment units.
        heads: heads of each attention.
        flow_widths: channels of the flow network's levels below its input.
        decoder_widths: channels of the decoder at a fourth, half and full size.
        align: whether references take part in the code; False is the ablation "w/o Alignment".
        cross: whether the cross-modalities encoder sums the tokens up; False is the ablation
            "w/o E_cm", which injects all of them.
        spade: whether the decoder is a SPADE decoder; False is the ablation "w/o SPADE".
        flows: ``one`` flow for the features of all references, as in eq. 7, or one for ``each``.
        modulation: width of the layers between the code and scales and shifts in the flow network,
            and between the features and those of the SPADE decoder.
    """

    layout: str = "iptalker"
    references: int = 5
    sound: str = "deepspeech"
    narrow: int = 1
    width: int = 64
    code: int = 256
    units: int = 4
    heads: int = 8
    flow_widths: tuple[int, ...] = (128, 256, 256)
    decoder_widths: tuple[int, ...] = (256, 128, 64)
    align: bool = True
    cross: bool = True
    spade: bool = True
    flows: Literal["one", "each"] = "one"
    modulation: int = MODULATION_WIDTH

    def __post_init__(self) -> None:
        # Stored configurations have lists.
        for name in ("flow_widths", "decoder_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def divide_widths(self) -> IPTalkerConfig:
        """Return the same sizes divided by ``narrow``."""
        return replace(
            self,
            narrow=1,
            width=self.width // self.narrow,
            code=self.code // self.narrow,
            flow_widths=tuple(width // self.narrow for width in self.flow_widths),
            decoder_widths=tuple(width // self.narrow for width in self.decoder_widths),
            modulation=self.modulation // self.narrow,
        )


@dataclass(frozen=True)
class IPTalkerFeatures:
    """Features of a batch, of which figure 7 of the paper shows the mean over the channels.

    Attributes:
        source: features of the masked frames, F_S. [B * T, C, H/4, W/4]
        references: features of all references, F_R. [B * T, N * C, H/4, W/4]
        warped: features of the references after warping, F_w. [B * T, N * C, H/4, W/4]
        flow: offsets, px of the features, x then y. [B * T, 2 or 2 * N, H/4, W/4]
    """

    source: Tensor
    references: Tensor
    warped: Tensor
    flow: Tensor


class AlignmentUnit(nn.Module):
    """Audio-visual alignment unit (AVAU): one step of a transformer over sound and references.

    Self-attention over all tokens, then the references ask the sound and the sound asks the
    references, then a hidden layer for each token. Normalization comes first, which trains without
    a warm-up. A reference that asks the sound finds a single key, so it may also take nothing:
    otherwise every reference would take all of the sound however little it fits.

    Source: IPTalker, eq. 2 and figure 3a.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Make a unit.

        Args:
            width: length of tokens; divisible by ``heads``.
            heads: heads of each attention.
        """
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.self_attention = MultiHeadAttention(width, heads)
        self.images_ask = MultiHeadAttention(width, heads, can_ignore=True)
        self.sound_asks = MultiHeadAttention(width, heads, can_ignore=True)
        self.hidden = nn.Sequential(
            nn.Linear(width, HIDDEN_FACTOR * width),
            nn.GELU(),
            nn.Linear(HIDDEN_FACTOR * width, width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Transform tokens, those of the images first, that of the sound last. [B, N + 1, width]"""
        normalized = self.norms[0](tokens)
        tokens = tokens + self.self_attention(normalized, normalized)
        images, sound = self.norms[1](tokens[:, :-1]), self.norms[2](tokens[:, -1:])
        gathered = [self.images_ask(images, sound), self.sound_asks(sound, images)]
        tokens = tokens + torch.cat(gathered, 1)
        return tokens + self.hidden(self.norms[3](tokens))


class AlignmentModule(nn.Module):
    """Makes one code from the sound and the lower halves of the references.

    Source: IPTalker, section III-B.
    """

    def __init__(self, config: IPTalkerConfig) -> None:
        """Make the module."""
        super().__init__()
        self.config = config
        code, widths = config.code, [min(32 * 2**level, config.code) for level in range(6)]
        # The sound encoder is DINet's; its inner width is half of the code, as it is there.
        self.sound_encoder = SoundEncoder(SOUND_FEATURES.load(config.sound).bands, code // 2, code)
        if not config.align:
            return
        self.image_encoder = nn.Sequential(
            convolution_block(3, widths[0], 7),
            *[convolution_block(a, b, 3, stride=2) for a, b in pairwise(widths)],
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], code),
        )
        self.image_token = nn.Parameter(torch.randn(code) * TOKEN_STD)
        self.sound_token = nn.Parameter(torch.randn(code) * TOKEN_STD)
        self.units = nn.ModuleList(AlignmentUnit(code, config.heads) for _ in range(config.units))
        if config.cross:
            # Along the tokens; their mean is the code.
            self.cross_encoder = nn.Sequential(
                nn.Conv1d(code, code, 3, padding=1), nn.ReLU(), nn.Conv1d(code, code, 3, padding=1)
            )

    @property
    def code_length(self) -> int:
        """Return the length of the code."""
        tokens = 1 if self.config.cross or not self.config.align else self.config.references + 1
        return tokens * self.config.code

    def see(self, references: Tensor) -> Tensor:
        """Compute the visual tokens of references, without the token of their kind. [B, N, code]

        Args:
            references: RGB of other frames, for each window; the lower halves are seen.
                [B, N, 3, H, W]
        """
        mouths = references[:, :, :, references.shape[3] // 2 :]
        return self.image_encoder(mouths.flatten(0, 1)).unflatten(0, mouths.shape[:2])

    def forward(self, seen: Tensor | None, sound: Tensor) -> Tensor:
        """Compute the code.

        Args:
            seen: tokens of each window's references, see `see`; None without alignment.
                [B, N, code]
            sound: window of the sound around each frame, bands first. [B * T, F, L]

        Returns:
            The alignment feature of each frame. [B * T, code_length]
        """
        heard = self.sound_encoder(sound)
        if seen is None:
            return heard
        heard = heard + self.sound_token
        seen = seen.repeat_interleave(len(heard) // len(seen), 0)
        tokens = torch.cat([seen + self.image_token, heard[:, None]], 1)
        for unit in self.units:
            tokens = unit(tokens)
        if not self.config.cross:
            return tokens.flatten(1)
        return self.cross_encoder(tokens.transpose(1, 2)).mean(2) + heard


class IPTalker(PaintingRenderer):
    """The network of the module's docstring; the names of its layers are keys of stored priors.

    It paints each frame by itself. Frames of one window share their references, whose features are
    computed once.
    """

    config: IPTalkerConfig

    def __init__(self, config: IPTalkerConfig | None = None) -> None:
        """Make a network with fresh weights.

        Raises:
            ArtefactError: The values of the configuration do not fit together.
        """
        super().__init__()
        self.config = config = config or IPTalkerConfig()
        _check_config(config)
        config = config.divide_widths()
        width, count = config.width, config.references
        self.alignment = AlignmentModule(config)
        # Features at full, half and a fourth of the size, as DINet has them.
        widths = (width // 4, width // 2, width)
        self.source_encoder = image_encoder(3, widths)
        self.reference_encoder = image_encoder(3, widths)
        # Eq. 5 adds C to N * C channels: a 1 x 1 convolution brings the references to C.
        self.gather = nn.Conv2d(count * width, width, 1)
        self.fuse = nn.Sequential(PreActivationBlock(width), PreActivationBlock(width))
        self.flow_network = FlowNetwork(
            (width, *config.flow_widths),
            self.alignment.code_length,
            count if config.flows == "each" else 1,
            config.modulation,
        )
        # Inpainting module.
        known, (quarter, half, full) = (count + 1) * width, config.decoder_widths
        if config.spade:
            self.enter = nn.Conv2d(known, quarter, 3, padding=1)
            pairs = ((quarter, quarter), (quarter, half), (half, full))
            self.decoder = nn.ModuleList(
                SpadeBlock(a, b, known, config.modulation) for a, b in pairs
            )
        else:
            self.decoder = nn.ModuleList(
                [
                    convolution_block(known, quarter, 3),
                    upsampling_block(quarter, half),
                    upsampling_block(half, full),
                ]
            )
        self.leave = nn.Conv2d(full, 3, 7, padding=3)

    def encode_references(self, references: Tensor) -> tuple[Tensor, ...]:
        """Compute the references' features [B, N * C, H/4, W/4], and with alignment their tokens.

        Args:
            references: RGB of other frames, for each window. [B, N, 3, H, W]
        """
        features = self.reference_encoder(references.flatten(0, 1))
        features = features.unflatten(0, references.shape[:2]).flatten(1, 2)
        if not self.config.align:
            return (features,)
        return features, self.alignment.see(references)

    def encode(
        self, source: Tensor, references: Tensor, sound: Tensor, known: tuple[Tensor, ...] = ()
    ) -> IPTalkerFeatures:
        """Compute the features that are decoded.

        Args:
            source: RGB in [0, 1] of the frames of all windows, 0 inside the mask. H and W are
                divisible by 4. [B * T, 3, H, W]
            references: RGB of other frames, for each window. [B, N, 3, H, W]
            sound: window of the sound around each frame, bands first. [B * T, F, L]
            known: result of `encode_references`; computed if empty.
        """
        features, *tokens = known or self.encode_references(references)
        code = self.alignment(tokens[0] if tokens else None, sound)
        seen = self.source_encoder(source)
        features = features.repeat_interleave(len(source) // len(references), 0)
        flow = self.flow_network(self.fuse(seen + self.gather(features)), code)
        if self.config.flows == "one":
            warped = warp_features(features, flow)
        else:
            count = self.config.references
            single = warp_features(
                features.unflatten(1, (count, -1)).flatten(0, 1),
                flow.unflatten(1, (count, 2)).flatten(0, 1),
            )
            warped = single.unflatten(0, (-1, count)).flatten(1, 2)
        return IPTalkerFeatures(seen, features, warped, flow)

    def decode(self, features: IPTalkerFeatures) -> Tensor:
        """Paint images from features; RGB in [0, 1]. [B * T, 3, H, W]"""
        known = torch.cat([features.warped, features.source], 1)
        if self.config.spade:
            x = self.enter(known)
            for level, block in enumerate(self.decoder):
                x = block(F.interpolate(x, scale_factor=2) if level else x, known)
        else:
            x = known
            for block in self.decoder:
                x = block(x)
        return torch.sigmoid(self.leave(F.leaky_relu(x, LEAKY_RELU_SLOPE)))

    def paint_frames(
        self, source: Tensor, references: Tensor, sound: Tensor, known: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """Paint frames, see `encode` for the arguments; RGB in [0, 1]. [B * T, 3, H, W]

        Args:
            source: frames, 0 inside the mask. RGB in [0, 1], [B * T, 3, H, W]
            references: other frames, for each window. RGB in [0, 1], [B, N, 3, H, W]
            sound: window of the sound around each frame, bands first. [B * T, F, L]
            known: result of `encode_references`; computed if empty.
        """
        return self.decode(self.encode(source, references, sound, known))

    def paint(self, inputs: ClipInputs, known: tuple[Tensor, ...] = ()) -> Tensor:
        """Paint a batch of windows, see `PaintingRenderer.paint`. [B, T, 3, H, W]"""
        painted = self.paint_frames(
            inputs.scene.flatten(0, 1), inputs.references, inputs.sound.flatten(0, 1), known
        )
        return painted.unflatten(0, inputs.scene.shape[:2])


def _check_config(config: IPTalkerConfig) -> None:
    if config.flows not in ("one", "each"):
        raise ArtefactError(f"'flows' is {config.flows!r}: there are one, each")
    layout = config.load_layout()
    if layout.height % 4 or layout.width % 4:
        raise ArtefactError(
            f"iptalker cannot paint {layout.width} x {layout.height} px: multiples of 4 only"
        )
    if config.narrow < 1 or config.width // config.narrow < 4:
        raise ArtefactError(f"'narrow' is {config.narrow}: give 1 to {max(1, config.width // 4)}")
    code = config.code // config.narrow
    if code % config.heads or code % 2:
        raise ArtefactError(
            f"the code has the length {code} and {config.heads} heads: give an even multiple"
        )
