"""Whether two videos speak the same line."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dubfew.evaluate.same_line import correlate_shifted, is_same_line, measure_loudness
from dubfew.media import AudioSource, VideoWriter, probe, read_frames


def test_loudness_is_the_logarithm_of_the_amplitude() -> None:
    samples = np.concatenate([np.full(10, 0.5), np.full(10, -0.25), np.zeros(10)])
    found = measure_loudness([samples[:10].astype(np.float32), samples[10:]], 10)
    assert found == pytest.approx(np.log([0.5, 0.25, 0.5 * 10 ** (-50 / 20)]), abs=1e-6)
    assert measure_loudness([np.zeros(0, np.float32)], 10).shape == (0,)


def test_sequences_are_compared_at_small_shifts() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 200))
    assert correlate_shifted(one, np.roll(one, 4), 5) == pytest.approx(1.0)
    assert correlate_shifted(one, np.roll(one, 7), 5) < 0.5
    assert abs(correlate_shifted(one, other, 5)) < 0.5
    assert np.isnan(correlate_shifted(one, np.zeros(200), 5))
    assert np.isnan(correlate_shifted(one[:8], other[:8], 5))


@pytest.mark.slow
def test_the_sound_of_two_files_tells_whether_the_line_is_the_same(tmp_path: Path) -> None:
    folder = Path(str(files("dubfew.demo")))
    clip, speech = folder / "actor.mp4", folder / "dub.wav"
    pictures = list(read_frames(clip, stop=2))

    def write(name: str, sound: Path | None) -> Path:
        source = None if sound is None else AudioSource(sound)
        with VideoWriter(tmp_path / name, probe(clip), audio=source) as writer:
            for frame in pictures:
                writer.write(frame)
        return tmp_path / name

    dubbed = write("dubbed.mp4", speech)
    # The same words from another encoder, at another rate, are the same line.
    assert is_same_line(dubbed, write("again.mkv", speech)) is True
    assert is_same_line(clip, write("copy.mkv", clip)) is True
    assert is_same_line(clip, dubbed) is False
    assert is_same_line(clip, write("silent.mp4", None)) is None
