"""Check a built wheel and source archive before they are published.

    python -m build
    python tools/check_packages.py dist --version 0.1.0

The wheel has to hold the package alone, with all data that dubfew ships, and both files have to
carry the version. Exits with 1 and says why if not.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

# Files without which an installed dubfew does not work.
NEEDED_FILES = (
    "dubfew/__init__.py",
    "dubfew/py.typed",
    "dubfew/cli/__init__.py",
    "dubfew/demo/actor.mp4",
    "dubfew/demo/dub.wav",
    "dubfew/prior/weights/lite/prior_config.json",
    "dubfew/prior/weights/lite/prior_model.safetensors",
    "dubfew/reconstruction/heads/lite.safetensors",
    "dubfew/registry/consent.schema.json",
    "dubfew/speech/weights/encoder.safetensors",
    "dubfew/speech/weights/speech.safetensors",
)
LARGEST_WHEEL_BYTES = 60 * 1024 * 1024  # PyPI takes 100 MiB; more than this is a file too many


def check_wheel(path: Path, version: str) -> list[str]:
    """List what is wrong with a wheel.

    Args:
        path: a ``.whl`` file.
        version: the version that it should carry.

    Returns:
        One line per fault; empty if there are none.
    """
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    info = f"dubfew-{version}.dist-info"
    faults = [
        f"{path.name} holds {name}, which is not part of the package"
        for name in names
        if PurePosixPath(name).parts[0] not in ("dubfew", info)
        or "tests" in PurePosixPath(name).parts
    ]
    faults += [f"{path.name} lacks {name}" for name in NEEDED_FILES if name not in names]
    if path.stat().st_size > LARGEST_WHEEL_BYTES:
        faults.append(f"{path.name} has {path.stat().st_size} bytes: too many")
    return faults


def check_sdist(path: Path, version: str) -> list[str]:
    """List what is wrong with a source archive.

    Args:
        path: a ``.tar.gz`` file.
        version: the version that it should carry.

    Returns:
        One line per fault; empty if there are none.
    """
    with tarfile.open(path) as archive:
        names = archive.getnames()
    root = f"dubfew-{version}"
    wanted = ("pyproject.toml", "README.md", "LICENSE", *NEEDED_FILES)
    faults = [f"{path.name} lacks {name}" for name in wanted if f"{root}/{name}" not in names]
    return faults + [
        f"{path.name} holds {name}, which is not part of the package"
        for name in names
        if PurePosixPath(name).parts[0] != root
        or PurePosixPath(name).parts[1:2] in (("tests",), ("tools",), ("benchmarks",))
    ]


def main() -> int:
    """Check the packages of a folder.

    Returns:
        The exit code: 1 if anything is wrong.
    """
    parser = argparse.ArgumentParser(description="Check a built wheel and source archive.")
    parser.add_argument("folder", type=Path, help="what python -m build filled")
    parser.add_argument("--version", required=True, help="the version that both should carry")
    given = parser.parse_args()
    wheel = given.folder / f"dubfew-{given.version}-py3-none-any.whl"
    sdist = given.folder / f"dubfew-{given.version}.tar.gz"
    there = sorted(given.folder.iterdir())
    faults = []
    if there != sorted((wheel, sdist)):
        faults.append(
            f"{given.folder} holds {', '.join(path.name for path in there)}: expected "
            f"{wheel.name} and {sdist.name} and nothing else"
        )
    if wheel in there:
        faults += check_wheel(wheel, given.version)
    if sdist in there:
        faults += check_sdist(sdist, given.version)
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
