"""The file of a trained SyncNet: its weights, sizes, and how well it told pairs apart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load, save

from dubfew.errors import AssetError
from dubfew.prior.syncnets import make_syncnet
from dubfew.prior.syncnets._base import SyncNetwork
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS

# Version of the file, and the key of its JSON header.
SYNCNET_FORMAT_VERSION = 1
_METADATA_KEY = "dubfew.syncnet"


@dataclass(frozen=True)
class SyncNetInfo:
    """What a SyncNet is and how it was trained.

    Attributes:
        name: entry of `dubfew.prior.syncnets.SYNCNETS`.
        settings: sizes that differ from the paper's.
        layout: crop layout of the frames that it was trained on.
        steps: optimizer steps.
        accuracy: share of held-out pairs, half of them in sync, that it tells right, in [0, 1];
            None if none were held out.
        people: number of training people.
    """

    name: str
    settings: dict[str, Any]
    layout: str
    steps: int
    accuracy: float | None
    people: int


def save_syncnet(path: Path, network: SyncNetwork, info: SyncNetInfo) -> None:
    """Write a SyncNet to a file, atomically.

    Weights keep their precision: running variances may exceed what half precision holds.

    Args:
        path: file to write; replaced if it exists.
        network: the network, on any device.
        info: facts for the header, without which the file cannot be loaded.
    """
    header = {"format_version": SYNCNET_FORMAT_VERSION, **asdict(info)}
    tensors = {
        name: tensor.detach().float().cpu().contiguous().numpy()
        for name, tensor in network.state_dict().items()
        # It counts batches, for a mean that nothing here uses.
        if not name.endswith("num_batches_tracked")
    }
    write_atomic(path, save(tensors, metadata={_METADATA_KEY: json.dumps(header)}))


def load_syncnet(path: Path) -> tuple[SyncNetwork, SyncNetInfo]:
    """Read a file that `save_syncnet` wrote.

    Returns:
        The network, frozen and in evaluation mode, and what it is.

    Raises:
        AssetError: The file does not exist, is damaged, or a newer dubfew wrote it.
    """
    try:
        data = Path(path).read_bytes()
        start = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        header = json.loads(start["__metadata__"][_METADATA_KEY])
        version = header.pop("format_version")
        check_format_version(version, SYNCNET_FORMAT_VERSION, str(path), AssetError)
        info = SyncNetInfo(**header)
        network = make_syncnet(info.name, info.settings)
        stored = {name: torch.from_numpy(array) for name, array in load(data).items()}
        # Checked by hand because ``strict`` would ask for the counters that are not stored.
        expected = {n for n in network.state_dict() if not n.endswith("num_batches_tracked")}
        if stored.keys() != expected:
            raise ValueError("other layers")
        network.load_state_dict(stored, strict=False)
    except OSError as error:
        raise AssetError(f"no SyncNet at {path}: train one with `dubfew prior sync`") from error
    except (RuntimeError, *TENSOR_READ_ERRORS) as error:
        raise AssetError(
            f"{path} is not a SyncNet that dubfew can read: train one with `dubfew prior sync`"
        ) from error
    return network.freeze(), info
