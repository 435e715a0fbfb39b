"""Lossy coding of sound and back, in memory, without a shift in time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from scipy.signal import resample_poly

from dubfew.media.audio import make_audio_frame, to_float_samples
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.utils.arrays import FloatArray


@dataclass(frozen=True)
class LossyCodec:
    """An audio encoder, set up for speech.

    Attributes:
        name: FFmpeg's name, such as ``libopus``.
        sample_rate: rate to which the sound is resampled first, Hz.
        bit_rates: bit rates to choose from, bit/s; empty for codecs with a single one.
    """

    name: str
    sample_rate: int
    bit_rates: tuple[int, ...] = ()


# Codecs that recordings of speech go through, at the low bit rates at which they change the sound:
# calls and messages, web video, old audio files, the telephone network (G.711).
SPEECH_CODECS = (
    LossyCodec("libopus", SPEECH_SAMPLE_RATE_HZ, (8000, 12000, 16000, 24000)),
    LossyCodec("libopus", 8000, (6000, 9000)),
    LossyCodec("aac", SPEECH_SAMPLE_RATE_HZ, (12000, 16000, 24000, 32000)),
    LossyCodec("libmp3lame", SPEECH_SAMPLE_RATE_HZ, (16000, 24000, 32000)),
    LossyCodec("pcm_mulaw", 8000),
)


@lru_cache(maxsize=1)
def available_codecs() -> tuple[LossyCodec, ...]:
    """List those of `SPEECH_CODECS` that this build of PyAV can encode; its wheels have all."""
    return tuple(codec for codec in SPEECH_CODECS if codec.name in av.codecs_available)


def apply_codec(samples: FloatArray, codec: LossyCodec, bit_rate: int | None = None) -> FloatArray:
    """Encode and decode a sound; each sample stays at its time.

    Args:
        samples: mono at 16 kHz, in [-1, 1]. [n]
        codec: codec to use.
        bit_rate: bit/s; None for codecs with a single one.

    Returns:
        As many samples. [n]
    """
    if not len(samples):
        return samples
    # This resampling has zero phase, unlike that of decoders.
    sent = resample_poly(samples, codec.sample_rate, SPEECH_SAMPLE_RATE_HZ).astype(np.float32)
    received, start = _decode(*_encode(sent, codec, bit_rate))
    # Put the decoded samples where they belong, and cut what the encoder added.
    out = np.zeros(len(samples), np.float32)
    low, high = max(0, start), min(len(out), start + len(received))
    out[low:high] = received[low - start : high - start]
    return out


def _encode(
    samples: FloatArray, codec: LossyCodec, bit_rate: int | None
) -> tuple[AudioCodecContext, list[av.Packet]]:
    """Encode samples; returns the encoder, whose settings the decoder needs, and the packets."""
    encoder = cast(AudioCodecContext, av.CodecContext.create(codec.name, "w"))
    # The first sample format that the encoder supports.
    form = (encoder.codec.audio_formats or [av.AudioFormat("s16")])[0]
    encoder.sample_rate, encoder.layout, encoder.format = codec.sample_rate, "mono", form
    encoder.time_base = Fraction(1, codec.sample_rate)
    if bit_rate is not None:
        encoder.bit_rate = bit_rate
    converter = av.AudioResampler(form, "mono", codec.sample_rate)
    frames = converter.resample(make_audio_frame(samples[None], codec.sample_rate, "mono", 0))
    packets = [packet for frame in [*frames, None] for packet in encoder.encode(frame)]
    return encoder, packets


def _decode(encoder: AudioCodecContext, packets: list[av.Packet]) -> tuple[FloatArray, int]:
    """Decode packets to samples at 16 kHz, and find the number of the first sample."""
    # The decoder needs the encoder's settings, which a file would carry.
    decoder = cast(AudioCodecContext, av.CodecContext.create(encoder.codec.canonical_name, "r"))
    decoder.sample_rate, decoder.layout = encoder.sample_rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    rate = frames[0].sample_rate  # Opus decodes to 48 kHz whatever was encoded
    # A decoder that cuts the encoder's padding off the first frame does not change that frame's
    # time; the time of the second frame is right.
    start = -frames[0].samples if len(frames) > 1 else 0
    timed = frames[min(1, len(frames) - 1)]
    if timed.pts is not None and timed.time_base is not None:
        start += round(timed.pts * timed.time_base * rate)
    sound = np.concatenate([to_float_samples(frame)[0] for frame in frames])
    return resample_poly(sound, SPEECH_SAMPLE_RATE_HZ, rate).astype(np.float32), round(
        start * SPEECH_SAMPLE_RATE_HZ / rate
    )
