"""Description of the machine that a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from dubfew.utils.cpu import num_available_cpus

# Packages whose versions change times.
PACKAGES = ("dubfew", "torch", "numpy", "numba", "av", "mediapipe")


def machine() -> dict[str, str | int | float]:
    """Describe what a time depends on: processor, cores, load, versions."""
    found: dict[str, str | int | float] = {
        "processor": _processor(),
        "cores": num_available_cpus(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else -1,
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "from source"
    return found


def _processor() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
