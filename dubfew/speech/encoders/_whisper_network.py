"""The first blocks of Whisper's encoder, as a network of our own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Mel frames before and after those that rows are centered on which the two convolutions see: row r
# of a window is centered on frame 2 r and depends on frames 2 r - 2 to 2 r + 2.
MEL_CONTEXT_FRAMES = 2
# The second hidden layer of a block is this many times as wide as the block itself.
_HIDDEN_FACTOR = 4


@dataclass(frozen=True)
class WhisperSizes:
    """Sizes of Whisper's encoder.

    Attributes:
        num_bands: mel bands of the input.
        width: numbers per row.
        num_heads: heads of the attention.
        num_blocks: blocks that are computed.
        max_rows: rows (20 ms) that there are positions for.
        is_stacked: True puts the outputs of all blocks side by side, False takes the last one's.
    """

    num_bands: int
    width: int
    num_heads: int
    num_blocks: int
    max_rows: int
    is_stacked: bool = False


class WhisperBlocks(nn.Module):
    """Two convolutions, positions, and the first blocks of the transformer.

    Source: Radford et al. 2022, Robust Speech Recognition via Large-Scale Weak Supervision, sec.
    2.2.
    """

    def __init__(self, sizes: WhisperSizes) -> None:
        """Make a network without weights of use; load some into it."""
        super().__init__()
        self.is_stacked = sizes.is_stacked
        # No padding: a window brings the frames around it along, so that its first and last row
        # are as exact as all others.
        self.conv1 = nn.Conv1d(sizes.num_bands, sizes.width, 3)
        self.conv2 = nn.Conv1d(sizes.width, sizes.width, 3, stride=2)
        self.positions: Tensor
        self.register_buffer("positions", torch.zeros(sizes.max_rows, sizes.width))
        self.blocks = nn.ModuleList(
            _Block(sizes.width, sizes.num_heads) for _ in range(sizes.num_blocks)
        )

    def forward(
        self,
        mel: Tensor,  # [B, 2 R + 3, num_bands]
    ) -> Tensor:  # [B, R, width * number of outputs]
        """Compute the rows of a window.

        Args:
            mel: frames from two before the window's first row to two after its last one.
                [B, 2 R + 3, num_bands]

        Returns:
            The output of the last block, or of all of them side by side, without the normalization
            that follows in a whole encoder. [B, R, width * number of outputs]
        """
        x = F.gelu(self.conv1(mel.transpose(1, 2)))
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return torch.cat(outputs, dim=2) if self.is_stacked else x


class _Block(nn.Module):
    """Self-attention and two layers per row, each behind a normalization, around shortcuts."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)  # queries, keys, values
        self.attention_out = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width)
        self.hidden_in = nn.Linear(width, _HIDDEN_FACTOR * width)
        self.hidden_out = nn.Linear(_HIDDEN_FACTOR * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape stays. [B, R, width]"""
        queries, keys, values = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for part in self.attention_in(self.attention_norm(x)).chunk(3, dim=2)
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(2))
        return x + self.hidden_out(F.gelu(self.hidden_in(self.hidden_norm(x))))
