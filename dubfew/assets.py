"""Licensed files that dubfew can use and may not ship: registered once, found by what they are.

A file is looked for where the caller says, then where ``DUBFEW_<KIND>`` says, then in the folder
``assets`` of ``DUBFEW_HOME``, into which ``dubfew assets add`` copies it. Such a copy is checked
against the hash noted then, each time it is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from dubfew.errors import AssetError
from dubfew.utils.files import atomic_path, sha256_file, write_atomic
from dubfew.utils.paths import default_data_dir

ASSETS_FOLDER, ASSETS_INDEX_FILE = "assets", "assets.json"
ASSETS_FORMAT_VERSION = 1
FLAME_PAGE_URL = "https://flame.is.tue.mpg.de"


def _check_flame(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.model import read_flame_model

    read_flame_model(path)


def _check_flame_texture(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.arrays import read_named_arrays

    lacking = {"vt", "ft"} - read_named_arrays(path).keys()
    if lacking:
        raise AssetError(f"{path} is no FLAME texture: it has no {sorted(lacking)}")


def _check_flame_template(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.uv import read_obj_uv

    read_obj_uv(path)


def _check_flame_masks(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.masks import read_flame_masks

    read_flame_masks(path)


def _check_flame_landmarks(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.landmarks import read_ibug_embedding

    read_ibug_embedding(path)


def _check_mediapipe_embedding(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.landmarks import read_mediapipe_embedding

    read_mediapipe_embedding(path)


def _check_flame_eyelid(path: Path) -> None:
    from dubfew.reconstruction.heads.flame.assemble import read_eyelid_bases

    read_eyelid_bases(path, path)


def _check_mica(path: Path) -> None:
    from dubfew.reconstruction.heads.mica.checkpoint import load_mica

    load_mica(path)


@dataclass(frozen=True)
class AssetKind:
    """A sort of file.

    Attributes:
        description: one line for people.
        license_page: where it is licensed.
        check: raises AssetError unless a file is of this kind.
    """

    description: str
    license_page: str
    check: Callable[[Path], None]


# A kind of file is one entry here.
ASSET_KINDS: dict[str, AssetKind] = {
    "flame": AssetKind(
        "FLAME head model: generic_model.pkl (2019, 2020), flame2023.pkl, or an .npz",
        FLAME_PAGE_URL,
        _check_flame,
    ),
    "flame-mediapipe": AssetKind(
        "MediaPipe's landmarks on FLAME: mediapipe_landmark_embedding.npz",
        FLAME_PAGE_URL,
        _check_mediapipe_embedding,
    ),
    "flame-landmarks": AssetKind(
        "68 landmarks on FLAME: landmark_embedding.npy", FLAME_PAGE_URL, _check_flame_landmarks
    ),
    "flame-texture": AssetKind(
        "FLAME's texture space: FLAME_texture.npz", FLAME_PAGE_URL, _check_flame_texture
    ),
    "flame-template": AssetKind(
        "FLAME's mesh with texture coordinates: head_template_mesh.obj",
        FLAME_PAGE_URL,
        _check_flame_template,
    ),
    "flame-masks": AssetKind(
        "FLAME's regions: FLAME_masks.pkl", FLAME_PAGE_URL, _check_flame_masks
    ),
    "flame-eyelid-left": AssetKind(
        "closing of the left eyelid: l_eyelid.npy", FLAME_PAGE_URL, _check_flame_eyelid
    ),
    "flame-eyelid-right": AssetKind(
        "closing of the right eyelid: r_eyelid.npy", FLAME_PAGE_URL, _check_flame_eyelid
    ),
    "mica": AssetKind("MICA's networks: mica.tar", "https://zielon.github.io/mica/", _check_mica),
}


@dataclass(frozen=True)
class Asset:
    """A file that is there.

    Attributes:
        kind: one of ``ASSET_KINDS``.
        path: where it lies.
        sha256: of its content.
        bytes: its size.
        name: what it was called when it was added.
    """

    kind: str
    path: Path
    sha256: str
    bytes: int
    name: str


def environment_variable(kind: str) -> str:
    """The environment variable that names a file of this kind."""
    return "DUBFEW_" + kind.upper().replace("-", "_")


def add_asset(kind: str, file: Path | str) -> Asset:
    """Check a file and copy it into the assets folder, in place of one of its kind.

    Raises:
        AssetError: no such kind, or the file is not of it.
        OSError: it cannot be copied.
    """
    found, file = _asset_kind(kind), Path(file)
    if not file.is_file():
        raise AssetError(f"{file} is no file: give the one from {found.license_page}")
    found.check(file)
    folder = _assets_dir()
    name = kind + file.suffix.lower()
    with atomic_path(folder / name) as temporary:
        shutil.copyfile(file, temporary)
        sha256, size = sha256_file(temporary), temporary.stat().st_size
    entries = _read_index()
    before = entries.get(kind, {}).get("file")
    asset = Asset(kind, folder / name, sha256, size, file.name)
    entries[kind] = {"file": name, **{k: asdict(asset)[k] for k in ("sha256", "bytes", "name")}}
    _write_index(entries)
    if before not in (None, name):
        (folder / before).unlink(missing_ok=True)
    return asset


def remove_asset(kind: str) -> None:
    """Delete the copy of a file.

    Raises:
        AssetError: no such kind, or none was added.
    """
    _asset_kind(kind)
    entries = _read_index()
    if kind not in entries:
        raise AssetError(f"no {kind} was added: 'dubfew assets list' shows what was")
    entry = entries.pop(kind)
    _write_index(entries)
    (_assets_dir() / entry["file"]).unlink(missing_ok=True)


def list_assets() -> dict[str, Asset | None]:
    """Every kind, and the file that would be taken, or None.

    Raises:
        AssetError: a file is not what was added.
    """
    return {kind: find_asset(kind) for kind in ASSET_KINDS}


def find_asset(kind: str, override: Path | str | None = None) -> Asset | None:
    """The file of a kind: the one given, or the environment's, or the one added.

    Raises:
        AssetError: the file that is named is not there, or is not what was added.
    """
    _asset_kind(kind)
    named = override or os.environ.get(environment_variable(kind))
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            source = "given" if override else environment_variable(kind)
            raise AssetError(
                f"{path}, {source} as {kind}, is no file: give {ASSET_KINDS[kind].description}"
            )
        return Asset(kind, path, _cached_sha256(path), path.stat().st_size, path.name)
    entry = _read_index().get(kind)
    if entry is None:
        return None
    path = _assets_dir() / entry["file"]
    if not path.is_file() or _cached_sha256(path) != entry["sha256"]:
        raise AssetError(
            f"{path} is no longer the {kind} that was added: 'dubfew assets add {kind} FILE' again"
        )
    return Asset(kind, path, entry["sha256"], entry["bytes"], entry["name"])


def asset_path(kind: str, override: Path | str | None = None) -> Path | None:
    """Where the file of a kind lies, or None; see :func:`find_asset`."""
    found = find_asset(kind, override)
    return None if found is None else found.path


def require_asset(kind: str, override: Path | str | None = None) -> Path:
    """Where the file of a kind lies.

    Raises:
        AssetError: it was not added; the message names the page that licenses it.
    """
    path = asset_path(kind, override)
    if path is None:
        raise missing_asset_error(kind)
    return path


def missing_asset_error(kind: str) -> AssetError:
    """What to say where a file of this kind is needed and was not added."""
    found = ASSET_KINDS[kind]
    return AssetError(
        f"no {kind} file ({found.description}): get it from {found.license_page} under its "
        "licence, then "
        f"'dubfew assets add {kind} FILE'"
    )


def _asset_kind(name: str) -> AssetKind:
    if name not in ASSET_KINDS:
        raise AssetError(f"no kind of asset {name!r}: there are {', '.join(ASSET_KINDS)}")
    return ASSET_KINDS[name]


def _assets_dir() -> Path:
    return default_data_dir() / ASSETS_FOLDER


def _read_index() -> dict[str, dict]:
    path = _assets_dir() / ASSETS_INDEX_FILE
    try:
        index = json.loads(path.read_text("utf-8"))
        if index["format_version"] > ASSETS_FORMAT_VERSION:
            raise AssetError(f"{path} was written by a newer dubfew: update dubfew")
        entries = index["assets"]
        for kind, entry in entries.items():
            # A name, not a path: what is removed lies in this folder.
            if kind not in ASSET_KINDS or Path(entry["file"]).name != entry["file"]:
                raise ValueError(kind)
            if not isinstance(entry["sha256"], str) or not isinstance(entry["bytes"], int):
                raise ValueError(kind)
        return dict(entries)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AssetError(f"{path} is damaged: delete it and add the files again") from error


def _write_index(entries: dict[str, dict]) -> None:
    index = {"format_version": ASSETS_FORMAT_VERSION, "assets": entries}
    write_atomic(_assets_dir() / ASSETS_INDEX_FILE, json.dumps(index, indent=2).encode())


def _cached_sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_at_state(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _sha256_at_state(path: Path, modified_ns: int, size: int) -> str:
    return sha256_file(path)
