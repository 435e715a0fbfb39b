"""Fixtures of the command line's tests: clips, and a registry with one actor."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubfew.marks.certificate import load_signing_identity
from dubfew.media import read_frames
from tests.cli.jobs import FRAME_SIZE_PX, NUM_FRAMES, QUICK, encode, rotate, run, write_tone


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of videos and sounds, usable, odd and broken ones."""
    folder = tmp_path_factory.mktemp("clips")
    source = Path(str(files("dubfew.demo") / "actor.mp4"))
    faces = [
        np.asarray(Image.fromarray(frame.to_rgb()).resize((FRAME_SIZE_PX, FRAME_SIZE_PX)))
        for frame in read_frames(source, stop=NUM_FRAMES)
    ]
    blank = [np.full_like(faces[0], 128)] * 4
    odd = [np.pad(rgb, ((0, 1), (0, 1), (0, 0)), mode="edge") for rgb in faces]
    encode(folder / "good.mp4", faces)
    encode(folder / "one.mp4", faces[:1])
    encode(folder / "two.mp4", faces[:2])
    encode(folder / "late.mp4", blank + faces)
    encode(folder / "some.mp4", blank[:1] + faces[:3] + blank[:2] + faces[3:] + blank[:1])
    encode(folder / "grey.mkv", faces, "ffv1", "gray")
    encode(folder / "odd444.mp4", odd, pix_fmt="yuv444p")
    encode(folder / "odd420.mkv", odd, "ffv1")
    encode(folder / "vfr.mp4", faces, ticks=[0, 40, 100, 120, 190, 240])
    rotate(encode(folder / "turned.mp4", [np.rot90(rgb) for rgb in faces]))
    Image.fromarray(faces[0]).save(folder / "still.png")
    shutil.copy(folder / "two.mp4", folder / "a b ü 北京.mp4")
    shutil.copy(folder / "two.mp4", folder / "-dash.mp4")

    encode(folder / "noface.mp4", blank)
    data = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video\n" * 50)
    (folder / "folder.mp4").mkdir()
    write_tone(folder / "sound.wav", 8000)
    write_tone(folder / "none.wav", 0)
    write_tone(folder / "tiny.wav", 3)
    write_tone(folder / "slow.wav", 4000, rate=8000)
    write_tone(folder / "surround.wav", 8000, channels=6)
    data = (folder / "sound.wav").read_bytes()
    (folder / "header.wav").write_bytes(data[:30])
    (folder / "cut.wav").write_bytes(data[:5001])
    (folder / "noise.wav").write_bytes(np.random.default_rng(0).bytes(4000))
    return folder


@pytest.fixture(scope="session")
def home_with_actor(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a registry with the actor "two", not to be changed."""
    home = tmp_path_factory.mktemp("adapted") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUBFEW_HOME", str(home))
        result = run("adapt", clips / "two.mp4", *QUICK)
    assert result.exit_code == 0, result.stderr
    return home


@pytest.fixture
def home(home_with_actor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that registry, which commands use, and change to an empty folder."""
    home = tmp_path / "home"
    shutil.copytree(home_with_actor, home)
    shutil.copytree(home_with_actor.with_name("home-keys"), tmp_path / "home-keys")
    load_signing_identity(home)  # the first render would create it
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DUBFEW_HOME", str(home))
    monkeypatch.delenv("DUBFEW_DEBUG", raising=False)
    return home
