"""Files of the head model FLAME."""

from __future__ import annotations

from pathlib import Path

from dubfew.assets import AssetKind
from dubfew.errors import AssetError

FLAME_PAGE_URL = "https://flame.is.tue.mpg.de"


# The readers are imported when a file is checked: they need NumPy and SciPy, which take longer to
# import than `dubfew assets list` takes.
def _check_model(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.model import read_flame_model

    read_flame_model(path)


def _check_texture(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.arrays import read_named_arrays

    missing = {"vt", "ft"} - read_named_arrays(path).keys()
    if missing:
        raise AssetError(f"{path} is not a FLAME texture: it lacks {sorted(missing)}")


def _check_template(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.uv import read_obj_uv

    read_obj_uv(path)


def _check_masks(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.masks import read_flame_masks

    read_flame_masks(path)


def _check_landmarks(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.landmarks import read_ibug_embedding

    read_ibug_embedding(path)


def _check_mediapipe_embedding(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.landmarks import read_mediapipe_embedding

    read_mediapipe_embedding(path)


def _check_eyelid(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.assemble import read_eyelid_bases

    read_eyelid_bases(path, path)


ASSET_KINDS: dict[str, AssetKind] = {
    "flame": AssetKind(
        "FLAME head model: generic_model.pkl (2019, 2020), flame2023.pkl, or an .npz",
        FLAME_PAGE_URL,
        _check_model,
    ),
    "flame-mediapipe": AssetKind(
        "MediaPipe's landmarks on FLAME: mediapipe_landmark_embedding.npz",
        FLAME_PAGE_URL,
        _check_mediapipe_embedding,
    ),
    "flame-landmarks": AssetKind(
        "68 landmarks on FLAME: landmark_embedding.npy", FLAME_PAGE_URL, _check_landmarks
    ),
    "flame-texture": AssetKind(
        "FLAME's texture space: FLAME_texture.npz", FLAME_PAGE_URL, _check_texture
    ),
    "flame-template": AssetKind(
        "FLAME's mesh with texture coordinates: head_template_mesh.obj",
        FLAME_PAGE_URL,
        _check_template,
    ),
    "flame-masks": AssetKind("FLAME's regions: FLAME_masks.pkl", FLAME_PAGE_URL, _check_masks),
    "flame-eyelid-left": AssetKind(
        "closing of the left eyelid: l_eyelid.npy", FLAME_PAGE_URL, _check_eyelid
    ),
    "flame-eyelid-right": AssetKind(
        "closing of the right eyelid: r_eyelid.npy", FLAME_PAGE_URL, _check_eyelid
    ),
}
