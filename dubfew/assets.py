"""Registered licensed files: files that dubfew can use and may not ship, such as FLAME's.

A file of a kind is looked for in this order: the path that the caller gives, the environment
variable ``DUBFEW_<KIND>``, the folder ``assets`` of ``DUBFEW_HOME``. ``dubfew assets add`` copies
a file into that folder and notes its hash; every later use checks the copy against the hash.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from dubfew.errors import AssetError
from dubfew.utils.extension_table import ExtensionTable
from dubfew.utils.files import atomic_path, sha256_file, write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.paths import default_data_dir

# Folder inside of DUBFEW_HOME, and the index of it: file name, hash and size by kind.
ASSETS_FOLDER, ASSETS_INDEX_FILE = "assets", "assets.json"
# Newest version of the index that this dubfew reads, and the version that it writes.
ASSETS_FORMAT_VERSION = 1
# Hashes kept in memory, one per file: there are fewer kinds than this.
MAX_CACHED_HASHES = 32


@dataclass(frozen=True)
class AssetKind:
    """A kind of licensed file.

    Attributes:
        description: one line for people: content and usual file name.
        license_page: web page where users accept the license and download the file.
        check: function that raises AssetError unless a file is of this kind.
    """

    description: str
    license_page: str
    check: Callable[[Path], None]


# Families of kinds, one module each. They are found by the package's name: the modules import
# this one and the readers of their files, which lie in a higher layer.
ASSET_KIND_FAMILIES: ExtensionTable[Mapping[str, AssetKind]] = ExtensionTable(
    "family of assets", "dubfew.reconstruction.heads.asset_kinds", "ASSET_KINDS", AssetError
)
# The same for weights of networks that only measure.
MEASURE_KIND_FAMILIES: ExtensionTable[Mapping[str, AssetKind]] = ExtensionTable(
    "family of weights", "dubfew.evaluate.asset_kinds", "ASSET_KINDS", AssetError
)


@dataclass(frozen=True)
class Asset:
    """A licensed file on this machine.

    Attributes:
        kind: one of `asset_kinds`.
        path: location of the file.
        sha256: hash of its content, hexadecimal.
        bytes: size.
        name: file name at the time when it was added.
    """

    kind: str
    path: Path
    sha256: str
    bytes: int
    name: str


@lru_cache(maxsize=1)
def asset_kinds() -> Mapping[str, AssetKind]:
    """Collect all kinds of files by name, from the families of head models and of measures."""
    families = (*ASSET_KIND_FAMILIES.values(), *MEASURE_KIND_FAMILIES.values())
    return {name: kind for family in families for name, kind in family.items()}


def environment_variable(kind: str) -> str:
    """Name the environment variable that holds the path of a file of this kind.

    Example:
        >>> environment_variable("flame-eyelid-left")
        'DUBFEW_FLAME_EYELID_LEFT'
    """
    return "DUBFEW_" + kind.upper().replace("-", "_")


def add_asset(kind: str, file: Path | str) -> Asset:
    """Check a file and copy it into the assets folder; it replaces an older one of its kind.

    Args:
        kind: one of `asset_kinds`.
        file: the downloaded file; it may be deleted afterwards.

    Raises:
        AssetError: The kind is unknown, or the file is not of this kind.
        OSError: The file cannot be copied.
    """
    known, file = _find_kind(kind), Path(file)
    if not file.is_file():
        raise AssetError(f"{file} is not a file: give the one from {known.license_page}")
    known.check(file)
    folder = _assets_dir()
    name = kind + file.suffix.lower()
    with atomic_path(folder / name) as temporary:
        shutil.copyfile(file, temporary)
        sha256, size = sha256_file(temporary), temporary.stat().st_size
    entries = _read_index()
    previous_name = entries.get(kind, {}).get("file")
    asset = Asset(kind, folder / name, sha256, size, file.name)
    entries[kind] = {"file": name, **{k: asdict(asset)[k] for k in ("sha256", "bytes", "name")}}
    _write_index(entries)
    # A copy with another suffix is deleted only after the index names the new one.
    if previous_name not in (None, name):
        (folder / previous_name).unlink(missing_ok=True)
    return asset


def remove_asset(kind: str) -> None:
    """Delete the copy of a file from the assets folder.

    Raises:
        AssetError: The kind is unknown, or no file of this kind was added.
    """
    _find_kind(kind)
    entries = _read_index()
    if kind not in entries:
        raise AssetError(f"no {kind} was added: 'dubfew assets list' shows all files")
    entry = entries.pop(kind)
    _write_index(entries)
    (_assets_dir() / entry["file"]).unlink(missing_ok=True)


def list_assets() -> dict[str, Asset | None]:
    """Find the file of every kind, or None where there is no file.

    Raises:
        AssetError: A file changed since it was added.
    """
    return {kind: find_asset(kind) for kind in asset_kinds()}


def find_asset(kind: str, override: Path | str | None = None) -> Asset | None:
    """Find the file of a kind: the given one, or the environment's, or the added one.

    Args:
        kind: one of `asset_kinds`.
        override: path of a file that is used instead of all others.

    Returns:
        The file, or None if no file of this kind is registered.

    Raises:
        AssetError: The kind is unknown, the named file does not exist, or the added file changed.
    """
    known = _find_kind(kind)
    # A file that is named outside of the index is used as it is, without a hash to compare.
    named = override or os.environ.get(environment_variable(kind))
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            source = "given" if override else environment_variable(kind)
            raise AssetError(f"{path}, {source} as {kind}, is not a file: give {known.description}")
        return Asset(kind, path, _cached_sha256(path), path.stat().st_size, path.name)
    # Otherwise the copy that was added, which must be unchanged.
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
    """Find the path of a kind's file, or None if no file of this kind is there.

    Args:
        kind: one of `asset_kinds`.
        override: path of a file that is used instead of all others.

    Raises:
        AssetError: As in `find_asset`.
    """
    asset = find_asset(kind, override)
    return None if asset is None else asset.path


def require_asset(kind: str, override: Path | str | None = None) -> Path:
    """Find the path of a kind's file, which must exist.

    Args:
        kind: one of `asset_kinds`.
        override: path of a file that is used instead of all others.

    Raises:
        AssetError: There is no file of this kind; the message names the page that licenses it.
            Also the errors of `find_asset`.
    """
    path = asset_path(kind, override)
    if path is None:
        raise missing_asset_error(kind)
    return path


def missing_asset_error(kind: str) -> AssetError:
    """Make the error for a file that is needed and was not added."""
    known = asset_kinds()[kind]
    return AssetError(
        f"no {kind} file ({known.description}): get it from {known.license_page} under its "
        f"license, then 'dubfew assets add {kind} FILE'"
    )


def _find_kind(name: str) -> AssetKind:
    if name not in asset_kinds():
        raise AssetError(f"no kind of asset {name!r}: there are {', '.join(asset_kinds())}")
    return asset_kinds()[name]


def _assets_dir() -> Path:
    return default_data_dir() / ASSETS_FOLDER


def _read_index() -> dict[str, dict]:
    """Read the index of the assets folder, checked; empty where there is no index."""
    path = _assets_dir() / ASSETS_INDEX_FILE
    try:
        index = json.loads(path.read_text("utf-8"))
        check_format_version(index["format_version"], ASSETS_FORMAT_VERSION, str(path), AssetError)
        entries = index["assets"]
        for kind, entry in entries.items():
            # The file must be a plain name: `remove_asset` deletes it inside of this folder.
            if kind not in asset_kinds() or Path(entry["file"]).name != entry["file"]:
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
    """Hash a file, once for as long as its size and its time of change stay the same."""
    state = path.stat()
    return _sha256_at_state(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=MAX_CACHED_HASHES)
def _sha256_at_state(path: Path, modified_ns: int, size: int) -> str:
    return sha256_file(path)
