"""Where speech begins and ends, in recordings whose sounds are known."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.media import Audio
from dubfew.media.speech_span import find_speech_span, read_speech_span

RATE = 16000


def recording(*parts: tuple[float, float]) -> Audio:
    """Noise of given levels (amplitude) and lengths (s), one after another."""
    generator = np.random.default_rng(0)
    return Audio(
        np.concatenate([level * generator.normal(size=round(s * RATE)) for level, s in parts])
        .clip(-1, 1)
        .astype(np.float32),
        RATE,
    )


def test_the_span_is_that_of_the_sound():
    span = find_speech_span(recording((0, 0.5), (0.1, 1.2), (0, 0.3), (0.1, 0.4), (0, 0.6)))
    assert span.seconds == 3.0
    assert span.start == pytest.approx(0.5, abs=0.03)
    assert span.end == pytest.approx(2.4, abs=0.03)


def test_room_noise_is_silent_and_a_soft_consonant_is_not():
    span = find_speech_span(recording((0.1, 1.0), (0.005, 0.2), (0.0005, 1.0)))
    assert span.end == pytest.approx(1.2, abs=0.03)


def test_a_click_is_no_speech():
    span = find_speech_span(recording((0.1, 1.0), (0, 0.5), (0.1, 0.005), (0, 0.5)))
    assert span.end == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("level", [0.0, 3e-5])
def test_nothing_is_said_in_silence(level):
    span = find_speech_span(recording((level, 1.0)))
    assert span.start == span.end


def test_an_empty_recording_has_no_span():
    assert find_speech_span(recording((0.1, 0.0))).end == 0


def test_a_file_is_measured_like_its_samples(make_wav):
    audio = recording((0, 0.537), (0.1, 1.2), (0, 0.3), (0.1, 0.4), (0, 2.61))
    span = read_speech_span(make_wav(audio.samples[None], RATE))
    whole = find_speech_span(audio)
    assert span.seconds == pytest.approx(whole.seconds)
    assert (span.start, span.end) == pytest.approx((whole.start, whole.end), abs=0.011)


def test_a_long_file_is_read_no_farther_than_asked(make_wav):
    # What is spoken after 3 s nobody asks for; the file states its length.
    path = make_wav(recording((0, 0.5), (0.1, 1.0), (0, 2.5), (0.1, 1.0)).samples[None], RATE)
    span = read_speech_span(path, seconds=3.0)
    assert (span.seconds, span.is_whole) == (5.0, False)
    assert (span.start, span.end) == pytest.approx((0.5, 1.5), abs=0.03)
    # Little more than what is asked for is no reason to know less.
    assert read_speech_span(path, seconds=5.0) == read_speech_span(path)


@pytest.mark.slow
def test_a_long_file_takes_little_memory(make_wav):
    import tracemalloc

    path = make_wav(np.zeros((1, 60 * RATE), np.float32), RATE)
    tracemalloc.start()
    read_speech_span(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000  # the whole is 3.8 MB
