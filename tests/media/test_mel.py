"""Log-mel features: alignment in time, level, malformed samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from dubfew.errors import MediaError
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    NUM_MEL_BANDS,
    SPEECH_SAMPLE_RATE_HZ,
    RecordingChannel,
    estimate_channel,
    frame_levels_db,
    log_mel,
    mel_filterbank,
    num_mel_frames,
    resample_audio,
)


def _noise(seconds: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(int(seconds * SPEECH_SAMPLE_RATE_HZ))).astype(np.float32)


def test_frame_k_is_centered_on_its_time() -> None:
    samples = np.zeros(SPEECH_SAMPLE_RATE_HZ, np.float32)
    samples[50 * MEL_HOP_SAMPLES] = 1.0  # a click at 0.5 s
    assert int(log_mel(samples).sum(axis=1).argmax()) == 50


def test_a_tone_lights_its_own_band() -> None:
    tone = 0.3 * np.sin(
        2 * np.pi * 1000 * np.arange(SPEECH_SAMPLE_RATE_HZ) / SPEECH_SAMPLE_RATE_HZ
    ).astype(np.float32)
    band = int(log_mel(tone)[50].argmax())
    assert (
        abs(int(mel_filterbank()[round(1000 / SPEECH_SAMPLE_RATE_HZ * 512)].argmax()) - band) <= 1
    )


def test_level_of_the_recording_does_not_matter() -> None:
    samples = _noise()
    np.testing.assert_allclose(log_mel(samples), log_mel(samples * 0.05), atol=1e-4)


def test_level_is_that_of_the_window() -> None:
    samples = _noise()[:12345]
    for frame in (0, 1, 40, num_mel_frames(len(samples)) - 1):
        inside = samples[max(0, frame * MEL_HOP_SAMPLES - 200) : frame * MEL_HOP_SAMPLES + 200]
        power = float((inside.astype(np.float64) ** 2).sum()) / 400
        assert frame_levels_db(samples)[frame] == pytest.approx(10 * np.log10(power), abs=0.3)


def test_the_microphone_hardly_matters() -> None:
    samples = _noise(2.0) * (1 + np.sin(np.arange(2 * SPEECH_SAMPLE_RATE_HZ) / 3000)).astype(
        np.float32
    )
    dull = lfilter([0.4], [1, -0.6], samples).astype(np.float32)
    flat = estimate_channel(samples).spectral_tilt * 0
    raw = [
        log_mel(x, channel=RecordingChannel(estimate_channel(x).level_db, flat))
        for x in (samples, dull)
    ]
    evened = [log_mel(x) for x in (samples, dull)]
    apart, closer = (np.abs(a - b).mean() for a, b in (raw, evened))
    assert closer < 0.5 * apart


def test_silence_is_not_amplified() -> None:
    hiss = 1e-5 * _noise()
    assert log_mel(hiss).max() < 0.35
    assert log_mel(np.zeros(SPEECH_SAMPLE_RATE_HZ, np.float32)).max() == 0.0


def test_parts_equal_the_whole() -> None:
    samples = _noise(2.0)
    channel = estimate_channel(samples)
    whole = log_mel(samples, channel=channel)
    part = log_mel(samples, channel=channel, start=-7, stop=len(whole) + 9)
    np.testing.assert_allclose(part[7:-9], whole, atol=1e-6)
    assert part[:4].max() == 0.0
    assert part[-6:].max() == 0.0


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_sound_the_same(rate: int) -> None:
    def tone(at: int) -> np.ndarray:
        t = np.arange(at) / at
        return (0.3 * np.sin(2 * np.pi * 700 * t)).astype(np.float32)

    resampled = resample_audio(tone(rate), rate)
    assert abs(len(resampled) - SPEECH_SAMPLE_RATE_HZ) <= 1
    np.testing.assert_allclose(
        resampled[800:-800], tone(SPEECH_SAMPLE_RATE_HZ)[800 : len(resampled) - 800], atol=0.02
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=40),
    st.integers(1000, 96000),
)
@pytest.mark.slow
def test_malformed_samples_give_finite_features(values: list[float], rate: int) -> None:
    samples = resample_audio(np.array(values, np.float32), rate)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) < 2
    mel = log_mel(samples)
    assert mel.shape == (num_mel_frames(len(samples)), NUM_MEL_BANDS)
    assert np.isfinite(mel).all()
    assert np.isfinite(frame_levels_db(samples)).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(MediaError, match="mono"):
        resample_audio(np.zeros((2, 5), np.float32), SPEECH_SAMPLE_RATE_HZ)
    with pytest.raises(MediaError, match="rate"):
        resample_audio(np.zeros(5, np.float32), 0)
