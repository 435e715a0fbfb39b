"""Whether two videos speak the same line, told by their sound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.media import probe, stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ

# Length of the pieces whose loudness is compared, s: a tenth of a syllable.
PIECE_SECONDS = 0.02
# Loudness below which all sound counts as silence, relative to the loudest piece: -50 dB. Noise of
# an encoder is below it.
SILENCE_LEVEL = 10 ** (-50 / 20)
# Largest shift of the two sounds, s. Encoders move sound by up to 0.1 s.
MAX_SHIFT_SECONDS = 0.3
# Correlation of the loudness from which two sounds are one. Encoded again it is 0.98 and more; two
# lines of one speaker have 0.5 at most.
MIN_SAME_CORRELATION = 0.8


def is_same_line(reference: Path, output: Path) -> bool | None:
    """Tell whether two videos have the same sound, so far as both are long.

    Args:
        reference: the original video.
        output: the rendered video.

    Returns:
        Whether their loudness rises and falls together; None if one of them has no sound, or
        nothing but silence.

    Raises:
        MediaError: A file cannot be read as video.
    """
    if not (probe(reference).has_audio and probe(output).has_audio):
        return None
    # In blocks: the whole sound of a long clip, twice, would be most of its memory.
    try:
        first, second = (
            measure_loudness(
                stream_audio(path, SPEECH_SAMPLE_RATE_HZ, SPEECH_SAMPLE_RATE_HZ),
                round(PIECE_SECONDS * SPEECH_SAMPLE_RATE_HZ),
            )
            for path in (reference, output)
        )
    except MediaError:  # damaged sound tells nothing
        return None
    count = min(len(first), len(second))
    correlation = correlate_shifted(
        first[:count], second[:count], round(MAX_SHIFT_SECONDS / PIECE_SECONDS)
    )
    return None if np.isnan(correlation) else bool(correlation >= MIN_SAME_CORRELATION)


def measure_loudness(
    blocks: Iterable[NDArray[np.float32]],
    piece: int,
) -> NDArray[np.float64]:  # [M]
    """Measure the loudness of every piece of a sound, as the logarithm of its amplitude.

    Args:
        blocks: sound in blocks of whole pieces; what is left of a block is ignored. [N] each
        piece: samples of a piece.

    Returns:
        Logarithm of the root mean square, not below that of silence. [M]
    """
    levels = [np.zeros(0)]
    for block in blocks:
        count = len(block) // piece
        pieces = np.asarray(block[: count * piece], np.float64).reshape(count, piece)
        levels.append(np.sqrt((pieces**2).mean(1)))
    level = np.concatenate(levels)
    return np.log(np.maximum(level, SILENCE_LEVEL * max(level.max(initial=0.0), 1e-9)))


def correlate_shifted(
    first: NDArray[np.float64],  # [N]
    second: NDArray[np.float64],  # [N]
    max_shift: int,
) -> float:
    """Compute the highest Pearson correlation of two sequences at small shifts.

    Args:
        first: one sequence. [N]
        second: the other one. [N]
        max_shift: largest shift in either direction, below N.

    Returns:
        The correlation, -1 to 1; NaN where a sequence does not vary or is too short.

    Example:
        >>> wave = np.sin(np.arange(100.0))
        >>> round(correlate_shifted(wave, np.roll(wave, 2), 5), 6)
        1.0
    """
    best = np.nan
    for shift in range(-max_shift, max_shift + 1):
        count = len(first) - abs(shift)
        if count <= 2 * max_shift:  # too little is left to tell anything
            continue
        one = first[max(shift, 0) :][:count]
        other = second[max(-shift, 0) :][:count]
        if one.std() > 0 and other.std() > 0:
            best = np.fmax(best, np.corrcoef(one, other)[0, 1])
    return float(best)
