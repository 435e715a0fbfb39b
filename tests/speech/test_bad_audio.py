"""Damaged, silent and clipped recordings, from the file to the mouth."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from dubfew.media import read_audio
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.model import SpeechModel
from dubfew.utils.signal import pearson_correlation

pytestmark = pytest.mark.slow

RATE = 16000
TIMES = np.arange(0, 4, 0.04)
REST = 0.01  # a gap that is not visible


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """Four seconds of a voice, peak 0.5."""
    samples = read_audio(str(files("dubfew.demo") / "dub.wav")).samples[: 4 * RATE]
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


@pytest.fixture(scope="module")
def usual(model: SpeechModel, speech: NDArray[np.float32]) -> MouthMotion:
    """Predict the motion of the undamaged recording."""
    from dubfew.media import Audio

    motion = model.predict(Audio(speech, RATE), TIMES)
    assert np.quantile(motion.aperture(), 0.9) > 0.07
    return motion


def predict(
    model: SpeechModel, folder: Path, samples: NDArray, rate: int = RATE
) -> NDArray[np.float32]:
    """Lip gap for a WAV file with these samples. [N]"""
    path = folder / "sound.wav"
    wavfile.write(path, rate, samples)
    motion = model.predict(read_audio(path), TIMES)
    assert motion.displacement.shape == (len(TIMES), 63, 3)
    assert np.isfinite(motion.displacement).all()
    return motion.aperture()


@pytest.mark.parametrize("kind", ["zeros", "dither", "float zeros", "offset"])
def test_silence_is_rest(model: SpeechModel, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    samples = {
        "zeros": np.zeros(4 * RATE, np.int16),
        "dither": rng.integers(-1, 2, 4 * RATE).astype(np.int16),
        "float zeros": np.zeros(4 * RATE, np.float32),
        "offset": np.full(4 * RATE, 0.3, np.float32),
    }[kind]
    assert np.abs(predict(model, tmp_path, samples)).max() < REST


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("value", [0, 1, 32767, -32768])
def test_one_sample_is_rest(model: SpeechModel, tmp_path: Path, rate: int, value: int) -> None:
    assert np.abs(predict(model, tmp_path, np.array([value], np.int16), rate)).max() < REST


# A gain of thirty leaves nearly a square wave.
@pytest.mark.parametrize(("gain", "least"), [(4.0, 0.7), (30.0, 0.6)])
def test_clipped_speech_still_moves_the_mouth(
    model: SpeechModel,
    usual: MouthMotion,
    speech: NDArray,
    tmp_path: Path,
    gain: float,
    least: float,
) -> None:
    clipped = np.clip(speech * gain, -1, 1)
    assert (np.abs(clipped) == 1).mean() > 0.01
    gap = predict(model, tmp_path, (clipped * 32767).astype(np.int16))
    assert pearson_correlation(gap, usual.aperture()) > least
    assert gap.max() < 1.5 * usual.aperture().max()
    # Floats may exceed full scale: they are clipped, not believed.
    np.testing.assert_allclose(
        predict(model, tmp_path, (speech * gain).astype(np.float32)), gap, atol=1e-3
    )


def test_telephone_rate(
    model: SpeechModel, usual: MouthMotion, speech: NDArray, tmp_path: Path
) -> None:
    narrow = resample_poly(speech, 1, 2)
    gap = predict(model, tmp_path, (narrow * 32767).astype(np.int16), 8000)
    assert pearson_correlation(gap, usual.aperture()) > 0.8
    assert 0.6 < gap.std() / usual.aperture().std() < 1.6


@pytest.mark.parametrize("empty", [0, 1])
def test_an_empty_channel_changes_nothing(
    model: SpeechModel, usual: MouthMotion, speech: NDArray, tmp_path: Path, empty: int
) -> None:
    stereo = np.stack([speech, speech], axis=1)
    stereo[:, empty] = 0
    gap = predict(model, tmp_path, stereo)
    np.testing.assert_allclose(gap, usual.aperture(), atol=2e-3)


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_nan_and_infinity_are_silence(
    model: SpeechModel, usual: MouthMotion, speech: NDArray, tmp_path: Path, rate: int
) -> None:
    samples = resample_poly(speech, rate // RATE, 1).astype(np.float32)
    holed = samples.copy()
    holed[int(1.5 * rate) : int(2.2 * rate)] = np.nan
    holed[rate // 2] = np.inf
    holed[rate // 2 + 9] = -np.inf
    holed[3 * rate] = np.nan
    gap = predict(model, tmp_path, holed, rate)
    inside = (TIMES > 1.65) & (TIMES < 2.0)
    assert np.abs(gap[inside]).max() < REST
    outside = (TIMES < 1.0) | (TIMES > 2.7)
    assert pearson_correlation(gap[outside], usual.aperture()[outside]) > 0.9
    everywhere = np.full(4 * rate, np.nan, np.float32)
    assert np.abs(predict(model, tmp_path, everywhere, rate)).max() < REST


def test_a_word_in_a_long_silence(model: SpeechModel, speech: NDArray, tmp_path: Path) -> None:
    """So little speech that its level is unknown: the mouth rests in the silence all the same."""
    samples = np.zeros(60 * RATE, np.float32)
    samples[: len(speech) // 4] = speech[: len(speech) // 4]
    path = tmp_path / "long.wav"
    wavfile.write(path, RATE, samples)
    motion = model.predict(read_audio(path), np.arange(1.3, 60, 0.04))
    assert np.abs(motion.displacement).max() == 0
