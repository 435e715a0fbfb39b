"""The builder of the demo's footage, with a voice that needs no espeak-ng."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from dubfew.demo.run import ACTOR_CLIP_FILE, DUB_AUDIO_FILE
from dubfew.speech.espeak import Utterance
from dubfew.speech.visemes import Phone
from tools import build_demo

SAMPLES = np.linspace(-2, 2, build_demo.SAMPLE_RATE_HZ, dtype=np.float32)


class Voice:
    """Says everything in one second."""

    def synthesize(self, text, language, **options):
        return Utterance(SAMPLES, (Phone("a", 0.0, 1.0),), language)


@pytest.fixture
def filmed(monkeypatch):
    """What was asked of the camera; the clip is a placeholder."""
    asked = {}

    def write(person, path, **options):
        asked.update(options, person=person, path=path)
        path.write_bytes(b"clip")
        path.with_suffix(".track").write_bytes(b"track")

    monkeypatch.setattr(build_demo, "write_clip", write)
    monkeypatch.setattr(build_demo, "get_synthesizer", Voice)
    return asked


def test_clip_and_dub_are_written_and_the_track_is_not_kept(tmp_path, filmed):
    build_demo.main([str(tmp_path)])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([ACTOR_CLIP_FILE, DUB_AUDIO_FILE])
    assert filmed["person"].seed == build_demo.PERSON_SEED
    assert filmed["seconds"] == pytest.approx(1 + build_demo.CLOSING_SECONDS)
    assert filmed["speech"].phones == (Phone("a", 0.0, 1.0),)
    rate, samples = wavfile.read(tmp_path / DUB_AUDIO_FILE)
    assert rate == build_demo.SAMPLE_RATE_HZ
    assert (samples.min(), samples.max()) == (-32767, 32767)  # clipped, not wrapped


def test_footage_goes_into_the_package_of_the_demo(tmp_path, filmed, monkeypatch):
    monkeypatch.setattr(build_demo, "files", {"dubfew.demo": tmp_path}.__getitem__)
    build_demo.main([])
    assert (tmp_path / ACTOR_CLIP_FILE).exists()
    assert (tmp_path / DUB_AUDIO_FILE).exists()


def test_bundled_files_are_where_the_builder_puts_them():
    for name in (ACTOR_CLIP_FILE, DUB_AUDIO_FILE):
        assert (Path(str(files("dubfew.demo"))) / name).exists()
