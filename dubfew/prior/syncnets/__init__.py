"""SyncNets: networks that tell whether a mouth and its sound fit, one module each.

They are trained once (``dubfew prior sync``), and then judge the paintings of renderers in
training, frozen. They belong to a training and are never stored with a prior. Each module without
an underscore is one entry of `SYNCNETS` and defines ``make_syncnet(settings)``.

`dubfew.evaluate.lipsync.syncnet` is another network: the one whose released weights papers measure
with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dubfew.errors import ArtefactError
from dubfew.prior.syncnets._base import SYNC_FRAMES, SyncNetwork
from dubfew.utils.extension_table import ExtensionTable

__all__ = ["SYNCNETS", "SYNC_FRAMES", "SyncNetwork", "make_syncnet"]

SYNCNETS: ExtensionTable[Callable[[Mapping[str, Any]], SyncNetwork]] = ExtensionTable(
    "SyncNet", "dubfew.prior.syncnets", "make_syncnet", ArtefactError
)


def make_syncnet(name: str, settings: Mapping[str, Any] | None = None) -> SyncNetwork:
    """Make a SyncNet with fresh weights.

    Args:
        name: an entry of `SYNCNETS`.
        settings: sizes that differ from the paper's.

    Raises:
        ArtefactError: There is no such SyncNet, or no such setting.
    """
    factory = SYNCNETS.load(name)
    try:
        return factory(settings or {})
    except TypeError as error:
        raise ArtefactError(f"the SyncNet {name} cannot be made of {settings}: {error}") from error
