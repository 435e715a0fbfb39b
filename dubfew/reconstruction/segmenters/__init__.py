"""Segmenters: networks that label the pixels around a face. One module each.

To add a segmenter, put a module here that defines ``SEGMENTER``, a class that follows the
`Segmenter` protocol. The file's name is the name that options use.
"""

from __future__ import annotations

from dubfew.errors import DubfewError
from dubfew.reconstruction.segmenters._base import FaceSegmentation, Segmenter
from dubfew.utils.extension_table import ExtensionTable

__all__ = [
    "DEFAULT_SEGMENTER",
    "SEGMENTERS",
    "FaceSegmentation",
    "Segmenter",
    "load_face_parser",
    "load_segmenter",
]

# MediaPipe is a required dependency with its weights in the wheel; all others are optional.
DEFAULT_SEGMENTER = "mediapipe"
# Segmenter classes by name. Names are known without importing torch or MediaPipe.
SEGMENTERS: ExtensionTable[type[Segmenter]] = ExtensionTable(
    "segmenter",
    "dubfew.reconstruction.segmenters",
    "SEGMENTER",
    DubfewError,
    entry_points="dubfew.segmenters",
)


def load_segmenter(name: str = DEFAULT_SEGMENTER) -> Segmenter:
    """Make a segmenter, ready for use.

    Raises:
        DubfewError: ``SEGMENTERS`` has no entry of that name.
        MissingDependencyError: The package that it needs is not installed, or its weights cannot
            be downloaded.
    """
    return SEGMENTERS.load(name)()


def load_face_parser(name: str) -> Segmenter | None:
    """Make a segmenter if it separates the parts of a face, else return None.

    Raises:
        DubfewError: ``SEGMENTERS`` has no entry of that name.
        MissingDependencyError: The package that it needs is not installed, or its weights cannot
            be downloaded.
    """
    segmenter = SEGMENTERS.load(name)
    return segmenter() if segmenter.has_face_parts else None
