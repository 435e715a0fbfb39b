"""Decoding of audio to float samples that stand in time with the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.media.downmix import MonoDownmixer
from dubfew.media.joins import JoinedClock, allows_clock_leaps
from dubfew.media.opening import audio_stream, audio_streams, open_media, video_stream

AudioSamples = NDArray[np.float32]

# Gaps and overlaps between packets that are longer than this are filled or cut, s. Shorter ones
# are rounding of the container's clock, up to a few milliseconds in MPEG streams.
_GAP_TOLERANCE_SECONDS = 0.04

# Peak below which a recording counts as silent (full scale is 1): an empty sound track with its
# dither stays below it, a whisper does not.
MIN_AUDIBLE_PEAK = 1e-3

# PyAV reads past the planes of frames with this many of them or more; such frames are packed
# first.
_MAX_READABLE_PLANES = 8

# Rate of delivered sound, and the lowest rate that editors accept, Hz. 48 kHz is the rate of film
# and television; music is at 44.1 kHz, which all editors convert.
DELIVERY_RATE_HZ, MIN_DELIVERY_RATE_HZ = 48_000, 44_100


@dataclass(frozen=True)
class Audio:
    """A mono recording.

    Attributes:
        samples: full scale is [-1, 1]. [n]
        rate: sample rate, Hz.
    """

    samples: AudioSamples
    rate: int

    @property
    def duration(self) -> float:
        """Return the length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class MixedSound:
    """Sound that is mixed into an `AudioSource`, from the same time on.

    Attributes:
        path: any file with a sound track.
        track: number of the sound track, from 1; None is the main one.
        gain_db: gain, dB.
    """

    path: Path
    track: int | None = None
    gain_db: float = 0.0


@dataclass(frozen=True)
class AudioSource:
    """Sound for `VideoWriter` to put beside the picture.

    Packets are copied unchanged where the container takes the codec and the source is played from
    its start and not looped. Otherwise they are decoded and encoded again (AAC, in WebM Opus), at
    the source's rate and channels where the codec has them. Mixed sound is always encoded, in the
    layout of the two that has more channels.

    Attributes:
        path: any file with a sound track.
        start: time in the source that meets the first frame, s.
        duration: time to play, s; None plays to the source's end.
        loop: start again from ``start`` when the source ends before ``duration``.
        pad: fill with silence up to ``duration`` when the source ends before it. False lets the
            track end early, which players show as silence too, and which allows copying.
        track: number of the sound track, from 1; None is the main one.
        rate: sample rate of sound that is encoded, Hz; None is the source's. With a rate, packets
            below `MIN_DELIVERY_RATE_HZ` are not copied.
        mix: sound to add, or None.
        title: name that players show for the track, in containers that have one; "" keeps the
            source's.
    """

    path: Path
    start: float = 0.0
    duration: float | None = None
    loop: bool = False
    pad: bool = True
    track: int | None = None
    rate: int | None = None
    mix: MixedSound | None = None
    title: str = ""


def read_audio(
    path: Path | str,
    rate: int = 16000,
    *,
    track: int | None = None,
    seconds: float | None = None,
) -> Audio:
    """Read the sound track of a file, mixed to mono.

    In a video the first sample is at the time of the first frame: sound that begins later is
    preceded by silence, sound before it is cut. In an audio file it is the first sample. More than
    two channels are mixed with the center weighed most and without the bass channel (LFE);
    channels that would cancel each other are turned over (see `MonoDownmixer`).

    Args:
        path: a video or audio file.
        rate: sample rate of the result, Hz; 16000 is what the speech model needs.
        track: number of the sound track, from 1; None is the main one.
        seconds: time to read, s; None reads all.

    Raises:
        MediaError: The file is unreadable, has no sound track, or the track has no samples.
    """
    # One or two samples may become none at another rate; concatenate needs at least one array.
    blocks = [np.zeros(0, np.float32)]
    left = math.inf if seconds is None else round(seconds * rate)
    for block in stream_audio(path, rate, block=rate, track=track):
        blocks.append(block[: int(min(left, len(block)))])
        left -= len(block)
        if left <= 0:
            break
    return Audio(np.concatenate(blocks), rate)


def stream_audio(
    path: Path | str, rate: int = 16000, block: int = 16000, *, track: int | None = None
) -> Iterator[AudioSamples]:
    """Read a sound track like `read_audio`, in blocks and constant memory.

    Args:
        path: a video or audio file.
        rate: sample rate of the result, Hz.
        block: samples per block; the last one is shorter.
        track: number of the sound track, from 1; None is the main one.

    Yields:
        Mono samples. [block]

    Raises:
        MediaError: The file is unreadable, has no sound track, or the track has no samples.
    """
    with AudioReader(Path(path), track) as reader:
        rest = np.zeros(0, np.float32)
        downmixer = reader.make_downmixer()
        for samples in resample_blocks(
            (downmixer.mix(b) for b in reader.iter_blocks()), reader.rate, rate
        ):
            # Decoded blocks have sizes of their own: collect them and cut blocks of one size.
            rest = np.concatenate([rest, samples[0]])
            while len(rest) >= block:
                yield rest[:block]
                rest = rest[block:]
        if len(rest):
            yield rest


class AudioReader:
    """The sound track of a file, in time with the file's picture. A context manager.

    Attributes:
        rate: sample rate, Hz.
        channels: number of channels.
        layout: FFmpeg's name of the channel layout, such as "stereo" or "5.1(side)".
        offset: time by which the track begins after the picture, s; negative if before.
        duration: length that the file states, s; None where it states none.
    """

    def __init__(self, path: Path, track: int | None = None) -> None:
        """Prepare to read; the file is opened on entering the context.

        Args:
            path: a video or audio file.
            track: number of the sound track, from 1; None is the main one.
        """
        self.path = path
        self.track = track
        self._opened = open_media(path)

    def __enter__(self) -> AudioReader:
        self.container: InputContainer = self._opened.__enter__()
        try:
            stream = self._find_stream()
            context = stream.codec_context
            if not context.sample_rate or not context.channels:
                raise _no_samples_error(self.path)
        except MediaError:
            self._opened.__exit__(None, None, None)
            raise
        self.stream = stream
        # Facts of the stream that all users need.
        self.rate: int = context.sample_rate
        self.channels: int = context.channels
        self.layout = _layout_name(context.layout.name, self.channels)
        self.time_base = Fraction(stream.time_base or Fraction(1, self.rate))
        # Times count from the picture's first frame, so that sound and picture stay in step.
        self.origin = self._find_origin()
        self.offset = (
            0.0
            if stream.start_time is None
            else float(stream.start_time * self.time_base - self.origin)
        )
        self.duration = float(stream.duration * self.time_base) if stream.duration else None
        # Some containers state the length of the whole file only, in microseconds.
        if self.duration is None and self.container.duration:
            self.duration = self.container.duration / 1e6
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(None, None, None)

    def _find_stream(self) -> av.AudioStream:
        """Find the wanted sound track."""
        stream = audio_stream(self.container)
        if stream is None:
            raise MediaError(f"{self.path} has no sound: give a file with a sound track")
        if self.track is None:
            return stream
        streams = audio_streams(self.container)
        if not 1 <= self.track <= len(streams):
            raise MediaError(
                f"{self.path} has no sound track {self.track}: it has {len(streams)}, counted "
                "from 1"
            )
        return streams[self.track - 1]

    def _find_origin(self) -> Fraction:
        """Find the time of the first frame, or else of the first sample, on the file's clock."""
        try:
            # An audio file raises here; its own first sample is the origin then.
            picture = video_stream(self.container, self.path)
            start, base = picture.start_time, picture.time_base
        except MediaError:
            start, base = self.stream.start_time, self.time_base
        return Fraction(0) if start is None or base is None else start * Fraction(base)

    def iter_blocks(self) -> Iterator[AudioSamples]:
        """Decode samples from the picture's first moment on, with gaps filled by silence.

        Yields:
            Samples of all channels. [channels, n]

        Raises:
            MediaError: Nothing can be decoded, or the rate or number of channels changes.
        """
        position = 0  # samples delivered so far
        has_samples = False
        packer = av.AudioResampler(format="flt")
        clock = self.make_clock()
        for frame in self._decode_frames():
            if frame.sample_rate != self.rate or frame.layout.nb_channels != self.channels:
                raise MediaError(
                    f"the sound of {self.path} changes its rate or channels midway: "
                    "convert it to WAV first"
                )
            has_samples = True
            if frame.format.is_planar and self.channels >= _MAX_READABLE_PLANES:
                (frame,) = packer.resample(frame)
            samples = to_float_samples(frame)
            # Fill gaps with silence and cut overlaps. Before the first sample even small ones
            # count: they are the offset between sound and picture.
            if frame.pts is not None:
                base = Fraction(frame.time_base or self.time_base)
                # How far the frame lies behind the samples delivered so far, in samples.
                time = clock.follow(frame.pts * base, Fraction(frame.samples, self.rate))
                late = round((time - self.origin) * self.rate) - position
                if late > (_GAP_TOLERANCE_SECONDS * self.rate if position else 0):
                    yield from _silence(late, self.channels, self.rate)
                    position += late
                elif late < (-_GAP_TOLERANCE_SECONDS * self.rate if position else 0):
                    samples = samples[:, -late:]
            position += samples.shape[1]
            if samples.shape[1]:
                yield samples
        if not has_samples:
            raise _no_samples_error(self.path)

    def _decode_frames(self) -> Iterator[av.AudioFrame]:
        """Decode all frames that can be decoded."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None  # the end of a truncated file
            # Damaged packets are skipped; time stamps keep the rest in place.
            with suppress(av.FFmpegError):
                yield from self.stream.decode(packet)
            # Demuxing ends with an empty packet, which flushes the decoder; a truncated
            # file ends with None.
            if packet is None or (packet.dts is None and not packet.size):
                return

    def make_clock(self) -> JoinedClock:
        """Make what follows the track's times across joined recordings."""
        return JoinedClock(self.path, leaps=allows_clock_leaps(self.container))

    def make_downmixer(self) -> MonoDownmixer:
        """Make what mixes the blocks of this track to mono."""
        names = [channel.name for channel in self.stream.codec_context.layout.channels]
        return MonoDownmixer(names, self.channels, self.rate)


def other_tracks(path: Path, without: int | None = None) -> list[int]:
    """List the numbers of a file's sound tracks, from 1, without one of them.

    Args:
        path: a video or audio file.
        without: number of the track to leave out, from 1; None is the main one.

    Raises:
        MediaError: The file is unreadable.
    """
    with open_media(path) as container:
        main = audio_stream(container)
        numbers = []
        for number, stream in enumerate(audio_streams(container), 1):
            is_main = main is not None and stream.index == main.index
            if number != without if without is not None else not is_main:
                numbers.append(number)
        return numbers


def _no_samples_error(path: Path) -> MediaError:
    """Make the error for a sound track without samples."""
    return MediaError(f"the sound track of {path} holds no samples: give a file with sound in it")


def _silence(count: int, channels: int, rate: int) -> Iterator[AudioSamples]:
    """Yield ``count`` silent samples in blocks of at most a second."""
    for start in range(0, count, rate):
        yield np.zeros((channels, min(rate, count - start)), np.float32)


def _layout_name(name: str, channels: int) -> str:
    """Return a layout with named channels; WAV files often only count them."""
    usual = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
    return usual.get(channels, name) if name.endswith("channels") else name


def to_float_samples(frame: av.AudioFrame) -> AudioSamples:  # [channels, n]
    """Convert a frame's samples of any type to floats in [-1, 1]; NaN becomes silence."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    # 8-bit samples are unsigned with silence at 128, wider ones are signed.
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        scale = 2.0 ** (8 * samples.dtype.itemsize - 1)
        return (samples / scale).astype(np.float32)
    # Encoders refuse NaN and infinity, and filters would spread them to their neighbors.
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return finite.astype(np.float32, copy=False)


def resample_blocks(
    blocks: Iterator[AudioSamples], rate: int, target_rate: int, layout: str = "mono"
) -> Iterator[AudioSamples]:
    """Resample a stream of blocks.

    The output is round(n * target_rate / rate) samples long in all, whatever delay the filter has.

    Args:
        blocks: samples in order. [channels, n] each
        rate: sample rate of the blocks, Hz.
        target_rate: sample rate of the result, Hz.
        layout: FFmpeg's name of the channel layout of the blocks.

    Yields:
        Samples at the target rate. [channels, m]
    """
    if rate == target_rate:
        yield from blocks
        return
    resampler = av.AudioResampler(format="flt", layout=layout, rate=target_rate)
    taken = given = 0
    channels = 1

    for block in blocks:
        channels = len(block)
        for out in resampler.resample(make_audio_frame(block, rate, layout, taken)):
            given += out.samples
            yield to_float_samples(out)
        taken += block.shape[1]
    # The filter's delay makes the output too short or too long; fill or cut its end.
    missing = round(taken * target_rate / rate) - given
    tail = [to_float_samples(out) for out in resampler.resample(None)]
    tail.append(np.zeros((channels, max(0, missing)), np.float32))
    yield np.concatenate(tail, axis=1)[:, : max(0, missing)]


def make_audio_frame(
    samples: AudioSamples, rate: int, layout: str, first_sample: int
) -> av.AudioFrame:
    """Make PyAV's frame of samples.

    Args:
        samples: samples in [-1, 1]. [channels, n]
        rate: sample rate, Hz.
        layout: FFmpeg's name of the channel layout.
        first_sample: number of the first sample in its track, which sets the frame's time.
    """
    packed = np.ascontiguousarray(samples.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
    frame.sample_rate = rate
    frame.time_base = Fraction(1, rate)
    frame.pts = first_sample
    return frame
