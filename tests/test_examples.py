"""Every script of examples/, on the beginning of the bundled clip."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import types
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dubfew.media import probe, read_frames
from dubfew.registry import Registry
from dubfew.registry.consent import ConsentRecord
from dubfew.registry.consent import example_consent as consent_example
from tests.footage import cut

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
# The reference warp instead of a network, and no training, to save time.
QUICK = ["--prior", "warp", "--steps", "0"]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def takes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("takes")
    cut(folder / "mary.mp4", 0, 16)
    cut(folder / "scene.mp4", 40, 46)
    with wave.open(str(folder / "dub.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * 3840))
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def mary(takes, tmp_path_factory) -> Path:
    """Return the folder of a registry in which an example stored an actor."""
    home = tmp_path_factory.mktemp("actors")
    words = [takes / "mary.mp4", takes / "scene.mp4", takes / "dub.wav", home / "out.mp4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUBFEW_HOME", str(home / "home"))
        assert example("dub_clip").main([*map(str, words), *QUICK]) == 0
    return home


def test_each_script_is_in_the_readme_and_has_a_help():
    readme = (EXAMPLES / "README.md").read_text()
    assert len(SCRIPTS) >= 3
    for name in SCRIPTS:
        assert f"`{name}.py" in readme
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py", "--help"], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: {name}.py")


def test_dub_clip(mary, takes):
    out = mary / "out.mp4"
    assert (probe(out).frames, probe(out).has_audio) == (6, True)
    assert [each.actor for each in Registry(mary / "home").list()] == ["mary"]
    # Silence closes the mouth: the lower half of the image changes, the upper half does not.
    before, after = (
        next(frame.to_rgb() for frame in read_frames(path) if frame.index == 4)
        for path in (takes / "scene.mp4", out)
    )
    difference = np.abs(before.astype(int) - after).mean((1, 2))
    assert difference[:150].max() < 3
    assert difference.max() > 2 * difference[:150].max()


def test_dub_clip_prints_an_error(takes, home, capsys):
    words = [takes / "nobody.mp4", takes / "scene.mp4", takes / "dub.wav", home / "out.mp4"]
    assert example("dub_clip").main([*map(str, words), *QUICK]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nobody.mp4" in printed.err


def test_dub_folder(mary, takes, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("DUBFEW_HOME", str(mary / "home"))
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    scenes.mkdir()
    (scenes / "1.mp4").write_bytes(b"no video at all")
    shutil.copy(takes / "scene.mp4", scenes / "2.mp4")
    shutil.copy(takes / "dub.wav", scenes / "2.wav")
    shutil.copy(takes / "scene.mp4", scenes / "3.mp4")
    (scenes / "notes.txt").write_text("not a scene")
    dub_folder = example("dub_folder")
    assert dub_folder.main(["mary", str(scenes), str(out), "--fit", "hold"]) == 1
    # A script's stderr has no lines of native libraries.
    assert not re.search(r"[IWE]\d{4} |TensorFlow|absl|mediapipe", capfd.readouterr().err)
    report = json.loads((out / "report.json").read_text())
    assert [entry["status"] for entry in report.values()] == ["failed", "done", "done"]
    assert list(report) == ["1.mp4", "2.mp4", "3.mp4"]
    assert "1.mp4" in report["1.mp4"]["reason"]
    assert report["2.mp4"]["frames"] == report["3.mp4"]["edited_frames"] == 6
    assert report["2.mp4"]["fps"] == "25"
    assert sorted(path.name for path in out.iterdir()) == ["2.mp4", "3.mp4", "report.json"]
    # One scene got silence, the other its own sound.
    assert (out / "2.mp4").read_bytes() != (out / "3.mp4").read_bytes()
    (scenes / "1.mp4").unlink()
    (out / "3.mp4").unlink()
    assert dub_folder.main(["mary", str(scenes), str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert [entry["status"] for entry in report.values()] == ["was there", "done"]


def test_reenact(takes, home, capsys):
    words = [str(takes / "mary.mp4"), str(takes / "scene.mp4"), "--seconds", "0.48"]
    assert example("reenact").main([*words, *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["learned_from"], report["frames"]) == (12, 6)
    assert report["psnr"] > 30
    assert report["outside_max"] == 0
    assert report["frames_per_second"] > 0
    assert not home.exists() or Registry(home).list() == []


def test_expired_consent(home, capsys):
    registry = Registry(home)
    for actor, end in {"annabel": "2026-03-31", "ben": "2027-03-31", "cleo": None}.items():
        record = ConsentRecord.from_record(
            {**consent_example(), "valid_to": end}, actor
        ).to_config_entry()
        config = {"consent": record if end else None}
        registry.create(actor, config, {"texture": actor.encode() * 500})
    script = example("expired_consent")
    for today, state in (("2026-03-31", "kept"), ("2026-04-01", "ended")):
        assert script.main(["--today", today]) == 0
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [row[:2] for row in rows] == [
            ["annabel", state],
            ["ben", "kept"],
            ["cleo", "kept"],
        ]
        assert [row[2] for row in rows] == ["until 2026-03-31", "until 2027-03-31", "until -"]
    assert len(registry.list()) == 3
    assert script.main(["--today", "2026-04-01", "--delete"]) == 0
    assert "annabel\tdeleted" in capsys.readouterr().out
    assert [each.actor for each in registry.list()] == ["ben", "cleo"]
    assert not any(b"annabel" in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_the_notebook(takes, home, monkeypatch, capsys):
    """Its cells run in order, on short files and with toy options where the parameters are."""
    book = json.loads((EXAMPLES / "dubfew.ipynb").read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    shown: list[object] = []
    display = types.ModuleType("IPython.display")
    display.display = shown.append  # type: ignore[attr-defined]
    display.Video = lambda path, **_: path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(home.parent)
    names: dict[str, object] = {}
    done = 0
    for cell in book["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or "install" in tags:
            continue
        assert cell["outputs"] == []
        exec("".join(cell["source"]), names)
        done += 1
        if "parameters" in tags:
            names |= {
                "footage": takes / "mary.mp4",
                "scene": takes / "scene.mp4",
                "speech": takes / "dub.wav",
                "training": {"prior": "warp", "steps": 0},
            }
    assert done == 7
    printed = capsys.readouterr().out
    assert "6 frames, 6 of them painted" in printed
    assert "Content Credentials in dubbed.mp4: valid" in printed
    assert printed.rstrip().endswith("[]")
    picture, video = shown
    assert video == "dubbed.mp4"
    assert picture.size[0] > picture.size[1] > 0  # type: ignore[attr-defined]
