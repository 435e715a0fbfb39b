"""A picture of what drives a render: the opening of the lips over the sound."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.utils.files import write_atomic

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
PLOT_ROW_SECONDS = 10.0
MAX_PLOT_ROWS = 60  # of ten seconds each; longer sound gets longer rows
_SAMPLES_PER_POINT = 400  # samples between the points of a waveform
_MIN_AXIS_TOP = 0.2  # of the axis, eye distances: a mumble is not drawn like a shout


def check_plot_path(path: Path) -> None:
    """Raises DubfewError for a picture of no known kind."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise DubfewError(f"{path} is no picture to plot into: end its name in .png, .svg or .pdf")


def plot_motion(path: Path, motion: MouthMotion, audio: Audio | None, title: str = "") -> None:
    """Draw the gap between the lips over waveform and spectrogram, ten seconds a row.

    Args:
        path: the picture.
        motion: that is rendered.
        audio: that is heard with it, or None.
        title: one line above.

    Raises:
        DubfewError: a picture of no known kind, or it cannot be written.
    """
    # A second to import, for a picture that few ask for.
    from matplotlib.figure import Figure

    check_plot_path(path)
    end = float(motion.times[-1])
    seconds = max(PLOT_ROW_SECONDS, end / MAX_PLOT_ROWS)
    rows = max(1, int(np.ceil(end / seconds)))
    figure = Figure((14, 2 * rows + 0.6), dpi=100, layout="constrained")
    gap = motion.aperture()
    top = max(_MIN_AXIS_TOP, 1.05 * float(gap.max()))
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
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower())
    write_atomic(path, file.getvalue())


def _draw_spectrogram(axes: Any, samples: NDArray[np.float32], rate: int, start: float) -> None:
    """Spectrogram up to 5 kHz, the waveform's outline in its upper fifth."""
    if len(samples) < rate // 10:
        return
    # Digital silence has no logarithm.
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
    whole = samples[: len(samples) // _SAMPLES_PER_POINT * _SAMPLES_PER_POINT].reshape(
        -1, _SAMPLES_PER_POINT
    )
    loudest = np.abs(whole).max(axis=1)
    moments = start + (np.arange(len(whole)) + 0.5) * _SAMPLES_PER_POINT / rate
    height = 0.5 * loudest / max(float(loudest.max()), 1e-3)
    axes.fill_between(moments, 4.5 - height, 4.5 + height, color="tab:blue", alpha=0.5)
