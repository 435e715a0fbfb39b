"""Arrays and file objects in place of files."""

from __future__ import annotations

import io
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import dubfew
from dubfew.errors import DubfewError, MediaError
from dubfew.media import Audio, Frames, probe, read_audio, read_frames
from dubfew.media.in_memory import receive_file, store_in_files
from dubfew.render import pipeline, precheck


def noise(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(count)]


def test_frames_and_sound_come_back_as_they_were() -> None:
    images, tone = noise(), np.sin(np.arange(2560) / 9).astype(np.float32)
    video = Frames(iter(images), Fraction(30000, 1001), Audio(tone, 16000))
    with store_in_files({"video": video, "audio": (tone, 16000), "fit": "hold"}) as stored:
        assert stored["fit"] == "hold"
        assert probe(stored["video"]).fps == Fraction(30000, 1001)
        for image, frame in zip(images, read_frames(stored["video"]), strict=True):
            np.testing.assert_array_equal(frame.to_rgb(), image)
        np.testing.assert_allclose(read_audio(stored["audio"]).samples, tone, atol=1e-6)
        assert probe(stored["video"]).has_audio
        kept = stored["video"]
    assert not kept.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Frames([], 25), "no frames"),
        (Frames([np.zeros((4, 4, 3))], 25), "uint8 RGB"),
        (Frames([*noise(1), noise(1)[0][:8]], 25), "one size"),
        (Frames(noise(1), 0), "frame rate"),
        ((np.zeros(9, np.int16), 16000), "floats"),
        ((np.zeros((2, 3, 4)), 16000), "floats"),
        ((np.zeros(9), 0), "sample rate"),
    ],
)
def test_what_is_no_video_or_sound_is_refused(value, message) -> None:
    with pytest.raises(MediaError, match=message), store_in_files({"x": value}):
        pass


def test_a_file_object_receives_what_was_written() -> None:
    target = io.BytesIO()
    with receive_file(target) as path:
        path.write_bytes(b"a video")
    assert target.getvalue() == b"a video"
    with pytest.raises(MediaError, match="file object"), receive_file(5):
        pass


def test_the_library_passes_them_on_as_files(monkeypatch) -> None:
    seen = {}

    def render(actor, options, registry, cache, progress):
        seen.update(video=read_all(options.video), audio=read_audio(options.audio).rate)
        options.out.write_bytes(b"dubbed")
        return SimpleNamespace(output=options.out)

    def read_all(path):
        return [frame.to_rgb() for frame in read_frames(path)]

    monkeypatch.setattr(precheck, "check_render_request", lambda *given: None)
    monkeypatch.setattr(pipeline, "render", render)
    target = io.BytesIO()
    dubfew.render("mary", video=Frames(noise(), 25), audio=(np.zeros(1600), 16000), out=target)
    np.testing.assert_array_equal(seen["video"], noise())
    assert seen["audio"] == 16000
    assert target.getvalue() == b"dubbed"


def test_footage_in_memory_needs_an_id() -> None:
    with pytest.raises(DubfewError, match="actor="):
        dubfew.adapt(Frames(noise(), 25))
