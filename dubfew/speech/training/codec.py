"""Sound sent through a lossy codec and back, in memory, without moving it in time."""

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
    """An encoder of FFmpeg's, set up as recordings of speech meet it.

    Attributes:
        name: FFmpeg's, such as ``libopus``.
        sample_rate: Hz that the sound is brought to first.
        bit_rates: to choose from, bit/s; empty where the codec has only one.
    """

    name: str
    sample_rate: int
    bit_rates: tuple[int, ...] = ()


SPEECH_CODECS = (
    LossyCodec("libopus", SPEECH_SAMPLE_RATE_HZ, (8000, 12000, 16000, 24000)),  # calls and messages
    LossyCodec("libopus", 8000, (6000, 9000)),
    LossyCodec(
        "aac", SPEECH_SAMPLE_RATE_HZ, (12000, 16000, 24000, 32000)
    ),  # the sound of web video
    LossyCodec("libmp3lame", SPEECH_SAMPLE_RATE_HZ, (16000, 24000, 32000)),
    LossyCodec("pcm_mulaw", 8000),  # G.711, the telephone network
)


@lru_cache(maxsize=1)
def available_codecs() -> tuple[LossyCodec, ...]:
    """Those of ``SPEECH_CODECS`` that this PyAV can encode; its wheels have all, a build may lack "
    "some."""
    return tuple(codec for codec in SPEECH_CODECS if codec.name in av.codecs_available)


def apply_codec(samples: FloatArray, codec: LossyCodec, bit_rate: int | None = None) -> FloatArray:
    """What is left of a sound, each sample where it was.

    Args:
        samples: 16 kHz, mono, within [-1, 1]. [n]
        codec: to go through.
        bit_rate: bit/s; None where there is no choice.

    Returns:
        The same length. [n]
    """
    if not len(samples):
        return samples
    # Zero phase, unlike a decoder's own resampling.
    sent = resample_poly(samples, codec.sample_rate, SPEECH_SAMPLE_RATE_HZ).astype(np.float32)
    heard, start = _decode(*_encode(sent, codec, bit_rate))
    out = np.zeros(len(samples), np.float32)
    low, high = max(0, start), min(len(out), start + len(heard))
    out[low:high] = heard[low - start : high - start]
    return out


def _encode(
    samples: FloatArray, codec: LossyCodec, bit_rate: int | None
) -> tuple[AudioCodecContext, list[av.Packet]]:
    encoder = cast(AudioCodecContext, av.CodecContext.create(codec.name, "w"))
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
    """The sound at 16 kHz and the number of its first sample."""
    decoder = cast(AudioCodecContext, av.CodecContext.create(encoder.codec.canonical_name, "r"))
    decoder.sample_rate, decoder.layout = encoder.sample_rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    rate = frames[0].sample_rate  # Opus gives 48 kHz whatever it was given
    # A decoder that cuts the encoder's padding off its first frame leaves that frame's time as
    # it was: the second frame's is right.
    start = -frames[0].samples if len(frames) > 1 else 0
    timed = frames[min(1, len(frames) - 1)]
    if timed.pts is not None and timed.time_base is not None:
        start += round(timed.pts * timed.time_base * rate)
    sound = np.concatenate([to_float_samples(frame)[0] for frame in frames])
    return resample_poly(sound, SPEECH_SAMPLE_RATE_HZ, rate).astype(np.float32), round(
        start * SPEECH_SAMPLE_RATE_HZ / rate
    )
