"""The networks: log-mel frames (or an encoder's) to motion coefficients and a gate at 50 Hz."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dubfew.media.mel import NUM_MEL_BANDS
from dubfew.speech.encoders import MEL_FRAMES_PER_ROW

# A linear reader looks at every second row within a quarter of a second to either side, at fewer
# with an encoder so wide that the equations for its weights would not fit into memory.
MAX_LINEAR_TAPS, TAP_SPACING_ROWS, MAX_LINEAR_COLUMNS = 13, 2, 2000


# Gaps that the networks foresee between which lips go from held together to as foreseen, in
# inter-ocular distances. Lips nearer than 0.03 look closed.
CLOSING_GAP_RANGE = (0.03, 0.06)
# A closure is a dip: within so many rows the gap is larger by this much. Or it is rest: within them
# it is nowhere larger than this. Without that, passages in which nothing is sure would be spoken
# with lips held shut.
CLOSURE_DIP_RANGE, REST_GAP_RANGE, CLOSURE_WINDOW_ROWS = (0.01, 0.03), (0.02, 0.04), 7


class SpeechPrediction(NamedTuple):
    """What is foreseen for every row.

    Attributes:
        coefficients: coefficients, before gating. [B, R, K]
        voice_logits: logit of "somebody speaks". [B, R]
    """

    coefficients: Tensor
    voice_logits: Tensor


@dataclass(frozen=True)
class SpeechNetworkConfig:
    """Sizes of a ``SpeechEnsemble``.

    Attributes:
        channels: of every block.
        dilations: of the blocks, in order; they set how far the network hears.
        components: motion coefficients per row.
        members: networks that answer together.
        dropout: share of channels dropped in training.
        inputs: numbers per frame of the encoder.
        stride: the encoder's frames per output row.
    """

    channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    components: int = 8
    members: int = 3
    dropout: float = 0.2
    inputs: int = NUM_MEL_BANDS
    stride: int = MEL_FRAMES_PER_ROW

    @property
    def context_rows(self) -> int:
        """Output rows on either side that one row depends on, rounded up."""
        return max(
            sum(self.dilations) + 2 + CLOSURE_WINDOW_ROWS, self.num_taps // 2 * TAP_SPACING_ROWS + 1
        )

    @property
    def num_taps(self) -> int:
        """Rows that the linear reader looks at, an odd number."""
        return max(1, min(MAX_LINEAR_TAPS, (MAX_LINEAR_COLUMNS // self.inputs - 1) // 2 * 2 + 1))


class _DilatedBlock(nn.Module):
    """Dilated convolution, then a mix of channels, around a shortcut."""

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.drop = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.gelu(self.norm(self.wide(x)))
        return x + self.drop(self.mix(y))


class SpeechNetwork(nn.Module):
    """Temporal convolutions that hear about half a second to either side; one of several."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(config.inputs, config.channels, 5, stride=config.stride, padding=2)
        self.blocks = nn.ModuleList(
            _DilatedBlock(config.channels, dilation, config.dropout)
            for dilation in config.dilations
        )
        self.head = nn.Conv1d(config.channels, config.components + 1, 1)

    def forward(
        self,
        frames: Tensor,  # [B, T, inputs]
    ) -> SpeechPrediction:
        """Row r is centred on frame ``stride * r``; there are ceil(T / stride)."""
        x = nn.functional.gelu(self.stem(frames.transpose(1, 2)))
        for block in self.blocks:
            x = block(x)
        out = self.head(x).transpose(1, 2)
        return SpeechPrediction(out[..., :-1], out[..., -1])


class LinearPredictor(nn.Module):
    """A linear map of the frames around each row; its weights are solved for, not trained."""

    def __init__(self, config: SpeechNetworkConfig) -> None:
        super().__init__()
        self.map = nn.Conv1d(
            config.inputs,
            config.components,
            config.num_taps,
            stride=config.stride,
            dilation=TAP_SPACING_ROWS * config.stride,
            padding=config.num_taps // 2 * TAP_SPACING_ROWS * config.stride,
        )

    def forward(self, frames: Tensor) -> Tensor:  # [B, T, inputs] -> [B, R, K]
        return self.map(frames.transpose(1, 2)).transpose(1, 2)


class SpeechEnsemble(nn.Module):
    """Several networks and a linear reader; the answer is their mean, closed where lips close.

    With minutes of film, what a network learns beyond the common is mostly chance, and chance
    differs from one to the next; least squares over all film errs differently from them all, but
    knows no closures. So where the networks bring the lips together for a moment, or see no speech
    at all, they stay together.
    """

    def __init__(
        self,
        config: SpeechNetworkConfig,
        opening: Tensor,  # [K]
    ) -> None:
        """
        Args:
            config: sizes.
            opening: gap between the lips per unit of each coefficient.
        """
        super().__init__()
        self.config = config
        self.networks = nn.ModuleList(SpeechNetwork(config) for _ in range(config.members))
        self.linear = LinearPredictor(config)
        self.opening: Tensor
        self.register_buffer("opening", opening.clone())

    def forward(
        self,
        frames: Tensor,  # [B, T, inputs]
    ) -> SpeechPrediction:
        """See ``SpeechNetwork.forward``."""
        motions, voices = zip(*(network(frames) for network in self.networks), strict=True)
        motion = torch.stack(motions).mean(0)
        mean = (motion + self.linear(frames)) / 2
        foreseen = motion @ self.opening
        around = nn.functional.max_pool1d(
            foreseen[:, None], 2 * CLOSURE_WINDOW_ROWS + 1, 1, CLOSURE_WINDOW_ROWS
        )[:, 0]
        surely = torch.maximum(
            _smoothstep(around - foreseen, CLOSURE_DIP_RANGE),
            1 - _smoothstep(around, REST_GAP_RANGE),
        )
        closed = (1 - _smoothstep(foreseen, CLOSING_GAP_RANGE)) * surely
        gap = (mean @ self.opening).clamp_min(0)
        # The least change of the coefficients that takes the gap away.
        direction = self.opening / (self.opening @ self.opening)
        return SpeechPrediction(
            mean - (gap * closed)[..., None] * direction, torch.stack(voices).mean(0)
        )


def _smoothstep(x: Tensor, edges: tuple[float, float]) -> Tensor:
    """From 0 at the first edge to 1 at the second, without corners."""
    share = ((x - edges[0]) / (edges[1] - edges[0])).clamp(0, 1)
    return share * share * (3 - 2 * share)
