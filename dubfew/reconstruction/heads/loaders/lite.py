"""The embedded head model ``lite``: MediaPipe's face mesh, free to ship."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from dubfew.reconstruction.heads.head_model import HeadModel


@lru_cache(maxsize=1)
def load_lite_head() -> HeadModel:
    """Load the embedded head model; all callers share one object."""
    return HeadModel.load(str(files("dubfew.reconstruction.heads") / "lite.safetensors"))


HEAD_LOADER = load_lite_head
