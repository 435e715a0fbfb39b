"""Bad and odd input through the whole command line.

A failed job ends with code 1 and one line that says what was found and what to do. It leaves
no file, no temporary file, and the registry as it was.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load, save
from typer.testing import CliRunner, Result

from dubfew.cli.app import app
from dubfew.errors import DubfewError
from dubfew.marks.certificate import load_signing_identity
from dubfew.media import probe, read_frames
from dubfew.registry import Registry
from dubfew.utils.files import atomic_path, check_output_path, write_atomic

FRAMES, SIZE = 6, 256
QUICK = ("--prior", "warp", "--steps", "0", "--json")

pytestmark = pytest.mark.filterwarnings("ignore::dubfew.media.reading.DamagedMediaWarning")


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],  # RGB [H, W, 3] uint8
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: Sequence[int] | None = None,  # ms
) -> Path:
    with av.open(str(path), "w") as container:
        options = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        base = Fraction(1, 25) if ticks is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        for number, rgb in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            picture = picture.reformat(format=pix_fmt)
            picture.pts, picture.time_base = number if ticks is None else ticks[number], base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def turn(path: Path) -> None:
    """Have an MP4's picture shown a quarter turn clockwise."""
    data = path.read_bytes()
    upright, turned = (
        struct.pack(
            ">9i", *(v << 16 for v in m[:2]), 0, *(v << 16 for v in m[2:]), 0, 0, 0, 1 << 30
        )
        for m in ((1, 0, 0, 1), (0, 1, -1, 0))
    )
    place = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:place] + turned + data[place + len(turned) :])


def sound(path: Path, count: int, rate: int = 16000, channels: int = 1) -> Path:
    tone = (np.sin(np.arange(count) / rate * 1200) * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(tone.repeat(channels).tobytes())
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files to give to the commands."""
    folder = tmp_path_factory.mktemp("clips")
    source = Path(str(files("dubfew.demo") / "actor.mp4"))
    seen = [
        np.asarray(Image.fromarray(frame.to_rgb()).resize((SIZE, SIZE)))
        for frame in read_frames(source, stop=FRAMES)
    ]
    blank = [np.full_like(seen[0], 128)] * 4
    odd = [np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge") for rgb in seen]
    encode(folder / "good.mp4", seen)
    encode(folder / "one.mp4", seen[:1])
    encode(folder / "two.mp4", seen[:2])
    encode(folder / "late.mp4", blank + seen)
    encode(folder / "some.mp4", blank[:1] + seen[:3] + blank[:2] + seen[3:] + blank[:1])
    encode(folder / "grey.mkv", seen, "ffv1", "gray")
    encode(folder / "odd444.mp4", odd, pix_fmt="yuv444p")
    encode(folder / "odd420.mkv", odd, "ffv1")
    encode(folder / "vfr.mp4", seen, ticks=[0, 40, 100, 120, 190, 240])
    turn(encode(folder / "turned.mp4", [np.rot90(rgb) for rgb in seen]))
    Image.fromarray(seen[0]).save(folder / "still.png")
    shutil.copy(folder / "two.mp4", folder / "a b ü 北京.mp4")
    shutil.copy(folder / "two.mp4", folder / "-dash.mp4")

    encode(folder / "noface.mp4", blank)
    data = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video\n" * 50)
    (folder / "folder.mp4").mkdir()
    sound(folder / "sound.wav", 8000)
    sound(folder / "none.wav", 0)
    sound(folder / "tiny.wav", 3)
    sound(folder / "slow.wav", 4000, rate=8000)
    sound(folder / "surround.wav", 8000, channels=6)
    data = (folder / "sound.wav").read_bytes()
    (folder / "header.wav").write_bytes(data[:30])
    (folder / "cut.wav").write_bytes(data[:5001])
    (folder / "noise.wav").write_bytes(np.random.default_rng(0).bytes(4000))
    return folder


@pytest.fixture(scope="module")
def learned(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with the actor "two"."""
    home = tmp_path_factory.mktemp("learned") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUBFEW_HOME", str(home))
        result = CliRunner().invoke(app, ["adapt", str(clips / "two.mp4"), *QUICK])
    assert result.exit_code == 0, result.stderr
    return home


@pytest.fixture
def home(learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that registry, which the command will use; the working folder is fresh."""
    home = tmp_path / "home"
    shutil.copytree(learned, home)
    shutil.copytree(learned.with_name("home-keys"), tmp_path / "home-keys")
    load_signing_identity(home)  # the first rendering makes and keeps one
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DUBFEW_HOME", str(home))
    monkeypatch.delenv("DUBFEW_DEBUG", raising=False)
    return home


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def render(clips: Path, video: str, *more: object, actor: str = "two") -> Result:
    return run("render", "--json", "--actor", actor, "--video", clips / video, *more)


def contents(folder: Path) -> dict[str, int]:
    """Size of every file below a folder, working files of SQLite and of the registry aside."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", "swept"))
    }


def failed(result: Result, *words: str) -> None:
    """The job failed as it should, and left nothing in the working folder."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("dubfew: error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert not any(Path().iterdir())


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
    failed(run(command, *more[command]), words)
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
    scene, made = probe(clips / name), probe(out)
    assert (made.width, made.height) == (scene.width, scene.height)
    times = [frame.time for frame in read_frames(out)]
    assert times == pytest.approx([frame.time for frame in read_frames(clips / name)], abs=2e-3)
    assert {path.name for path in Path().iterdir()} == {out.name, result["credentials"]}


def test_a_name_that_begins_with_a_dash_is_no_footage(home: Path) -> None:
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
    failed(render(clips, "two.mp4", "--audio", clips / name, "-o", "o.mp4"), words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.mp4", "not a file of weights"),
        ("empty.mp4", "not a file of weights"),
        ("folder.mp4", "cannot be read"),
        ("none.model", "no SyncNet weights"),
    ],
)
def test_a_syncnet_that_is_none(home: Path, clips: Path, name: str, words: str) -> None:
    two = clips / "two.mp4"
    failed(run("evaluate", two, two, "--syncnet", clips / name), words, "give syncnet_v2.model")


@pytest.mark.parametrize("name", ["tiny.wav", "slow.wav", "surround.wav", "cut.wav"])
def test_odd_sound_is_spoken(home: Path, clips: Path, name: str) -> None:
    result = render(clips, "two.mp4", "--audio", clips / name, "-o", "o.mp4")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["frames"] == 2
    assert probe("o.mp4").has_audio


def test_a_scene_without_sound_needs_some(home: Path, clips: Path) -> None:
    failed(render(clips, "two.mp4", "-o", "o.mp4"), "give --audio")


@pytest.mark.parametrize(
    ("name", "content", "language", "words"),
    [
        ("t.txt", None, "en", "cannot be read"),
        ("t.txt", b"", "en", "no words"),
        ("t.txt", bytes(range(256)), "en", "not UTF-8"),
        ("t.srt", b"Hello.", "en", "no words"),
        ("t.txt", b"Hello.", "english", "there are "),
        ("t.txt", b"Nobody in the picture says this, at this length. " * 3, "en", "transcript"),
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
    failed(result, words)


def test_a_driver_without_a_face(home: Path, clips: Path) -> None:
    more = ("--drive", "video", "--driver")
    failed(render(clips, "two.mp4", *more, clips / "noface.mp4", "-o", "o.mp4"), "no face")
    failed(render(clips, "two.mp4", *more, clips / "sound.wav", "-o", "o.mp4"), "no picture")


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (2, ["--seconds", "-1"]),
        (2, ["--seconds", "nan"]),
        (2, ["--seconds", "inf"]),
        (0, ["--seconds", "1e308"]),
        (0, ["--seconds", "1e-9"]),
        (2, ["--steps", "-5"]),
        (2, ["--steps", "1.5"]),
        (2, ["--seed", "99999999999999999999999"]),
        (2, ["--method", "magic"]),
        (1, ["--prior", "nothing"]),
        (1, ["--prior", "folder.mp4"]),
        (1, ["--device", "cuda"]),
        (1, ["--device", "gpu"]),
        (1, ["--consent", "missing.json"]),
        (1, ["--consent", "good.mp4"]),
        (1, ["--actor", ""]),
        (1, ["--actor", "a/b"]),
        (1, ["--actor", "x" * 101]),
    ],
)
def test_wishes_for_adapt(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, code: int, options: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    if options[1].endswith(".mp4"):
        options = [options[0], str(clips / options[1])]
    result = run("adapt", clips / "two.mp4", *QUICK, *options)
    if code == 1:
        failed(result)
    assert result.exit_code == code
    assert json.loads(run("actors", "list", "--json").stdout)["actors"][0]["actor"] == "two"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        (2, ["--drive", "magic"]),
        (2, ["--fit", "stretch"]),
        (2, ["--crf", "99"]),
        (1, ["--revision", "77"]),
        (1, ["--codec", "magic"]),
        (1, ["--lossless", "--codec", "prores"]),
        (1, ["--device", "cuda"]),
        (1, ["-o", "o.xyz"]),
        (1, ["-o", "o"]),
        (1, ["-o", ""]),
        (1, ["-o", "x" * 300 + ".mp4"]),
        (1, ["-o", "/proc/none/o.mp4"]),
    ],
)
def test_wishes_for_render(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, code: int, options: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4", *options)
    if code == 1:
        failed(result)
    assert result.exit_code == code


@pytest.mark.parametrize("actor", ["nobody", "", "../two", "x" * 300, "*"])
def test_an_actor_that_is_not_there(home: Path, clips: Path, actor: str) -> None:
    failed(render(clips, "two.mp4", actor=actor))


def test_an_output_never_replaces_an_input(home: Path, clips: Path, tmp_path: Path) -> None:
    video = Path(shutil.copy(clips / "two.mp4", tmp_path / "two.mp4"))
    speech = Path(shutil.copy(clips / "sound.wav", tmp_path / "sound.wav"))
    data = video.read_bytes()
    scene = ("render", "--actor", "two", "--video", video)
    failed(run(*scene, "--drive", "self", "-o", video), "input file")
    failed(run(*scene, "--audio", speech, "-o", speech), "input file")
    assert run("track", video, "-o", video).exit_code == 2
    assert video.read_bytes() == data
    linked = tmp_path / "link.safetensors"
    linked.symlink_to(video)
    failed(run("track", video, "-o", linked), "input file")


def test_identity_that_cannot_be_had(home: Path, clips: Path) -> None:
    track = ("track", clips / "two.mp4", "-o", "t.safetensors", "--identity", "mica")
    failed(run(*track), "not of head lite: --head flame")
    failed(run(*track, "--head", "flame"), "dubfew assets add flame")
    assert not Path("t.safetensors").exists()


def test_a_folder_of_the_output_is_made(home: Path, clips: Path) -> None:
    out = Path("new ü") / "deep" / "o.mp4"
    assert render(clips, "two.mp4", "--drive", "self", "-o", out).exit_code == 0
    assert probe(out).frames == 2


@pytest.mark.parametrize("place", ["folder.mp4", "two.mp4/o.mp4", "two.mp4/deep/o.mp4"])
def test_no_file_can_be_written_there(home: Path, clips: Path, place: str) -> None:
    out = clips / place
    failed(render(clips, "two.mp4", "--drive", "self", "-o", out))
    failed(run("track", clips / "two.mp4", "-o", out.with_name("two.mp4") / "t.safetensors"))
    failed(run("actors", "export", "two", out, "--plain"))


def test_a_folder_without_permission_is_refused_before_the_work(
    home: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, mode: int) -> bool:
        return not str(path).startswith(str(tmp_path))

    monkeypatch.setattr("dubfew.utils.files.os.access", denied)
    line = "cannot be written to: check its permissions"
    failed(run("adapt", clips / "two.mp4", *QUICK), line)
    failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"), line)
    failed(run("track", clips / "two.mp4", "-o", "t.safetensors"), line)


def test_a_home_that_is_a_file(home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(clips / "two.mp4" / "home"))
    failed(run("adapt", clips / "one.mp4", *QUICK), "is a file, not a folder")
    assert run("actors", "list").exit_code == 0


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm"])
def test_a_full_disk_under_the_output(home: Path, clips: Path, name: str) -> None:
    with full_disk(40_000):  # enough for the index's shared memory
        result = render(clips, "good.mp4", "--drive", "self", "--crf", "0", "-o", name)
    failed(result, "no space left", name)


def test_a_full_disk_under_a_track(home: Path, clips: Path) -> None:
    with full_disk(1000):
        failed(run("track", clips / "two.mp4", "-o", "t.safetensors"), "t.safetensors")


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_full_disk_under_the_registry(home: Path, clips: Path, size: int) -> None:
    before = contents(home)
    with full_disk(size):
        failed(run("adapt", clips / "one.mp4", *QUICK), str(home))
    assert contents(home) == before
    (actor,) = json.loads(run("actors", "list", "--json").stdout)["actors"]
    assert (actor["actor"], actor["revision"]) == ("two", 1)


def stored_file(home: Path, name: str) -> Path:
    (path,) = (home / "actors").glob(f"*/1/{name}")
    return path


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "adapter_model.safetensors", "track.safetensors"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "garbage"])
def test_a_damaged_file_in_the_registry(home: Path, clips: Path, name: str, damage: str) -> None:
    path = stored_file(home, name)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage == "cut" else b"{")
    failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"), name, "again")
    assert run("actors", "list").exit_code == 0
    assert run("actors", "delete", "two").exit_code == 0


def damaged_tensor(data: bytes, name: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A safetensors file with one tensor changed and its metadata kept."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = load(data)
    key = name or sorted(tensors)[0]
    tensors[key] = np.ascontiguousarray(change(tensors[key]))
    return save(tensors, header.get("__metadata__"))


def less(array: np.ndarray) -> np.ndarray:
    return array[..., :-1]


def nothing(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, np.nan)


@pytest.mark.parametrize(
    ("file", "tensor", "change"),
    [
        ("adapter_model.safetensors", "", less),
        ("adapter_model.safetensors", "", nothing),
        ("texture.safetensors", "features", less),
        ("texture.safetensors", "features", nothing),
        ("references.safetensors", "images", less),
        ("references.safetensors", "vertices", less),
        ("references.safetensors", "vertices", nothing),
        ("references.safetensors", "hulls", less),
        ("references.safetensors", "key", less),
        ("references.safetensors", "key", nothing),
        ("references.safetensors", "motion", less),
        ("style.safetensors", "gain", less),
        ("track.safetensors", "rotation", less),
        ("track.safetensors", "rotation", nothing),
    ],
)
def test_tensors_that_do_not_fit(
    home: Path, clips: Path, file: str, tensor: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    registry = Registry(home)
    revision = registry.open("two")
    content = {name: revision.read(name) for name in revision.file_names()}
    content[file] = damaged_tensor(content[file], tensor, change)
    registry.create("two", revision.config, content)
    failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"[]",
        b"null",
        b"{}",
        b'{"format_version": "x"}',
        b'{"format_version": 9}',
        ("prior", None),
        ("prior", {"name": "nothing", "sha256": ""}),
        ("prior", {"name": "warp", "sha256": 5}),
        ("prior", {"name": "warp", "sha256": "0" * 64}),
        ("method", "magic"),
        ("method", [1]),
        ("options", []),
        ("options", {"rank": -3, "alpha": 1}),
        ("head", "flamingo"),
        ("source", {"path": 5, "sha256": "", "complete": True}),
    ],
    ids=str,
)
def test_an_adapter_config_that_says_nonsense(
    home: Path, clips: Path, content: bytes | tuple[str, object]
) -> None:
    registry = Registry(home)
    revision = registry.open("two")
    stored = {name: revision.read(name) for name in revision.file_names()}
    if isinstance(content, tuple):
        config = json.loads(stored["adapter_config.json"]) | {content[0]: content[1]}
        content = json.dumps(config).encode()
    registry.create("two", revision.config, stored | {"adapter_config.json": content})
    failed(render(clips, "two.mp4", "--drive", "self", "-o", "o.mp4"))


@pytest.mark.parametrize("content", [b"garbage" * 100, 1000, 5000])
@pytest.mark.parametrize(
    "command", [["actors", "list"], ["actors", "show", "two"], ["actors", "delete", "two"]]
)
def test_a_damaged_index(home: Path, content: bytes | int, command: list[str]) -> None:
    index = home / "registry.sqlite"
    data = index.read_bytes()
    index.write_bytes(data[:content] if isinstance(content, int) else content)
    failed(run(*command), "registry.sqlite")
    index.write_bytes(data)
    assert len(json.loads(run("actors", "list", "--json").stdout)["actors"]) == 1


CHILD = """
import sys, time
import dubfew.registry.storage as storage
from dubfew.cli import main
from dubfew.media import VideoWriter

def pause():
    print("ready", flush=True)
    # A signal that another thread takes, or that comes just before it, does not end a sleep.
    for _ in range(6000):
        time.sleep(0.1)

write, sync = VideoWriter.write, storage.fsync_folder

def slow_write(self, frame):
    write(self, frame)
    pause()

def slow_sync(folder):
    sync(folder)
    if "staging" in folder.parts:
        pause()

VideoWriter.write, storage.fsync_folder = slow_write, slow_sync
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", ["adapt", "render"])
def test_ended_in_the_middle(home: Path, clips: Path, command: str, number: signal.Signals) -> None:
    video = clips / "one.mp4"
    arguments = ["adapt", str(video), *QUICK]
    if command == "render":
        arguments = ["render", "--actor", "two", "--video", str(video)]
        arguments += ["--drive", "self", "-o", "o.mp4"]
    before = contents(home)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, stderr = process.communicate(timeout=300)
    (actor,) = json.loads(run("actors", "list", "--json").stdout)["actors"]
    assert actor["actor"] == "two"
    if number == signal.SIGINT:
        assert (process.returncode, stderr) == (1, "dubfew: interrupted\n")
        assert not any(Path().iterdir())
        assert contents(home) == before
    else:
        left = [*Path().iterdir(), *(home / "staging").glob("*")]
        assert len(left) == 1
    # A new run does the work, and clears away what the killed one left.
    assert run(*arguments).exit_code == 0
    assert [path.name for path in Path().iterdir()] == ["o.mp4"] * (command == "render")
    assert not any((home / "staging").glob("*"))


def test_an_interruption_that_python_lost_ends_the_job(
    home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(home)
    monkeypatch.setattr("dubfew.cli.console._received_signals", [signal.SIGINT])
    result = run("adapt", clips / "late.mp4", *QUICK)
    assert (result.exit_code, result.stderr) == (1, "dubfew: interrupted\n")
    assert contents(home) == before


def test_a_temporary_file_in_use_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "a[b].mp4"
    with atomic_path(path) as first:
        first.write_bytes(b"first")
        write_atomic(path, b"second")
        assert first.exists()
    assert path.read_bytes() == b"first"
    stranger = tmp_path / ".a[b].settings.mp4"
    stranger.touch()
    (tmp_path / ".a[b].dubfew-abcdefgh.mp4").touch()
    write_atomic(path, b"third")
    assert sorted(tmp_path.iterdir()) == [stranger, path]


def test_names_as_long_as_a_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".mp4")
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(OSError, match=r"place'$") as caught:
        write_atomic(tmp_path / "place", b"x")
    assert caught.value.filename == str(tmp_path / "place")
    with pytest.raises(DubfewError, match="is a folder"):
        check_output_path(tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
