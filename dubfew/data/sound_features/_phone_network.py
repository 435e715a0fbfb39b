"""The network behind `ctc29_espeak`, and the file of its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.data.sound_features._ctc import NUM_CTC_LOGITS
from dubfew.errors import ArtefactError
from dubfew.media.mel import NUM_MEL_BANDS
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_header

# Version of the file, and the key of its JSON header.
PHONE_NETWORK_VERSION = 1
_HEADER_KEY = "dubfew.phone_network"
# Channels of all layers: more would pass the megabyte that the weights may have.
CHANNELS = 96
# Width of the convolutions, and the distances that the blocks look at, in steps of 20 ms: together
# 0.3 s to either side, the length of a syllable.
KERNEL, DILATIONS = 5, (1, 2, 3, 1)
# Mel frames (10 ms) per step of the network.
FRAMES_PER_STEP = 2


class PhoneNetwork(nn.Module):
    """Convolutions from mel bands to the logits of phones, 50 times a second."""

    def __init__(self) -> None:
        """Make a network with fresh weights."""
        super().__init__()
        self.frames = nn.Conv1d(NUM_MEL_BANDS, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.steps = nn.Conv1d(
            CHANNELS, CHANNELS, KERNEL, stride=FRAMES_PER_STEP, padding=KERNEL // 2
        )
        self.blocks = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2 * d, dilation=d)
            for d in DILATIONS
        )
        # Over channels, at each step: a step must not depend on the clip's length.
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in DILATIONS)
        self.logits = nn.Conv1d(CHANNELS, NUM_CTC_LOGITS, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Compute logits.

        Args:
            mel: bands of `dubfew.media.mel.log_mel`. [B, T, 80]

        Returns:
            Logits, the blank first. [B, ceil(T / 2), 29]
        """
        x = F.gelu(self.steps(F.gelu(self.frames(mel.transpose(1, 2)))))
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = x + F.gelu(block(norm(x.transpose(1, 2)).transpose(1, 2)))
        return self.logits(x).transpose(1, 2)


def save_phone_network(
    network: PhoneNetwork, path: Path, symbols: Sequence[str], training: Mapping[str, Any]
) -> None:
    """Write a network to a file, atomically; weights are rounded to half precision.

    Args:
        network: the network.
        path: the file.
        symbols: letters of the phonetic alphabet that each of the 28 classes stands for.
        training: facts about its training, in JSON's types.
    """
    header = {
        "format_version": PHONE_NETWORK_VERSION,
        "symbols": list(symbols),
        "training": dict(training),
    }
    tensors = {name: tensor.half().numpy() for name, tensor in network.state_dict().items()}
    write_atomic(path, save(tensors, metadata={_HEADER_KEY: json.dumps(header)}))


def load_phone_network(path: Path) -> tuple[PhoneNetwork, dict[str, Any]]:
    """Read a file that `save_phone_network` wrote.

    Returns:
        The network in evaluation mode, and the header.

    Raises:
        ArtefactError: The file is damaged, another one, or of a newer dubfew.
    """
    try:
        header = read_header(path, _HEADER_KEY)
        check_format_version(header["format_version"], PHONE_NETWORK_VERSION, str(path))
        network = PhoneNetwork()
        stored = {name: torch.from_numpy(a).float() for name, a in load_file(str(path)).items()}
        network.load_state_dict(stored)
    except (OSError, RuntimeError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(
            f"{path} is not a phone network that dubfew can read: install dubfew again"
        ) from error
    return network.eval(), header
