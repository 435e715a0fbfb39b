"""Speech at another speed and the same pitch."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from dubfew.media.audio import Audio

# Samples that are handed to the filter at once.
_BLOCK_SAMPLES = 4096


def change_tempo(audio: Audio, factor: float) -> Audio:
    """Make a sound faster or slower and keep its pitch.

    The filter is FFmpeg's ``atempo``: waveforms are overlapped and added where they are most alike.

    Args:
        audio: mono sound.
        factor: 2 is twice as fast; 0.5 to 2.

    Returns:
        Sound of ``1 / factor`` the length, to the sample.

    Source: Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity".
    """
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        format="flt", sample_rate=audio.rate, layout="mono", time_base=Fraction(1, audio.rate)
    )
    tempo = graph.add("atempo", repr(float(factor)))
    graph.link_nodes(source, tempo, graph.add("abuffersink")).configure()
    found: list[np.ndarray] = []

    def pull() -> None:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, av.AudioFrame)
            found.append(frame.to_ndarray().reshape(-1))

    for start in range(0, len(audio.samples), _BLOCK_SAMPLES):
        piece = np.ascontiguousarray(audio.samples[start : start + _BLOCK_SAMPLES])
        frame = av.AudioFrame.from_ndarray(piece[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = audio.rate, start
        graph.push(frame)
        pull()
    graph.push(None)
    pull()
    wanted = round(len(audio.samples) / factor)
    samples = np.zeros(wanted, np.float32)
    # The filter's last window may be a little short or long.
    made = np.concatenate(found)[:wanted] if found else samples[:0]
    samples[: len(made)] = made
    return Audio(samples, audio.rate)
