"""The library and the command line are one thing: same names, same defaults, same choices."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dubfew
from dubfew import AdaptOptions, PrepareOptions, RenderOptions, TrackOptions, api
from dubfew.cli.app import app
from dubfew.errors import ArtefactError, DubfewError
from dubfew.evaluate import gate
from dubfew.utils.options import list_options
from tests.commands import CommandRunner

# Packages that `import dubfew` must not import: each takes from 0.1 s to several.
HEAVY = ("accelerate", "av", "kornia", "mediapipe", "numba", "numpy", "peft", "scipy", "torch")

# Commands whose function in `dubfew.api` has the same name.
COMMANDS = ("dub", "adapt", "render", "track", "evaluate")
# The command saves the track, and a report of it; the function returns the track, and its callback
# `on_detection` has the people.
CLI_ONLY = {
    ("track", "out"),
    ("track", "report"),
    ("track", "faces"),
    ("track", "overwrite"),
    ("render", "named_actor"),
    ("render", "cast"),
    *((command, name) for command in COMMANDS for name in ("progress_mode", "verbose")),
}
LIBRARY_ONLY = {
    ("dub", "registry"),  # the command line has DUBFEW_HOME instead
    ("dub", "on_plan"),
    ("adapt", "registry"),
    ("render", "registry"),
    ("adapt", "on_plan"),  # the command prints the plan
    ("render", "on_plan"),
    ("render", "cache"),  # of a session
    ("track", "start"),
    ("track", "stop"),
    ("track", "on_detection"),
    ("evaluate", "track"),
}

# An argument for each option, none of them the default: text, and the value for the library.
GIVEN: dict[str, tuple[list[str], Any]] = {
    "crop": (["--crop", "8x6+2+0"], "8x6+2+0"),
    "crop_original": (["--crop-original", "8x6+2+0"], "8x6+2+0"),
    "actor": (["--actor", "Zoë B"], "Zoë B"),
    "method": (["--method", "full"], "full"),
    "face": (["--face", "320,200"], "320,200"),
    "add": (["--add"], True),
    "anyone": (["--anyone"], True),
    "new_person": (["--new-person"], True),
    "identity": (["--identity", "landmarks"], "landmarks"),
    "segmenter": (["--segmenter", "facer"], "facer"),
    "tracking": (["--tracking", "photometric"], "photometric"),
    "draft": (["--draft"], True),
    "rank": (["--rank", "4"], 4),
    "seconds": (["--seconds", "2.5"], 2.5),
    "start": (["--start", "1.5"], 1.5),
    "replay": (["--replay"], True),
    "mixed": (["--mixed", "0.25"], 0.25),
    "replay_data": (["--replay-data", "people"], Path("people")),
    "loss": (["--loss", "paper-003"], "paper-003"),
    "sync": (["--sync", "n.safetensors"], Path("n.safetensors")),
    "texture": (["--texture", "random"], "random"),
    "no_prior": (["--no-prior", "--method", "full"], True),
    "post_processing": (["--no-post-processing"], False),
    "steps": (["--steps", "0"], 0),
    "prior": (["--prior", "warp"], "warp"),
    "head": (["--head", "flame"], "flame"),
    "consent": (["--consent", "c.json"], Path("c.json")),
    "device": (["--device", "cuda:1"], "cuda:1"),
    "accelerator": (["--accelerator", "openvino"], "openvino"),
    "seed": (["--seed", "7"], 7),
    "video": (["--video", "v.mp4"], Path("v.mp4")),
    "audio": (["--audio", "a.wav"], Path("a.wav")),
    "drive": (["--drive", "self"], "self"),
    "style": (["--style", "parameters"], "parameters"),
    "driver": (["--driver", "d.mp4", "--drive", "video"], Path("d.mp4")),
    "transcript": (["--transcript", "t.srt", "--lang", "de"], Path("t.srt")),
    "language": (["--language", "de-AT"], "de-AT"),
    "use": (["--use", "dubbing"], "dubbing"),
    "territory": (["--territory", "AT"], "AT"),
    "project": (["--project", "a film"], "a film"),
    "speech": (["--speech", "s.safetensors"], Path("s.safetensors")),
    "recognise": (["--recognise"], True),
    "offset": (["--offset", "-80"], -80.0),
    "open": (["--open", "0.7"], 0.7),
    "into": (["--into", "o.mp4", "--from", "1.5", "--to", "2.5"], Path("o.mp4")),
    "preview": (["--preview"], True),
    "from_seconds": (["--from", "1.5", "--to", "2.5", "--into", "o.mp4"], 1.5),
    "to_seconds": (["--to", "2.5", "--from", "1.5", "--into", "o.mp4"], 2.5),
    "mix": (["--mix", "2:-3"], "2:-3"),
    "reach": (["--reach", "1.5"], 1.5),
    "plot": (["--plot", "p.svg"], Path("p.svg")),
    "report": (["--report", "p.html"], Path("p.html")),
    "debug": (["--debug", "d.mp4"], Path("d.mp4")),
    "audio_track": (["--audio-track", "2"], 2),
    "input_transform": (["--input-transform", "slog3"], "slog3"),
    "preset": (["--preset", "fast"], "fast"),
    "like_source": (["--like-source"], True),
    "fit": (["--fit", "hold"], "hold"),
    "revision": (["--revision", "3"], 3),
    "motion": (["--motion", "l.motion"], Path("l.motion")),
    "proxy": (["--proxy", "small.mp4"], Path("small.mp4")),
    "codec": (["--codec", "libx265"], "libx265"),
    "crf": (["--crf", "21"], 21),
    "lossless": (["--lossless"], True),
    "watermark": (["--no-watermark"], False),
    "out": (["--out", "o.mp4"], Path("o.mp4")),
    "syncnet": (["--syncnet", "s.model"], Path("s.model")),
    "listen": (["--listen"], True),
    "inside": (["--inside"], True),
    "sheet": (["--sheet", "s.png"], Path("s.png")),
    "floor": (["--floor"], True),
    "again": (["--again", "o2.mp4"], Path("o2.mp4")),
    "require": (["--require", "l.json"], Path("l.json")),
    "html": (["--html", "p.html"], Path("p.html")),
    "overwrite": (["--overwrite"], True),
}
GIVEN_TO = {("track", "method"): (["--method", "photometric"], "photometric")}
# Options that need each other.
TOGETHER = (
    {"drive", "driver"},
    {"transcript", "language"},
    {"into", "from_seconds", "to_seconds"},
    {"no_prior", "method"},
)
# Arguments that a command requires.
NEEDED = {
    "dub": {"scene": ["s.mp4"], "sound": ["a.wav"]},
    "adapt": {"video": ["v.mp4"]},
    "render": {"actor": ["--actor", "x"]},
    "track": {"video": ["v.mp4"], "out": ["--out", "t.safetensors"]},
    "evaluate": {"reference": ["a.mp4"], "output": ["b.mp4"]},
}


def needed_by(command: str) -> list[str]:
    return [word for words in NEEDED[command].values() for word in words]


def of_command(command: str) -> dict[str, Any]:
    """Return a command's parameters and their defaults, as the library would write them."""
    module = sys.modules[f"dubfew.cli.{command}"]
    parameters = inspect.signature(getattr(module, command)).parameters.values()
    return {
        p.name: getattr(p.default, "value", p.default) for p in parameters if p.name != "as_json"
    }


def of_library(command: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(api, command)).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("progress", "options")}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_a_parameter_with_the_same_default(command: str) -> None:
    ours, theirs = of_command(command), of_library(command)
    for name, default in ours.items():
        # The actor may be named in two ways, so neither is required.
        if (command, name) not in {*CLI_ONLY, ("render", "actor")}:
            assert theirs[name] == default, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_is_an_option(command: str) -> None:
    ours = set(of_command(command))
    extra = {name for owner, name in LIBRARY_ONLY if owner == command}
    assert set(of_library(command)) - extra <= ours
    assert extra.isdisjoint(ours)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_function_reports_progress(command: str) -> None:
    from dubfew.progress import no_progress

    parameter = inspect.signature(getattr(api, command)).parameters["progress"]
    assert parameter.default is no_progress
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


class Call:
    """Stands for a library function: binds its arguments as the real one would."""

    def __init__(self, command: str) -> None:
        self.signature = inspect.signature(getattr(api, command))
        self.given: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        bound = self.signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        # A callback is another one at every call.
        bound.arguments.pop("on_plan", None)
        on_detection = bound.arguments.pop("on_detection", None)
        if on_detection is not None:
            on_detection(SimpleNamespace(people=[], summary=list))
        options = bound.arguments.pop("options", None)
        self.given = {**bound.arguments, **(vars(options) if options else {})}
        return Result()


class Result(SimpleNamespace):
    """Stands for a track and for any other result that a command prints."""

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
            to_json=dict,
            to_report=dict,
            broken_limits=(),
            to_display=dict,
            same_line=None,
            saved=None,
        )

    def __len__(self) -> int:
        return 3

    def save(self, path: Path) -> None:
        self.saved = path


def calls_of(command: str, *arguments: str) -> dict[str, Any]:
    call = Call(command)
    formatter = {"adapt": "adaptation", "evaluate": "evaluation"}.get(command, command)
    module = sys.modules[f"dubfew.cli.{command}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, command, call)
        # The command reads the limits before it measures.
        patch.setattr(gate, "read_limits", lambda path: {})
        patch.setattr(module, f"format_{formatter}", lambda *result, **more: "")
        done = CommandRunner().invoke(app, [command, *arguments])
    assert done.exit_code == 0, done.output
    return call.given


@cache
def default_calls_of(command: str) -> dict[str, Any]:
    return calls_of(command, *needed_by(command))


OPTIONS = [
    (command, name)
    for command in COMMANDS
    for name in of_command(command)
    if (command, name) not in CLI_ONLY and name not in NEEDED[command]
]


@pytest.mark.parametrize(("command", "name"), OPTIONS)
def test_every_option_arrives_and_changes_nothing_else(command: str, name: str) -> None:
    default = default_calls_of(command)
    text, value = GIVEN_TO.get((command, name), GIVEN.get(name))
    given = calls_of(command, *needed_by(command), *text)
    changed = {key for key in given if given[key] != default[key] and key != "progress"}
    assert given[name] == value
    assert type(given[name]) is type(value)  # not an enumeration of the command line
    alone = {"drive", "language", "method"}
    together = [names for names in TOGETHER if name in names and name not in alone]
    assert changed == (together[0] if together else {name})


@pytest.mark.parametrize("command", COMMANDS)
def test_required_arguments_arrive(command: str) -> None:
    given = default_calls_of(command)
    for name, text in NEEDED[command].items():
        if (command, name) not in CLI_ONLY:
            assert str(given[name]) == text[-1]


def test_choices_are_the_names_in_the_tables() -> None:
    from dubfew.adapt.methods import METHODS
    from dubfew.data.executors import CLIP_EXECUTORS
    from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
    from dubfew.reconstruction.segmenters import SEGMENTERS

    for options_class, name, table in (
        (AdaptOptions, "method", METHODS),
        (AdaptOptions, "segmenter", SEGMENTERS),
        (RenderOptions, "segmenter", SEGMENTERS),
        (TrackOptions, "segmenter", SEGMENTERS),
        (TrackOptions, "method", TRACKING_METHODS),
        (PrepareOptions, "engine", CLIP_EXECUTORS),
    ):
        (option,) = (each for each in list_options(options_class) if each.name == name)
        assert set(option.choices) == set(table)


FUNCTIONS = {"adapt": AdaptOptions, "render": RenderOptions, "track": TrackOptions}


@pytest.mark.parametrize(("name", "options_class"), FUNCTIONS.items())
def test_help_and_signature_show_every_option(name: str, options_class: type) -> None:
    function = getattr(dubfew, name)
    assert inspect.isfunction(function)
    parameters = inspect.signature(function).parameters
    text = inspect.getdoc(function)
    arguments = text.split("Args:")[1].split("\n\n")[0]
    for option in list_options(options_class):
        assert parameters[option.name].default == option.default
        assert f"\n    {option.name}: " in arguments
        assert " ".join(option.rules.help.split()) in " ".join(arguments.split())
        assert f"\n    {option.name}: " in inspect.getdoc(options_class)
    assert "overrides" not in parameters


@pytest.mark.parametrize(("name", "options_class"), FUNCTIONS.items())
def test_the_function_of_the_package_has_the_same_options(name: str, options_class: type) -> None:
    import dubfew.reconstruction.tracking
    from dubfew.adapt import adapt
    from dubfew.render import render

    inner = {"adapt": adapt, "render": render, "track": dubfew.reconstruction.tracking.track_video}
    ours = inspect.signature(getattr(dubfew, name)).parameters
    theirs = inspect.signature(inner[name]).parameters
    # The plan is made before the pipeline is imported. The first is the video, by another name.
    assert [each for each in ours if each != "on_plan"][1:] == list(theirs)[1:]
    assert all(ours[key].default == theirs[key].default for key in list(theirs)[1:])


def test_an_options_object_and_keywords_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from dubfew.render import pipeline, precheck

    calls: list[Any] = []
    monkeypatch.setattr(api, "check_input_files", lambda options: None)
    monkeypatch.setattr(precheck, "check_render_request", lambda *request: None)
    monkeypatch.setattr(pipeline, "render", lambda actor, options, **rest: calls.append(options))
    dubfew.render("mary", video="v.mp4", crf=20)
    dubfew.render("mary", RenderOptions(video="v.mp4", crf=20))
    dubfew.render("mary", RenderOptions(video="w.mp4", crf=20), video="v.mp4")
    dubfew.render("mary", options=RenderOptions(video="v.mp4"), crf=20)
    assert calls == [RenderOptions(video="v.mp4", crf=20)] * 4
    with pytest.raises(TypeError, match="unexpected keyword argument 'sharpness'"):
        dubfew.render("mary", sharpness=3)
    with pytest.raises(TypeError, match="AdaptOptions"):
        dubfew.render("mary", AdaptOptions())
    with pytest.raises(DubfewError, match=r"crf.*64"):
        dubfew.render("mary", crf=64)
    assert len(calls) == 4


def test_an_unknown_method_is_an_artefact_error() -> None:
    with pytest.raises(ArtefactError, match=r"magic.*texture"):
        dubfew.adapt("v.mp4", method="magic")


def test_options_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        AdaptOptions().steps = 3  # type: ignore[misc]


def test_the_old_name_of_the_detection_callback_works_for_one_release(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dubfew.reconstruction import tracking

    monkeypatch.chdir(tmp_path)
    Path("v.mp4").write_bytes(b"video")
    found = SimpleNamespace(people=[], frame_size=(256, 256))
    monkeypatch.setattr(tracking, "detect_people", lambda *args, **keywords: found)
    monkeypatch.setattr(tracking, "estimate_track_stages", lambda *request: ())
    seen: list[Any] = []
    # No face was found, which ends both calls.
    with pytest.warns(DeprecationWarning, match="on_detection"), pytest.raises(DubfewError):
        tracking.track_video("v.mp4", sighted=seen.append)
    with pytest.raises(DubfewError, match="no face"):
        dubfew.track("v.mp4", on_detection=seen.append)
    assert seen == [found, found]


def in_a_fresh_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_import_imports_nothing_heavy() -> None:
    loaded = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    assert (
        in_a_fresh_python(f"import sys, dubfew, dubfew.errors, dubfew.progress; {loaded}") == "[]"
    )
    assert in_a_fresh_python(f"import sys; from dubfew import Registry; {loaded}") == "[]"


@pytest.mark.slow
def test_every_public_name_exists_whatever_was_imported_before() -> None:
    """Python alone would make `dubfew.render` a function or a package, by the order of imports."""
    # In a process that has imported none of it, from packages that need no torch.
    program = """
import types
import dubfew
names = ("adapt", "evaluate", "render", "track")
def check():
    return all(type(getattr(dubfew, name)) is types.FunctionType for name in names)
before = check()
import dubfew.render.schedule, dubfew.adapt.plan, dubfew.evaluate.metrics
print(before, check())
"""
    assert in_a_fresh_python(program) == "True True"
    from dubfew.adapt import adapt, pipeline

    assert adapt is pipeline.adapt
    for name in dubfew.__all__:
        assert callable(getattr(dubfew, name)) or name == "__version__", name
    for name in ("adapt", "evaluate", "render", "track"):
        assert inspect.isfunction(getattr(dubfew, name)), name
    names: dict[str, Any] = {}
    exec("from dubfew import *", names)
    assert set(dubfew.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="bogus"):
        dubfew.bogus  # noqa: B018


def test_all_is_what_dir_and_type_checkers_see() -> None:
    assert set(dubfew.__all__) <= set(dir(dubfew))
    assert len(set(dubfew.__all__)) == len(dubfew.__all__)
    # Names that a type checker sees: those that are imported somewhere in the file.
    tree = ast.parse(Path(dubfew.__file__).read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(dubfew.__all__) <= imported
