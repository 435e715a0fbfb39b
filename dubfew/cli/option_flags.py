"""Command-line flags made from dataclasses of options."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, cast

import typer
from typer.models import OptionInfo

from dubfew.errors import DubfewError
from dubfew.utils.options import Option, list_options

# Name of the parameter that `accept_options` replaces.
OPTIONS_PARAMETER = "options"


def accept_options(options_class: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a decorator that gives a command one flag for each option of a dataclass.

    The command has a parameter ``options``, which receives an instance of the dataclass. The flags
    stand in its place in ``--help``, in the order of the fields.

    Args:
        options_class: dataclass whose fields are made by ``dubfew.utils.options.option``.
    """
    # Options of the library alone have no flag.
    options = [each for each in list_options(options_class) if each.rules.on_command_line]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        # eval_str turns annotations back from text, which Typer needs.
        parameters = []
        for own in inspect.signature(command, eval_str=True).parameters.values():
            if own.name == OPTIONS_PARAMETER:
                parameters += [_make_parameter(each) for each in options]
            else:
                parameters.append(own.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        # Typer calls the wrapper with one keyword per parameter.
        @functools.wraps(command)
        def wrapper(**values: Any) -> Any:
            chosen = {each.name: _plain_value(values.pop(each.name)) for each in options}
            try:
                made = options_class(**chosen)
            except DubfewError as error:  # values that contradict each other are wrong usage
                raise typer.BadParameter(str(error)) from None
            return command(**{OPTIONS_PARAMETER: made}, **values)

        # Typer reads the signature for defaults and the annotations for types.
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapper

    return decorate


def make_flag(options_class: type, name: str) -> OptionInfo:
    """Make one flag, for a command that needs only a few options of a dataclass.

    Args:
        options_class: dataclass whose fields are made by ``dubfew.utils.options.option``.
        name: name of the field.

    Returns:
        Typer's description of the flag, for ``Annotated[type, ...]``.
    """
    (option,) = (each for each in list_options(options_class) if each.name == name)
    return _describe_flag(option)


def _make_parameter(option: Option) -> inspect.Parameter:
    """Make the parameter from which Typer makes the flag."""
    value_type: Any = option.types[0]
    default = option.default
    if option.choices:
        value_type = _make_choice_type(option.choices)
        default = None if default is None else value_type(default)
    annotation = value_type | None if option.optional else value_type
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, _describe_flag(option)],
    )


def _make_choice_type(names: tuple[str, ...]) -> type[Enum]:
    """Make an enumeration, because Typer's own class for choices differs between its versions."""
    return cast("type[Enum]", Enum("Choice", [(name, name) for name in names], type=str))


def _describe_flag(option: Option) -> OptionInfo:
    """Translate an option's rules into Typer's words."""
    flags, rules = option.flags, option.rules
    settings: dict[str, Any] = {}
    if option.types[0] is bool:
        if option.default is not False:
            flags = (f"{flags[0]}/--no-{flags[0].removeprefix('--')}", *flags[1:])
        # An unset default stands for neither of the two words.
        settings["show_default"] = option.default is not None
    elif option.types[0] in (int, float):
        settings = {"min": rules.minimum, "max": rules.maximum}
        if rules.above is not None:
            settings["callback"] = _make_limit_check(rules.above)
    info: OptionInfo = typer.Option(*flags, metavar=rules.metavar, help=rules.help, **settings)
    return info


def _make_limit_check(limit: float) -> Callable[[float | None], float | None]:
    """Make the check for numbers above a limit, which Typer's ranges cannot express."""

    def check_above(value: float | None) -> float | None:
        if value is not None and not limit < value < math.inf:
            raise typer.BadParameter(f"{value:g} is not a finite number above {limit:g}")
        return value

    return check_above


def _plain_value(value: Any) -> Any:
    """Replace a member of a choice type by its name, which the library expects."""
    return value.value if isinstance(value, Enum) else value
