"""The file of MICA's networks, which estimate FLAME's shape from a picture."""

from __future__ import annotations

from pathlib import Path

from dubfew.assets import AssetKind


def _check_networks(path: Path) -> None:
    from dubfew.reconstruction.heads.mica.checkpoint import load_mica  # loads torch

    load_mica(path)


ASSET_KINDS: dict[str, AssetKind] = {
    "mica": AssetKind(
        "MICA's networks: mica.tar", "https://zielon.github.io/mica/", _check_networks
    ),
}
