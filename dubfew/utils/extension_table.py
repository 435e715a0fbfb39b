"""Tables of interchangeable parts: one module each, found by its file name, loaded on first use."""

from __future__ import annotations

import functools
import importlib.metadata
import pkgutil
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from dubfew.errors import DubfewError

Part = TypeVar("Part")


# Form of the names that other packages may add: that of file names, and hyphens.
_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class ExtensionTable(Mapping[str, Part], Generic[Part]):
    """Map the modules of a package to the object that each of them defines.

    A new part is a new file: ``dubfew/adapt/methods/lora.py`` is the adaptation method ``lora``.
    Names are file names, so that a command line can list them without importing torch. Modules
    whose name begins with an underscore are shared code and no parts.

    Other installed packages can add parts by entry points. An entry point names a module, which
    defines the same attribute as the table's own modules. It does not replace a part of dubfew's.

    Args:
        kind: what one part is called in error messages, such as ``"adaptation method"``.
        package: dotted name of the package that holds the modules.
        attribute: name that every module defines.
        error: class of the error for an unknown name.
        entry_points: group of the entry points that add parts, such as ``"dubfew.methods"``; None
            for a table that other packages cannot add to.

    Example:
        >>> from dubfew.utils.extension_table import ExtensionTable
        >>> table = ExtensionTable("codec", "encodings", "getregentry")
        >>> "utf_8" in table
        True
        >>> table["no-such"]
        Traceback (most recent call last):
        ...
        KeyError: 'no-such'
    """

    def __init__(
        self,
        kind: str,
        package: str,
        attribute: str,
        error: type[DubfewError] = DubfewError,
        entry_points: str | None = None,
    ) -> None:
        self._kind = kind
        self._package = package
        self._attribute = attribute
        self._error = error
        self._entry_points = entry_points
        self._registered: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}  # listing a folder takes longer than some parts run

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parts in alphabetical order; none of them is imported for it."""
        return tuple(sorted(self._own_names() | set(self._registered) | set(self._plugins())))

    def _own_names(self) -> set[str]:
        """Names of the modules of the package."""
        path = import_module(self._package).__path__
        found = {module.name for module in pkgutil.iter_modules(path)}
        return {name for name in found if not name.startswith("_")}

    def _plugins(self) -> dict[str, importlib.metadata.EntryPoint]:
        """Parts of other installed packages, by name."""
        if self._entry_points is None:
            return {}
        return _list_plugins(self._kind, self._entry_points, frozenset(self._own_names()))

    def register(self, name: str, part: Part) -> None:
        """Add a part that is defined outside of dubfew, for this process.

        Args:
            name: how options and stored files call it.
            part: what the attribute of a module in the package would be.

        Raises:
            ValueError: a part of that name exists.
        """
        if name in self.names:
            raise ValueError(f"there is a {self._kind} {name!r} already")
        self._registered[name] = part

    def unregister(self, name: str) -> None:
        """Remove a part that `register` added.

        Raises:
            KeyError: `register` did not add it.
        """
        del self._registered[name]

    def load(self, name: str) -> Part:
        """Import a part.

        Args:
            name: one of `names`.

        Raises:
            DubfewError: the table has no such part; of the class that the table was made with.
        """
        if name not in self.names:
            raise self._error(
                f"no {self._kind} {str(name)[:40]!a}: there are {', '.join(self.names)}"
            )
        return self[name]

    def __getitem__(self, name: str) -> Part:
        if name in self._registered:
            return self._registered[name]
        if name not in self._loaded:
            if name not in self.names:
                raise KeyError(name)
            plugin = self._plugins().get(name)
            if plugin is not None:
                self._loaded[name] = self._load_plugin(plugin)
            else:
                module = import_module(f"{self._package}.{name}")
                self._loaded[name] = getattr(module, self._attribute)
        return self._loaded[name]

    def _load_plugin(self, plugin: importlib.metadata.EntryPoint) -> Any:
        """Import a part of another package; whatever it raises, the message names the package."""
        try:
            return getattr(import_module(plugin.value), self._attribute)
        except Exception as error:
            raise self._error(
                f"the {self._kind} {plugin.name!r} of the package {_package_of(plugin)} cannot be "
                f"loaded ({type(error).__name__}: {error}): update or uninstall that package"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self.names


@functools.cache
def _read_entry_points() -> Any:
    """Read the entry points of all installed packages, once: that takes 20 ms."""
    return importlib.metadata.entry_points()


@functools.cache
def _list_plugins(
    kind: str, group: str, own_names: frozenset[str]
) -> dict[str, importlib.metadata.EntryPoint]:
    """Find the entry points of a group; installed packages do not change while a process runs."""
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for plugin in _read_entry_points().select(group=group):
        taken = found.get(plugin.name)
        if taken is not None and taken.value == plugin.value:
            continue  # the same package on two places of the path
        if not _NAME_PATTERN.fullmatch(plugin.name):
            reason = "its name is not of small letters, digits, hyphens and underscores"
        elif plugin.name in own_names:
            reason = "dubfew has one of this name"
        elif taken is not None:
            reason = f"the package {_package_of(taken)} has one of this name"
        else:
            found[plugin.name] = plugin
            continue
        part = f"the {kind} {plugin.name!r} of the package {_package_of(plugin)}"
        warnings.warn(f"{part} is left out: {reason}", stacklevel=2)
    return found


def _package_of(plugin: importlib.metadata.EntryPoint) -> str:
    """Name of the package that an entry point belongs to."""
    return plugin.dist.name if plugin.dist is not None else "?"
