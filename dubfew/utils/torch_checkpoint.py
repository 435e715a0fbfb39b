"""Other people's weights, read from PyTorch's files without running anything in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from dubfew.errors import AssetError


def load_torch_weights(
    path: Path,
    expectation: str,
    *,
    missing_message: str | None = None,
    allowed_globals: Sequence[Any] = (),
) -> dict:
    """What a file holds by name.

    Args:
        path: the file.
        expectation: what it should be and where it is had; ends every error.
        missing_message: the error where there is no file; names ``path`` by default.
        allowed_globals: what its pickle may name beside tensors and plain containers.

    Raises:
        AssetError: no such file, or no such content.
    """
    try:
        with torch.serialization.safe_globals(list(allowed_globals)):
            # Mapped: some files are mostly what nobody reads. What PyTorch wrote before 1.6 is no
            # zip and cannot be.
            mapped = is_zipfile(path)
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise AssetError(missing_message or f"no weights at {path}: {expectation}") from None
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror}): {expectation}") from error
    except Exception as error:  # torch's reader raises almost anything on a damaged file
        raise AssetError(f"{path} is no file of weights: {expectation}") from error
    if not isinstance(stored, dict):
        raise AssetError(f"{path} holds no weights by name: {expectation}")
    return stored


def load_weights_into(
    model: nn.Module,
    weights: Mapping[str, object],
    path: Path,
    model_name: str,
    expectation: str,
    *,
    prefix: str = "",
) -> None:
    """Give a model, best made on "meta", its weights; it is never trained.

    Args:
        model: takes all of its own parameters and buffers.
        weights: by name; others are left alone.
        path: where they are from.
        model_name: the network is called.
        expectation: ends every error.
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
            raise AssetError(
                f"{path} is not {model_name}, it has no weight {prefix + name}: {expectation}"
            )
        if found.shape != own.shape:
            raise AssetError(
                f"{path} is not {model_name}, its weight {prefix + name} is {list(found.shape)} "
                "and not "
                f"{list(own.shape)}: {expectation}"
            )
        if found.layout is not torch.strided or not found.isfinite().all():
            raise AssetError(
                f"{path} is damaged, {prefix + name} is not all finite numbers: {expectation}"
            )
        # A copy: what is mapped would change, or fall away, with the file.
        values[name] = found.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    model.load_state_dict(values, assign=True)
    model.eval().requires_grad_(False)
