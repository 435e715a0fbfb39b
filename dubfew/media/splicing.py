"""Packets of an earlier video that go into a new one unchanged, around frames that are new.

Nothing outside of a passage loses anything by a second encoding then. The new frames begin with a
key frame of their own; behind them the old packets go on at the next old key frame.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from dubfew.errors import MediaError
from dubfew.media.codecs import VideoEncoding
from dubfew.media.opening import open_media, video_stream

# Encoders whose streams can be cut at key frames. Those of other encoders begin groups of pictures
# with frames that need the group before.
SPLICED_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "prores_ks", "dnxhd", "ffv1")
# FFmpeg's names of the codecs of these encoders that split their packets into units (NAL units).
_UNIT_CODECS = ("h264", "hevc")
# Types of units: parameter sets, and pictures at which a decoder begins anew (IDR).
_PARAMETER_TYPES = {"h264": (7, 8), "hevc": (32, 33, 34)}
_REFRESH_TYPES = {"h264": (5,), "hevc": (19, 20)}
# Frames that x264 and x265 decode before one that is shown earlier, at most, with a pyramid of B
# frames.
_MAX_REORDERED_FRAMES = 2
_START_CODE = b"\0\0\0\1"


@dataclass(frozen=True)
class KeptPackets:
    """Packets of an earlier video around frames that are encoded anew.

    Attributes:
        path: the earlier video.
        first: first frame that is encoded anew; as many packets before it are kept.
        stop: frame after the last one that is encoded anew; the packets from it on are kept.
        stamps: time of each frame after the first one, in ticks of ``time_base``, rising.
        durations: time for which each frame is shown, ticks.
        time_base: seconds per tick.
        depth: frames by which decoding is ahead of showing.
    """

    path: Path
    first: int
    stop: int
    stamps: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    depth: int

    @property
    def count(self) -> int:
        """Number of frames whose packets are kept."""
        return self.first + len(self.stamps) - self.stop


def find_kept_packets(path: Path, first: int, stop: int) -> KeptPackets | None:
    """Find the packets of a video that can stay while some frames are encoded anew.

    Before the passage all packets stay but for some that are decoded after a later frame of it.
    Behind it they stay from the next key frame on.

    Args:
        path: the video, written by dubfew.
        first: first frame of the passage.
        stop: frame after the last one of the passage, above ``first``.

    Returns:
        The packets; None where no frame could be kept, or the file has no usable times.

    Raises:
        MediaError: The video cannot be read.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        codec = stream.codec_context.codec.canonical_name
        base = Fraction(stream.time_base or Fraction(1, 90000))
        found = [
            (packet.pts, packet.duration or 0, _begins_anew(packet, codec))
            for packet in container.demux(stream)
            if packet.size
        ]
    times = [pts for pts, _, _ in found if pts is not None]
    stamps = sorted(set(times))
    # Every packet is a frame with a time of its own, and the first one is shown first.
    if len(stamps) != len(found) or not stamps or times[0] != stamps[0]:
        return None
    if not 0 <= first < stop <= len(stamps):
        return None
    ranks = {stamp: rank for rank, stamp in enumerate(stamps)}
    order = [ranks[time] for time in times]  # of the packets in the file
    # Frames 0 to n are the first packets of the file wherever those packets show no later frame.
    highest, cuts = -1, {0}
    for position, rank in enumerate(order):
        highest = max(highest, rank)
        if highest == position:
            cuts.add(position + 1)
    kept = max(cut for cut in cuts if cut <= first)
    resumed = next(
        (cut for cut in sorted(cuts) if stop <= cut < len(order) and found[cut][2]), len(order)
    )
    if not kept and resumed == len(order):
        return None
    shown = {ranks[time]: duration for time, (_, duration, _) in zip(times, found, strict=True)}
    return KeptPackets(
        path=path,
        first=kept,
        stop=resumed,
        stamps=tuple(stamp - stamps[0] for stamp in stamps),
        durations=tuple(shown[rank] for rank in range(len(stamps))),
        time_base=base,
        depth=max(position - rank for position, rank in enumerate(order)),
    )


def fits_encoder(kept: KeptPackets, encoding: VideoEncoding, stream: av.VideoStream) -> bool:
    """Tell whether new packets can stand between old ones in one stream.

    Args:
        kept: the old packets.
        encoding: how the new ones are encoded.
        stream: stream of the new ones, whose encoder is open.

    Raises:
        MediaError: The earlier video cannot be read.
    """
    container = encoding.container
    if encoding.codec.encoder not in SPLICED_ENCODERS or not container.allows_any_times:
        return False
    new = stream.codec_context
    with open_media(kept.path) as opened:
        old = video_stream(opened, kept.path).codec_context
        codec = old.codec.canonical_name
        if codec in _UNIT_CODECS and not _has_long_lengths(old.extradata or b"", codec):
            return False
        if codec in (*_UNIT_CODECS, "ffv1"):
            same = _parameters(old.extradata, codec) == _parameters(new.extradata, codec)
        else:
            # Other codecs state all in every frame. The pixel format chooses the profile of VP9.
            same = codec == "vp9" or old.profile == new.profile
        return (
            same
            and codec == new.codec.canonical_name
            and (old.width, old.height, old.pix_fmt) == (new.width, new.height, new.pix_fmt)
        )


class PacketSplicer:
    """Times old and new packets of one stream, in the order in which they are written."""

    def __init__(self, kept: KeptPackets, stream: av.VideoStream) -> None:
        """Open nothing yet; the earlier video is read while it is copied.

        Args:
            kept: the old packets.
            stream: stream that is written.
        """
        self._kept = kept
        self._stream = stream
        context = stream.codec_context
        reorders = context.codec.canonical_name in _UNIT_CODECS and context.max_b_frames != 0
        self._depth = max(kept.depth, _MAX_REORDERED_FRAMES if reorders else 0)
        self._position = 0
        self._ranks: dict[int, int] = {}  # of frames in the encoder, by their times there
        self._packets = self._read_kept()

    def is_kept(self, index: int) -> bool:
        """Tell whether the packet of a frame is an old one."""
        return not self._kept.first <= index < self._kept.stop

    def next_kept(self) -> av.Packet:
        """Return the next old packet; there is one for each frame that is kept.

        Raises:
            MediaError: There are more frames than packets.
        """
        packet = next(self._packets, None)
        if packet is None:
            raise MediaError(f"{self._kept.path} has fewer frames than are written")
        return packet

    def close(self) -> None:
        """Close the earlier video."""
        self._packets.close()

    def expect(self, pts: int, index: int) -> None:
        """Note the number of a frame that is given to the encoder at a time.

        Args:
            pts: presentation time of the frame, in the encoder's time base.
            index: number of the frame in the output.
        """
        self._ranks[pts] = index

    def time_encoded(self, packet: av.Packet) -> av.Packet:
        """Give a packet of the encoder its time among the others."""
        assert packet.pts is not None
        return self._time(packet, self._ranks.pop(packet.pts))

    def _time(self, packet: av.Packet, rank: int) -> av.Packet:
        """Give a packet its times: decoding is ahead of showing by the same number everywhere."""
        kept = self._kept
        packet.time_base = kept.time_base
        packet.pts = kept.stamps[rank]
        ahead = self._position - self._depth
        step = kept.stamps[1] if len(kept.stamps) > 1 else 1
        packet.dts = kept.stamps[ahead] if ahead >= 0 else ahead * step
        packet.duration = kept.durations[rank]
        packet.stream = self._stream
        self._position += 1
        return packet

    def _read_kept(self) -> Generator[av.Packet, None, None]:
        """Yield the old packets with their times, first those before the passage."""
        kept = self._kept
        ranks = {stamp: rank for rank, stamp in enumerate(kept.stamps)}
        with open_media(kept.path) as container:
            stream = video_stream(container, kept.path)
            codec = stream.codec_context.codec.canonical_name
            origin: int | None = None
            packets = (packet for packet in container.demux(stream) if packet.size)
            # The first frame that is shown is the first packet.
            for position, packet in enumerate(packets):
                assert packet.pts is not None
                origin = packet.pts if origin is None else origin
                if self.is_kept(position):
                    rank = ranks[packet.pts - origin]
                    yield self._time(_with_start_codes(packet, codec), rank)


def _begins_anew(packet: av.Packet, codec: str) -> bool:
    """Tell whether a decoder can begin with a packet and needs nothing before it."""
    if not packet.is_keyframe or codec not in _UNIT_CODECS:
        return packet.is_keyframe
    units = _split_lengths(bytes(packet))
    return any(_unit_type(unit, codec) in _REFRESH_TYPES[codec] for unit in units)


def _unit_type(unit: bytes, codec: str) -> int:
    """Return the type of a unit."""
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def _split_lengths(data: bytes) -> list[bytes]:
    """Split a packet of MP4 or Matroska into units, each of which follows its length in 4 bytes."""
    units, place = [], 0
    while place + 4 < len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "big")
        units.append(data[place + 4 : end])
        place = end
    return [unit for unit in units if unit]


def _with_start_codes(packet: av.Packet, codec: str) -> av.Packet:
    """Return a packet in the form that encoders write, with start codes in place of lengths."""
    if codec not in _UNIT_CODECS:
        return packet
    units = _split_lengths(bytes(packet))
    made = av.Packet(b"".join(_START_CODE + unit for unit in units))
    made.is_keyframe = packet.is_keyframe
    return made


def _has_long_lengths(extradata: bytes, codec: str) -> bool:
    """Tell whether a file states the lengths of units in 4 bytes, as all of FFmpeg's do."""
    place = 4 if codec == "h264" else 21
    return len(extradata) > place and extradata[0] == 1 and extradata[place] & 3 == 3


def _parameters(extradata: bytes | None, codec: str) -> Sequence[bytes]:
    """List what a decoder must know before the first frame, whatever form it is stored in."""
    data = extradata or b""
    if codec not in _UNIT_CODECS:
        return [data]
    units = _split_record(data, codec) if data[:1] == b"\1" else _split_start_codes(data)
    # Encoders sign their streams in further units.
    return sorted(unit for unit in units if _unit_type(unit, codec) in _PARAMETER_TYPES[codec])


def _split_start_codes(data: bytes) -> list[bytes]:
    """Split a stream with start codes of 3 or 4 bytes into units."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.strip(b"\0")]


def _split_record(data: bytes, codec: str) -> list[bytes]:
    """Read the parameter sets of a file's decoder configuration record (ISO/IEC 14496-15)."""
    units: list[bytes] = []
    if codec == "h264":
        place, counts = 5, (data[5] & 0x1F, None)
        for count in counts:
            number = data[place] if count is None else count
            place += 1
            for _ in range(number):
                end = place + 2 + int.from_bytes(data[place : place + 2], "big")
                units.append(data[place + 2 : end])
                place = end
        return units
    place = 23
    for _ in range(data[22]):
        number = int.from_bytes(data[place + 1 : place + 3], "big")
        place += 3
        for _ in range(number):
            end = place + 2 + int.from_bytes(data[place : place + 2], "big")
            units.append(data[place + 2 : end])
            place = end
    return units
