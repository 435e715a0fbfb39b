"""The network of the distilled encoder, and the file that it is stored in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.media.mel import NUM_MEL_BANDS
from dubfew.speech.encoders._base import MEL_FRAMES_PER_ROW
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_header

# Version of the file format.
ENCODER_FORMAT_VERSION = 1
# Key of the file's JSON header.
_HEADER_KEY = "dubfew.encoder"
# Mel frames that the stem sees before and after the one that a row is centered on: one by its first
# convolution, two by its second.
_STEM_CONTEXT_FRAMES = 3
# Width of the stem's convolutions, in mel frames.
_FRAME_KERNEL, _ROW_KERNEL = 3, 5


@dataclass(frozen=True)
class DistilledConfig:
    """Sizes of a `DistilledNetwork`; stored with the weights.

    Attributes:
        features: numbers per row of the output.
        channels: channels of every block.
        stem_channels: channels between the stem's two convolutions.
        kernel: rows that a block's convolution combines, an odd number.
        dilations: distances of these rows, block by block; they set how far the network sees.
        expansion: width of a block's hidden layer, in multiples of ``channels``.
    """

    features: int = 128
    channels: int = 160
    stem_channels: int = 128
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2)
    expansion: int = 2

    @property
    def context_rows(self) -> int:
        """Compute how many rows the blocks see on either side of a row."""
        return self.kernel // 2 * sum(self.dilations)

    @property
    def context_frames(self) -> int:
        """Compute how many mel frames the network sees on either side of a row's own frame."""
        return MEL_FRAMES_PER_ROW * self.context_rows + _STEM_CONTEXT_FRAMES


class DistilledNetwork(nn.Module):
    """Two convolutions from mel frames to rows, then blocks that look around.

    Source of the blocks: Liu et al. 2022, A ConvNet for the 2020s, sec. 2.
    """

    def __init__(self, config: DistilledConfig) -> None:
        """Make a network with random weights."""
        super().__init__()
        self.config = config
        self.frame_stem = nn.Conv1d(NUM_MEL_BANDS, config.stem_channels, _FRAME_KERNEL)
        self.row_stem = nn.Conv1d(
            config.stem_channels, config.channels, _ROW_KERNEL, stride=MEL_FRAMES_PER_ROW
        )
        self.blocks = nn.ModuleList(_Block(config, dilation) for dilation in config.dilations)
        self.norm = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, config.features)

    def forward(
        self,
        mel: Tensor,  # [B, 2 (R - 1) + 1 + 2 context_frames, 80]
        *,
        padded: bool = False,
    ) -> Tensor:  # [B, R, features]
        """Compute rows.

        Args:
            mel: log-mel frames, from ``context_frames`` before the first row's frame to as many
                after the last row's. [B, 2 (R - 1) + 1 + 2 context_frames, 80]
            padded: put zeros around the input of every convolution instead; then the frames of the
                rows alone are given [B, 2 R, 80]. Training does so, because computing the context
                would double its cost.
        """
        pad = (_FRAME_KERNEL // 2, _ROW_KERNEL // 2) if padded else (0, 0)
        x = F.gelu(self.frame_stem(F.pad(mel.transpose(1, 2), (pad[0], pad[0]))))
        x = self.row_stem(F.pad(x, (pad[1], pad[1]))).transpose(1, 2)
        for block in self.blocks:
            x = block(x, padded=padded)
        return self.head(self.norm(x))


class _Block(nn.Module):
    """A convolution along time within each channel, then two layers per row, around a shortcut."""

    def __init__(self, config: DistilledConfig, dilation: int) -> None:
        super().__init__()
        channels = config.channels
        self.reach = config.kernel // 2 * dilation
        self.depthwise = nn.Conv1d(
            channels, channels, config.kernel, dilation=dilation, groups=channels
        )
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, config.expansion * channels)
        self.project = nn.Linear(config.expansion * channels, channels)

    def forward(self, x: Tensor, *, padded: bool) -> Tensor:
        """Apply the block; without padding, ``reach`` rows are lost at either end. [B, R, C]"""
        if padded:
            x = F.pad(x, (0, 0, self.reach, self.reach))
        around = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        own = x[:, self.reach : x.shape[1] - self.reach]
        return own + self.project(F.gelu(self.expand(self.norm(around))))


def save_distilled_network(
    network: DistilledNetwork, path: Path, training: Mapping[str, Any]
) -> None:
    """Write a network to a file, atomically; weights are rounded to half precision.

    Args:
        network: the network.
        path: the file.
        training: facts about its training, in JSON's types.
    """
    header = {
        "format_version": ENCODER_FORMAT_VERSION,
        "network": dataclasses.asdict(network.config),
        "training": dict(training),
    }
    tensors = {name: tensor.half().numpy() for name, tensor in network.state_dict().items()}
    write_atomic(path, save(tensors, metadata={_HEADER_KEY: json.dumps(header)}))


def load_distilled_network(path: Path) -> DistilledNetwork:
    """Read a file that `save_distilled_network` wrote.

    Raises:
        ArtefactError: The file is not a distilled encoder, is damaged or was written by a newer
            dubfew.
    """
    try:
        header = read_header(path, _HEADER_KEY)
        check_format_version(header["format_version"], ENCODER_FORMAT_VERSION, str(path))
        tensors = load_file(str(path))
        sizes = header["network"] | {"dilations": tuple(header["network"]["dilations"])}
        network = DistilledNetwork(DistilledConfig(**sizes))
        network.load_state_dict({n: torch.from_numpy(a).float() for n, a in tensors.items()})
    except (OSError, RuntimeError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(
            f"{path} is not an encoder that dubfew can read: copy it again, or make one with "
            "`python -m tools.distill_encoder`"
        ) from error
    return network.eval()
