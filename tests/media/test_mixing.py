"""Mixing: sample by sample, at any block sizes, in the wider layout, at delivery rate."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter
from dubfew.media.audio import AudioReader, MixedSound, other_tracks
from dubfew.media.mixing import change_layout, mix_blocks
from tests.media.pictures import smooth_rgb


def blocks_of(samples: np.ndarray, size: int):
    return (samples[:, start : start + size] for start in range(0, samples.shape[1], size))


def tone(hertz: float, seconds: float, rate: int, channels: int = 1, level: float = 0.2):
    wave = level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[None].astype(np.float32), channels, 0)


def level_at(samples: np.ndarray, hertz: float, rate: int) -> float:
    """Amplitude of one frequency in the middle half of one channel."""
    part = samples[len(samples) // 4 : -len(samples) // 4]
    carrier = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / rate)
    return 2 * abs((part * carrier).mean())


@pytest.mark.parametrize(("first", "second"), [(100, 30), (30, 100), (64, 64), (50, 0)])
def test_blocks_are_added_with_a_gain(first: int, second: int) -> None:
    generator = np.random.default_rng(0)
    speech, bed = (generator.normal(size=(2, n)).astype("f4") for n in (first, second))
    mixed = np.concatenate(list(mix_blocks(blocks_of(speech, 7), blocks_of(bed, 11), -20.0)), 1)
    expected = np.zeros((2, max(first, second)), np.float32)
    expected[:, :first] += speech
    expected[:, :second] += 0.1 * bed
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "wider", "places"),
    [("mono", "stereo", [[0, 1]]), ("mono", "5.1", [[2]]), ("stereo", "5.1", [[0], [1]])],
)
def test_channels_keep_their_level_and_place(layout: str, wider: str, places) -> None:
    samples = np.arange(1, 1 + len(places), dtype=np.float32)[:, None] * np.ones((1, 5), "f4")
    (wide,) = change_layout(iter([samples]), layout, wider)
    expected = np.zeros_like(wide)
    for channel, rows in enumerate(places):
        expected[rows] = samples[channel]
    np.testing.assert_array_equal(wide, expected)


def test_layouts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MediaError, match="convert one"):
        change_layout(iter([]), "quad", "5.1(side)")


def write(path: Path, audio) -> Path:
    with VideoWriter(path, VideoInfo(path, 32, 32, Fraction(25)), audio=audio) as writer:
        for number in range(25):
            writer.write(Frame.from_rgb(smooth_rgb(32, 32, number), number, 25))
    return path


def read_track(path: Path, track: int) -> tuple[np.ndarray, int]:
    with AudioReader(path, track) as reader:
        return np.concatenate(list(reader.iter_blocks()), 1), reader.rate


@pytest.mark.parametrize("rate", [16000, 44100])
def test_low_rates_are_delivered_at_48_khz(make_wav, tmp_path, rate: int) -> None:
    wav = make_wav(tone(440, 1.0, rate), rate)
    out = write(tmp_path / "a.mov", AudioSource(wav, rate=48000))
    samples, delivered = read_track(out, 1)
    # PCM at 44.1 kHz is copied: editors take it.
    assert delivered == (48000 if rate < 44100 else rate)
    assert level_at(samples[0], 440, delivered) == pytest.approx(0.2, rel=0.05)


def test_a_mono_dub_is_mixed_into_a_stereo_bed(make_wav, tmp_path) -> None:
    """The dub of half a second keeps its level in both channels; the bed goes on."""
    dub = make_wav(tone(440, 0.5, 16000), 16000, "dub.wav")
    bed = make_wav(tone(1000, 2.0, 44100, 2), 44100, "bed.wav", layout="stereo")
    mix = MixedSound(bed, None, -6.0206)
    out = write(tmp_path / "a.mp4", AudioSource(dub, duration=1.0, pad=False, rate=48000, mix=mix))
    samples, rate = read_track(out, 1)
    assert (len(samples), rate) == (2, 48000)
    assert samples.shape[1] / rate == pytest.approx(1.0, abs=0.05)
    for channel in samples:
        assert level_at(channel[: rate // 2], 440, rate) == pytest.approx(0.2, rel=0.05)
        assert level_at(channel, 1000, rate) == pytest.approx(0.1, rel=0.05)
        assert level_at(channel[rate * 3 // 5 :], 440, rate) < 0.01


@pytest.mark.slow
def test_several_tracks_are_written_read_and_told_apart(make_wav, tmp_path) -> None:
    tones = {440: "mono", 1000: "stereo", 2000: "5.1"}
    sources = [
        AudioSource(make_wav(tone(hertz, 1.0, 48000, n), 48000, f"{hertz}.wav", layout=layout))
        for (hertz, layout), n in zip(tones.items(), (1, 2, 6), strict=True)
    ]
    out = write(tmp_path / "a.mp4", sources)
    assert other_tracks(out) == [2, 3]
    for number, hertz in enumerate(tones, 1):
        samples, rate = read_track(out, number)
        assert len(samples) == (1, 2, 6)[number - 1]
        assert level_at(samples[0], hertz, rate) == pytest.approx(0.2, rel=0.1)
    with av.open(str(out)) as container:
        assert [bool(s.disposition & 1) for s in container.streams.audio] == [True, False, False]
    # Tracks of a file are copied or mixed by their numbers.
    again = write(
        tmp_path / "b.mp4",
        [
            AudioSource(out, track=1, rate=48000, mix=MixedSound(out, 2)),
            AudioSource(out, track=3, rate=48000),
        ],
    )
    mixed, rate = read_track(again, 1)
    assert level_at(mixed[1], 440, rate) == pytest.approx(0.2, rel=0.1)
    assert level_at(mixed[1], 1000, rate) == pytest.approx(0.2, rel=0.1)
    assert len(read_track(again, 2)[0]) == 6
    with pytest.raises(MediaError, match="no sound track 4: it has 3"):
        read_track(out, 4)
