"""Features of Inception v3 for FID, by the package torch-fidelity."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dubfew.errors import AssetError, MissingDependencyError
from dubfew.utils.import_utils import import_optional
from dubfew.utils.torch_checkpoint import load_torch_weights

# Length of the features before the last layer, which papers use.
INCEPTION_SIZE = 2048
# Weight by which the file is recognized, and its shape: TensorFlow's network has 1,008 classes.
INCEPTION_KEY, INCEPTION_SHAPE = "fc.weight", (1008, INCEPTION_SIZE)


def check_inception_file(path: Path) -> None:
    """Check that a file holds the weights, without running code in it.

    Raises:
        AssetError: It does not.
    """
    expected = "give weights-inception-2015-12-05-6726825d.pth of torch-fidelity"
    stored = load_torch_weights(path, expected)
    if getattr(stored.get(INCEPTION_KEY), "shape", None) != INCEPTION_SHAPE:
        raise AssetError(f"{path} is not Inception v3 of 2015 with 1,008 classes: {expected}")


class InceptionFeatures:
    """Features of pictures.

    Args:
        path: file of the weights.

    Raises:
        AssetError: The file does not hold the weights.
        MissingDependencyError: torch-fidelity is not installed or cannot be imported.
    """

    size = INCEPTION_SIZE
    frames_per_vector = 1

    def __init__(self, path: Path) -> None:
        check_inception_file(path)  # the package would run code of the file
        try:
            package = import_optional("torch_fidelity").__name__
            module: Any = import_module(f"{package}.feature_extractor_inceptionv3")
        # A build of torchvision that does not belong to torch's raises RuntimeError.
        except RuntimeError as error:
            raise MissingDependencyError(
                f"torch-fidelity cannot be imported ({error}): install torchvision from the same "
                "index as torch"
            ) from error
        self._network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", [str(INCEPTION_SIZE)], feature_extractor_weights_path=str(path)
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of images. [B, H, W, 3] -> [B, 2048]"""
        batch = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return np.asarray(self._network(batch)[0].numpy())
