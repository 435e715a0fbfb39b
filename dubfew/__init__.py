"""dubfew: few-shot personalised visual dubbing.

The public names are loaded on first use, because most of them bring torch, which takes
seconds, and ``dubfew actors list`` needs none of it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dubfew.adapt import adapt
    from dubfew.evaluate.compare import evaluate
    from dubfew.prior import Prior
    from dubfew.reconstruction.track import Track
    from dubfew.registry import Registry
    from dubfew.render import render

__all__ = ["Prior", "Registry", "Track", "__version__", "adapt", "evaluate", "render"]

_LAZY_CLASSES = {
    "Prior": "dubfew.prior",
    "Registry": "dubfew.registry",
    "Track": "dubfew.reconstruction.track",
}

# Each of these is a room and the function that the room is for: {room: where its function is}.
_CALLABLE_PACKAGES = {
    "adapt": "dubfew.adapt",
    "evaluate": "dubfew.evaluate.compare",
    "render": "dubfew.render",
}


class _CallablePackage(ModuleType):
    """A room that can be called like the function it is named after.

    Python binds ``dubfew.render`` to the room as soon as anything in it is imported, so the
    function of that name would be there or not depending on what was imported before.
    """

    def __call__(self, *args: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(_CALLABLE_PACKAGES[name]), name)(*args, **options)


class _RootPackage(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        if name in _CALLABLE_PACKAGES and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _RootPackage


def __getattr__(name: str) -> Any:
    if name in _CALLABLE_PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY_CLASSES:
        return getattr(importlib.import_module(_LAZY_CLASSES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
