"""Adaptation methods: which weights of the renderer an actor may change, one module each.

Every module of this package that does not begin with an underscore defines ``METHOD``, an
`AdaptationMethod`, and is the method of its own name. A new method is a new file: the command
line, stored actors and the tests in ``tests/adapt/test_methods.py`` find it by that name. Importing
this package imports no torch, so names and options can be listed quickly.
"""

from __future__ import annotations

from dubfew.adapt.methods._base import AdaptationMethod, MethodOption, MethodOptions
from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable

METHODS: ExtensionTable[AdaptationMethod] = ExtensionTable(
    "adaptation method",
    "dubfew.adapt.methods",
    "METHOD",
    ArtefactError,
    entry_points="dubfew.methods",
)


def resolve_method_options(name: str, **overrides: int | None) -> MethodOptions:
    """Complete the options of a method with its defaults.

    Args:
        name: name of the method, see `METHODS`.
        **overrides: values by option; None stands for the default.

    Returns:
        A value for each option of the method, as it is stored with an actor.

    Raises:
        ArtefactError: The method or the option does not exist, or the value is out of range.

    Example:
        >>> resolve_method_options("lora", rank=4)
        {'rank': 4, 'alpha': 4}
    """
    method = METHODS.load(name)
    given = {option: value for option, value in overrides.items() if value is not None}
    for option in given:
        if option not in method.options:
            takers = [each for each in METHODS.names if option in METHODS[each].options]
            raise ArtefactError(f"--{option} is an option of {', '.join(takers) or 'nothing'} only")
    return method.complete_options(given)


__all__ = [
    "METHODS",
    "AdaptationMethod",
    "MethodOption",
    "MethodOptions",
    "resolve_method_options",
]
