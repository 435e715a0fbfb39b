"""Weights from PyTorch checkpoints of other projects, read without running code in them."""

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
    """Read a checkpoint file.

    Args:
        path: the file, as ``torch.save`` writes it.
        expectation: description of the right file and of where to get it; ends every error.
        missing_message: error if the file does not exist; names ``path`` by default.
        allowed_globals: classes that the file's pickle may contain beside tensors and plain
            containers.

    Returns:
        The content by name. Tensors may be mapped from the file: copy those that are kept.

    Raises:
        AssetError: The file does not exist, cannot be read, or is not a checkpoint.
    """
    try:
        with torch.serialization.safe_globals(list(allowed_globals)):
            # Map the file, because we read only a small part of some files. Checkpoints from
            # before PyTorch 1.6 are not zip files and cannot be mapped.
            mapped = is_zipfile(path)
            stored = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise AssetError(missing_message or f"no weights at {path}: {expectation}") from None
    except OSError as error:
        raise AssetError(f"{path} cannot be read ({error.strerror}): {expectation}") from error
    except Exception as error:  # torch's reader raises almost anything on a damaged file
        raise AssetError(f"{path} is not a file of weights: {expectation}") from error
    # torch.save writes any object; a whole model would need its class to be unpickled.
    if not isinstance(stored, dict):
        raise AssetError(f"{path} does not contain weights by name: {expectation}")
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
    """Load weights into a model and freeze it.

    Args:
        model: receives all of its parameters and buffers. Make it on the device "meta", so that
            its initial weights take no memory.
        weights: tensors by name; those that the model does not have are ignored.
        path: file of the weights, for errors.
        model_name: name of the network, for errors.
        expectation: description of the right file and of where to get it; ends every error.
        prefix: beginning of the names in ``weights`` that the model's own names lack.

    Raises:
        AssetError: A weight is missing, has another shape, or is not finite.
    """
    # Collect first, assign at the end: an error leaves the model as it was.
    values: dict[str, Tensor] = {}
    for name, own in model.state_dict().items():
        found = weights.get(prefix + name)
        if name.endswith("num_batches_tracked"):  # unused by frozen networks, and often missing
            values[name] = torch.tensor(0)
            continue
        if not isinstance(found, Tensor):
            raise AssetError(
                f"{path} is not {model_name}: weight {prefix + name} is missing: {expectation}"
            )
        if found.shape != own.shape:
            raise AssetError(
                f"{path} is not {model_name}: weight {prefix + name} has shape "
                f"{list(found.shape)} instead of {list(own.shape)}: {expectation}"
            )
        # Sparse tensors cannot be weights of these networks, and NaN would spread to every output.
        if found.layout is not torch.strided or not found.isfinite().all():
            raise AssetError(
                f"{path} is damaged: weight {prefix + name} has values that are not finite: "
                f"{expectation}"
            )
        # Copy, because a mapped tensor would change or vanish with the file.
        values[name] = found.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    model.load_state_dict(values, assign=True)
    model.eval().requires_grad_(False)
