"""Public names of a package that are imported on first use (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package.

    Most public names need torch, which takes seconds to import. A package that exports them in
    this way can be imported by commands that need none of it.

    Args:
        package: the package's ``__name__``.
        modules: for every public name the module of the package that defines it.

    Returns:
        A function that imports a name, for ``__getattr__`` at module level.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return load
