"""Weights of networks whose features are compared: LPIPS, FID, FVD and SyncNet."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dubfew.assets import AssetKind

TORCHVISION_PAGE_URL = "https://docs.pytorch.org/vision/stable/models.html"


# The readers load torch, which takes longer than `dubfew assets list` takes.
def _check_backbone(net: str, path: Path) -> None:
    from dubfew.evaluate.perceptual.lpips import load_backbone

    load_backbone(net, path)


def _check_inception(path: Path) -> None:
    from dubfew.evaluate.perceptual.inception import check_inception_file

    check_inception_file(path)


def _check_i3d(path: Path) -> None:
    from dubfew.evaluate.perceptual.i3d import load_i3d

    load_i3d(path)


def _check_syncnet(path: Path) -> None:
    from dubfew.evaluate.lipsync.syncnet import load_released_syncnet

    load_released_syncnet(path)


ASSET_KINDS: dict[str, AssetKind] = {
    "lpips-alex": AssetKind(
        "AlexNet of torchvision, for LPIPS: alexnet-owt-7be5be79.pth",
        TORCHVISION_PAGE_URL,
        partial(_check_backbone, "alex"),
    ),
    "lpips-vgg": AssetKind(
        "VGG-16 of torchvision, for LPIPS: vgg16-397923af.pth",
        TORCHVISION_PAGE_URL,
        partial(_check_backbone, "vgg"),
    ),
    "fid-inception": AssetKind(
        "Inception v3 of FID: weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases",
        _check_inception,
    ),
    "fvd-i3d": AssetKind(
        "I3D of FVD as TorchScript: i3d_torchscript.pt",
        "https://github.com/universome/fvd-comparison",
        _check_i3d,
    ),
    "syncnet": AssetKind(
        "SyncNet: syncnet_v2.model", "https://github.com/joonson/syncnet_python", _check_syncnet
    ),
}
