"""The sound of prepared segments, as the speech model hears it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.errors import ArtefactError, MediaError
from dubfew.media import VideoInfo, stream_audio
from dubfew.media.mel import HOP, RATE, Channel, channel_of, log_mel
from dubfew.utils.safetensors_io import UNREADABLE, read_tensors

FORMAT_VERSION = 1
# Quieter than this all through is an empty sound track (full scale 1).
AUDIBLE = 1e-3


@dataclass(frozen=True)
class Sound:
    """Sound of a stretch of a clip.

    Attributes:
        start: time of the first sample and the first mel frame on the clip's clock, s.
        samples: mono at 16 kHz. [n]
        mel: `log_mel`, a frame every 10 ms, normalised over the clip's passage. [T, 80]
        times: of the video frames that belong to it, s. [N]
    """

    start: float
    samples: NDArray[np.float32]
    mel: NDArray[np.float32]
    times: NDArray[np.float64]


def sound_bytes(sound: Sound) -> bytes:
    """As safetensors; the samples with 16 bits."""
    arrays: dict[str, NDArray] = {
        "samples": np.rint(sound.samples * 32767).astype(np.int16),
        "mel": np.ascontiguousarray(sound.mel),
        "times": np.ascontiguousarray(sound.times),
    }
    header = {"format_version": FORMAT_VERSION, "rate": RATE, "hop": HOP, "start": sound.start}
    return save(arrays, metadata={"dubfew.audio": json.dumps(header)})


def sound_of_bytes(data: bytes, name: str) -> Sound:
    """Read what ``sound_bytes`` gave; ``name`` is what an error calls it.

    Raises:
        ArtefactError: not prepared sound, damaged, or written by a newer dubfew.
    """
    try:
        arrays, header = read_tensors(data, "dubfew.audio")
        if header["format_version"] > FORMAT_VERSION:
            raise ArtefactError(
                f"{name} has sound of format {header['format_version']}, this dubfew reads up to "
                f"{FORMAT_VERSION}: update dubfew"
            )
        if header["rate"] != RATE or not np.isfinite(header["start"]):
            raise ValueError("another rate, or no time")
        samples = arrays["samples"].astype(np.float32) / 32767
        return Sound(float(header["start"]), samples, arrays["mel"], arrays["times"])
    except UNREADABLE as error:
        raise ArtefactError(f"{name} holds no prepared sound: prepare the data again") from error


@dataclass(frozen=True)
class Passage:
    """Sound of one passage with what its recording does to it.

    Attributes:
        first: number of the first sample in the clip, a multiple of ``HOP``.
        samples: mono at 16 kHz. [n]
        channel: of these samples.
    """

    first: int
    samples: NDArray[np.float32]
    channel: Channel

    def part(self, times: NDArray[np.float64], stop: float) -> Sound:
        """The sound that belongs to frames at these times, until ``stop`` (s)."""
        low, high = _hops(float(times[0]), stop)
        offset = self.first // HOP
        samples = self.samples[(low - offset) * HOP : (high - offset) * HOP]
        mel = log_mel(self.samples, channel=self.channel, start=low - offset, stop=high - offset)
        return Sound(low * HOP / RATE, samples, mel, times)


def _hops(start: float, stop: float) -> tuple[int, int]:
    """Numbers of the 10 ms steps that hold a stretch of time (s)."""
    # Times are rounded fractions: 0.28 s must not begin a step early.
    return int(start * RATE / HOP + 1e-6), int(np.ceil(stop * RATE / HOP - 1e-6))


class Listener:
    """A clip's sound, handed out in order and forgotten. To be closed."""

    def __init__(self, path: Path, info: VideoInfo) -> None:
        self._blocks = stream_audio(path, RATE) if info.has_audio else None
        self._held = np.zeros(0, np.float32)
        self._first = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._blocks is not None:
            self._blocks.close()  # type: ignore[attr-defined]

    def between(self, start: float, stop: float) -> Passage | None:
        """Sound between two times (s), later than any asked for before; None where there is none.

        A sound track that cannot be decoded counts as none: the pictures are worth having.
        """
        low, high = (hop * HOP for hop in _hops(start, stop))
        try:
            while self._blocks is not None and self._first + len(self._held) < high:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._held = np.concatenate([self._held, block])
        except MediaError:
            self._blocks = None
        dropped = min(max(0, low - self._first), len(self._held))
        self._held, self._first = self._held[dropped:], self._first + dropped
        samples = np.clip(self._held[: max(0, high - low)], -1, 1)
        if self._first != low or not len(samples) or np.abs(samples).max() < AUDIBLE:
            return None
        return Passage(low, samples, channel_of(samples))
