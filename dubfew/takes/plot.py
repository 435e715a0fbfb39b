"""Plot of a take: lip gap and mouth width before and after its edits."""

from __future__ import annotations

from pathlib import Path

from dubfew.takes.take import Take
from dubfew.utils.figures import write_figure

# Seconds of motion per inch of width, and the range of widths, inch: syllables of 0.2 s stay apart,
# and a long line still fits a screen.
_SECONDS_PER_INCH, _WIDTH_RANGE_INCHES = 0.5, (9.0, 40.0)
# Longest take whose phonemes are written, s: letters of longer ones would cover each other.
_LETTERS_UP_TO_SECONDS = 20.0


def plot_take(path: Path, take: Take, title: str = "") -> None:
    """Draw lip gap and width before and after the edits, with the stretches of the edits.

    Args:
        path: file to write; its ending chooses the format, such as .png or .svg.
        take: the take.
        title: one line above the plot.

    Raises:
        OSError: The file cannot be written.
    """
    # Importing matplotlib takes a second, and few takes are plotted.
    from matplotlib.figure import Figure

    before, after = take.without_edits().perform(), take.perform()
    low, high = _WIDTH_RANGE_INCHES
    width = min(max(take.seconds / _SECONDS_PER_INCH, low), high)
    figure = Figure((width, 5), dpi=100, layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    rows = (
        ("lip gap", before.aperture(), after.aperture()),
        ("change of width", before.width_change(), after.width_change()),
    )
    for ax, (label, old, new) in zip(axes, rows, strict=True):
        ax.plot(before.times, old, color="0.55", linewidth=1.2, label="before")
        ax.plot(after.times, new, color="tab:red", linewidth=1.6, label="after")
        ax.set_ylabel(label)
        for number, edit in enumerate(take.edits):
            start = before.times[0] if edit.start is None else edit.start
            end = take.seconds if edit.end is None else edit.end
            ax.axvspan(start, end, color=f"C{number % 10}", alpha=0.12)
    axes[0].legend(loc="upper right")
    if take.seconds <= _LETTERS_UP_TO_SECONDS:
        for phone in take.phones:
            axes[0].annotate(
                phone.symbol,
                ((phone.start + phone.end) / 2, 0.98),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="top",
                fontsize=8,
            )
    axes[1].set(xlabel="s", xlim=(before.times[0], max(take.seconds, before.times[0] + 0.1)))
    figure.suptitle("\n".join(filter(None, [title, *(e.describe() for e in take.edits[:6])])))
    write_figure(path, figure)
