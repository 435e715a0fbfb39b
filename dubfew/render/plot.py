"""Plot of the driving signal: the lip gap over the spectrogram of the sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.media import Audio
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.render.output_name import check_plot_path
from dubfew.utils.figures import write_figure

# Length of a row. Syllables are 0.2 s: on longer rows they cannot be told apart.
PLOT_ROW_SECONDS = 10.0
# Rows of a plot, which bounds memory: 10 minutes. Longer sound gets longer rows.
MAX_PLOT_ROWS = 60
# Samples per point of the waveform's outline. More points than pixels cost time and show nothing.
_SAMPLES_PER_POINT = 400
# Smallest top of the lip gap's axis, inter-ocular distances, so that a mumble does not look like a
# shout.
_MIN_AXIS_TOP = 0.2


def plot_motion(path: Path, motion: MouthMotion, audio: Audio | None, title: str = "") -> None:
    """Draw the lip gap over waveform and spectrogram, ten seconds a row.

    Args:
        path: file to write; its ending chooses the format.
        motion: mouth motion that is rendered.
        audio: sound of the output; None draws the lip gap alone.
        title: one line above the plot.

    Raises:
        DubfewError: The ending is not one of ``PLOT_SUFFIXES``, or the file cannot be written.
    """
    # Importing matplotlib takes a second, and few renders are plotted.
    from matplotlib.figure import Figure

    check_plot_path(path)
    end = float(motion.times[-1])
    seconds = max(PLOT_ROW_SECONDS, end / MAX_PLOT_ROWS)
    rows = max(1, int(np.ceil(end / seconds)))
    figure = Figure((14, 2 * rows + 0.6), dpi=100, layout="constrained")
    gap = motion.aperture()
    top = max(_MIN_AXIS_TOP, 1.05 * float(gap.max()))
    # One row of axes per ten seconds: spectrogram below, lip gap on a second axis above it.
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        start, stop = row * seconds, (row + 1) * seconds
        if audio is not None:
            heard = audio.samples[int(start * audio.rate) : int(stop * audio.rate)]
            _draw_spectrogram(axes, heard, audio.rate, start)
        axes.set(xlim=(start, stop), ylim=(0, 5), ylabel="kHz")
        seen = (motion.times >= start) & (motion.times <= stop)
        above = axes.twinx()
        above.plot(motion.times[seen], gap[seen], color="tab:red", linewidth=1.8)
        above.set(ylim=(0, top), ylabel="lip gap")
    axes.set_xlabel("s")
    if title:
        figure.suptitle(title)
    write_figure(path, figure)


def _draw_spectrogram(axes: Any, samples: NDArray[np.float32], rate: int, start: float) -> None:
    """Draw the spectrogram up to 5 kHz, and the outline of the waveform in its upper fifth.

    Args:
        axes: matplotlib axes, seconds by kHz.
        samples: samples of the row. [n]
        rate: sampling rate, Hz.
        start: time of the first sample, s.
    """
    # Less than a tenth of a second is shorter than a few windows of the spectrogram.
    if len(samples) < rate // 10:
        return
    # Faint noise: the logarithm of digital silence is not finite.
    audible = samples + np.float32(1e-5) * np.random.default_rng(0).standard_normal(len(samples))
    axes.specgram(
        audible,
        NFFT=512,
        Fs=rate / 1000,
        noverlap=352,
        cmap="Greys",
        vmin=-110,
        xextent=(start, start + len(samples) / rate),
    )
    # The loudest sample of each step outlines the waveform.
    whole = samples[: len(samples) // _SAMPLES_PER_POINT * _SAMPLES_PER_POINT].reshape(
        -1, _SAMPLES_PER_POINT
    )
    loudest = np.abs(whole).max(axis=1)
    moments = start + (np.arange(len(whole)) + 0.5) * _SAMPLES_PER_POINT / rate
    height = 0.5 * loudest / max(float(loudest.max()), 1e-3)
    axes.fill_between(moments, 4.5 - height, 4.5 + height, color="tab:blue", alpha=0.5)
