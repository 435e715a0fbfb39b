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
from dubfew.media.audio import MIN_AUDIBLE_PEAK
from dubfew.media.mel import (
    MEL_HOP_SAMPLES,
    SPEECH_SAMPLE_RATE_HZ,
    RecordingChannel,
    estimate_channel,
    log_mel,
)
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

AUDIO_FORMAT_VERSION = 1


@dataclass(frozen=True)
class SegmentAudio:
    """Sound of a stretch of a clip.

    Attributes:
        start_seconds: time of the first sample and the first mel frame on the clip's clock, s.
        samples: mono at 16 kHz. [n]
        mel: `log_mel`, a frame every 10 ms, normalised over the clip's passage. [T, 80]
        frame_times: of the video frames that belong to it, s. [N]
    """

    start_seconds: float
    samples: NDArray[np.float32]
    mel: NDArray[np.float32]
    frame_times: NDArray[np.float64]


def serialize_audio(audio: SegmentAudio) -> bytes:
    """As safetensors; the samples with 16 bits."""
    arrays: dict[str, NDArray] = {
        "samples": np.rint(audio.samples * 32767).astype(np.int16),
        "mel": np.ascontiguousarray(audio.mel),
        "times": np.ascontiguousarray(audio.frame_times),
    }
    header = {
        "format_version": AUDIO_FORMAT_VERSION,
        "rate": SPEECH_SAMPLE_RATE_HZ,
        "hop": MEL_HOP_SAMPLES,
        "start": audio.start_seconds,
    }
    return save(arrays, metadata={"dubfew.audio": json.dumps(header)})


def deserialize_audio(data: bytes, name: str) -> SegmentAudio:
    """Read what ``serialize_audio`` gave; ``name`` is what an error calls it.

    Raises:
        ArtefactError: not prepared sound, damaged, or written by a newer dubfew.
    """
    try:
        arrays, header = read_tensors_and_header(data, "dubfew.audio")
        check_format_version(header["format_version"], AUDIO_FORMAT_VERSION, f"the sound of {name}")
        if header["rate"] != SPEECH_SAMPLE_RATE_HZ or not np.isfinite(header["start"]):
            raise ValueError("another rate, or no time")
        samples = arrays["samples"].astype(np.float32) / 32767
        return SegmentAudio(float(header["start"]), samples, arrays["mel"], arrays["times"])
    except TENSOR_READ_ERRORS as error:
        raise ArtefactError(f"{name} holds no prepared sound: prepare the data again") from error


@dataclass(frozen=True)
class AudioChunk:
    """Sound of one passage with what its recording does to it.

    Attributes:
        first_sample: number of the first sample in the clip, a multiple of ``MEL_HOP_SAMPLES``.
        samples: mono at 16 kHz. [n]
        channel: of these samples.
    """

    first_sample: int
    samples: NDArray[np.float32]
    channel: RecordingChannel

    def segment_audio(self, frame_times: NDArray[np.float64], stop_seconds: float) -> SegmentAudio:
        """The sound that belongs to frames at these times, until ``stop_seconds`` (s)."""
        low, high = _hop_range(float(frame_times[0]), stop_seconds)
        offset = self.first_sample // MEL_HOP_SAMPLES
        samples = self.samples[(low - offset) * MEL_HOP_SAMPLES : (high - offset) * MEL_HOP_SAMPLES]
        mel = log_mel(self.samples, channel=self.channel, start=low - offset, stop=high - offset)
        return SegmentAudio(
            low * MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ, samples, mel, frame_times
        )


def _hop_range(start_seconds: float, stop_seconds: float) -> tuple[int, int]:
    """Numbers of the 10 ms steps that hold a stretch of time (s)."""
    # Times are rounded fractions: 0.28 s must not begin a step early.
    return int(start_seconds * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES + 1e-6), int(
        np.ceil(stop_seconds * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES - 1e-6)
    )


class AudioChunkReader:
    """A clip's sound, handed out in order and forgotten. To be closed."""

    def __init__(self, path: Path, info: VideoInfo) -> None:
        self._blocks = stream_audio(path, SPEECH_SAMPLE_RATE_HZ) if info.has_audio else None
        self._buffer = np.zeros(0, np.float32)
        self._buffer_start = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._blocks is not None:
            self._blocks.close()  # type: ignore[attr-defined]

    def read_between(self, start_seconds: float, stop_seconds: float) -> AudioChunk | None:
        """Sound between two times (s), later than any asked for before; None where there is none.

        A sound track that cannot be decoded counts as none: the pictures are worth having.
        """
        low, high = (hop * MEL_HOP_SAMPLES for hop in _hop_range(start_seconds, stop_seconds))
        try:
            while self._blocks is not None and self._buffer_start + len(self._buffer) < high:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._buffer = np.concatenate([self._buffer, block])
        except MediaError:
            self._blocks = None
        dropped = min(max(0, low - self._buffer_start), len(self._buffer))
        self._buffer, self._buffer_start = self._buffer[dropped:], self._buffer_start + dropped
        samples = np.clip(self._buffer[: max(0, high - low)], -1, 1)
        if (
            self._buffer_start != low
            or not len(samples)
            or np.abs(samples).max() < MIN_AUDIBLE_PEAK
        ):
            return None
        return AudioChunk(low, samples, estimate_channel(samples))
