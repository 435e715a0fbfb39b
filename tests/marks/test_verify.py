"""From `render` to `verify_marks`: outputs are marked by default, and never half finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from dubfew.adapt import adapt
from dubfew.cli.app import app
from dubfew.errors import DubfewError, MediaError
from dubfew.marks import verification, verify_marks
from dubfew.marks.certificate import SIGNING_FILE_NAME
from dubfew.marks.detection import DetectedWatermark
from dubfew.media import VideoWriter, probe, read_frames
from dubfew.registry import Registry
from dubfew.render import pipeline as render_pipeline
from dubfew.render import publish, render
from tests.commands import CommandRunner
from tests.footage import cut
from tests.marks.conftest import encoded_again

pytestmark = pytest.mark.slow

FRAMES = 64


@pytest.fixture(scope="module")
def clip(folder) -> Path:
    return cut(folder / "clip.mp4", 0, FRAMES)


@pytest.fixture(scope="module")
def registry(folder, clip) -> Registry:
    registry = Registry(folder / "registry" / "home", folder / "registry" / "keys")
    adapt(clip, actor="actor", start=0, seconds=0.4, steps=0, prior="warp", registry=registry)
    return registry


@pytest.fixture(scope="module")
def dubbed(folder, registry, clip):
    # Of so few frames not every id survives every encoding.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render_pipeline, "generate_watermark_id", lambda: "5a0c3f96e1")
        return render(
            "actor", video=clip, drive="self", out=folder / "dubbed.mp4", registry=registry
        )


def ask(*arguments: str | Path) -> tuple[int, str]:
    result = CommandRunner().invoke(app, ["verify", *map(str, arguments)])
    return result.exit_code, result.output


def test_an_output_is_marked(dubbed, registry, monkeypatch, tmp_path, capsys) -> None:
    """Read by the lines of the guide."""
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "marks.md").read_text()
    names: dict[str, Any] = {}
    os.symlink(dubbed.output, tmp_path / "out.mp4")
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        exec(guide.split("```python\n")[1].split("```")[0], names)
    printed = capsys.readouterr().out
    assert printed.startswith("The marks are intact.\n")
    assert printed.endswith(f"render {dubbed.watermark}\n")
    found = names["found"]
    assert found.intact
    assert found.credentials is not None
    assert found.watermark is not None
    assert found.watermark.id == dubbed.watermark == found.credentials.rendering["watermark"]
    assert dubbed.credentials == dubbed.output
    assert found.credentials.place == Path("out.mp4")
    assert (registry.home / SIGNING_FILE_NAME).exists()
    # The command line shows the same; to find the mark takes seconds.
    monkeypatch.setattr(
        verification, "find_watermarks", lambda path, count, progress: [found.watermark]
    )
    code, text = ask(dubbed.output)
    assert code == 0
    assert dubbed.watermark in text
    code, text = ask(dubbed.output, "--json")
    printed = json.loads(text.splitlines()[-1])
    assert code == 0
    assert printed["intact"] is True
    assert printed["watermark"]["id"] == dubbed.watermark
    assert printed["credentials"]["state"] == "valid"


def test_a_changed_byte_is_detected(dubbed, tmp_path) -> None:
    data = bytearray(dubbed.output.read_bytes())
    data[data.rindex(b"mdat") + len(data) // 3] ^= 1
    path = tmp_path / "changed.mp4"
    path.write_bytes(data)
    code, text = ask(path)
    assert code == 1
    assert "INVALID" in text
    assert "bmffHash.mismatch" in text


def test_credentials_that_were_taken_off_are_missed(dubbed, tmp_path) -> None:
    code, text = ask(encoded_again(dubbed.output, tmp_path / "again.mp4", 16))
    assert code == 1
    assert "no Content Credentials" in text
    assert f"watermark {dubbed.watermark}" in text
    assert "were taken off" in text


@pytest.mark.parametrize(
    ("found", "finding"),
    [
        ([DetectedWatermark("ffffffffff", 5.0, 0, 9)], "name another watermark"),
        ([], "which cannot be read"),
    ],
)
def test_marks_that_contradict_each_other(dubbed, monkeypatch, found, finding) -> None:
    monkeypatch.setattr(verification, "find_watermarks", lambda path, count, progress: found)
    result = verify_marks(dubbed.output)
    assert not result.intact
    assert finding in result.findings[-1]


def test_an_unmarked_clip_has_no_marks(tmp_path) -> None:
    code, text = ask(cut(tmp_path / "plain.mp4", 0, 4))
    assert code == 1
    assert "no marks" in text


def test_without_a_watermark(registry, short, tmp_path) -> None:
    out = tmp_path / "o.mkv"
    options = {"drive": "self", "watermark": False, "registry": registry}
    made = render("actor", video=short, out=out, **options)
    assert (made.watermark, made.credentials) == (None, tmp_path / "o.c2pa")
    found = verify_marks(out)
    assert found.intact
    assert found.watermark is None
    assert "switched off" in found.findings[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"o.mkv", "o.c2pa"}


def test_marks_change_no_time_and_no_sound(dubbed, clip) -> None:
    with av.open(str(dubbed.output)) as ours, av.open(str(clip)) as theirs:
        kinds = [[stream.type for stream in one.streams] for one in (ours, theirs)]
    assert kinds[0] == kinds[1] == ["video", "audio"]
    stamps = [[frame.stamp for frame in read_frames(one)] for one in (dubbed.output, clip)]
    assert stamps[0] == stamps[1]


def test_a_failed_signature_leaves_no_output(registry, short, tmp_path, monkeypatch) -> None:
    def refuse(*arguments: object) -> None:
        raise MediaError("no ink")

    out = tmp_path / "o.mp4"
    out.write_bytes(b"an earlier video")
    monkeypatch.setattr(publish, "sign_video", refuse)
    options = {"drive": "self", "overwrite": True, "registry": registry}
    with pytest.raises(MediaError, match="no ink"):
        render("actor", video=short, out=out, **options)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert left == {"o.mp4": b"an earlier video"}


KILLED = """
import os, signal, sys
from pathlib import Path
from dubfew.media import VideoWriter, probe, read_frames
clip, out = Path(sys.argv[1]), Path(sys.argv[2])
def seal(file):
    assert file != out and file.stat().st_size > 1000
    os.kill(os.getpid(), signal.SIGKILL)
with VideoWriter(out, probe(clip), before_publish=seal) as writer:
    for frame in read_frames(clip, stop=3):
        writer.write(frame)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_process_killed_before_the_signature_leaves_no_output(clip, tmp_path) -> None:
    out = tmp_path / "o.mp4"
    done = subprocess.run([sys.executable, "-c", KILLED, clip, out], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    with VideoWriter(out, probe(clip)) as writer:  # the next attempt clears what was left
        writer.write(next(iter(read_frames(clip))))
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]


def test_an_unreadable_file_is_one_line(tmp_path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    for path in (tmp_path / "x.mp4", tmp_path / "none.mp4"):
        code, text = ask(path)
        assert code == 1
        # Behind the sign of life.
        lines = [line for line in text.splitlines() if line != "dubfew: starting"]
        assert len(lines) == 1
        assert lines[0].startswith("dubfew: error: ")


def test_a_broken_certificate_is_refused_before_the_work(registry, tmp_path, monkeypatch) -> None:
    calls: list[object] = []
    monkeypatch.setenv("DUBFEW_SIGN_CERT", "/none.pem")
    with pytest.raises(DubfewError, match="set both"):
        render(
            "actor",
            drive="self",
            out=tmp_path / "o.mp4",
            registry=registry,
            progress=calls.append,
        )
    assert calls == []
