"""Other people's weights, read from PyTorch's files without running anything in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from dubfew.errors import AssetError


def read_weights(
    path: Path, expected: str, *, missing: str | None = None, admitted: Sequence[Any] = ()
) -> dict:
    """What a file holds by name.

    Args:
        path: the file.
        expected: what it should be and where it is had; ends every error.
        missing: the error where there is no file; names ``path`` by default.
        admitted: what its pickle may name beside tensors and plain containers.

    Raises:
        AssetError: no such file, or no such content.
    """
    try:
        with torch.serialization.safe_globals(list(admitted)):
            # Mapped: some files are mostly what nobody reads. What PyTorch wrote before 1.6 is no
            # zip and cannot be.
            mapped = is_zipfile(path)
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise AssetError(missing or f"no weights at {path}: {expected}") from None
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror}): {expected}") from error
    except Exception as error:  # torch's reader raises almost anything on a damaged file
        raise AssetError(f"{path} is no file of weights: {expected}") from error
    if not isinstance(stored, dict):
        raise AssetError(f"{path} holds no weights by name: {expected}")
    return stored


def fill(
    model: nn.Module,
    weights: Mapping[str, object],
    path: Path,
    what: str,
    expected: str,
    *,
    prefix: str = "",
) -> None:
    """Give a model, best made on "meta", its weights; it is never trained.

    Args:
        model: takes all of its own parameters and buffers.
        weights: by name; others are left alone.
        path: where they are from.
        what: the network is called.
        expected: ends every error.
        prefix: of the names in ``weights``.

    Raises:
        AssetError: one is missing, of another shape, or not finite.
    """
    values: dict[str, Tensor] = {}
    for name, own in model.state_dict().items():
        found = weights.get(prefix + name)
        if name.endswith("num_batches_tracked"):  # has no effect, and some files lack it
            values[name] = torch.tensor(0)
            continue
        if not isinstance(found, Tensor):
            raise AssetError(f"{path} is not {what}, it has no weight {prefix + name}: {expected}")
        if found.shape != own.shape:
            raise AssetError(
                f"{path} is not {what}, its weight {prefix + name} is {list(found.shape)} and not "
                f"{list(own.shape)}: {expected}"
            )
        if found.layout is not torch.strided or not found.isfinite().all():
            raise AssetError(
                f"{path} is damaged, {prefix + name} is not all finite numbers: {expected}"
            )
        # A copy: what is mapped would change, or fall away, with the file.
        values[name] = found.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    model.load_state_dict(values, assign=True)
    model.eval().requires_grad_(False)
