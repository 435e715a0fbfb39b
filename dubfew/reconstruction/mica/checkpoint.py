"""MICA's released file, and plain ArcFace weights, without running anything in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.errors import AssetError
from dubfew.reconstruction.flame.model import VERTICES
from dubfew.reconstruction.mica.arcface import DEPTHS, IResNet, embed
from dubfew.reconstruction.mica.mapping import SHAPES, MappingNetwork

PAGE = "https://github.com/Zielon/MICA"
EXPECTED = f"expected mica.tar of {PAGE}"
# The file also holds how its training stood, with plain numbers as numpy writes them. These make
# numbers and arrays of numbers and nothing else.
NUMBERS: list[Any] = [
    np.ndarray,
    np.dtype,
    np.zeros(0).__reduce__()[0],  # what an array is pickled as a call of
    np.float64(0).__reduce__()[0],
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")),
]


@dataclass(frozen=True)
class Mica:
    """From a picture of a face to the shape of the head.

    Attributes:
        arcface: whose face it is.
        mapping: the shape of that person's head.
        template: the mean head that the shapes belong to, m, where the file has it. [V, 3]
        basis: displacements per unit coefficient, m, where the file has them. [300, V, 3]
    """

    arcface: IResNet
    mapping: MappingNetwork
    template: NDArray[np.float32] | None
    basis: NDArray[np.float32] | None

    def shapes(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """FLAME's shape coefficients of each aligned picture [N, 112, 112, 3]. [N, 300]"""
        with torch.inference_mode():
            return self.mapping(torch.from_numpy(embed(self.arcface, chips))).numpy()


def load_mica(path: Path | str) -> Mica:
    """Read ``mica.tar``.

    Raises:
        AssetError: no such file, or not MICA's weights.
    """
    path = Path(path)
    stored = _read(path, EXPECTED)
    parts = {}
    for name in ("arcface", "flameModel"):
        if not isinstance(stored.get(name), dict):
            raise AssetError(f"{path} is not MICA, it has no part {name!r}: {EXPECTED}")
        parts[name] = stored[name]
    flame = parts["flameModel"]
    with torch.device("meta"):
        mapping = MappingNetwork()
    _fill(mapping, flame, "regressor.", path, f"MICA, its part 'flameModel': {EXPECTED}")
    template, basis = (flame.get(f"generator.{name}") for name in ("v_template", "shapedirs"))
    if not (isinstance(template, Tensor) and isinstance(basis, Tensor)):
        return Mica(_arcface(parts["arcface"], path, EXPECTED), mapping, None, None)
    expected = (VERTICES, 3)
    enough = basis.ndim == 3 and basis.shape[:2] == expected and basis.shape[2] >= SHAPES
    if template.shape != expected or not enough:
        raise AssetError(
            f"{path} is damaged, its FLAME has shapes {list(basis.shape)} for a template "
            f"{list(template.shape)}: {EXPECTED}"
        )
    return Mica(
        _arcface(parts["arcface"], path, EXPECTED),
        mapping,
        template.float().numpy().copy(),
        np.ascontiguousarray(basis[..., :SHAPES].permute(2, 0, 1).float().numpy()),
    )


def load_arcface(path: Path | str) -> IResNet:
    """The identity network alone: of ``mica.tar``, or InsightFace's PyTorch weights of any depth.

    Raises:
        AssetError: no such file, or not such weights.
    """
    path = Path(path)
    expected = f"{EXPECTED}, or an iresnet's weights of InsightFace's arcface_torch"
    stored = _read(path, expected)
    part = stored.get("arcface", stored)
    return _arcface(part if isinstance(part, dict) else {}, path, expected)


def _read(path: Path, expected: str) -> dict:
    try:
        with torch.serialization.safe_globals(NUMBERS):
            # Mapped: half of the file is the state of its training, which nobody reads. What
            # PyTorch wrote before 1.6 is no zip and cannot be.
            mapped = is_zipfile(path)
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise AssetError(f"no weights at {path}: {expected}") from None
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror}): {expected}") from error
    except Exception as error:  # torch's reader raises almost anything on a damaged file
        raise AssetError(f"{path} is no file of weights: {expected}") from error
    if not isinstance(stored, dict):
        raise AssetError(f"{path} holds no weights by name: {expected}")
    return stored


def _arcface(weights: Mapping[str, object], path: Path, expected: str) -> IResNet:
    blocks = [re.match(r"layer([1-4])\.(\d+)\.", str(name)) for name in weights]
    found = {match.groups() for match in blocks if match}
    depths = tuple(sum(layer == str(number) for layer, _ in found) for number in range(1, 5))
    if depths not in DEPTHS.values():
        raise AssetError(f"{path} is no ArcFace, its four layers have {depths} blocks: {expected}")
    with torch.device("meta"):
        network = IResNet(depths)
    _fill(network, weights, "", path, f"ArcFace: {expected}")
    return network


def _fill(
    model: nn.Module, weights: Mapping[str, object], prefix: str, path: Path, what: str
) -> None:
    """Give a model on "meta" the weights under a prefix, all of them and of its own shapes."""
    values: dict[str, Tensor] = {}
    for name, own in model.state_dict().items():
        found = weights.get(prefix + name)
        if name.endswith("num_batches_tracked"):  # has no effect, and some files lack it
            values[name] = torch.tensor(0)
            continue
        if not isinstance(found, Tensor):
            raise AssetError(f"{path} has no weight {prefix + name} of {what}")
        if found.shape != own.shape:
            raise AssetError(
                f"{path}: weight {prefix + name} is {list(found.shape)} and not "
                f"{list(own.shape)} of {what}"
            )
        if found.layout is not torch.strided or not found.isfinite().all():
            raise AssetError(f"{path} is damaged, {prefix + name} is not all finite numbers")
        # A copy: what is mapped would change, or fall away, with the file.
        values[name] = found.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    model.load_state_dict(values, assign=True)
    model.eval().requires_grad_(False)
