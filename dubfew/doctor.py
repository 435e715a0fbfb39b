"""Check of an installation: what is there, what is missing, and how to install it."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubfew.assets import list_assets
from dubfew.errors import AssetError, MissingDependencyError
from dubfew.speech.encoders import check_stored_encoder
from dubfew.speech.model_info import read_speech_header, shipped_speech_model_path
from dubfew.utils.cpu import num_available_cpus
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, installed_version
from dubfew.utils.paths import default_data_dir
from dubfew.version import __version__

# First and last supported version of Python, as in pyproject.toml.
SUPPORTED_PYTHON_VERSIONS = ((3, 10), (3, 12))
# Encoders, by their names in FFmpeg, that dubfew can write with (`dubfew.media.codecs`).
KNOWN_ENCODERS = (
    "libx264",
    "libx265",
    "prores_ks",
    "ffv1",
    "libvpx-vp9",
    "aac",
    "flac",
    "pcm_s16le",
)
# Encoders of the default output, an MP4 file. Without them the installation is not usable.
REQUIRED_ENCODERS = frozenset({"libx264", "aac"})
# Remedy where a required package is broken and no better one is known.
REINSTALL_COMMAND = "pip install --force-reinstall dubfew"


@dataclass(frozen=True)
class InstallCheck:
    """Result of checking one part of the installation.

    Attributes:
        name: name of the part.
        ok: True if the part is there and works.
        needed: False if dubfew works without it.
        found: version or state, one line.
        install: remedy where ``ok`` is False, else "".
    """

    name: str
    ok: bool
    needed: bool
    found: str
    install: str = ""

    def format_line(self) -> str:
        """Format the result as one line of text."""
        state = "ok" if self.ok else ("MISSING" if self.needed else "absent")
        advice = f"  ->  {self.install}" if self.install and not self.ok else ""
        return f"{state:<8} {self.name:<22} {self.found}{advice}"


@dataclass(frozen=True)
class InstallReport:
    """Results of all checks.

    Attributes:
        checks: the results in the order in which they are shown.
    """

    checks: tuple[InstallCheck, ...]

    @property
    def ok(self) -> bool:
        """True if every part that is needed is there and works."""
        return all(check.ok for check in self.checks if check.needed)


def check_installation() -> InstallReport:
    """Check this installation by importing and trying what dubfew depends on.

    Takes several seconds, mostly for the import of torch. Nothing is written.

    Returns:
        One result per part; a missing or broken part is a result, not an exception.
    """
    return InstallReport(
        (
            _check_python(),
            InstallCheck("dubfew", True, True, __version__),
            *(_check_package(module, pip) for module, pip in REQUIRED_PACKAGES.items()),
            _check_face_landmarker(),
            _check_encoders(),
            _check_speech_encoder(),
            InstallCheck(
                "processor",
                True,
                True,
                f"{num_available_cpus()} usable cores, {platform.machine()}",
            ),
            _check_home(),
            _check_cuda(),
            _check_assets(),
            *(_check_optional_package(name) for name in OPTIONAL_PACKAGES),
        )
    )


# Required packages: name for import -> name for pip. MediaPipe is missing here because its graph is
# started instead (`_check_face_landmarker`): dubfew does not import the package as a whole.
REQUIRED_PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "numba": "numba",
    "skimage": "scikit-image",
    "torch": "torch",
    "accelerate": "accelerate",
    "peft": "peft",
    # A declared dependency that no code of dubfew imports yet.
    "kornia": "kornia",
    "safetensors": "safetensors",
    "av": "av",
    "c2pa": "c2pa-python",
    "cryptography": "cryptography",
}


def _run_check(name: str, get_version: Callable[[], str], install: str) -> InstallCheck:
    """Call a function that imports a required part and returns its version."""
    try:
        return InstallCheck(name, True, True, get_version())
    except (ImportError, OSError, RuntimeError, MissingDependencyError) as error:
        # Broken wheels and missing system libraries raise these.
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return InstallCheck(name, False, True, found, install)


def _check_python() -> InstallCheck:
    """Compare Python's version with the supported ones."""
    first, last = SUPPORTED_PYTHON_VERSIONS
    version = tuple(map(int, platform.python_version_tuple()[:2]))
    return InstallCheck(
        "python",
        first <= version <= last,
        True,
        platform.python_version(),
        f"install Python {first[0]}.{first[1]} to {last[0]}.{last[1]}",
    )


def _check_package(module: str, distribution: str) -> InstallCheck:
    def get_version() -> str:
        importlib.import_module(module)
        return importlib.metadata.version(distribution)

    return _run_check(distribution, get_version, f"pip install --force-reinstall {distribution}")


def _check_face_landmarker() -> InstallCheck:
    """Run MediaPipe's face landmarker once, on a black image."""

    def get_version() -> str:
        import numpy as np

        from dubfew.reconstruction.detection.landmarks import FaceLandmarker

        with FaceLandmarker() as landmarker:
            landmarker(np.zeros((64, 64, 3), np.uint8))
        return f"{importlib.metadata.version('mediapipe')}, its face graph runs"

    return _run_check("mediapipe", get_version, "pip install --force-reinstall mediapipe==0.10.21")


def _check_encoders() -> InstallCheck:
    try:
        import av
    except ImportError:
        return InstallCheck("encoders", False, True, "unknown without av", REINSTALL_COMMAND)
    # FFmpeg is inside the wheel of av, and every build of it chooses its own encoders.
    there = [name for name in KNOWN_ENCODERS if name in av.codecs_available and _can_encode(name)]
    return InstallCheck(
        "encoders",
        set(there) >= REQUIRED_ENCODERS,
        True,
        ", ".join(there) or "none",
        "pip install --force-reinstall av  (the wheel; a build against the system's FFmpeg "
        "may lack encoders)",
    )


def _can_encode(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "w").is_encoder)
    except ValueError:  # base class of av's error for an unknown codec
        return False


def _check_speech_encoder() -> InstallCheck:
    """Look for the audio encoder of the speech model that ships."""
    state = check_stored_encoder(read_speech_header(shipped_speech_model_path())["encoder"])
    return InstallCheck("speech encoder", state.ok, True, state.found, state.install)


def _check_home() -> InstallCheck:
    """Check that DUBFEW_HOME can be written to, without creating it."""
    home = default_data_dir()
    # The nearest parent that exists decides whether the folder could be created.
    place = home
    while not place.exists() and place != place.parent:
        place = place.parent
    return InstallCheck(
        "DUBFEW_HOME",
        _is_writable(place),
        True,
        f"{home}{'' if home.exists() else ' (not there yet)'}",
        f"make {place} writable, or set DUBFEW_HOME to a folder that is",
    )


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _check_cuda() -> InstallCheck:
    advice = (
        "only with an NVIDIA GPU and driver: pip install torch from the index that "
        "https://pytorch.org/get-started names"
    )
    try:
        import torch
    except (ImportError, OSError):
        return InstallCheck("cuda", False, False, "unknown without torch", advice)
    if torch.cuda.is_available():
        return InstallCheck("cuda", True, False, torch.cuda.get_device_name(0))
    return InstallCheck("cuda", False, False, "no usable GPU; everything runs on the CPU", advice)


def _check_assets() -> InstallCheck:
    advice = "'dubfew assets list' shows what can be registered and where to get it"
    # Reading the list checks the stored files against their hashes.
    try:
        there = [kind for kind, asset in list_assets().items() if asset is not None]
    except (AssetError, OSError) as error:
        return InstallCheck("assets", False, False, str(error), advice)
    found = ", ".join(there) or "none registered; optional: FLAME, MICA"
    return InstallCheck("assets", bool(there), False, found, advice)


def _check_optional_package(name: str) -> InstallCheck:
    package = OPTIONAL_PACKAGES[name]
    # Not imported, because some of these take seconds and none is needed.
    version = installed_version(name)
    return InstallCheck(
        package.distribution,
        version is not None,
        False,
        version or f"optional: {package.purpose}",
        package.install,
    )
