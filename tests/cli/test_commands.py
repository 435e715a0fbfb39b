"""The command line: output, speed, exit codes and errors."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from dubfew import AdaptOptions, RenderOptions, api
from dubfew.cli.app import app
from dubfew.cli.console import format_byte_count, format_error, format_value, to_jsonable
from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate.options import EvaluateOptions
from dubfew.progress import Progress
from dubfew.registry import Registry
from tests.commands import CommandRunner

# Packages that no command imports before it needs them: each takes from 0.1 s to several.
HEAVY = ("accelerate", "av", "cv2", "kornia", "mediapipe", "numba", "numpy", "peft", "scipy")
HEAVY += ("skimage", "torch", "transformers")


def run(
    *arguments: str, home: Path, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "dubfew", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DUBFEW_HOME": str(home), "DUBFEW_DEBUG": "", **environment},
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DUBFEW_DEBUG", raising=False)
    return tmp_path / "home"


@pytest.fixture
def stored(home: Path) -> Registry:
    registry = Registry(home)
    registry.create("Zoë B", {"method": "lora", "rank": 4}, {"texture.safetensors": b"x" * 2500})
    return registry


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CommandRunner().invoke(app, list(arguments))


@pytest.mark.slow
def test_help_and_list_import_nothing_heavy(stored: Registry) -> None:
    program = (
        "import sys, dubfew.cli.start as cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {(*HEAVY, 'pydantic')!r} if name in sys.modules])"
    )
    # pydantic, which Typer imports if it has values to check, would double the time of a listing.
    for arguments in (
        ["--help"],
        ["actors", "list"],
        ["actors", "list", "--json"],
        ["--version"],
        ["rendr"],
        ["render", "--actr", "x"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]", arguments


@pytest.mark.slow
def test_actors_are_listed_shown_exported_deleted_and_imported(
    stored: Registry, tmp_path: Path
) -> None:
    home = stored.home
    listed = run("actors", "list", home=home).stdout
    assert "Zoë B" in listed
    assert "2.5 kB" in listed
    shown = json.loads(run("actors", "show", "Zoë B", "--json", home=home).stdout)
    assert (shown["actor"], shown["revision"], shown["revisions"]) == ("Zoë B", 1, [1])
    assert shown["config"] == {"method": "lora", "rank": 4}
    assert [file["name"] for file in shown["files"]] == ["texture.safetensors"]
    file = tmp_path / "ö x.zip"
    assert "revision 1" in run("actors", "export", "Zoë B", str(file), "--plain", home=home).stdout
    assert invoke("actors", "delete", "Zoë B", "--yes").exit_code == 0
    assert json.loads(invoke("actors", "list", "--json").stdout) == {"actors": []}
    again = ["actors", "import", str(file), "--actor", "anna", "--allow-deleted"]
    # The command refuses an actor that could not be rendered.
    assert "not an actor of 'dubfew adapt'" in invoke(*again).stderr
    assert json.loads(invoke("actors", "list", "--json").stdout) == {"actors": []}
    Registry(home).import_file(file, "anna", allow_deleted=True)
    (entry,) = json.loads(invoke("actors", "list", "--json").stdout)["actors"]
    assert {name: entry[name] for name in ("actor", "revision", "method")} == {
        "actor": "anna",
        "revision": 1,
        "method": "lora",
    }
    shown = invoke("actors", "show", "anna").stdout
    assert "rank" in shown
    assert "dubfew actors coverage anna" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["actors", "show", "nobody"], "no actor 'nobody'"),
        (["actors", "delete", "nobody", "--yes"], "no actor 'nobody'"),
        (["actors", "export", "nobody", "x.zip"], "no actor 'nobody'"),
        (["actors", "show", "Zoë B", "--revision", "9"], "no revision 9"),
        (["actors", "show", "a/b"], "looks like a path"),
        (["actors", "import", "missing.zip"], "cannot be read"),
        (["actors", "export", "Zoë B", "/proc/none/x.zip", "--plain"], "/proc/none"),
    ],
)
@pytest.mark.slow
def test_failed_jobs_end_with_one_line_and_code_1(
    stored: Registry, arguments: list[str], message: str
) -> None:
    done = run(*arguments, home=stored.home, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("dubfew: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["adapt", "a.mp4", "--method"], ["render", "m", "--fit"]])
def test_a_wrong_choice_is_told_in_plain_words(home: Path, words: list[str]) -> None:
    """Typer checks with pydantic, whose messages begin with words for developers."""
    result = CommandRunner().invoke(app, [*words, "lats"])
    assert result.exit_code == 2
    assert f"Invalid value for '{words[-1]}': 'lats' is not one of" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["actors"],
        ["prior"],
        ["bogus"],
        ["actors", "bogus"],
        ["adapt"],
        ["adapt", "a.mp4", "b.mp4"],
        ["adapt", "a.mp4", "--method", "magic"],
        ["adapt", "a.mp4", "--seconds", "0"],
        ["adapt", "a.mp4", "--seconds", "nan"],
        ["adapt", "a.mp4", "--seconds", "soon"],
        ["adapt", "a.mp4", "--steps", "-1"],
        ["adapt", "a.mp4", "--seed", "1.5"],
        ["adapt", "a.mp4", "--unknown"],
        ["render"],
        ["render", "--actor"],
        ["render", "--actor", "x", "--drive", "magic"],
        ["render", "--actor", "x", "--from", "1", "--to", "2"],
        ["render", "--actor", "x", "--into", "o.mp4", "--from", "1"],
        ["render", "--actor", "x", "--preview", "--into", "o.mp4"],
        ["render", "--actor", "x", "--drive", "self", "--offset", "80"],
        ["render", "--actor", "x", "--open", "9"],
        ["render", "--actor", "x", "--fit", "stretch"],
        ["render", "--actor", "x", "--crf", "64"],
        ["render", "--actor", "x", "--revision", "0"],
        ["render", "--actor", "x", "--lossless", "--crf", "3"],
        ["render", "--actor", "x", "--drive", "video"],
        ["render", "--actor", "x", "--driver", "a.mp4"],
        ["render", "--actor", "x", "--transcript", "a.txt"],
        ["render", "--actor", "x", "--drive", "self", "--transcript", "a.txt", "--lang", "de"],
        ["render", "x", "--actor", "y"],
        ["render", "x", "--language", "German"],
        ["actors", "delete", "x"],
        ["track", "a.mp4"],
        ["track", "a.mp4", "-o", "t.safetensors", "--identity", "face"],
        ["evaluate", "a.mp4"],
        ["doctor", "me"],
        ["actors", "show"],
        ["actors", "show", "x", "--revision", "0"],
        ["actors", "export", "x", "one.dubfew", "-o", "two.dubfew"],
        ["actors", "keygen"],
        ["actors", "import"],
        ["prior", "info"],
        ["prior", "train"],
        ["prior", "train", "-o", "x", "--steps", "0"],
        ["prior", "prepare", "x"],
        ["prior", "prepare", "x", "-o", "y", "--engine", "magic"],
        ["prior", "prepare", "x", "-o", "y", "--jobs", "0"],
        ["prior", "purge", "x"],
        ["speech"],
        ["speech", "train"],
        ["speech", "train", "-o", "x.safetensors", "--steps", "0"],
    ],
)
def test_wrong_usage_is_code_2(home: Path, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output or "Error: " in result.output
    assert not home.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["adapt", "--help"], ["actors", "--help"], ["prior", "--help"]],
)
def test_help_is_code_0(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 0


@dataclass(frozen=True)
class Outcome:
    """Stands for the result of any function."""

    output: Path = Path("a b.mp4")
    fps: Fraction = Fraction(30000, 1001)
    psnr: float = float("inf")
    lag: float = float("nan")
    frames: Any = field(default_factory=lambda: np.int64(7))
    note: str = "the audio is 1.2 s longer than the video: the video is looped"


class Recorder:
    """Stands for a function of the library: remembers its call and returns or raises."""

    def __init__(self, act: Callable[[], object] = Outcome) -> None:
        self.act = act
        self.arguments: tuple[Any, ...] = ()
        self.keywords: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> object:
        self.arguments, self.keywords = arguments, keywords
        keywords.pop("progress")(Progress("track", 1, 2, {"psnr_heldout": 30.0}))
        return self.act()


def stand_in(
    monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object] = Outcome
) -> Recorder:
    recorder = Recorder(act)
    monkeypatch.setattr(api, name, recorder)
    return recorder


@pytest.mark.slow
def test_adapt_passes_its_options_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "adapt")
    assert invoke("adapt", "a b.mp4", "--json").exit_code == 0
    assert called.arguments == (Path("a b.mp4"), AdaptOptions())
    line = (
        "adapt v --actor i --method full --rank 4 --seconds 4 --start 1 --no-replay --steps 9 "
        "--prior p --consent c.json --face 1 --head flame"
    )
    assert invoke(*line.split(), "--device", "cpu", "--seed", "3", "--json").exit_code == 0
    expected = AdaptOptions(
        actor="i",
        method="full",
        rank=4,
        seconds=4.0,
        start=1.0,
        face="1",
        replay=False,
        steps=9,
        prior="p",
        head="flame",
        consent=Path("c.json"),
        device="cpu",
        seed=3,
    )
    assert called.arguments == (Path("v"), expected)
    assert called.keywords == {"on_plan": None}  # the words ask for JSON, which has no plan


@pytest.mark.slow
def test_render_passes_its_options_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = stand_in(monkeypatch, "render")
    assert invoke("render", "--actor", "i", "--json").exit_code == 0
    assert called.arguments == ("i", RenderOptions())
    line = (
        "render --actor i --video v --audio a --drive video --driver d --fit loop --codec libx265"
    )
    more = "--crf 20 --preset slow --revision 2 --device cuda:1 -o out.mp4"
    assert invoke(*line.split(), *more.split(), "--json").exit_code == 0
    expected = RenderOptions(
        video=Path("v"),
        audio=Path("a"),
        drive="video",
        driver=Path("d"),
        fit="loop",
        out=Path("out.mp4"),
        codec="libx265",
        crf=20,
        preset="slow",
        revision=2,
        device="cuda:1",
    )
    assert called.arguments == ("i", expected)
    line = "render --actor i --transcript t.srt --lang pt-br"
    assert invoke(*line.split(), "--json").exit_code == 0
    assert called.arguments[1] == RenderOptions(transcript=Path("t.srt"), language="pt-br")
    purpose = {"use": "dubbing", "language": "de-AT", "territory": "AT", "project": "A film"}
    words = [word for name, value in purpose.items() for word in (f"--{name}", value)]
    assert invoke("render", "--actor", "i", *words, "--json").exit_code == 0
    assert called.arguments[1] == RenderOptions(**purpose)


def test_results_are_one_json_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "render")
    result = invoke("render", "--actor", "i", "--json")
    assert json.loads(result.stdout) == {
        "output": "a b.mp4",
        "fps": "30000/1001",
        "psnr": None,
        "lag": None,
        "frames": 7,
        "note": Outcome().note,
    }
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""  # no progress bars


def raising(error: BaseException) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MediaError("x.mp4 has no video: give one"), "error: x.mp4 has no video: give one"),
        (DubfewError("two\nlines"), "error: two lines"),
        (KeyboardInterrupt(), "interrupted"),
        (
            OSError(errno.ENOSPC, "No space left on device", "o.mp4"),
            "error: No space left on device: o.mp4: free some space",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file", "v"), "error: No such file: v: check"),
        (MemoryError(), "error: not enough memory"),
        (ModuleNotFoundError("No module named 'x'"), "error: No module named 'x': 'dubfew doctor'"),
        (ValueError("odd\nthing"), "error: unexpected ValueError: odd thing"),
        (OSError("without a number"), "error: unexpected OSError: without a number"),
    ],
)
def test_every_exception_is_one_line_and_code_1(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    stand_in(monkeypatch, "adapt", raising(error))
    result = invoke("adapt", "x.mp4", "--json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"dubfew: {line}")
    assert result.stderr.count("\n") == 1
    # Programs read the same on stdout.
    found = json.loads(result.stdout)["error"]
    assert found["message"].startswith(line.removeprefix("error: "))
    assert (found["type"], found["exit_code"]) == (type(error).__name__, 1)
    assert invoke("adapt", "x.mp4", "--progress", "none").stdout == ""
    if "unexpected" in line:
        assert "DUBFEW_DEBUG=1" in result.stderr


def test_wrong_usage_is_json_too(home: Path) -> None:
    result = invoke("render", "x", "--language", "German", "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)["error"]
    assert "did you mean 'de'" in found["message"]
    assert (found["type"], found["exit_code"]) == ("UsageError", 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["adapt", "nothere.mp4"], "no file at nothere.mp4"),
        (["adapt", "."], "is a folder"),
        (["adapt", "good.mp4", "--actor", "a/b"], "looks like a path"),
        (["adapt", "good.mp4", "--consent", "none.json"], "cannot be read"),
        (["render", "mary", "--audio", "good.mp4"], "no actor 'mary'"),
        (["render", "mary", "--audio", "nothere.wav"], "no file at nothere.wav"),
        (["dub", "good.mp4", "good.mp4", "--actor", "mary"], "no actor 'mary'"),
        (["track", "nothere.mp4", "-o", "t.safetensors"], "no file at nothere.mp4"),
        (["evaluate", "good.mp4", "nothere.mp4"], "no file at nothere.mp4"),
        (["verify", "nothere.mp4"], "no file at nothere.mp4"),
    ],
)
def test_a_typing_error_is_found_before_torch_is_imported(
    stored: Registry, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "good.mp4").write_bytes(b"something")
    program = (
        "import sys, dubfew.cli.start as cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules or 'scipy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert message in done.stderr
    assert done.stderr.count("\n") == 1  # and nothing was started
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_prior_info_lists_the_training_clips() -> None:
    config = json.loads(invoke("prior", "info", "lite", "--json").stdout)["config"]
    shown = invoke("prior", "info", "lite").stdout
    assert f"learned from {len(config['people'])} clips" in shown
    for person in config["people"]:
        assert f"  {person['identity']}, {person['file']}, {person['source']}" in shown
        assert len(person["sha256"]) == 64
    assert config["training"]["exclude"] == []
    assert "exclude -" in shown


def test_debug_shows_the_traceback(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_DEBUG", "1")
    stand_in(monkeypatch, "adapt", raising(ValueError("odd")))
    result = invoke("adapt", "x.mp4")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("dubfew: error: unexpected ValueError")


SLOW = """
import sys, time
import dubfew.cli.start as cli
import dubfew.registry.listing as listing
def list_slowly(home):
    print("ready", flush=True)
    time.sleep(600)
listing.list_default_revisions = list_slowly
sys.argv = ["dubfew", "actors", "list"]
cli.main()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_with_one_line(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (1, "dubfew: interrupted\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_under_stdout_is_one_line(stored: Registry) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dubfew", "actors", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == 1
    assert done.stderr.startswith("dubfew: error: No space left on device")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_closed_pipe_ends_without_a_message(stored: Registry) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dubfew", "actors", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(300) == 1
    process.stderr.close()


@pytest.mark.slow
def test_only_dubfews_own_warnings_are_shown() -> None:
    program = """
import sys, warnings
import dubfew.cli.start as cli
import dubfew.registry.listing as listing
def list_with_warnings(home):
    ours = {"__name__": "dubfew.media.reading", "warnings": warnings}
    theirs = {"__name__": "torch.nn", "warnings": warnings}
    exec("warnings.warn('the video ends early')", ours)
    exec("warnings.warn('use the new API')", theirs)
    return []
listing.list_default_revisions = list_with_warnings
sys.argv = ["dubfew", "actors", "list"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "dubfew: warning: the video ends early\n"
    assert done.returncode == 0


@pytest.mark.slow
def test_messages_of_native_libraries_are_discarded(home: Path) -> None:
    program = (
        "import os, sys\n"
        "from dubfew.cli.console import mute_native_libraries\n"
        "mute_native_libraries()\n"
        "os.write(2, b'message of a C++ library')\n"
        "print('what matters', file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "what matters\n"


def test_numbers_are_formatted_for_readers() -> None:
    assert [format_byte_count(count) for count in (0, 999, 1000, 2_560_000, 3 * 10**9)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.6 MB",
        "3.0 GB",
    ]
    assert format_value({"track": 1.234, "total": 61.26}) == "track 1.23, total 61.3"
    assert [format_value(value) for value in (None, "", float("nan"), [], 3)] == [
        "-",
        "-",
        "-",
        "-",
        "3",
    ]


@pytest.mark.slow
def test_evaluate_prints_measures_that_were_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dubfew.evaluate import EvaluationResult

    figures = (3, 40.0, 1.0, 30.0, 1.0, 0.5, 1.0, 0.9, 0.0, 0.9, 1.0, 0)
    more: tuple[float, ...] = ()
    called = stand_in(monkeypatch, "evaluate", lambda: EvaluationResult(*figures, *more))
    monkeypatch.delenv("DUBFEW_SYNCNET", raising=False)
    assert "lse" not in invoke("evaluate", "a.mp4", "b.mp4").stdout
    assert called.arguments == (Path("a.mp4"), Path("b.mp4"), EvaluateOptions())
    more = (6.25, float("nan"), -2.0)
    shown = invoke("evaluate", "a.mp4", "b.mp4", "--syncnet", "s.model").stdout.splitlines()[-3:]
    assert [line.split()[:2] for line in shown] == [
        ["lse_c", "6.25"],
        ["lse_d", "-"],
        ["av_offset", "-2"],
    ]
    assert called.arguments[2] == EvaluateOptions(syncnet=Path("s.model"))


def test_conversion_to_json() -> None:
    value = {"a": (np.float32(0.5), float("inf")), "b": Fraction(25), 3: [Path("x"), None, True]}
    assert json.loads(json.dumps(to_jsonable(value), allow_nan=False)) == {
        "a": [0.5, None],
        "b": "25",
        "3": ["x", None, True],
    }
    assert format_error(DubfewError("a\r\nb")) == "error: a b"
