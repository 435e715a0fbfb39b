"""Check of an installation: what is there, what is missing, and how to install it."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubfew.assets import list_assets
from dubfew.errors import AssetError, MissingDependencyError
from dubfew.utils.cpu import num_available_cpus
from dubfew.utils.import_utils import AUDIENCES, OPTIONAL_PACKAGES, installed_version
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
# Memory below which an adaptation of ten seconds may run out: it takes up to 2 GB, and the system
# and other programs need as much.
MIN_MEMORY_BYTES = 4_000_000_000
# Free space below which disk is called low: 40 actors.
MIN_FREE_DISK_BYTES = 1_000_000_000
# State of a machine without a GPU.
NO_GPU = "no usable GPU; everything runs on the CPU"
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
        is_resource: True for memory and disk, which may be low but not absent.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    install: str = ""
    is_resource: bool = False

    def format_line(self) -> str:
        """Format the result as one line of text."""
        bad = "LOW" if self.is_resource else "MISSING" if self.needed else "absent"
        state = "ok" if self.ok else bad
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

    @property
    def verdict(self) -> str:
        """One line that says whether dubfew can be used here."""
        missing = [check.name for check in self.checks if check.needed and not check.ok]
        if missing:
            return (
                f"NOT READY: {', '.join(missing)}: run what stands behind the arrow of each line "
                "with MISSING, then run this again"
            )
        low = [check.name for check in self.checks if check.is_resource and not check.ok]
        state = f"READY, but {' and '.join(low)} may be short" if low else "READY"
        absent = sum(not (check.ok or check.is_resource) for check in self.checks)
        rest = f" {absent} optional parts are absent; none is needed to dub." if absent else ""
        return f"{state}: dubfew can learn and render here.{rest}"


def check_installation(*, full: bool = False) -> InstallReport:
    """Check this installation. Nothing is written.

    Args:
        full: True to import every required package and to run the face tracker once, which finds
            broken files and takes ten seconds. By default packages are looked up only, which
            takes one.

    Returns:
        One result per part; a missing or broken part is a result, not an exception.
    """
    return InstallReport(
        (
            _check_python(),
            InstallCheck("dubfew", True, True, __version__),
            *(_check_package(module, pip, full) for module, pip in REQUIRED_PACKAGES.items()),
            _check_face_landmarker(full),
            _check_encoders(),
            _check_speech_encoder(),
            InstallCheck(
                "processor",
                True,
                True,
                f"{num_available_cpus()} usable cores, {platform.machine()}",
            ),
            _check_memory(),
            _check_home(),
            _check_disk(),
            _check_cuda(full),
            _check_assets(),
            *map(_check_optional_package, sorted(OPTIONAL_PACKAGES, key=_audience_rank)),
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


def _check_package(module: str, distribution: str, full: bool) -> InstallCheck:
    """Look a required package up, or import it."""

    def get_version() -> str:
        if full:
            importlib.import_module(module)
        elif importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}")
        return importlib.metadata.version(distribution)

    return _run_check(distribution, get_version, f"pip install --force-reinstall {distribution}")


def _check_face_landmarker(full: bool) -> InstallCheck:
    """Run MediaPipe's face landmarker once, on a black image, or look it up."""
    if not full:
        return _check_package("mediapipe", "mediapipe", full)

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
    # Imported here, because a check of an installation must not fail for want of a package.
    try:
        from dubfew.speech.encoders import check_stored_encoder
        from dubfew.speech.model_info import read_speech_header, shipped_speech_model_path
    except ImportError as error:
        return InstallCheck("speech encoder", False, True, f"unknown: {error}", REINSTALL_COMMAND)
    state = check_stored_encoder(read_speech_header(shipped_speech_model_path())["encoder"])
    return InstallCheck("speech encoder", state.ok, True, state.found, state.install)


def _check_home() -> InstallCheck:
    """Check that DUBFEW_HOME can be written to, without creating it."""
    home = default_data_dir()
    place = _nearest_folder(home)
    return InstallCheck(
        "DUBFEW_HOME",
        _is_writable(place),
        True,
        f"{home}{'' if home.exists() else ' (not there yet)'}",
        f"make {place} writable, or set DUBFEW_HOME to a folder that is",
    )


def _nearest_folder(path: Path) -> Path:
    """Return the nearest parent that exists, which decides whether a folder can be created."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _check_cuda(full: bool) -> InstallCheck:
    """Look for a GPU that torch can use, or for NVIDIA's driver without importing torch."""
    advice = (
        "only with an NVIDIA GPU and driver: pip install torch from the index that "
        "https://pytorch.org/get-started names"
    )
    # Importing torch takes seconds; the driver's own library tells how many GPUs there are.
    if not full:
        count = _count_cuda_devices()
        if count:
            return InstallCheck("cuda", True, False, f"{count} GPU(s); --full tries them")
        return InstallCheck("cuda", False, False, NO_GPU, advice)
    try:
        import torch
    except (ImportError, OSError):
        return InstallCheck("cuda", False, False, "unknown without torch", advice)
    if torch.cuda.is_available():
        return InstallCheck("cuda", True, False, torch.cuda.get_device_name(0))
    return InstallCheck("cuda", False, False, NO_GPU, advice)


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
        version or f"for {package.audience}: {package.purpose}",
        package.install,
    )


def _audience_rank(name: str) -> int:
    """Order optional packages by the number of users who need them."""
    return AUDIENCES.index(OPTIONAL_PACKAGES[name].audience)


def _count_cuda_devices() -> int:
    """Count the GPUs that NVIDIA's driver knows; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if found else 0


def _check_memory() -> InstallCheck:
    """Compare the machine's memory with what an adaptation needs."""
    total = _total_memory_bytes()
    if total is None:
        return InstallCheck("memory", True, False, "unknown")
    return InstallCheck(
        "memory",
        total >= MIN_MEMORY_BYTES,
        False,
        f"{total / 1e9:.1f} GB",
        f"{MIN_MEMORY_BYTES / 1e9:.0f} GB or more: use short footage (--seconds 4)",
        is_resource=True,
    )


def _total_memory_bytes() -> int | None:
    """Return the size of the machine's memory, or None where it is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _check_disk() -> InstallCheck:
    """Compare the free space at DUBFEW_HOME with the size of some actors."""
    place = _nearest_folder(default_data_dir())
    free = shutil.disk_usage(place).free
    return InstallCheck(
        "disk",
        free >= MIN_FREE_DISK_BYTES,
        False,
        f"{free / 1e9:.1f} GB free at {place}",
        f"free some space: an actor takes some 25 MB, and {MIN_FREE_DISK_BYTES / 1e9:.0f} GB are "
        "safe",
        is_resource=True,
    )
