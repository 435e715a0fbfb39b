"""Videos, sounds and other files that cannot be used, and odd ones that can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dubfew.media import probe, read_frames
from tests.cli.jobs import QUICK, assert_failed, contents, render, run

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::dubfew.media.reading.DamagedMediaWarning"),
]


@pytest.mark.parametrize("command", ["adapt", "render", "track", "evaluate"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("noface.mp4", "face"),
        ("cut.mp4", "cannot be read"),
        ("empty.mp4", "is empty (0 bytes)"),
        ("text.mp4", "cannot be read"),
        ("folder.mp4", "is a folder"),
        ("sound.wav", "holds no picture"),
        ("missing ü.mp4", "no file at"),
    ],
)
def test_footage_that_cannot_be_used(
    home: Path, clips: Path, command: str, name: str, words: str
) -> None:
    before, video = contents(home), clips / name
    more: dict[str, tuple[object, ...]] = {
        "adapt": (video, *QUICK),
        "render": ("--actor", "two", "--video", video, "--drive", "self", "-o", "o.mp4"),
        "track": (video, "-o", "t.safetensors", "--json"),
        "evaluate": (video, video, "--json"),
    }
    if (command, name) == ("evaluate", "folder.mp4"):
        words = "has no videos"  # it measures folders of outputs, too
    assert_failed(run(command, *more[command]), words)
    assert contents(home) == before


@pytest.mark.parametrize(
    ("name", "frames", "faces"),
    [
        ("one.mp4", 1, 1),
        ("late.mp4", 10, 6),
        ("some.mp4", 10, 6),
        ("grey.mkv", 6, 6),
        ("odd444.mp4", 6, 6),
        ("odd420.mkv", 6, 6),
        ("vfr.mp4", 6, 6),
        ("turned.mp4", 6, 6),
        ("still.png", 1, 1),
        ("a b ü 北京.mp4", 2, 2),
        ("-dash.mp4", 2, 2),
    ],
)
def test_odd_footage_is_adapted_to_and_rendered(
    home: Path, clips: Path, name: str, frames: int, faces: int
) -> None:
    adapted = run("adapt", *QUICK, "--", clips / name)
    assert adapted.exit_code == 0, adapted.stderr
    result = json.loads(adapted.stdout)
    assert (result["actor"], result["frames"]) == (Path(name).stem, faces)
    out = Path("o.mkv" if name.endswith("mkv") else "o.mp4")
    actor = f"--actor={Path(name).stem}"
    rendered = run("render", "--json", actor, "--drive", "self", "-o", out)
    assert rendered.exit_code == 0, rendered.stderr
    result = json.loads(rendered.stdout)
    assert (result["frames"], result["edited_frames"]) == (frames, faces)
    scene, output = probe(clips / name), probe(out)
    assert (output.width, output.height) == (scene.width, scene.height)
    times = [frame.time for frame in read_frames(out)]
    assert times == pytest.approx([frame.time for frame in read_frames(clips / name)], abs=2e-3)
    assert {path.name for path in Path().iterdir()} == {out.name, result["credentials"]}


def test_a_file_name_that_begins_with_a_dash_is_taken_for_an_option(home: Path) -> None:
    assert run("adapt", "-dash.mp4", *QUICK).exit_code == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.wav", "holds no samples"),
        ("header.wav", "cannot be read"),
        ("noise.wav", "cannot be read"),
        ("empty.mp4", "is empty"),
        ("folder.mp4", "is a folder"),
        ("missing.wav", "no file at"),
        ("good.mp4", "has no sound"),
        ("still.png", "has no sound"),
    ],
)
def test_sound_that_cannot_be_used(home: Path, clips: Path, name: str, words: str) -> None:
    assert_failed(render(clips, "two.mp4", "--audio", clips / name, "-o", "o.mp4"), words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.mp4", "not a file of weights"),
        ("empty.mp4", "not a file of weights"),
        ("folder.mp4", "cannot be read"),
        ("none.model", "no SyncNet weights"),
    ],
)
def test_a_file_without_syncnet_weights(home: Path, clips: Path, name: str, words: str) -> None:
    two = clips / "two.mp4"
    assert_failed(
        run("evaluate", two, two, "--syncnet", clips / name), words, "give syncnet_v2.model"
    )


@pytest.mark.parametrize("name", ["tiny.wav", "slow.wav", "surround.wav", "cut.wav"])
def test_odd_sound_is_rendered(home: Path, clips: Path, name: str) -> None:
    result = render(clips, "two.mp4", "--audio", clips / name, "--fit", "trim", "-o", "o.mp4")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == 2
    assert probe("o.mp4").has_audio


def test_a_scene_without_sound_needs_audio(home: Path, clips: Path) -> None:
    assert_failed(render(clips, "two.mp4", "-o", "o.mp4"), "give --audio")


@pytest.mark.parametrize(
    ("name", "content", "language", "words"),
    [
        ("t.txt", None, "en", "cannot be read"),
        ("t.txt", b"", "en", "no words"),
        ("t.txt", bytes(range(256)), "en", "not UTF-8"),
        ("t.srt", b"Hello.", "en", "no words"),
        ("t.txt", b"Hello.", "fj", "there are "),
        ("t.txt", b"These are many more words than the sound can hold. " * 3, "en", "transcript"),
    ],
)
def test_a_transcript_that_cannot_be_used(
    home: Path,
    clips: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    language: str,
    words: str,
) -> None:
    pytest.importorskip("espeakng_loader")
    pytest.importorskip("pysubs2")
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    audio = clips / "sound.wav"
    result = render(
        clips, "two.mp4", "--audio", audio, "--transcript", path, "--lang", language, "-o", "o.mp4"
    )
    assert_failed(result, words)


def test_a_driver_without_a_face(home: Path, clips: Path) -> None:
    more = ("--drive", "video", "--driver")
    assert_failed(render(clips, "two.mp4", *more, clips / "noface.mp4", "-o", "o.mp4"), "no face")
    assert_failed(render(clips, "two.mp4", *more, clips / "sound.wav", "-o", "o.mp4"), "no picture")
