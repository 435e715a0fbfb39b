"""Audio of prepared segments, with the features that speech training reads."""

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
# Key of the header in a file's metadata.
AUDIO_METADATA_KEY = "dubfew.audio"
# Largest value of a 16 bit sample: stored audio is whole numbers between it and its negative.
INT16_MAX = 32767
# Slack, in 10 ms steps, when times are rounded to steps. Times of frames are rounded fractions:
# 0.28 s must not begin a step early.
_STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SegmentAudio:
    """Audio of a segment of a clip.

    Attributes:
        start_seconds: time of the first sample and the first mel frame on the clip's clock, s.
        samples: mono at 16 kHz. [n]
        mel: `log_mel`, a frame every 10 ms, normalized over the clip's chunk. [T, 80]
        frame_times: times of the segment's video frames, s. [N]
    """

    start_seconds: float
    samples: NDArray[np.float32]
    mel: NDArray[np.float32]
    frame_times: NDArray[np.float64]


def serialize_audio(audio: SegmentAudio) -> bytes:
    """Write audio as safetensors; the samples get 16 bits."""
    # Half the size of floats, at an error far below that of any lossy codec.
    arrays: dict[str, NDArray] = {
        "samples": np.rint(audio.samples * INT16_MAX).astype(np.int16),
        "mel": np.ascontiguousarray(audio.mel),
        "times": np.ascontiguousarray(audio.frame_times),
    }
    header = {
        "format_version": AUDIO_FORMAT_VERSION,
        "rate": SPEECH_SAMPLE_RATE_HZ,
        "hop": MEL_HOP_SAMPLES,
        "start": audio.start_seconds,
    }
    return save(arrays, metadata={AUDIO_METADATA_KEY: json.dumps(header)})


def deserialize_audio(data: bytes, name: str) -> SegmentAudio:
    """Read what `serialize_audio` gave.

    Args:
        data: the bytes.
        name: what an error calls them.

    Raises:
        ArtefactError: The bytes are not prepared audio, are damaged, or a newer dubfew wrote them.
    """
    try:
        arrays, header = read_tensors_and_header(data, AUDIO_METADATA_KEY)
        check_format_version(header["format_version"], AUDIO_FORMAT_VERSION, f"the sound of {name}")
        # Times would be wrong at another rate, without any other sign.
        if header["rate"] != SPEECH_SAMPLE_RATE_HZ or not np.isfinite(header["start"]):
            raise ValueError("another rate, or no time")
        samples = arrays["samples"].astype(np.float32) / INT16_MAX
        return SegmentAudio(float(header["start"]), samples, arrays["mel"], arrays["times"])
    except TENSOR_READ_ERRORS as error:
        raise ArtefactError(f"{name} holds no prepared sound: prepare the data again") from error


@dataclass(frozen=True)
class AudioChunk:
    """Audio of one chunk of a clip, and the channel of its recording.

    Attributes:
        first_sample: number of the first sample in the clip, a multiple of ``MEL_HOP_SAMPLES``.
        samples: mono at 16 kHz. [n]
        channel: level and tilt of these samples.
    """

    first_sample: int
    samples: NDArray[np.float32]
    channel: RecordingChannel

    def segment_audio(self, frame_times: NDArray[np.float64], stop_seconds: float) -> SegmentAudio:
        """Cut out the audio of a segment.

        Args:
            frame_times: times of the segment's video frames, s. [N]
            stop_seconds: end of the segment's last frame, s.
        """
        low, high = _hop_range(float(frame_times[0]), stop_seconds)
        offset = self.first_sample // MEL_HOP_SAMPLES
        samples = self.samples[(low - offset) * MEL_HOP_SAMPLES : (high - offset) * MEL_HOP_SAMPLES]
        mel = log_mel(self.samples, channel=self.channel, start=low - offset, stop=high - offset)
        return SegmentAudio(
            low * MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ, samples, mel, frame_times
        )


def _hop_range(start_seconds: float, stop_seconds: float) -> tuple[int, int]:
    """Return the first 10 ms step that touches a time range (s), and the step after the last."""
    first = start_seconds * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES + _STEP_TOLERANCE
    stop = stop_seconds * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES - _STEP_TOLERANCE
    return int(first), int(np.ceil(stop))


class AudioChunkReader:
    """Reads the audio of a clip in order, in memory that does not grow with the clip.

    Must be closed.
    """

    def __init__(self, path: Path, info: VideoInfo) -> None:
        """Open a clip.

        Args:
            path: the clip.
            info: its properties.
        """
        self._blocks = stream_audio(path, SPEECH_SAMPLE_RATE_HZ) if info.has_audio else None
        self._buffer = np.zeros(0, np.float32)
        self._buffer_start = 0

    def close(self) -> None:
        """Close the file."""
        if self._blocks is not None:
            self._blocks.close()  # type: ignore[attr-defined]

    def read_between(self, start_seconds: float, stop_seconds: float) -> AudioChunk | None:
        """Read the audio between two times.

        Args:
            start_seconds: start, s; no earlier than the start of any chunk read before.
            stop_seconds: end, s.

        Returns:
            The chunk; None where the clip has no audio there, or only silence. Audio that cannot
            be decoded counts as missing: the frames are worth having without it.
        """
        low, high = (hop * MEL_HOP_SAMPLES for hop in _hop_range(start_seconds, stop_seconds))
        # Decode until the end of the range is in the buffer.
        try:
            while self._blocks is not None and self._buffer_start + len(self._buffer) < high:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._buffer = np.concatenate([self._buffer, block])
        except MediaError:
            self._blocks = None
        # Forget what lies before; later chunks do not need it.
        dropped = min(max(0, low - self._buffer_start), len(self._buffer))
        self._buffer, self._buffer_start = self._buffer[dropped:], self._buffer_start + dropped
        # Decoders may exceed full scale a little.
        samples = np.clip(self._buffer[: max(0, high - low)], -1, 1)
        if (
            self._buffer_start != low
            or not len(samples)
            or np.abs(samples).max() < MIN_AUDIBLE_PEAK
        ):
            return None
        return AudioChunk(low, samples, estimate_channel(samples))
