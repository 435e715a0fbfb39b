"""A random Whisper of toy size, in both file formats, and its forward pass in NumPy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.special import erf

from tests.utils.ctranslate2_files import write_ctranslate2

BANDS, WIDTH, HEADS, BLOCKS, POSITIONS = 20, 12, 2, 3, 60
Arrays = dict[str, NDArray[np.float32]]


def random_whisper(seed: int = 0) -> Arrays:
    """Weights of the encoder by CTranslate2's names."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (WIDTH, BANDS, 3),
        "conv1/bias": (WIDTH,),
        "conv2/weight": (WIDTH, WIDTH, 3),
        "conv2/bias": (WIDTH,),
        "position_encodings/encodings": (POSITIONS, WIDTH),
        "layer_norm/gamma": (WIDTH,),
        "layer_norm/beta": (WIDTH,),
    }
    for number in range(BLOCKS):
        for part, (rows, columns) in {
            "self_attention/linear_0": (3 * WIDTH, WIDTH),
            "self_attention/linear_1": (WIDTH, WIDTH),
            "ffn/linear_0": (4 * WIDTH, WIDTH),
            "ffn/linear_1": (WIDTH, 4 * WIDTH),
        }.items():
            shapes[f"layer_{number}/{part}/weight"] = (rows, columns)
            shapes[f"layer_{number}/{part}/bias"] = (rows,)
        for part in ("self_attention", "ffn"):
            shapes[f"layer_{number}/{part}/layer_norm/gamma"] = (WIDTH,)
            shapes[f"layer_{number}/{part}/layer_norm/beta"] = (WIDTH,)
    arrays = {
        # Rounded to what float16 holds, so that both file formats have the same values.
        name: (0.3 * rng.standard_normal(shape)).astype(np.float16).astype(np.float32)
        for name, shape in shapes.items()
    }
    for number in range(BLOCKS):  # keys have no bias
        arrays[f"layer_{number}/self_attention/linear_0/bias"][WIDTH : 2 * WIDTH] = 0
    return arrays


def write_whisper_ctranslate2(folder: Path, arrays: Arrays, dtype: str = "float16") -> Path:
    """Write ``model.bin`` as CTranslate2's converter does, decoder and all."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {f"encoder/{name}": values.astype(dtype) for name, values in arrays.items()}
    variables["encoder/num_heads"] = np.array(HEADS, np.int16)
    variables["decoder/embeddings/weight"] = np.ones((30, WIDTH), dtype)
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
    return write_ctranslate2(folder / "model.bin", variables, aliases=aliases)


def write_whisper_safetensors(folder: Path, arrays: Arrays, prefix: str = "model.") -> Path:
    """Write ``model.safetensors`` and ``config.json`` with transformers' names."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"decoder.embed_tokens.weight": np.ones((30, WIDTH), np.float32)}
    for name, values in arrays.items():
        name = name.replace("position_encodings/encodings", "embed_positions/weight")
        name = re.sub(r"^layer_(\d+)", r"layers/\1", name)
        name = name.replace("self_attention/layer_norm", "self_attn_layer_norm")
        name = name.replace("ffn/layer_norm", "final_layer_norm")
        name = name.replace("ffn/linear_0", "fc1").replace("ffn/linear_1", "fc2")
        name = name.replace("self_attention/linear_1", "self_attn/out_proj")
        name = name.replace("gamma", "weight").replace("beta", "bias")
        parts = {name: values}
        if "self_attention/linear_0" in name:
            parts = {
                name.replace("self_attention/linear_0", f"self_attn/{part}_proj"): rows
                for part, rows in zip("qkv", np.split(values, 3), strict=True)
            }
        for part, rows in parts.items():
            tensors[f"encoder.{part.replace('/', '.')}"] = np.ascontiguousarray(rows)
    tensors = {
        prefix + name: rows for name, rows in tensors.items() if not name.endswith("k_proj.bias")
    }
    path = folder / "model.safetensors"
    save_file(tensors, path)
    (folder / "config.json").write_text(json.dumps({"encoder_attention_heads": HEADS}))
    return path


def compute_layers(mel: NDArray, arrays: Arrays) -> list[NDArray]:
    """The output of every layer, from mel frames with two more on either side. [R, width] each"""

    def gelu(x: NDArray) -> NDArray:
        return x * 0.5 * (1 + erf(x / np.sqrt(2)))

    def norm(x: NDArray, name: str) -> NDArray:
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * arrays[f"{name}/gamma"] + arrays[f"{name}/beta"]

    def linear(x: NDArray, name: str) -> NDArray:
        return x @ arrays[f"{name}/weight"].T + arrays[f"{name}/bias"]

    def convolve(x: NDArray, name: str, step: int) -> NDArray:
        places = range(0, len(x) - 2, step)
        weight = arrays[f"{name}/weight"]  # [out, in, 3]
        rows = [np.einsum("oik,ki->o", weight, x[place : place + 3]) for place in places]
        return np.stack(rows) + arrays[f"{name}/bias"]

    x = gelu(convolve(gelu(convolve(mel.astype(np.float64), "conv1", 1)), "conv2", 2))
    x = x + arrays["position_encodings/encodings"][: len(x)]
    layers = [x]
    for number in range(BLOCKS):
        block = f"layer_{number}"
        attention = f"{block}/self_attention"
        queries, keys, values = np.split(
            linear(norm(x, f"{attention}/layer_norm"), f"{attention}/linear_0"), 3, axis=1
        )
        mixed = []
        for head in np.split(np.arange(WIDTH), HEADS):
            scores = queries[:, head] @ keys[:, head].T / np.sqrt(len(head))
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(weights / weights.sum(axis=1, keepdims=True) @ values[:, head])
        x = x + linear(np.concatenate(mixed, axis=1), f"{attention}/linear_1")
        hidden = gelu(linear(norm(x, f"{block}/ffn/layer_norm"), f"{block}/ffn/linear_0"))
        x = x + linear(hidden, f"{block}/ffn/linear_1")
        layers.append(x)
    return layers
