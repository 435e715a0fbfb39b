"""Mixing of two sound tracks, such as a dub and the ambience of its scene, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np

from dubfew.errors import MediaError
from dubfew.media.audio import AudioSamples


def mix_blocks(
    speech: Iterator[AudioSamples], bed: Iterator[AudioSamples], gain_db: float
) -> Iterator[AudioSamples]:
    """Add two streams of samples; the shorter one is continued by silence.

    The level of the first does not change. Sums beyond full scale are passed on as they are.

    Args:
        speech: samples of the first track. [channels, n] each
        bed: samples of the second track, at the same rate and channels. [channels, m] each
        gain_db: gain of the second track, dB.

    Yields:
        The sum, as long as the longer track. [channels, k]
    """
    factor = np.float32(10 ** (gain_db / 20))
    held: AudioSamples | None = None  # samples of the bed that were read and not yet added
    for block in speech:
        total = block.copy()
        filled = 0
        while filled < block.shape[1]:
            if held is None or not held.shape[1]:
                held = next(bed, None)
                if held is None:
                    break
            count = min(held.shape[1], block.shape[1] - filled)
            total[:, filled : filled + count] += factor * held[:, :count]
            held, filled = held[:, count:], filled + count
        yield total
    if held is not None and held.shape[1]:
        yield factor * held
    for block in bed:
        yield factor * block


def change_layout(
    blocks: Iterator[AudioSamples], layout: str, wider: str
) -> Iterator[AudioSamples]:
    """Place channels in a layout that has more of them, without a change of level.

    Mono speech goes to the center, or without a center, equally to left and right. All other
    channels keep their places.

    Args:
        blocks: samples in ``layout``. [channels, n] each
        layout: FFmpeg's name of the channel layout, such as "stereo".
        wider: layout of the result.

    Returns:
        Samples in ``wider``. [more channels, n] each

    Raises:
        MediaError: ``wider`` lacks a channel of ``layout``.
    """
    if layout == wider:
        return blocks
    matrix = _placement_matrix(layout, wider)
    return (matrix @ block for block in blocks)


def find_lost_channels(layout: str, other: str) -> list[str]:
    """List the channels that FFmpeg's mix into another layout does not make heard, such as LFE.

    Args:
        layout: FFmpeg's name of the channel layout, such as "7.1.4".
        other: layout of the mix.
    """
    names = channel_names(layout)
    probe = np.eye(len(names), dtype=np.float32)  # sample k sounds in channel k alone
    frame = av.AudioFrame.from_ndarray(probe.reshape(1, -1), "flt", layout)
    frame.sample_rate = 48000  # the mix is the same at any
    mixer = av.AudioResampler(format="flt", layout=other, rate=frame.sample_rate)
    (mixed,) = mixer.resample(frame)
    heard = np.abs(mixed.to_ndarray().reshape(len(names), -1)).max(axis=1)
    return [name for name, level in zip(names, heard, strict=True) if level == 0]


def channel_names(layout: str) -> list[str]:
    """List the channels of a layout, such as FL, FR and LFE."""
    return [channel.name for channel in av.AudioLayout(layout).channels]


def count_channels(layout: str) -> int:
    """Count the channels of a layout."""
    return av.AudioLayout(layout).nb_channels


def _placement_matrix(layout: str, wider: str) -> AudioSamples:  # [more channels, channels]
    """Make the matrix that places channels by their names."""
    names, places = channel_names(layout), channel_names(wider)
    matrix = np.zeros((len(places), len(names)), np.float32)
    for column, name in enumerate(names):
        if name in places:
            matrix[places.index(name), column] = 1
        elif len(names) == 1 and {"FL", "FR"} <= set(places):
            matrix[[places.index("FL"), places.index("FR")], column] = 1
        else:
            raise MediaError(
                f"sound in the layout {layout} cannot be mixed with {wider}: convert one of them"
            )
    return matrix
