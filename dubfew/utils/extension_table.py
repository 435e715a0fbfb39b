"""Tables of interchangeable parts: one module each, found by its file name, loaded on first use."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from dubfew.errors import DubfewError

Part = TypeVar("Part")


class ExtensionTable(Mapping[str, Part], Generic[Part]):
    """Map the modules of a package to the object that each of them defines.

    A new part is a new file: ``dubfew/adapt/methods/lora.py`` is the adaptation method ``lora``.
    Names are file names, so that a command line can list them without importing torch. Modules
    whose name begins with an underscore are shared code and no parts.

    Args:
        kind: what one part is called in error messages, such as ``"adaptation method"``.
        package: dotted name of the package that holds the modules.
        attribute: name that every module defines.
        error: class of the error for an unknown name.

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
    ) -> None:
        self._kind = kind
        self._package = package
        self._attribute = attribute
        self._error = error
        self._registered: dict[str, Any] = {}
        self._loaded: dict[str, Any] = {}  # listing a folder takes longer than some parts run

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parts in alphabetical order; none of them is imported for it."""
        path = import_module(self._package).__path__
        found = {module.name for module in pkgutil.iter_modules(path)}
        return tuple(sorted({n for n in found if not n.startswith("_")} | set(self._registered)))

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
            module = import_module(f"{self._package}.{name}")
            self._loaded[name] = getattr(module, self._attribute)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names
