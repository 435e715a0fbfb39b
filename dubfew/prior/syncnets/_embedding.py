"""Wav2Lip's SyncNet, with plain strides or with adaptive polyphase sampling.

Two encoders embed the lower half of five faces and 0.2 s of sound; how well they fit is the cosine
of the two embeddings.

Source: Prajwal et al. 2020, "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The
Wild" (arXiv 2008.10010), section 3.2, the layers as in the published code; Muaz et al. 2023,
"SIDGAN: High-Resolution Dubbed Video Generation via Shift-Invariant Learning", section 3.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.prior.syncnets._base import SYNC_FRAMES, SyncNetwork

# Height and width of the lower half of a face of 96 px.
HALF_FACE_PX = (48, 96)
# Number of the frame in the middle, whose window of sound spans the five frames.
_MIDDLE_FRAME = SYNC_FRAMES // 2
# Least distance of a score from 0 and 1, whose logarithms are infinite.
_SCORE_MARGIN = 1e-6

Stride = tuple[int, int]


@dataclass(frozen=True)
class EmbeddingSyncConfig:
    """Sizes of an `EmbeddingSyncNet`.

    Attributes:
        sound: sound feature, 80 bands in windows of 16 steps.
        divisor: divides the channels of all layers, for small networks.
        polyphase: whether layers with a stride choose the strongest phase instead.
        head: how the face encoder ends: ``valid`` as published, by a convolution over the last 3 x
            3 positions; ``mean``, by the mean of positions, which no circular shift changes.
    """

    sound: str = "mel16"
    divisor: int = 1
    polyphase: bool = False
    head: Literal["valid", "mean"] = "valid"


class AdaptivePolyphaseSampling(nn.Module):
    """Keep one of each s x t positions: that phase of the grid whose values are strongest.

    The output of a circular shift of the input is a circular shift of the output, whatever the
    shift is; a plain stride always keeps the same phase. Rows and columns may have different
    strides.

    Source: Chaman and Dokmanic 2021, "Truly Shift-Invariant Convolutional Neural Networks" (arXiv
    2011.14214), eq. 4 to 6; asymmetric as in Muaz et al. 2023, SIDGAN, section 3.3.1.
    """

    def __init__(self, stride: Stride) -> None:
        """Make a layer.

        Args:
            stride: rows and columns of which one is kept.
        """
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Sample features, after padding them circularly to whole strides.

        Args:
            x: features. [B, C, H, W]

        Returns:
            The phase with the largest norm of each picture. [B, C, ceil(H / s), ceil(W / t)]
        """
        s, t = self.stride
        below, right = -x.shape[2] % s, -x.shape[3] % t
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="circular")
        batch, channels, height, width = x.shape
        phases = x.view(batch, channels, height // s, s, width // t, t).permute(0, 3, 5, 1, 2, 4)
        phases = phases.reshape(batch, s * t, channels, height // s, width // t)
        strongest = phases.detach().square().sum((2, 3, 4)).argmax(1)
        return phases[torch.arange(batch, device=x.device), strongest]


class _Layer(nn.Module):
    """Convolution, batch normalization and ReLU; a stride or a phase of it; perhaps a shortcut."""

    def __init__(
        self,
        channels: tuple[int, int],
        kernel: int,
        stride: Stride = (1, 1),
        padding: int = 1,
        *,
        shortcut: bool = False,
        polyphase: bool = False,
        circular: bool = False,
    ) -> None:
        super().__init__()
        sampled = polyphase and stride != (1, 1)
        # "Same" padding where positions go round: with less of it the ends would not meet.
        self.convolution = nn.Conv2d(
            *channels,
            kernel,
            (1, 1) if sampled else stride,
            kernel // 2 if circular else padding,
            padding_mode="circular" if circular else "zeros",
        )
        self.norm = nn.BatchNorm2d(channels[1])
        self.sampling = AdaptivePolyphaseSampling(stride) if sampled else nn.Identity()
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.convolution(x))
        return self.sampling(F.relu(y + x if self.shortcut else y))


def _encoder(
    inputs: int,
    plan: list[tuple[int, int, Stride, int, int]],
    config: EmbeddingSyncConfig,
    *,
    circular: bool,
) -> nn.Sequential:
    """Make the layers of an encoder but its last two.

    Args:
        inputs: channels of the input.
        plan: channels, kernel, stride, padding of a layer, and the residual layers after it.
        config: sizes.
        circular: whether positions go round.
    """
    layers, before = [], inputs
    for channels, kernel, stride, padding, residual in plan:
        after = max(4, channels // config.divisor)
        layers.append(
            _Layer(
                (before, after),
                kernel,
                stride,
                padding,
                polyphase=config.polyphase,
                circular=circular,
            )
        )
        layers += [
            _Layer((after, after), 3, shortcut=True, circular=circular) for _ in range(residual)
        ]
        before = after
    return nn.Sequential(*layers)


class SoundEmbedding(nn.Module):
    """Encoder of 0.2 s of sound to an embedding of 512 numbers; SIDGAN's generator has it, too.

    Its last layer has no ReLU where the network samples phases, so that cosines span -1 to 1.
    """

    def __init__(self, config: EmbeddingSyncConfig) -> None:
        """Make an encoder with fresh weights."""
        super().__init__()
        width = max(4, 512 // config.divisor)
        self.layers = _encoder(
            1,
            [
                (32, 3, (1, 1), 1, 2),
                (64, 3, (3, 1), 1, 2),
                (128, 3, (3, 3), 1, 2),
                (256, 3, (3, 2), 1, 2),
            ],
            config,
            circular=False,
        )
        self.ending = _Ending(max(4, 256 // config.divisor), width, config, head="valid")

    def forward(self, sound: Tensor) -> Tensor:
        """Embed windows of a mel spectrogram [B, 80, 16] as [B, 512]."""
        return self.ending(self.layers(sound[:, None]))


class _Ending(nn.Module):
    """The two layers that end an encoder: 3 x 3 positions to one, then a layer without a kernel."""

    def __init__(self, inputs: int, width: int, config: EmbeddingSyncConfig, head: str) -> None:
        super().__init__()
        self.pool = head == "mean"
        self.first = _Layer((inputs, width), 3, padding=0, circular=self.pool)
        self.last = nn.Conv2d(width, width, 1)
        # Wav2Lip normalizes and rectifies the embedding as well.
        self.norm = nn.Identity() if config.polyphase else nn.BatchNorm2d(width)
        self.rectify = not config.polyphase

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.pool:
            x = x.mean((2, 3), keepdim=True)
        x = self.norm(self.last(x))
        return (F.relu(x) if self.rectify else x).flatten(1)


class EmbeddingSyncNet(SyncNetwork):
    """The network of the module's docstring."""

    # Muaz et al. 2023, SIDGAN, section 3.4. Wav2Lip's published settings are 64 pairs and 1e-4.
    paper_steps, paper_batch, paper_learning_rate = 370_000, 256, 2e-4

    def __init__(self, config: EmbeddingSyncConfig | None = None) -> None:
        """Make a network with fresh weights."""
        super().__init__()
        self.config = config = config or EmbeddingSyncConfig()
        width = max(4, 512 // config.divisor)
        self.face = _encoder(
            3 * SYNC_FRAMES,
            [
                (32, 7, (1, 1), 3, 0),
                (64, 5, (1, 2), 1, 2),
                (128, 3, (2, 2), 1, 3),
                (256, 3, (2, 2), 1, 2),
                (512, 3, (2, 2), 1, 2),
                (512, 3, (2, 2), 1, 0),
            ],
            config,
            circular=config.polyphase,
        )
        self.face_ending = _Ending(width, width, config, config.head)
        self.sound_encoder = SoundEmbedding(config)

    def copy_plain(self, plain: EmbeddingSyncNet) -> None:
        """Copy the weights of a network of plain strides to one that samples phases.

        The two differ in what strides keep, in padding, and in their ends: the normalization and
        the ReLU of the plain one's embeddings. The former becomes a part of the last layer here.

        Args:
            plain: the other network, of the same width.

        Raises:
            RuntimeError: It has another width.
        """
        state = plain.state_dict()
        for name in ("face_ending", "sound_encoder.ending"):
            norm = plain.get_submodule(f"{name}.norm")
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_var is not None
            assert norm.running_mean is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight, bias = f"{name}.last.weight", f"{name}.last.bias"
            state[weight] = state[weight] * scale[:, None, None, None]
            state[bias] = (state[bias] - norm.running_mean) * scale + norm.bias
        own = self.state_dict()
        self.load_state_dict({key: state[key].detach() for key in own if key in state})

    @property
    def embedding_width(self) -> int:
        """Return the numbers of an embedding: 512 with all channels."""
        return self.face_ending.last.out_channels

    def embed_faces(self, frames: Tensor) -> Tensor:
        """Embed frames.

        Args:
            frames: RGB crops in [0, 1], in order. [B, 5, 3, H, W]

        Returns:
            Embeddings of length 1. [B, 512]
        """
        halves = resize_lower_halves(frames)
        return F.normalize(self.face_ending(self.face(halves.flatten(1, 2))), dim=1)

    def embed_sound(self, sound: Tensor) -> Tensor:
        """Embed the sound [B, 5, 80, 16] around each frame; length 1. [B, 512]"""
        return F.normalize(self.sound_encoder(sound[:, _MIDDLE_FRAME]), dim=1)

    def score_embedded(self, faces: Tensor, sounds: Tensor) -> Tensor:
        """Score pairs, see `SyncNetwork.score`.

        The score is the cosine, which is 0 or more since both embeddings are rectified; with
        adaptive polyphase sampling, where they are not, (1 + cosine) / 2.

        Args:
            faces: embeddings of frames. [B, 512]
            sounds: embeddings of sound. [B, 512]

        Returns:
            Scores from 0 to 1. [B]
        """
        cosine = (faces * sounds).sum(1)
        return (1 + cosine) / 2 if self.config.polyphase else cosine

    def compute_embedded_loss(self, faces: Tensor, sounds: Tensor, in_sync: Tensor) -> Tensor:
        """Compute the binary cross-entropy of the scores, see `SyncNetwork.compute_loss`.

        For painted frames it is minus the logarithm of the score: with adaptive polyphase sampling
        eq. 2 of SIDGAN, -log((1 + CS) / 2).

        Args:
            faces: embeddings of frames. [B, 512]
            sounds: embeddings of sound. [B, 512]
            in_sync: 1 where frames and sound belong together, else 0. [B]
        """
        # Half precision cannot hold a score near 1.
        score = self.score_embedded(faces, sounds).float()
        score = score.clamp(_SCORE_MARGIN, 1 - _SCORE_MARGIN)
        in_sync = in_sync.float()
        return -(in_sync * score.log() + (1 - in_sync) * (1 - score).log()).mean()


def resize_lower_halves(frames: Tensor) -> Tensor:
    """Cut the lower half of face crops and resize it for the network.

    Args:
        frames: RGB crops. [B, 5, 3, H, W]

    Returns:
        RGB. [B, 5, 3, 48, 96]
    """
    batch, count, channels, height, width = frames.shape
    halves = frames[:, :, :, height // 2 :].reshape(batch * count, channels, -1, width)
    if halves.shape[2:] != HALF_FACE_PX:
        halves = F.interpolate(
            halves, HALF_FACE_PX, mode="bilinear", antialias=True, align_corners=False
        )
    return halves.view(batch, count, channels, *HALF_FACE_PX)
