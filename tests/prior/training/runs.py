"""Read the files of a finished training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dubfew.prior.training.config import PriorTrainConfig


def read_log(config: PriorTrainConfig) -> list[dict[str, Any]]:
    lines = Path(config.out, "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def read_losses(config: PriorTrainConfig) -> list[float]:
    return [line["loss"] for line in read_log(config)]


def read_weights(config: PriorTrainConfig) -> dict[str, Tensor]:
    """Weights of the renderer and the textures in the last resume state."""
    folder = Path(config.out, "state-" + Path(config.out, "latest").read_text())
    weights = load_file(folder / "model.safetensors")
    textures = torch.load(folder / "custom_checkpoint_0.pkl", weights_only=True)
    return {name.removeprefix("module."): value for name, value in (weights | textures).items()}
