"""Encoding of audio: packets of an `AudioSource` for a container, copied or encoded one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Disposition

from dubfew.errors import MediaError
from dubfew.media.audio import (
    MIN_DELIVERY_RATE_HZ,
    AudioReader,
    AudioSamples,
    AudioSource,
    make_audio_frame,
    resample_blocks,
    to_float_samples,
)
from dubfew.media.carried import copy_stream_tags
from dubfew.media.codecs import ContainerFormat
from dubfew.media.mixing import (
    change_layout,
    channel_names,
    count_channels,
    find_lost_channels,
    mix_blocks,
)

# A track that begins by more than this before the picture is decoded and cut, s. Less is an
# encoder's priming, which must stay with its packets.
_MAX_PRIMING_SECONDS = 0.1
# Silence missing at the end that is shorter than this is not worth encoding the whole track
# again, s.
_END_TOLERANCE_SECONDS = 0.1
# Bit rate per channel at 44.1 kHz and more: that of masters for the web. FFmpeg's AAC encoder is
# transparent for nearly all material there.
_BITS_PER_SECOND_PER_CHANNEL = 128_000
# Layouts that players know, to which others are mixed; most channels first.
_COMMON_LAYOUTS = ("7.1", "6.1", "5.1", "5.0", "quad", "stereo")


class AudioTrack:
    """Feeds one `AudioSource` into a container that is being written.

    Attributes:
        is_copied: True if packets go in unchanged.
        note: one line about what becomes of the sound's channels, or "".
    """

    def __init__(self, source: AudioSource, container: ContainerFormat) -> None:
        """Check the source's times; no file is opened yet.

        Args:
            source: sound, and the part of it to play.
            container: format that is written.

        Raises:
            MediaError: A time is negative, or looped sound has no end.
        """
        if source.duration is not None and source.duration < 0:
            raise MediaError(f"sound duration {source.duration} s: give a positive number")
        if source.start < 0:
            raise MediaError(f"sound start {source.start} s: give 0 or more")
        if source.loop and source.duration is None:
            raise MediaError("looped sound has no end: give a duration")
        self._source = source
        self._container = container
        self._packets: Iterator[tuple[float, av.Packet]] = iter(())
        self._time = 0.0
        self.is_copied = False
        self.note = ""

    def open(self, output: OutputContainer, stack: ExitStack, *, is_main: bool = True) -> None:
        """Add the track's stream to a container.

        Args:
            output: container that is being written.
            stack: closes the source later.
            is_main: True for the track that players choose by themselves.

        Raises:
            MediaError: The source cannot be read or has no sound.
        """
        reader = stack.enter_context(AudioReader(self._source.path, self._source.track))
        self.is_copied = self._can_copy(reader, output)
        if self.is_copied:
            stream = output.add_stream_from_template(reader.stream)
            self._packets = self._copy_packets(reader, stream)
        else:
            mixed = self._source.mix
            bed = None
            if mixed is not None:
                bed = stack.enter_context(AudioReader(mixed.path, mixed.track))
            stream, layout = self._add_encoded_stream(reader, bed, output)
            self._packets = self._encode_packets(reader, bed, stream, layout)
        copy_stream_tags(reader.stream, stream, self._container)
        if self._source.title:
            # Players of MP4 read the one or the other.
            stream.metadata["title"] = stream.metadata["handler_name"] = self._source.title
        stream.disposition = Disposition.default if is_main else Disposition(0)

    def packets_until(self, time: float) -> Iterator[av.Packet]:
        """Yield the packets that are due before ``time``, s; infinity yields all the rest."""
        while self._time <= time:
            self._time, packet = next(self._packets, (float("inf"), None))
            if packet is None:
                return
            yield packet

    def _can_copy(self, reader: AudioReader, output: OutputContainer) -> bool:
        """Decide whether the source's packets can go in unchanged."""
        source, name = self._source, reader.stream.codec_context.codec.canonical_name
        # Packets cannot be cut or repeated, so the source must be played whole from its start.
        allowed = self._container.copied_audio_codecs
        if not (name in allowed or ("*" in allowed and name in output.supported_codecs)):
            return False
        if source.mix is not None:
            return False
        if source.rate is not None and reader.rate < MIN_DELIVERY_RATE_HZ:
            return False
        if self._container.audio_rate not in (None, reader.rate):
            return False
        if source.start > 0 or source.loop or reader.offset < -_MAX_PRIMING_SECONDS:
            return False
        if source.duration is None or not source.pad or reader.duration is None:
            return True
        return reader.duration + reader.offset + _END_TOLERANCE_SECONDS >= source.duration

    def _copy_packets(
        self, reader: AudioReader, stream: av.AudioStream
    ) -> Iterator[tuple[float, av.Packet]]:
        # Times count from the picture's first frame.
        """Yield time and packet, in s, of the source's packets, moved to the picture's clock."""
        base, last = reader.time_base, None
        clock, end = reader.make_clock(), self._source.duration
        for packet in reader.container.demux(reader.stream):
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is None or not packet.size or packet.is_corrupt:
                continue
            length = (packet.duration or 0) * base
            pts = round((clock.follow(pts * base, length) - reader.origin) / base)
            time = float(pts * base)
            # Drop everything after the requested duration.
            if end is not None:
                if time >= end:
                    return
                packet = _trim_packet(packet, reader, end - time)
            packet.pts = packet.dts = pts  # sound is never reordered
            if last is not None and packet.pts <= last:
                continue  # a stutter of the source's clock; muxers refuse it
            last = packet.pts
            packet.stream = stream
            yield time, packet

    def _add_encoded_stream(
        self, reader: AudioReader, bed: AudioReader | None, output: OutputContainer
    ) -> tuple[av.AudioStream, str]:
        """Add a stream at the nearest rate and layout that the encoder has."""
        name = self._container.audio_encoder
        codec = av.Codec(name, "w")
        rates = sorted(codec.audio_rates or ())
        rate = self._container.audio_rate or self._source.rate or reader.rate
        # The next higher rate of the encoder loses nothing; the highest one is the fallback.
        if rates and rate not in rates:
            rate = next((r for r in rates if r > rate), rates[-1])
        wanted = _widest_layout(reader, bed)
        layout = _supported_layout(name, wanted, rate)
        if layout != wanted:
            self.note = _describe_other_layout(reader.path.name, wanted, layout)
        for each in (reader, bed):
            if each is not None and _is_mixed_down(each):
                self.note = (
                    f"the {each.channels} channels of {each.path.name} have no places: they are "
                    "mixed into one, on both sides"
                )
        stream = output.add_stream(name, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = layout
        channels = stream.codec_context.channels
        stream.codec_context.bit_rate = _audio_bit_rate(channels, rate)
        stream.codec_context.time_base = Fraction(1, rate)
        return stream, layout

    def _encode_packets(
        self, reader: AudioReader, bed: AudioReader | None, stream: av.AudioStream, layout: str
    ) -> Iterator[tuple[float, av.Packet]]:
        """Yield time and packet, in s, of the source decoded and encoded again."""
        rate = stream.codec_context.sample_rate
        source_rate, source_layout = reader.rate, _output_layout(reader)
        blocks = _mix_placeless(_cut_blocks(self._source, reader), reader)
        if bed is not None:
            source_layout, source_rate = _widest_layout(reader, bed), rate
            blocks = _mix_bed(self._source, reader, bed, rate)
        mixer = av.AudioResampler(format="flt", layout=layout, rate=source_rate)
        position = 0  # samples given to the encoder

        def mix_to_layout() -> Iterator[AudioSamples]:
            place = 0
            for block in blocks:
                frame = make_audio_frame(block, source_rate, source_layout, place)
                place += block.shape[1]
                for out in mixer.resample(frame):
                    yield to_float_samples(out)

        for block in resample_blocks(mix_to_layout(), source_rate, rate, layout):
            if not block.shape[1]:
                continue
            frame = make_audio_frame(block, rate, layout, position)
            position += block.shape[1]
            for packet in stream.encode(frame):
                yield position / rate, packet
        for packet in stream.encode(None):
            yield position / rate, packet


def measure_mix_peak(source: AudioSource) -> float:
    """Measure the largest magnitude of a source with what is mixed into it; 1 is full scale.

    Args:
        source: sound with a ``mix``.

    Raises:
        MediaError: A file cannot be read, or the layouts cannot be mixed.
    """
    assert source.mix is not None
    with (
        AudioReader(source.path, source.track) as reader,
        AudioReader(source.mix.path, source.mix.track) as bed,
    ):
        blocks = _mix_bed(source, reader, bed, source.rate or reader.rate)
        return max((float(np.abs(block).max(initial=0)) for block in blocks), default=0.0)


def _mix_bed(
    source: AudioSource, reader: AudioReader, bed: AudioReader, rate: int
) -> Iterator[AudioSamples]:
    """Yield the source's samples with the other sound mixed in, in the layout of the wider one."""
    layout, mix = _widest_layout(reader, bed), source.mix
    blocks = mix_blocks(
        _convert_blocks(_cut_blocks(source, reader), reader, rate, layout),
        _convert_blocks(
            _skip_samples(bed.iter_blocks(), round(source.start * bed.rate)),
            bed,
            rate,
            layout,
        ),
        0.0 if mix is None else mix.gain_db,
    )
    return _limit_duration(blocks, source.duration, rate)


def _limit_duration(
    blocks: Iterator[AudioSamples], seconds: float | None, rate: int
) -> Iterator[AudioSamples]:
    """Cut a stream of samples after some seconds."""
    left = math.inf if seconds is None else round(seconds * rate)
    for block in blocks:
        if left <= 0:
            return
        yield block[:, : int(min(left, block.shape[1]))]
        left -= block.shape[1]


def _cut_blocks(source: AudioSource, reader: AudioReader) -> Iterator[AudioSamples]:
    """Yield the source's samples from ``start`` for ``duration``, looped and padded."""
    rate = reader.rate
    left = None if source.duration is None else round(source.duration * rate)
    with ExitStack() as stack:
        # Every turn plays the source once; looping opens it again.
        while left is None or left > 0:
            played = 0
            for block in _skip_samples(reader.iter_blocks(), round(source.start * rate)):
                block = block if left is None else block[:, :left]
                played += block.shape[1]
                left = None if left is None else left - block.shape[1]
                yield block
                if left == 0:
                    return
            if not source.loop:
                break
            if not played:
                raise MediaError(
                    f"the sound of {source.path} ends before {source.start} s: start earlier"
                )
            reader = stack.enter_context(AudioReader(source.path, source.track))
    if left is not None and source.pad:
        for start in range(0, left, rate):
            yield np.zeros((reader.channels, min(rate, left - start)), np.float32)


def _trim_packet(packet: av.Packet, reader: AudioReader, seconds: float) -> av.Packet:
    """Cut a packet to ``seconds`` if it is PCM, which can be cut at any sample."""
    pcm = re.fullmatch(r"pcm_[suf](\d+)[lb]?e?", reader.stream.codec_context.codec.canonical_name)
    if pcm is None:
        return packet
    # The codec's name states the bits per sample.
    size = round(seconds * reader.rate) * reader.channels * int(pcm[1]) // 8
    if size >= packet.size:
        return packet
    part = av.Packet(bytes(packet)[:size])
    part.time_base = packet.time_base
    part.is_keyframe = True
    return part


def _skip_samples(blocks: Iterator[AudioSamples], skip: int) -> Iterator[AudioSamples]:
    """Drop the first ``skip`` samples."""
    for block in blocks:
        if skip < block.shape[1]:
            yield block[:, skip:]
        skip = max(0, skip - block.shape[1])


def _audio_bit_rate(channels: int, rate: int) -> int:
    """Compute the bit rate: 192 kbit/s for stereo at 44.1 or 48 kHz, else in proportion."""
    return int(_BITS_PER_SECOND_PER_CHANNEL * channels * min(1.0, max(rate, 16000) / 44100))


def _convert_blocks(
    blocks: Iterator[AudioSamples], reader: AudioReader, rate: int, layout: str
) -> Iterator[AudioSamples]:
    """Convert a track's blocks to another rate and a layout with at least as many channels."""
    own = _output_layout(reader)
    placed = _mix_placeless(blocks, reader)
    return change_layout(resample_blocks(placed, reader.rate, rate, own), own, layout)


def _is_mixed_down(reader: AudioReader) -> bool:
    """Return True if channels have no places, so that no mix of FFmpeg's makes them heard."""
    return reader.layout.endswith("channels")


def _output_layout(reader: AudioReader) -> str:
    """Return the layout in which a track goes on: its own, or stereo where it has no places."""
    return "stereo" if _is_mixed_down(reader) else reader.layout


def _mix_placeless(blocks: Iterator[AudioSamples], reader: AudioReader) -> Iterator[AudioSamples]:
    """Mix channels without places into one, on both sides; others pass."""
    if not _is_mixed_down(reader):
        return blocks
    downmixer = reader.make_downmixer()
    return (np.repeat(downmixer.mix(block), 2, axis=0) for block in blocks)


def _widest_layout(reader: AudioReader, bed: AudioReader | None) -> str:
    """Return the layout with more channels; that of the source if both have as many."""
    layout = _output_layout(reader)
    if bed is not None and count_channels(_output_layout(bed)) > count_channels(layout):
        return _output_layout(bed)
    return layout


def _describe_other_layout(name: str, layout: str, other: str) -> str:
    """Say in one line in which layout a track goes on, and which channels are not heard then."""
    count, lost = count_channels(layout), find_lost_channels(layout, other)
    verb = "are mixed to" if count > count_channels(other) else "go out as"
    without = f", without {' and '.join(lost)}" if lost else ""
    return (
        f"this format's sound has no {layout}: the {count} channels of {name} "
        f"{verb} {other}{without}"
    )


def _nearest_layouts(wanted: str) -> list[str]:
    """List layouts that a track may go on in, best first.

    First comes one that only calls side channels back channels, such as 5.1 for 5.1(side), then
    those that have all of its channels and more, then those with fewer.
    """
    names = channel_names(wanted)
    backs = [{"SL": "BL", "SR": "BR"}.get(name, name) for name in names]
    equal = [each for each in _COMMON_LAYOUTS if channel_names(each) == backs]
    wider = [each for each in _COMMON_LAYOUTS if set(names) < set(channel_names(each))]
    fewer = [each for each in _COMMON_LAYOUTS if len(channel_names(each)) <= len(names)]
    return [wanted, *equal, *reversed(wider), *fewer]


def _supported_layout(encoder: str, wanted: str, rate: int) -> str:
    """Return the wanted layout, or the nearest one that the encoder opens with."""
    for layout in _nearest_layouts(wanted):
        # Only opening tells whether an encoder takes a layout.
        context = av.CodecContext.create(encoder, "w")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate = rate
        context.layout = layout
        context.format = (context.codec.audio_formats or [av.AudioFormat("fltp")])[0]
        context.time_base = Fraction(1, rate)
        try:
            context.open()
        except (av.FFmpegError, ValueError):
            continue
        return layout
    return "stereo"
