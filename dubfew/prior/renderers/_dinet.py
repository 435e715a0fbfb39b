"""DINet: deforms the features of references, then paints the mouth from them.

The deformation part encodes sound and head pose into a code, from which one affine map for each
channel of the references' features follows (AdaAT). The inpainting part decodes the source's
features and the deformed ones into an image.

Source: Zhang et al. 2023, "DINet: Deformation Inpainting Network for Realistic Face Visually
Dubbing on High Resolution Video" (arXiv 2303.03988). The paper has the sizes of all inputs and
features; layers that it leaves to its supplement are those of the published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from dubfew.data.sound_features import SOUND_FEATURES
from dubfew.errors import ArtefactError
from dubfew.prior.renderers._deformation import (
    AdaptiveAffineTransform,
    FeatureAttention,
    FlowNetwork,
    warp_features,
)
from dubfew.prior.renderers._layers import (
    AdaptiveNorm,
    PreActivationBlock,
    SoundEncoder,
    convolution_block,
    image_encoder,
    upsampling_block,
)
from dubfew.prior.renderers._painting import PaintingRenderer, PaintingRendererConfig

if TYPE_CHECKING:
    from dubfew.data.clip_inputs import ClipInputs

Deformation = Literal["adaat", "adain", "attention", "flow"]
# Residual blocks on the references' features before the deformation, and as many after it.
RESIDUAL_BLOCKS = 4
# Channels at full, half and a fourth of the crop's size; 256 at a fourth is the paper's number.
ENCODER_WIDTHS = (64, 128, 256)
# Length of the code of the sound, and of that of the alignment. The paper's number.
CODE_LENGTH = 128


@dataclass(frozen=True)
class DINetConfig(PaintingRendererConfig):
    """Sizes of a `DINet`; the fields are keys of stored priors.

    Attributes:
        layout: entry of `dubfew.data.layouts.LAYOUTS`.
        references: pictures of the person at other times, N.
        sound: entry of `dubfew.data.sound_features.SOUND_FEATURES`.
        narrow: divides the channels of all layers, for small networks.
        deform: how references are deformed: ``adaat`` as the paper does it, or what the paper
            compares it with in table 2: ``adain`` (not at all; the code modulates the source's
            features), ``attention`` (the source gathers from the references) or ``flow``.
        inpaint: whether the decoder sees the source's features beside the deformed ones.
        flow_widths: channels of the levels of the flow network, if ``deform`` is ``flow``; a crop
            has 2 px or more at the deepest.
    """

    layout: str = "dinet256"
    references: int = 5
    sound: str = "deepspeech"
    narrow: int = 1
    deform: Deformation = "adaat"
    inpaint: bool = True
    flow_widths: tuple[int, ...] = (64, 128, 256, 256)

    def __post_init__(self) -> None:
        # Stored configurations have lists.
        object.__setattr__(self, "flow_widths", tuple(self.flow_widths))


@dataclass(frozen=True)
class DINetFeatures:
    """Features of a batch, of which figure 4 of the paper shows the mean over the channels.

    Attributes:
        source: features of the masked frames, F_s. [B * T, C, H/4, W/4]
        references: features of the references, F_ref. [B * T, C, H/4, W/4]
        deformed: features of the references after the deformation, F_d. [B * T, C, H/4,
            W/4]
    """

    source: Tensor
    references: Tensor
    deformed: Tensor


class DINet(PaintingRenderer):
    """The network of the module's docstring; the names of its layers are keys of stored priors.

    It paints each frame by itself. Frames of one window share their references, whose features are
    computed once.
    """

    config: DINetConfig

    def __init__(self, config: DINetConfig | None = None) -> None:
        """Make a network with fresh weights.

        Raises:
            ArtefactError: The values of the configuration do not fit together.
        """
        super().__init__()
        self.config = config = config or DINetConfig()
        _check_config(config)
        widths = tuple(width // config.narrow for width in ENCODER_WIDTHS)
        single_code = CODE_LENGTH // config.narrow
        width, code = widths[-1], 2 * single_code
        # Deformation part.
        self.source_encoder = image_encoder(3, widths)
        self.reference_encoder = image_encoder(3 * config.references, widths)
        self.alignment_encoder = _alignment_encoder(2 * width, single_code)
        self.sound_encoder = SoundEncoder(
            SOUND_FEATURES.load(config.sound).bands, single_code, single_code
        )
        self.before = nn.Sequential(*[PreActivationBlock(width) for _ in range(RESIDUAL_BLOCKS)])
        self.after = nn.Sequential(*[PreActivationBlock(width) for _ in range(RESIDUAL_BLOCKS)])
        if config.deform == "adaat":
            self.deform: nn.Module = AdaptiveAffineTransform(width, code)
        elif config.deform == "adain":
            self.deform = AdaptiveNorm(width, code)
        elif config.deform == "attention":
            self.deform = FeatureAttention(width, code)
        else:
            flow_widths = tuple(each // config.narrow for each in config.flow_widths)
            self.flow_input = nn.Conv2d(2 * width, flow_widths[0], 1)
            self.deform = FlowNetwork(flow_widths, code)
        # Inpainting part.
        middle = widths[1]
        self.decoder = nn.Sequential(
            convolution_block(2 * width if config.inpaint else width, middle, 3),
            upsampling_block(middle, middle),
            PreActivationBlock(middle),
            upsampling_block(middle, middle),
            nn.Conv2d(middle, 3, 7, padding=3),
            nn.Sigmoid(),
        )

    def encode_references(self, references: Tensor) -> tuple[Tensor, ...]:
        """Compute F_ref, and F_ref before its deformation. [B, C, H/4, W/4] each

        Args:
            references: RGB of other frames, for each window. [B, N, 3, H, W]
        """
        features = self.reference_encoder(references.flatten(1, 2))
        return features, self.before(features)

    def encode(
        self, source: Tensor, references: Tensor, sound: Tensor, known: tuple[Tensor, ...] = ()
    ) -> DINetFeatures:
        """Compute the features that are decoded.

        Args:
            source: RGB in [0, 1] of the frames of all windows, 0 inside the mask. H and W are
                divisible by 4, by 8 for ``attention``. [B * T, 3, H, W]
            references: RGB of other frames, for each window. [B, N, 3, H, W]
            sound: window of the sound around each frame, bands first. [B * T, F, L]
            known: result of `encode_references`; computed if empty.
        """
        frames = len(source) // len(references)
        source_features = self.source_encoder(source)
        # All frames of a window share the references, so they are encoded once.
        reference_features, deformed = (
            each.repeat_interleave(frames, 0)
            for each in known or self.encode_references(references)
        )
        both = torch.cat([source_features, reference_features], 1)
        # Its mean over all places: what is needed is the pose between source and references.
        alignment = self.alignment_encoder(both).mean((2, 3))
        code = torch.cat([self.sound_encoder(sound), alignment], 1)
        if self.config.deform == "adaat":
            deformed = self.deform(deformed, code)
        elif self.config.deform == "adain":
            source_features = self.deform(source_features, code)
        elif self.config.deform == "attention":
            deformed = self.deform(source_features, deformed, code)
        else:
            deformed = warp_features(deformed, self.deform(self.flow_input(both), code))
        return DINetFeatures(source_features, reference_features, self.after(deformed))

    def decode(self, features: DINetFeatures) -> Tensor:
        """Paint images from features; RGB in [0, 1]. [B * T, 3, H, W]"""
        if not self.config.inpaint:
            return self.decoder(features.deformed)
        return self.decoder(torch.cat([features.source, features.deformed], 1))

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


def _check_config(config: DINetConfig) -> None:
    if not 1 <= config.narrow <= ENCODER_WIDTHS[0]:
        raise ArtefactError(f"'narrow' is {config.narrow}: give 1 to {ENCODER_WIDTHS[0]}")
    layout = config.load_layout()
    # Attention has cells of 2 x 2 features.
    step = 8 if config.deform == "attention" else 4
    if layout.height % step or layout.width % step:
        raise ArtefactError(
            f"dinet cannot paint {layout.width} x {layout.height} px: multiples of {step} only"
        )
    if config.deform not in ("adaat", "adain", "attention", "flow"):
        raise ArtefactError(
            f"'deform' is {config.deform!r}: there are adaat, adain, attention, flow"
        )
    if config.deform == "adain" and not config.inpaint:
        raise ArtefactError(
            "'deform' 'adain' puts the sound into the source's features, which 'inpaint' false "
            "leaves out: change one of them"
        )


def _alignment_encoder(inputs: int, width: int) -> nn.Sequential:
    """Make the encoder of how source and references lie to each other; wide kernels, many px."""
    return nn.Sequential(
        convolution_block(inputs, width, 3),
        convolution_block(width, width, 11),
        convolution_block(width, width, 11),
        convolution_block(width, width, 3, stride=2),
        convolution_block(width, width, 7),
        convolution_block(width, width, 7),
        convolution_block(width, width, 3, stride=2),
        convolution_block(width, width, 3),
        convolution_block(width, width, 3, stride=2),
        convolution_block(width, width, 3),
        convolution_block(width, width, 3, stride=2),
    )
