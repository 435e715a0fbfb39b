"""SIDGAN's APS-SyncNet: adaptive polyphase sampling for strides, and circular padding of faces.

See `dubfew.prior.syncnets._embedding`. The paper does not say how its convolutions are padded.
Zeros at the borders would tell a shifted face from the original, so positions go round here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dubfew.prior.syncnets._embedding import EmbeddingSyncConfig, EmbeddingSyncNet


def make_syncnet(settings: Mapping[str, Any]) -> EmbeddingSyncNet:
    """Make the network from settings that differ from `EmbeddingSyncConfig`."""
    return EmbeddingSyncNet(EmbeddingSyncConfig(**{"polyphase": True, **settings}))
