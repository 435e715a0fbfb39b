"""MICA's file with its real names and shapes, and random weights, in half a megabyte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dubfew.reconstruction.heads.mica.arcface import IRESNET_DEPTHS, IResNet
from dubfew.reconstruction.heads.mica.mapping import MappingNetwork

VERTICES = 5023


class Pool:
    """Random weights of any shape that all lie in a few numbers: each row begins one further."""

    def __init__(self, seed: int = 0) -> None:
        self._numbers = torch.randn(60_000, generator=torch.Generator().manual_seed(seed))
        self._steps: dict[float, Tensor] = {}

    def __call__(self, shape: torch.Size, scale: float) -> Tensor:
        numbers = self._steps.setdefault(scale, self._numbers * scale)
        strides = [1]
        for size in reversed(shape[2:]):
            strides.insert(0, strides[0] * size)
        return numbers.as_strided(tuple(shape), (1, *strides) if len(shape) > 1 else (1,))


def arcface_weights(depth: str = "r100", seed: int = 0) -> dict[str, Tensor]:
    """As ``torch.save`` wrote them: names and shapes of InsightFace's iresnet."""
    pool = Pool(seed)
    with torch.device("meta"):
        network = IResNet(IRESNET_DEPTHS[depth])
    weights = {}
    for name, own in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            weights[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            weights[name] = pool(own.shape, 0.2).abs() + 0.5
        elif own.ndim > 1:
            weights[name] = pool(own.shape, (2 / own[0].numel()) ** 0.5)
        else:
            weights[name] = pool(own.shape, 0.1) + (0.5 if name.endswith("weight") else 0)
    return weights


def mica_weights(depth: str = "r100", seed: int = 0) -> dict:
    """What ``mica.tar`` holds, the state of its training too."""
    pool = Pool(seed + 1)
    mapping = {
        f"regressor.{name}": pool(own.shape, (2 / own[0].numel()) ** 0.5 if own.ndim > 1 else 0.1)
        for name, own in MappingNetwork().state_dict().items()
    }
    flame = {
        "generator.v_template": pool(torch.Size((VERTICES, 3)), 0.05),
        "generator.shapedirs": pool(torch.Size((VERTICES, 3, 400)), 0.001),
        "generator.faces_tensor": torch.zeros(1, 3, dtype=torch.long).expand(9976, 3),
    }
    return {
        "flameModel": {**flame, **mapping},
        "arcface": arcface_weights(depth, seed),
        "epoch": 12,
        "global_step": 160_000,
        "opt": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": []},
        "validator": {
            "embeddings_lyhm": {"somebody": [np.zeros(512, np.float32)]},
            "best_model": {"average": float("inf"), "now_median": np.float64(1.0)},
        },
    }


def mica_file(path: Path, **changes: object) -> Path:
    """Write ``mica.tar``; entries that are None are left out."""
    stored = {**mica_weights(), **changes}
    torch.save({name: value for name, value in stored.items() if value is not None}, path)
    return path
