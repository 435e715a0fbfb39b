"""Dataclasses of options: one description for Python, the command line, the docs and the checks.

A package with many options describes them once, as a frozen dataclass whose fields are made by
`option`. From it come the signature and the ``Args`` of the library function
(`document_options`), the command line (``dubfew.cli.option_flags``), the table in
``docs/options.md`` (``tools/write_options.py``) and the checks of values (`validate_options`).
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dubfew.errors import DubfewError

Options = TypeVar("Options")
Function = TypeVar("Function", bound=Callable[..., Any])

# Key of `OptionRules` in a dataclass field's metadata, where other users of metadata have theirs.
_METADATA_KEY = "dubfew.option"
# Width of generated docstrings. With the indentation that `help` adds they stay within 100.
_DOCSTRING_WIDTH = 92
# Words for types in error messages.
_TYPE_NAMES = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
# Words for units in error messages.
_UNIT_NAMES = {"s": "seconds", "px": "pixels", "bytes": "bytes", "frames": "frames"}


@dataclass(frozen=True)
class OptionRules:
    """Description of one option and rules for its values; see `option` for the meanings."""

    help: str
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    choices: Collection[str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    unit: str | None = None
    error: type[DubfewError] = DubfewError
    on_command_line: bool = True
    check: Callable[[Any], None] | None = None


def option(
    default: Any,
    *,
    help: str,
    metavar: str | None = None,
    flags: tuple[str, ...] = (),
    choices: Collection[str] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str | None = None,
    error: type[DubfewError] = DubfewError,
    on_command_line: bool = True,
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Make a dataclass field for one option.

    Args:
        default: value when the caller gives none; immutable.
        help: full sentences on what the option does, shown by ``--help``, ``help()`` and the docs.
        metavar: name of the value in ``--help``, such as ``"FILE"``.
        flags: command-line words; by default ``--`` and the field's name.
        choices: allowed texts. A table, such as an ``ExtensionTable``, is read anew at every use,
            so that parts registered later count.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        above: number that the value must exceed, where ``minimum`` would allow the limit itself.
        unit: unit of a number: ``"s"``, ``"px"``, ``"frames"`` or ``"bytes"``.
        error: class of the error for a value that is not allowed.
        on_command_line: False for options of the library alone.
        check: called with a value other than None that is of the right type; raises a
            ``DubfewError`` where it is not allowed.

    Returns:
        What ``dataclasses.field`` returns.

    Example:
        >>> @dataclass(frozen=True, kw_only=True)
        ... class CutOptions:
        ...     seconds: float = option(10.0, help="Length of the part to keep.", above=0, unit="s")
        >>> CutOptions().seconds
        10.0
        >>> validate_options(CutOptions(seconds=-1))
        Traceback (most recent call last):
        ...
        dubfew.errors.DubfewError: --seconds is -1: give a number of seconds, above 0
    """
    rules = OptionRules(
        help=help,
        metavar=metavar,
        flags=flags,
        choices=choices,
        minimum=minimum,
        maximum=maximum,
        above=above,
        unit=unit,
        error=error,
        on_command_line=on_command_line,
        check=check,
    )
    return dataclasses.field(default=default, metadata={_METADATA_KEY: rules})


def borrow_option(options_class: type, name: str) -> Any:
    """Make a dataclass field like one of another dataclass of options.

    Args:
        options_class: dataclass whose fields are made by `option`.
        name: name of the field in both dataclasses.

    Returns:
        What ``dataclasses.field`` returns.
    """
    (field,) = (each for each in dataclasses.fields(options_class) if each.name == name)
    return dataclasses.field(default=field.default, metadata=field.metadata)


def share_options(options: Any, options_class: type[Options], **others: Any) -> Options:
    """Make an object of another dataclass from the options that both dataclasses have.

    Args:
        options: instance of a dataclass of options.
        options_class: dataclass of the result.
        **others: options of the result, which win.
    """
    given: type = type(options)
    wanted: type = options_class  # or mypy takes both for unhashable
    shared = {each.name for each in list_options(given)}
    shared &= {each.name for each in list_options(wanted)}
    return options_class(**{**{name: getattr(options, name) for name in shared}, **others})


@dataclass(frozen=True)
class Option:
    """One field of an options dataclass, with its type taken apart.

    Attributes:
        name: name of the field and of the keyword in Python.
        default: value when the caller gives none.
        annotation: type as the source writes it, such as ``"Path | str | None"``.
        types: members of that type without None; the first is the type on the command line.
        optional: True if None is allowed.
        rules: help text and limits.
    """

    name: str
    default: Any
    annotation: str
    types: tuple[Any, ...]
    optional: bool
    rules: OptionRules

    @property
    def flags(self) -> tuple[str, ...]:
        """Words of the option on the command line, the long one first."""
        return self.rules.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed texts, empty where every text is allowed."""
        return tuple(self.rules.choices or ())

    def describe_limits(self) -> str:
        """Describe the allowed values in a few words, or return "" where every value is."""
        if self.choices:
            return ", ".join(self.choices)
        return self._describe_range(f" {self.rules.unit}" if self.rules.unit else "")

    def _describe_range(self, unit: str = "") -> str:
        """Describe the smallest and largest number, each with its unit behind it."""
        rules = self.rules
        if rules.above is not None:
            return f"above {rules.above}{unit}"
        if rules.minimum is None:
            return "" if rules.maximum is None else f"{rules.maximum}{unit} or less"
        if rules.maximum is None:
            return f"{rules.minimum}{unit} or more"
        return f"{rules.minimum} to {rules.maximum}{unit}"

    def check_value(self, value: Any) -> None:
        """Check one value.

        Raises:
            DubfewError: The value has another type, is not among the choices or exceeds a limit;
                of the class that the option names.
        """
        # None stands for "not set" and has no range.
        if value is None and self.optional:
            return
        if not any(_is_instance(value, kind) for kind in self.types):
            raise self._make_error(value, " or ".join(_TYPE_NAMES[kind] for kind in self.types))
        if isinstance(value, str) and self.choices and value not in self.choices:
            raise self.rules.error(
                f"no {self.name} {value[:40]!a}: there are {', '.join(self.choices)}"
            )
        if isinstance(value, Real) and not isinstance(value, bool):
            self._check_range(cast(float, value))
        if self.rules.check is not None:
            self.rules.check(value)

    def _check_range(self, value: float) -> None:
        """Check a number against the limits; infinity and NaN are never allowed."""
        rules = self.rules
        # Whole numbers are compared as they are: as floating point numbers, large ones would be
        # rounded. A comparison with NaN is False.
        allowed = isinstance(value, Integral) or math.isfinite(value)
        if rules.above is not None:
            allowed = allowed and value > rules.above
        if rules.minimum is not None:
            allowed = allowed and value >= rules.minimum
        if rules.maximum is not None:
            allowed = allowed and value <= rules.maximum
        if not allowed:
            unit = f" of {_UNIT_NAMES[rules.unit]}" if rules.unit else ""
            limits = self._describe_range()
            raise self._make_error(value, f"a number{unit}" + (f", {limits}" if limits else ""))

    def _make_error(self, value: Any, expected: str) -> DubfewError:
        """Make an error that names the option as the command line does."""
        name = self.flags[0] if self.rules.on_command_line else self.name
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        return self.rules.error(f"{name} is {shown}: give {expected}")


def _is_instance(value: Any, kind: Any) -> bool:
    """Tell whether a value may stand for a type, as generously as Python's own functions do."""
    if kind is Any:
        return True
    if kind is Path:
        return isinstance(value, str | os.PathLike)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool)
    if kind is int:  # numbers of numpy are Integral, too
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, kind)


@cache
def list_options(options_class: type) -> tuple[Option, ...]:
    """List the options of a dataclass in the order of its fields.

    Args:
        options_class: a dataclass all of whose fields are made by `option`.
    """
    hints = get_type_hints(options_class)
    found = []
    for field in dataclasses.fields(options_class):
        # "Path | str | None" becomes the members of the union; any other type is its only member.
        hint = hints[field.name]
        members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        found.append(
            Option(
                name=field.name,
                default=field.default,
                annotation=str(field.type),
                types=tuple(member for member in members if member is not NoneType),
                optional=NoneType in members,
                rules=field.metadata[_METADATA_KEY],
            )
        )
    return tuple(found)


def validate_options(options: Any) -> None:
    """Check types, choices and ranges of every option, for ``__post_init__``.

    Args:
        options: an instance of an options dataclass.

    Raises:
        DubfewError: An option has a value that is not allowed; of the class that the option names.
    """
    options_class: type = type(options)
    for each in list_options(options_class):
        each.check_value(getattr(options, each.name))


def merge_options(
    options_class: type[Options], options: Options | None, overrides: Mapping[str, Any]
) -> Options:
    """Combine an options object with keyword options, which win.

    Args:
        options_class: dataclass of the options.
        options: the object, or None for the defaults.
        overrides: options by name, as a function collects them in ``**overrides``.

    Returns:
        A new object, or ``options`` itself where nothing is overridden.

    Raises:
        TypeError: ``options`` is of another class, or a keyword is not the name of an option.
        DubfewError: An option has a value that is not allowed.
    """
    if options is not None and not isinstance(options, options_class):
        raise TypeError(
            f"options is {type(options).__name__}: give {options_class.__name__} or keywords"
        )
    untyped: type = options_class  # or mypy takes it for unhashable
    # Misspelled keywords must not be ignored, as a plain **overrides would.
    known = {each.name for each in list_options(untyped)}
    for name in overrides:
        if name not in known:
            # Python's own words for a keyword that a function does not have.
            raise TypeError(
                f"got an unexpected keyword argument {name!r}: {options_class.__name__} has "
                f"{', '.join(sorted(known))}"
            )
    if options is None:
        return options_class(**overrides)
    return dataclasses.replace(options, **overrides) if overrides else options  # type: ignore


def document_options(options_class: type) -> Callable[[Function], Function]:
    """Make a decorator that shows every option in a function's signature and docstring.

    The function takes ``options`` (an instance or None) and ``**overrides``, and hands both to
    `merge_options`. Its docstring has an ``Args`` section, which the options are added to.

    Args:
        options_class: dataclass of the options.
    """

    def decorate(function: Function) -> Function:
        # Order: the function's positional parameters, the options, its other keywords.
        own = list(inspect.signature(function).parameters.values())
        own = [each for each in own if each.kind is not inspect.Parameter.VAR_KEYWORD]
        keyword_only = inspect.Parameter.KEYWORD_ONLY
        fields = [
            inspect.Parameter(
                each.name, keyword_only, default=each.default, annotation=each.annotation
            )
            for each in list_options(options_class)
        ]
        positional = [each for each in own if each.kind is not keyword_only]
        others = [each for each in own if each.kind is keyword_only]
        function.__signature__ = inspect.signature(function).replace(  # type: ignore[attr-defined]
            parameters=[*positional, *fields, *others]
        )
        function.__doc__ = _add_to_section(function.__doc__, "Args:", options_class)
        return function

    return decorate


def document_fields(options_class: type[Options]) -> type[Options]:
    """Add an ``Attributes`` section with every option to a dataclass's docstring."""
    text = f"{inspect.cleandoc(options_class.__doc__ or '')}\n\nAttributes:"
    options_class.__doc__ = _add_to_section(text, "Attributes:", options_class)
    return options_class


def _add_to_section(docstring: str | None, heading: str, options_class: type) -> str | None:
    """Append the options to a section of a docstring; ``python -OO`` removes docstrings."""
    if docstring is None:
        return None
    lines = inspect.cleandoc(docstring).splitlines()
    start = lines.index(heading)
    # Sections end at a blank line.
    end = next((row for row in range(start, len(lines)) if not lines[row]), len(lines))
    entries = [line for each in list_options(options_class) for line in _format_entry(each)]
    return "\n".join([*lines[:end], *entries, *lines[end:]])


def _format_entry(option: Option) -> list[str]:
    """Format an option as the lines of an entry in a Google-style section."""
    # One sentence on the limits follows the help text, which does not repeat them.
    limits = option.describe_limits()
    text = f"{option.name}: {option.rules.help}" + (f" Allowed: {limits}." if limits else "")
    return textwrap.wrap(
        text,
        _DOCSTRING_WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_on_hyphens=False,
        break_long_words=False,
    )
