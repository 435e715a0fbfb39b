"""The network: log-mel frames (or an encoder's) to motion coefficients and a gate at 50 Hz."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dubfew.speech.features import BANDS

STRIDE = 2  # steps of 10 ms per output row


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a ``SpeechNetwork``.

    Attributes:
        channels: of every block.
        dilations: of the blocks, in order; they set how far the network hears.
        components: motion coefficients per row.
        dropout: share of channels dropped in training.
        inputs: numbers per frame of the encoder.
        stride: the encoder's frames per output row.
    """

    channels: int = 96
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    components: int = 8
    dropout: float = 0.15
    inputs: int = BANDS
    stride: int = STRIDE

    @property
    def reach(self) -> int:
        """Output rows on either side that one row depends on, rounded up."""
        return sum(self.dilations) + 2


class _Block(nn.Module):
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
    """Temporal convolutions that hear about half a second to either side."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(config.inputs, config.channels, 5, stride=config.stride, padding=2)
        self.blocks = nn.ModuleList(
            _Block(config.channels, dilation, config.dropout) for dilation in config.dilations
        )
        self.head = nn.Conv1d(config.channels, config.components + 1, 1)

    def forward(
        self,
        frames: Tensor,  # [B, T, inputs]
    ) -> tuple[Tensor, Tensor]:  # [B, ceil(T / stride), K], [B, ceil(T / stride)]
        """Coefficients before gating, and the logit of "somebody speaks".

        Row r is centred on frame ``stride * r``.
        """
        x = nn.functional.gelu(self.stem(frames.transpose(1, 2)))
        for block in self.blocks:
            x = block(x)
        out = self.head(x).transpose(1, 2)
        return out[..., :-1], out[..., -1]


def parameter_count(config: NetworkConfig) -> int:
    """How many weights a network of this size has."""
    with torch.device("meta"):
        return sum(p.numel() for p in SpeechNetwork(config).parameters())
