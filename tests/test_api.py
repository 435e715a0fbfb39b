"""The library and the command line are one thing: same names, same defaults, same choices."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import dubfew
from dubfew.cli import app as cli
from dubfew.cli.options import (
    DriveChoice,
    FitChoice,
    IdentityChoice,
    MethodChoice,
    SegmenterChoice,
    TrackMethodChoice,
)

# What must not come with `import dubfew`: each takes from 0.1 s to several.
HEAVY = ("accelerate", "av", "kornia", "mediapipe", "numba", "numpy", "peft", "scipy", "torch")

# Each command, and where the library's function for it is.
COMMANDS = {
    "adapt": ("dubfew.adapt", "adapt"),
    "render": ("dubfew.render", "render"),
    "track": ("dubfew.reconstruction.tracking", "track_video"),
    "evaluate": ("dubfew.evaluate.compare", "evaluate"),
}
# The library calls it by a name of its own, or it belongs to one of the two alone.
RENAMED = {("track", "video"): "path"}
# The library returns the track; the command saves it, and a report of it. Who is seen where the
# library tells the callback `sighted`.
CLI_ONLY = {("track", "out"), ("track", "report"), ("track", "faces")}
LIBRARY_ONLY = {
    ("adapt", "registry"),  # DUBFEW_HOME
    ("render", "registry"),
    ("track", "start"),
    ("track", "stop"),
    ("track", "sighted"),
    ("evaluate", "track"),
}

# An argument for each option, none of them the default: text, and what the library is to get.
GIVEN: dict[str, tuple[list[str], Any]] = {
    "actor": (["--actor", "Zoë B"], "Zoë B"),
    "method": (["--method", "full"], "full"),
    "face": (["--face", "320,200"], "320,200"),
    "identity": (["--identity", "landmarks"], "landmarks"),
    "segmenter": (["--segmenter", "facer"], "facer"),
    "rank": (["--rank", "4"], 4),
    "seconds": (["--seconds", "2.5"], 2.5),
    "start": (["--start", "1.5"], 1.5),
    "replay": (["--replay"], True),
    "steps": (["--steps", "0"], 0),
    "prior": (["--prior", "warp"], "warp"),
    "head": (["--head", "flame"], "flame"),
    "consent": (["--consent", "c.json"], Path("c.json")),
    "device": (["--device", "cuda:1"], "cuda:1"),
    "seed": (["--seed", "7"], 7),
    "video": (["--video", "v.mp4"], Path("v.mp4")),
    "audio": (["--audio", "a.wav"], Path("a.wav")),
    "drive": (["--drive", "self"], "self"),
    "driver": (["--driver", "d.mp4", "--drive", "video"], Path("d.mp4")),
    "transcript": (["--transcript", "t.srt", "--lang", "de"], Path("t.srt")),
    "language": (["--language", "de-AT"], "de-AT"),
    "use": (["--use", "dubbing"], "dubbing"),
    "territory": (["--territory", "AT"], "AT"),
    "project": (["--project", "a film"], "a film"),
    "speech": (["--speech", "s.safetensors"], Path("s.safetensors")),
    "recognise": (["--recognise"], True),
    "reach": (["--reach", "1.5"], 1.5),
    "plot": (["--plot", "p.svg"], Path("p.svg")),
    "fit": (["--fit", "hold"], "hold"),
    "revision": (["--revision", "3"], 3),
    "codec": (["--codec", "libx265"], "libx265"),
    "crf": (["--crf", "21"], 21),
    "lossless": (["--lossless"], True),
    "watermark": (["--no-watermark"], False),
    "out": (["--out", "o.mp4"], Path("o.mp4")),
    "syncnet": (["--syncnet", "s.model"], Path("s.model")),
    "listen": (["--listen"], True),
}
GIVEN_TO = {("track", "method"): (["--method", "photometric"], "photometric")}
# What has to be given together.
TOGETHER = ({"drive", "driver"}, {"transcript", "language"})
# Arguments that a command cannot go without.
NEEDED = {
    "adapt": {"video": ["v.mp4"]},
    "render": {"actor": ["--actor", "x"]},
    "track": {"video": ["v.mp4"], "out": ["--out", "t.safetensors"]},
    "evaluate": {"reference": ["a.mp4"], "output": ["b.mp4"]},
}


def needed_by(command: str) -> list[str]:
    return [word for words in NEEDED[command].values() for word in words]


def function(command: str) -> Callable[..., Any]:
    module, name = COMMANDS[command]
    return getattr(importlib.import_module(module), name)


def of_command(command: str) -> dict[str, Any]:
    """A command's parameters and their defaults, as the library would write them."""
    parameters = inspect.signature(getattr(cli, command)).parameters.values()
    return {
        p.name: p.default.value if isinstance(p.default, Enum) else p.default
        for p in parameters
        if p.name != "as_json"
    }


def of_library(command: str) -> dict[str, Any]:
    parameters = inspect.signature(function(command)).parameters.values()
    return {p.name: p.default for p in parameters if p.name != "progress"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_a_parameter_with_the_same_default(command: str) -> None:
    ours, theirs = of_command(command), of_library(command)
    for name, default in ours.items():
        if (command, name) not in CLI_ONLY:
            assert theirs[RENAMED.get((command, name), name)] == default, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_is_an_option(command: str) -> None:
    ours = {RENAMED.get((command, name), name) for name in of_command(command)}
    extra = {name for owner, name in LIBRARY_ONLY if owner == command}
    assert set(of_library(command)) - extra <= ours
    assert extra.isdisjoint(ours)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_function_reports_progress(command: str) -> None:
    from dubfew.progress import no_progress

    parameter = inspect.signature(function(command)).parameters["progress"]
    assert parameter.default is no_progress
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


class Call:
    """Stands for a library function: binds what it is given as the real one would."""

    def __init__(self, command: str) -> None:
        self.signature = inspect.signature(function(command))
        self.given: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        bound = self.signature.bind(*arguments, **options)
        bound.apply_defaults()
        # A callback is another one at every call.
        sighted = bound.arguments.pop("sighted", None)
        if sighted is not None:
            sighted(SimpleNamespace(people=[], summary=list))
        self.given = bound.arguments
        return Result()


class Result(SimpleNamespace):
    """A track and any other result that a command prints."""

    def __init__(self) -> None:
        super().__init__(
            valid=np.ones(3, bool),
            usable=np.ones(3, bool),
            shot=np.zeros(3, np.int32),
            fps=Fraction(25),
            head="lite",
            face=0,
            method="landmarks",
            shape_from="landmarks",
            reasons=dict,
            saved=None,
        )

    def __len__(self) -> int:
        return 3

    def save(self, path: Path) -> None:
        self.saved = path


def calls_of(command: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    call = Call(command)
    module, name = COMMANDS[command]
    monkeypatch.setattr(importlib.import_module(module), name, call)
    monkeypatch.setattr(cli, "format_fields", repr)
    done = CliRunner().invoke(cli.app, [command, *arguments])
    assert done.exit_code == 0, done.output
    return call.given


OPTIONS = [
    (command, name)
    for command in COMMANDS
    for name in of_command(command)
    if (command, name) not in CLI_ONLY and name not in NEEDED[command]
]


@pytest.mark.parametrize(("command", "name"), OPTIONS)
def test_every_option_arrives_and_changes_nothing_else(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = needed_by(command)
    default = calls_of(command, needed, monkeypatch)
    monkeypatch.undo()
    text, value = GIVEN_TO.get((command, name), GIVEN.get(name))
    given = calls_of(command, [*needed, *text], monkeypatch)
    changed = {key for key in given if given[key] != default[key] and key != "progress"}
    theirs = RENAMED.get((command, name), name)
    assert given[theirs] == value
    assert type(given[theirs]) is type(value)  # no enum of the command line's
    alone = {"drive", "language"}
    together = [names for names in TOGETHER if theirs in names and name not in alone]
    assert changed == (together[0] if together else {theirs})


@pytest.mark.parametrize("command", COMMANDS)
def test_arguments_arrive(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = calls_of(command, needed_by(command), monkeypatch)
    for name, text in NEEDED[command].items():
        if (command, name) not in CLI_ONLY:
            found = given[RENAMED.get((command, name), name)]
            assert str(found) == text[-1]


def test_choices_are_those_of_the_library() -> None:
    from dubfew.adapt.methods import METHODS
    from dubfew.reconstruction import tracking
    from dubfew.reconstruction.heads.mica.identity import IDENTITY_SOURCES
    from dubfew.reconstruction.segmenters import SEGMENTERS
    from dubfew.render.driving import DRIVE_NAMES
    from dubfew.render.schedule import FIT_MODES

    for choices, known in (
        (MethodChoice, METHODS),
        (TrackMethodChoice, tracking.TRACKING_METHODS),
        (IdentityChoice, IDENTITY_SOURCES),
        (SegmenterChoice, SEGMENTERS),
        (DriveChoice, DRIVE_NAMES),
        (FitChoice, FIT_MODES),
    ):
        assert sorted(choice.value for choice in choices) == sorted(known)


def in_a_fresh_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_brings_nothing_heavy() -> None:
    loaded = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    assert (
        in_a_fresh_python(f"import sys, dubfew, dubfew.errors, dubfew.progress; {loaded}") == "[]"
    )
    assert in_a_fresh_python(f"import sys; from dubfew import Registry; {loaded}") == "[]"


def test_every_public_name_is_there_whatever_was_imported_before() -> None:
    """`dubfew.render` is a function to its users; Python would make it a module half of the
    time."""
    program = """
import dubfew
functions = {"adapt", "evaluate", "render"}
def check():
    for name in sorted(dubfew.__all__):
        found = getattr(dubfew, name)
        assert callable(found) or name == "__version__", name
        if name in functions:
            assert found.__name__ == "dubfew." + name
            assert "missing 1 required" in refusal(found)
def refusal(function):
    try:
        function()
    except TypeError as error:
        return str(error).replace("missing 2 required", "missing 1 required")
check()
import dubfew.render.schedule, dubfew.adapt.methods, dubfew.evaluate.metrics
check()
from dubfew import *
assert {name for name in dubfew.__all__ if name in globals()} == set(dubfew.__all__)
print("whole")
"""
    assert in_a_fresh_python(program) == "whole"


def test_all_is_what_dir_and_type_checkers_see() -> None:
    assert set(dubfew.__all__) <= set(dir(dubfew))
    assert len(set(dubfew.__all__)) == len(dubfew.__all__)
    source = Path(dubfew.__file__).read_text()
    typed = source.split("if TYPE_CHECKING:")[1].split("__all__")[0]
    assert all(f"import {name}" in typed for name in dubfew.__all__ if name != "__version__")
