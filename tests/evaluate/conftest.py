"""SyncNet's file as its authors released it, with other numbers in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

# Each layer with weights by its name in the released file, and the shape of its weight.
LAYERS: dict[str, tuple[int, ...]] = {
    "netcnnaud.0": (64, 1, 3, 3),
    "netcnnaud.4": (192, 64, 3, 3),
    "netcnnaud.8": (384, 192, 3, 3),
    "netcnnaud.11": (256, 384, 3, 3),
    "netcnnaud.14": (256, 256, 3, 3),
    "netcnnaud.18": (512, 256, 5, 4),
    "netfcaud.0": (512, 512),
    "netfcaud.3": (1024, 512),
    "netfclip.0": (512, 512),
    "netfclip.3": (1024, 512),
    "netcnnlip.0": (96, 3, 5, 7, 7),
    "netcnnlip.4": (256, 96, 1, 5, 5),
    "netcnnlip.8": (256, 256, 1, 3, 3),
    "netcnnlip.11": (256, 256, 1, 3, 3),
    "netcnnlip.14": (256, 256, 1, 3, 3),
    "netcnnlip.18": (512, 256, 1, 6, 6),
}


def syncnet_weights() -> dict[str, torch.Tensor]:
    """Random weights under the released names; a batch norm follows every layer but the last."""
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}
    for name, shape in LAYERS.items():
        spread = (2 / np.prod(shape[1:])) ** 0.5
        weights[f"{name}.weight"] = rng.standard_normal(shape, np.float32) * np.float32(spread)
        weights[f"{name}.bias"] = rng.normal(0, 0.1, shape[0])
        part, place = name.split(".")
        if (part[:5], place) != ("netfc", "3"):
            norm = f"{part}.{int(place) + 1}"
            weights[f"{norm}.weight"] = rng.uniform(0.8, 1.2, shape[0])
            weights[f"{norm}.bias"] = rng.normal(0, 0.1, shape[0])
            weights[f"{norm}.running_mean"] = rng.normal(0, 0.1, shape[0])
            weights[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, shape[0])
    return {name: torch.from_numpy(np.float32(value)) for name, value in weights.items()}


@pytest.fixture(scope="session")
def syncnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like `syncnet_v2.model`: PyTorch's old format, without counts of batches."""
    path = tmp_path_factory.mktemp("syncnet") / "random.model"
    torch.save(syncnet_weights(), path, _use_new_zipfile_serialization=False)
    return path
