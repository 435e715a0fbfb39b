"""Choice of the device that networks run on."""

from __future__ import annotations

import re

import torch

from dubfew.errors import DubfewError


def resolve_device(device: str) -> str:
    """Turn the option ``--device`` into a device that torch has on this machine.

    Args:
        device: "auto" (CUDA if there is any), "cpu", "cuda" or "cuda:N".

    Returns:
        "cpu", "cuda" or "cuda:N".

    Raises:
        DubfewError: The text is another one, or names CUDA on a machine without it.

    Example:
        >>> resolve_device("cpu")
        'cpu'
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise DubfewError(f"no device {device!r}: give auto, cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DubfewError(f"--device {device}: torch finds no CUDA device here; use --device cpu")
    return device
