"""Wav2Lip's SyncNet, see `dubfew.prior.syncnets._embedding`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dubfew.prior.syncnets._embedding import EmbeddingSyncConfig, EmbeddingSyncNet


def make_syncnet(settings: Mapping[str, Any]) -> EmbeddingSyncNet:
    """Make the network from settings that differ from `EmbeddingSyncConfig`."""
    return EmbeddingSyncNet(EmbeddingSyncConfig(**settings))
