"""What is installed, what is missing, and the line that installs it."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubfew import __version__
from dubfew.assets import list_assets
from dubfew.errors import AssetError, MissingDependencyError
from dubfew.registry import default_home
from dubfew.utils.cpu import usable_cores
from dubfew.utils.import_utils import PARTS, probe

PYTHON_VERSIONS = ((3, 10), (3, 12))  # first and last that are supported
ENCODERS = ("libx264", "libx265", "prores_ks", "ffv1", "libvpx-vp9", "aac", "flac", "pcm_s16le")
# Without these no output can be written by default.
NEEDED_ENCODERS = frozenset({"libx264", "aac"})

REINSTALL = "pip install --force-reinstall dubfew"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        ok: whether it is there and works.
        needed: False for optional parts.
        found: version or state, one line.
        install: what to do when it is not ok, else empty.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    install: str = ""

    def line(self) -> str:
        """For people."""
        state = "ok" if self.ok else ("MISSING" if self.needed else "absent")
        advice = f"  ->  {self.install}" if self.install and not self.ok else ""
        return f"{state:<8} {self.name:<22} {self.found}{advice}"


@dataclass(frozen=True)
class Report:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that is needed is there."""
        return all(check.ok for check in self.checks if check.needed)


def examine() -> Report:
    """Look at this installation. Imports what dubfew imports, so that broken installs show."""
    return Report(
        (
            _python(),
            Check("dubfew", True, True, __version__),
            *(_package(module, pip) for module, pip in PACKAGES.items()),
            _tracker(),
            _encoders(),
            Check("processor", True, True, f"{usable_cores()} usable cores, {platform.machine()}"),
            _home(),
            _cuda(),
            _assets(),
            *(_optional(name) for name in PARTS),
        )
    )


# Imported by dubfew on its default path: module -> what pip calls it. MediaPipe is tried by
# starting its graph (_tracker), because dubfew does not import the package as such.
PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "numba": "numba",
    "skimage": "scikit-image",
    "torch": "torch",
    "accelerate": "accelerate",
    "peft": "peft",
    "kornia": "kornia",
    "safetensors": "safetensors",
    "av": "av",
    "c2pa": "c2pa-python",
    "cryptography": "cryptography",
}


def _attempt(name: str, look: Callable[[], str], install: str) -> Check:
    try:
        return Check(name, True, True, look())
    except (ImportError, OSError, RuntimeError, MissingDependencyError) as error:
        # What broken wheels and missing system libraries raise.
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, False, True, found, install)


def _python() -> Check:
    first, last = PYTHON_VERSIONS
    version = tuple(map(int, platform.python_version_tuple()[:2]))
    return Check(
        "python",
        first <= version <= last,
        True,
        platform.python_version(),
        f"install Python {first[0]}.{first[1]} to {last[0]}.{last[1]}",
    )


def _package(module: str, distribution: str) -> Check:
    def look() -> str:
        importlib.import_module(module)
        return importlib.metadata.version(distribution)

    return _attempt(distribution, look, f"pip install --force-reinstall {distribution}")


def _tracker() -> Check:
    def look() -> str:
        import numpy as np

        from dubfew.reconstruction.detection.landmarks import FaceLandmarker

        with FaceLandmarker() as landmarker:
            landmarker(np.zeros((64, 64, 3), np.uint8))
        return f"{importlib.metadata.version('mediapipe')}, its face graph runs"

    return _attempt("mediapipe", look, "pip install --force-reinstall mediapipe==0.10.21")


def _encoders() -> Check:
    try:
        import av
    except ImportError:
        return Check("encoders", False, True, "unknown without av", REINSTALL)
    there = [name for name in ENCODERS if name in av.codecs_available and _can_encode(name)]
    return Check(
        "encoders",
        set(there) >= NEEDED_ENCODERS,
        True,
        ", ".join(there) or "none",
        "pip install --force-reinstall av  (the wheel; a build against the system's FFmpeg "
        "may lack encoders)",
    )


def _can_encode(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "w").is_encoder)
    except ValueError:  # av's error for an unknown codec is one
        return False


def _home() -> Check:
    home = default_home()
    # Looking must not create it: the nearest folder that exists decides.
    place = home
    while not place.exists() and place != place.parent:
        place = place.parent
    return Check(
        "DUBFEW_HOME",
        _writable(place),
        True,
        f"{home}{'' if home.exists() else ' (not there yet)'}",
        f"make {place} writable, or set DUBFEW_HOME to a folder that is",
    )


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cuda() -> Check:
    advice = (
        "only with an NVIDIA GPU and driver: pip install torch from the index that "
        "https://pytorch.org/get-started names"
    )
    try:
        import torch
    except (ImportError, OSError):
        return Check("cuda", False, False, "unknown without torch", advice)
    if torch.cuda.is_available():
        return Check("cuda", True, False, torch.cuda.get_device_name(0))
    return Check("cuda", False, False, "no usable GPU; everything runs on the CPU", advice)


def _assets() -> Check:
    advice = "'dubfew assets list' says what can be registered and where it is licensed"
    try:
        there = [kind for kind, asset in list_assets().items() if asset is not None]
    except (AssetError, OSError) as error:
        return Check("assets", False, False, str(error), advice)
    found = ", ".join(there) or "none registered; optional: FLAME, MICA"
    return Check("assets", bool(there), False, found, advice)


def _optional(name: str) -> Check:
    part = PARTS[name]
    version = probe(name)
    return Check(
        part.distribution,
        version is not None,
        False,
        version or f"optional: {part.purpose}",
        part.install,
    )
