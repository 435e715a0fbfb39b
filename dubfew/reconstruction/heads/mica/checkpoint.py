"""MICA's released file, and plain ArcFace weights, without running anything in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.errors import AssetError
from dubfew.reconstruction.heads.flame.model import NUM_FLAME_VERTICES
from dubfew.reconstruction.heads.mica.arcface import IRESNET_DEPTHS, IResNet, embed_faces
from dubfew.reconstruction.heads.mica.mapping import NUM_SHAPE_COEFFICIENTS, MappingNetwork
from dubfew.utils.torch_checkpoint import load_torch_weights, load_weights_into

MICA_PAGE_URL = "https://github.com/Zielon/MICA"
EXPECTED_MICA_FILE = f"expected mica.tar of {MICA_PAGE_URL}"
# The file also holds how its training stood, with plain numbers as numpy writes them. These make
# numbers and arrays of numbers and nothing else.
SAFE_NUMPY_GLOBALS: list[Any] = [
    np.ndarray,
    np.dtype,
    np.zeros(0).__reduce__()[0],  # what an array is pickled as a call of
    np.float64(0).__reduce__()[0],
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")),
]


@dataclass(frozen=True)
class MicaModel:
    """MICA's networks: from a picture of a face to the shape of the head.

    Attributes:
        arcface: network that tells people apart.
        mapping: network that gives the shape of the person's head.
        template: the mean head that the shapes belong to, m, where the file has it. [V, 3]
        shape_basis: displacements per unit coefficient, m, where the file has them. [300, V, 3]
    """

    arcface: IResNet
    mapping: MappingNetwork
    template: NDArray[np.float32] | None
    shape_basis: NDArray[np.float32] | None

    def predict_shapes(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict FLAME's shape coefficients from aligned pictures [N, 112, 112, 3]. [N, 300]"""
        with torch.inference_mode():
            return self.mapping(torch.from_numpy(embed_faces(self.arcface, chips))).numpy()


def load_mica(path: Path | str) -> MicaModel:
    """Read ``mica.tar``.

    Raises:
        AssetError: The file does not exist, or does not hold MICA's weights.
    """
    path = Path(path)
    stored = load_torch_weights(path, EXPECTED_MICA_FILE, allowed_globals=SAFE_NUMPY_GLOBALS)
    # The file holds two networks: ArcFace, and the mapping from its code to FLAME's shape.
    parts = {}
    for name in ("arcface", "flameModel"):
        if not isinstance(stored.get(name), dict):
            raise AssetError(f"{path} is not MICA, it has no part {name!r}: {EXPECTED_MICA_FILE}")
        parts[name] = stored[name]
    flame = parts["flameModel"]
    # Without memory of its own: the weights that are loaded take its place.
    with torch.device("meta"):
        mapping = MappingNetwork()
    load_weights_into(mapping, flame, path, "MICA", EXPECTED_MICA_FILE, prefix="regressor.")
    # With them go the mean head and the basis that the coefficients belong to. A file without them
    # is used as well; then the user's FLAME has to have the same basis.
    template, basis = (flame.get(f"generator.{name}") for name in ("v_template", "shapedirs"))
    if not (isinstance(template, Tensor) and isinstance(basis, Tensor)):
        return MicaModel(
            _build_arcface(parts["arcface"], path, EXPECTED_MICA_FILE), mapping, None, None
        )
    # Only the first 300 directions are shapes; the file may hold expressions behind them.
    expected = (NUM_FLAME_VERTICES, 3)
    enough = (
        basis.ndim == 3 and basis.shape[:2] == expected and basis.shape[2] >= NUM_SHAPE_COEFFICIENTS
    )
    if template.shape != expected or not enough:
        raise AssetError(
            f"{path} is damaged, its FLAME has shapes {list(basis.shape)} for a template "
            f"{list(template.shape)}: {EXPECTED_MICA_FILE}"
        )
    return MicaModel(
        _build_arcface(parts["arcface"], path, EXPECTED_MICA_FILE),
        mapping,
        template.float().numpy().copy(),
        np.ascontiguousarray(basis[..., :NUM_SHAPE_COEFFICIENTS].permute(2, 0, 1).float().numpy()),
    )


def load_arcface(path: Path | str) -> IResNet:
    """Load the identity network alone, from ``mica.tar`` or InsightFace's PyTorch weights.

    Raises:
        AssetError: The file does not exist, or holds other weights.
    """
    path = Path(path)
    expected = f"{EXPECTED_MICA_FILE}, or an iresnet's weights of InsightFace's arcface_torch"
    stored = load_torch_weights(path, expected, allowed_globals=SAFE_NUMPY_GLOBALS)
    part = stored.get("arcface", stored)
    return _build_arcface(part if isinstance(part, dict) else {}, path, expected)


def _build_arcface(weights: Mapping[str, object], path: Path, expected: str) -> IResNet:
    blocks = [re.match(r"layer([1-4])\.(\d+)\.", str(name)) for name in weights]
    found = {match.groups() for match in blocks if match}
    depths = tuple(sum(layer == str(number) for layer, _ in found) for number in range(1, 5))
    if depths not in IRESNET_DEPTHS.values():
        raise AssetError(f"{path} is no ArcFace, its four layers have {depths} blocks: {expected}")
    with torch.device("meta"):
        network = IResNet(depths)
    load_weights_into(network, weights, path, "ArcFace", expected)
    return network
