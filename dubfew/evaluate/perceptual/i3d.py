"""Features of I3D for FVD, from the TorchScript file that papers share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dubfew.errors import AssetError

# Classes of Kinetics-400: FVD compares the logits.
I3D_SIZE = 400
# Frames of one window. FVD's first paper and most since take 16.
I3D_FRAMES = 16


def load_i3d(path: Path) -> torch.jit.ScriptModule:
    """Load the network, and check it with a few black frames.

    Args:
        path: ``i3d_torchscript.pt``.

    Raises:
        AssetError: The file is not that network.
    """
    expected = "give i3d_torchscript.pt"
    try:
        network = torch.jit.load(str(path), map_location="cpu").eval()
        with torch.inference_mode():
            shape = tuple(_run(network, torch.zeros(1, 3, I3D_FRAMES, 32, 32)).shape)
    except Exception as error:  # the reader of TorchScript raises almost anything
        raise AssetError(f"{path} is not I3D as TorchScript: {expected}") from error
    if shape != (1, I3D_SIZE):
        raise AssetError(f"{path} gives {list(shape)} instead of [1, {I3D_SIZE}]: {expected}")
    return network


def _run(network: torch.jit.ScriptModule, videos: torch.Tensor) -> torch.Tensor:
    """Compute the logits of videos [B, 3, T, H, W] in [0, 255]; the network resizes to 224 px."""
    return network(videos, rescale=True, resize=True, return_features=True)


class I3dFeatures:
    """Logits of windows of 16 frames.

    Args:
        path: ``i3d_torchscript.pt``.

    Raises:
        AssetError: The file is not that network.
    """

    size = I3D_SIZE
    frames_per_vector = I3D_FRAMES

    def __init__(self, path: Path) -> None:
        self._network = load_i3d(path)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the logits of one window. [16, H, W, 3] -> [1, 400]"""
        video = torch.from_numpy(np.ascontiguousarray(images)).permute(3, 0, 1, 2)[None].float()
        with torch.inference_mode():
            return np.asarray(_run(self._network, video).numpy())
