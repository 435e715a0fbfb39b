"""Dataclasses of options: checks, merging, and generated documentation."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubfew.errors import ArtefactError, DubfewError
from dubfew.utils.options import (
    document_fields,
    document_options,
    list_options,
    merge_options,
    option,
    validate_options,
)

SHAPES = ["round"]


@document_fields
@dataclass(frozen=True, kw_only=True)
class CakeOptions:
    """Options of a cake."""

    shape: str = option("round", help="Shape of the cake.", choices=SHAPES, error=ArtefactError)
    layers: int = option(1, help="Number of layers.", minimum=1, maximum=9)
    minutes: float | None = option(None, help="Baking time.", above=0, unit="s")
    recipe: Path | str | None = option(None, help="File to follow.", flags=("--recipe", "-r"))
    nuts: bool = option(False, help="Add nuts.")
    seed: int = option(0, help="Seed of the sprinkles.", minimum=0, maximum=2**63 - 1)
    oven: str | Any = option("mine", help="Oven to use.", on_command_line=False)

    def __post_init__(self) -> None:
        validate_options(self)


@document_options(CakeOptions)
def bake(who: str, options: CakeOptions | None = None, *, quiet: bool = False, **more: Any) -> Any:
    """Bake a cake.

    Args:
        who: name of the baker.

    Returns:
        The options.
    """
    return merge_options(CakeOptions, options, more)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 9),
        ("layers", np.int64(3)),
        ("minutes", 5),
        ("minutes", np.float32(0.5)),
        ("minutes", None),
        ("recipe", "a"),
        ("recipe", Path("a")),
        ("oven", object()),
        ("nuts", True),
        ("seed", 2**63 - 1),
    ],
)
def test_value(name: str, value: object) -> None:
    assert getattr(CakeOptions(**{name: value}), name) is value


@pytest.mark.parametrize(
    ("name", "value", "facts"),
    [
        ("layers", 0, r"--layers is 0.*1 to 9"),
        ("layers", 10, r"--layers is 10.*1 to 9"),
        ("layers", 2.5, r"--layers is 2\.5.*whole number"),
        ("layers", True, r"--layers is True.*whole number"),
        ("layers", None, r"--layers is None.*whole number"),
        ("minutes", 0, r"--minutes is 0.*seconds, above 0"),
        ("minutes", float("nan"), r"--minutes is nan.*above 0"),
        ("minutes", float("inf"), r"--minutes is inf.*above 0"),
        ("minutes", "5", r"--minutes is '5'.*a number"),
        ("recipe", 5, r"--recipe is 5.*path"),
        ("seed", 2**63, r"--seed is 9223372036854775808.* 0 to 9223372036854775807"),
        ("seed", 10**400, r"--seed is 1000"),
        ("nuts", 1, r"--nuts is 1.*True or False"),
    ],
)
def test_error(name: str, value: object, facts: str) -> None:
    with pytest.raises(DubfewError, match=facts):
        CakeOptions(**{name: value})


def test_choices_are_read_at_every_use() -> None:
    with pytest.raises(ArtefactError, match=r"'square'.*round"):
        CakeOptions(shape="square")
    SHAPES.append("square")
    try:
        assert CakeOptions(shape="square").shape == "square"
    finally:
        SHAPES.remove("square")


def test_merging() -> None:
    assert bake("anna") == CakeOptions()
    given = CakeOptions(layers=3, nuts=True)
    assert bake("anna", given) is given
    assert bake("anna", given, layers=2) == CakeOptions(layers=2, nuts=True)
    with pytest.raises(TypeError, match="'icing'"):
        bake("anna", icing=True)
    with pytest.raises(TypeError, match="CakeOptions"):
        bake("anna", "square")
    with pytest.raises(DubfewError, match="layers"):
        bake("anna", given, layers=0)


def test_signature_and_docstrings_list_every_option() -> None:
    names = [each.name for each in list_options(CakeOptions)]
    assert list(inspect.signature(bake).parameters) == ["who", "options", *names, "quiet"]
    text = inspect.getdoc(bake) or ""
    arguments, returns = text.split("\n\nReturns:")
    assert (
        "    who: name of the baker.\n    shape: Shape of the cake. Allowed: round.\n" in arguments
    )
    assert arguments.endswith("    oven: Oven to use.")
    assert "Allowed: 1 to 9." in arguments
    assert "Allowed: above 0 s." in arguments
    assert returns == "\n    The options."
    fields = (inspect.getdoc(CakeOptions) or "").split("Attributes:")[1]
    assert fields.split() == arguments.split("baker.")[1].split()


def test_types_and_flags() -> None:
    found = {each.name: each for each in list_options(CakeOptions)}
    assert found["recipe"].types == (Path, str)
    assert found["recipe"].optional
    assert found["recipe"].flags == ("--recipe", "-r")
    assert found["minutes"].flags == ("--minutes",)
    assert found["layers"].types == (int,)
    assert not found["layers"].optional
