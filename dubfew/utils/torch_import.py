"""torch without the part of its import that only programs that trace or compile networks need.

``import torch`` ends with thousands of shape rules written in Python, which tell what operators
would give on the device "meta". They take a quarter of the import. Modules are made on that device
without them; FakeTensor, ``torch.compile`` and forward passes on it need them.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any

SHAPE_RULES = "torch._meta_registrations"
# Packages of torch that need the rules, and some of which import each other in the right order only
# after them. `torch.optim` imports the first when an optimizer is made.
_DEPENDENTS = frozenset(
    f"torch.{name}" for name in ("_dynamo", "_inductor", "_decomp", "_prims", "_refs")
)


class _ShapeRuleFinder(MetaPathFinder, Loader):
    """Put an empty module in the place of the rules until something needs them."""

    def __init__(self) -> None:
        self._is_waiting = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == SHAPE_RULES and not self._is_waiting:
            return importlib.util.spec_from_loader(fullname, self)
        if fullname in _DEPENDENTS and self._is_waiting:
            self._load()
            # The rules import some of these packages themselves, which must not be done twice.
            if fullname in sys.modules:
                return importlib.util.spec_from_loader(fullname, _ImportedLoader(fullname))
        return None

    def exec_module(self, module: ModuleType) -> None:
        self._is_waiting = True

        def load_attribute(name: str) -> Any:
            # Python itself looks at such names of all modules.
            if name.startswith("__"):
                raise AttributeError(name)
            return getattr(self._load(), name)

        module.__dict__["__getattr__"] = load_attribute

    def _load(self) -> ModuleType:
        """Import the rules themselves, once."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            del sys.modules[SHAPE_RULES]
        return importlib.import_module(SHAPE_RULES)


class _ImportedLoader(Loader):
    """Give a module that was imported while its import began, as it is."""

    def __init__(self, name: str) -> None:
        self._module = sys.modules[name]
        # Python takes the spec that a module has already for another one, and runs it again.
        self._spec, self._module.__spec__ = self._module.__spec__, None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def defer_shape_rules() -> None:
    """Have ``import torch`` leave its shape rules for the device "meta" to who needs them.

    For commands that train nothing: optimizers need the rules, and what imports a part of torch in
    the meantime finds it as `import torch` has left it. Does nothing if torch is imported already.
    """
    if "torch" not in sys.modules:
        sys.meta_path.insert(0, _ShapeRuleFinder())
