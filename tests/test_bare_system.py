"""Nothing is imported that needs libraries from the system (see docs/bare-system.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dubfew

pytestmark = pytest.mark.slow

PACKAGE = Path(dubfew.__file__).parent
# OpenCV needs libGL and glib, mediapipe's __init__ imports OpenCV, torchvision has no build
# that imports beside every torch.
BARRED = {"cv2", "mediapipe", "torchvision"}


def imported(source: str) -> set[str]:
    """Top-level packages that a source file imports, at whatever depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_the_search_finds_imports() -> None:
    assert imported("def f():\n    import cv2.x\n    from torch.nn import Linear") == {
        "cv2",
        "torch",
    }


def test_no_source_imports_what_a_bare_system_lacks() -> None:
    sources = list(PACKAGE.rglob("*.py"))
    assert len(sources) > 20
    found = {path.name: imported(path.read_text("utf-8")) & BARRED for path in sources}
    assert {name: names for name, names in found.items() if names} == {}


def test_running_the_face_graph_imports_no_opencv() -> None:
    program = (
        "import sys, numpy as np\n"
        "from dubfew.reconstruction.detection.landmarks import FaceLandmarker\n"
        "with FaceLandmarker() as landmarker:\n"
        "    landmarker(np.zeros((64, 64, 3), np.uint8))\n"
        "print([name for name in ('cv2', 'matplotlib', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
