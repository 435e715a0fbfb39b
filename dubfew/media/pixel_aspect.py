"""Pixel aspect of finished files in containers whose muxer PyAV gives no way to state it.

Matroska, WebM and AVI keep the shape of pixels in their own headers. FFmpeg writes it there from a
field of the stream that PyAV cannot set, so the headers are completed after the file is written.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path

# Text that is put before the name of the video track of Matroska files that are being written. It
# takes the place that the shape of the pixels takes later, so that nothing behind it moves. 24
# bytes hold both numbers and the padding between them.
MATROSKA_PLACEHOLDER = "-" * 24
# Bytes at the start of a file in which its headers lie. Cover pictures lie behind them.
_HEADER_BYTES = 1 << 20
# Element ids of Matroska (RFC 9559).
_SEGMENT, _TRACKS, _TRACK_ENTRY = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae"
_VIDEO, _NAME, _CRC, _VOID = b"\xe0", b"\x53\x6e", b"\xbf", b"\xec"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT = b"\x54\xb0", b"\x54\xba"
_DISPLAY_UNIT = b"\x54\xb2"  # "unknown" where the muxer was told no shape

# Header of a video's properties in AVI: tokens and rates, the picture's aspect (denominator first),
# its size, and one field of the same size.
_AVI_PROPERTIES = struct.Struct("<5I2H3I8I")


@dataclass(frozen=True)
class _Element:
    """An element of Matroska: its id, where its content lies, and how long its header is."""

    name: bytes
    start: int
    content: int
    end: int


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction) -> bool:
    """Write the shape of pixels into the headers of a finished .mkv, .webm or .avi file.

    Args:
        path: file that `VideoWriter` has written.
        width: width of the picture, px.
        height: height of the picture, px.
        aspect: width of a pixel over its height.

    Returns:
        False if the place for it was not found; the file is then as it was.
    """
    is_avi = path.suffix.lower() == ".avi"
    with open(path, "r+b") as file:
        head = bytearray(file.read(_HEADER_BYTES))
        if is_avi:
            changed = _write_to_avi(head, width, height, aspect)
        else:
            changed = _write_to_matroska(head, width, height, aspect)
        if changed:
            file.seek(0)
            file.write(head)
    return changed


def _write_to_avi(head: bytearray, width: int, height: int, aspect: Fraction) -> bool:
    """Put a video properties header (OpenDML) in the place of padding in the video's headers."""
    start = head.find(b"vids") - 8  # begin of the stream's first header, strh
    if start < 8:
        return False
    # The list of the stream's headers: "LIST", its size, "strl", then the headers.
    end = start + struct.unpack_from("<I", head, start - 8)[0] - 4
    place = start
    while place + 8 <= min(end, len(head)):
        name, size = head[place : place + 4], struct.unpack_from("<I", head, place + 4)[0]
        if name == b"JUNK" and size >= _AVI_PROPERTIES.size + 16:
            shape = aspect * width / height
            # Two numbers of 16 bits; a ratio beyond them is rounded.
            if max(shape.numerator, shape.denominator) >= 1 << 16:
                shape = shape.limit_denominator(4096)
            picture = (width, height, shape.denominator, shape.numerator, width, height, 1)
            fields = (0, 0, 0, *picture, height, width, height, width, 0, 0, 0, 0)
            content = _AVI_PROPERTIES.pack(*fields)
            rest = size - len(content) - 8
            head[place : place + 8 + len(content) + 8] = (
                b"vprp"
                + struct.pack("<I", len(content))
                + content
                + b"JUNK"
                + struct.pack("<I", rest)
            )
            return True
        place += 8 + size + size % 2
    return False


def _write_to_matroska(head: bytearray, width: int, height: int, aspect: Fraction) -> bool:
    """Put the display size in the place of the placeholder in the video track's name."""
    tracks = _find(head, _SEGMENT, _TRACKS)
    if tracks is None:
        return False
    for entry in _children(head, tracks.content, tracks.end):
        if entry.name != _TRACK_ENTRY:
            continue
        # The placeholder marks the track that `VideoWriter` made; tracks of others stay as they
        # are.
        parts = _children(head, entry.content, entry.end)
        name = next((part for part in parts if part.name == _NAME), None)
        video = next((part for part in parts if part.name == _VIDEO), None)
        if name is None or video is None:
            continue
        title = bytes(head[name.content : name.end])
        if not title.startswith(MATROSKA_PLACEHOLDER.encode()):
            continue
        # Each element: id, a size of 4 bytes (0x84), and the value.
        size = b"".join(
            identifier + b"\x84" + value.to_bytes(4, "big")
            for identifier, value in zip(
                (_DISPLAY_WIDTH, _DISPLAY_HEIGHT), _display_size(width, height, aspect), strict=True
            )
        )
        # What the muxer wrote of the display's size contradicts the new one.
        kept = [
            bytes(head[part.start : part.end])
            for part in _children(head, video.content, video.end)
            if part.name not in (_DISPLAY_UNIT, _DISPLAY_WIDTH, _DISPLAY_HEIGHT)
        ]
        content = b"".join([*kept, size])
        # The name that the scene's own track had comes back behind the placeholder.
        rest = title[len(MATROSKA_PLACEHOLDER) :]
        pieces = [bytes(head[part.start : part.end]) for part in parts if part not in (name, video)]
        pieces.append(_VIDEO + _size_bytes(len(content)) + content)
        if rest:
            pieces.append(_NAME + _size_bytes(len(rest)) + rest)
        # Nothing behind the track may move, so what is left is filled with an empty element: 2
        # bytes of header, and a size of one byte, which holds 126 at most.
        spare = entry.end - entry.content - sum(map(len, pieces))
        if spare < 2 or spare > 128:
            return False
        pieces.append(_VOID + bytes([0x80 | (spare - 2)]) + bytes(spare - 2))
        head[entry.content : entry.end] = b"".join(pieces)
        # Players that check it would refuse the whole list of tracks.
        _renew_checksum(head, tracks)
        return True
    return False


def _display_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return whole numbers whose ratio is that of the picture, the smaller side as it is stored."""
    across = width * aspect.numerator
    down = height * aspect.denominator
    common = gcd(across, down)
    exact = (across // common, down // common)
    # Players take these for a size in pixels, so they should be near to it.
    times = max(1, round(height / exact[1]))
    return exact[0] * times, exact[1] * times


def _renew_checksum(head: bytearray, parent: _Element) -> None:
    """Compute the checksum of a master element again, where it begins with one."""
    first = next(iter(_children(head, parent.content, parent.end)), None)
    if first is not None and first.name == _CRC:
        checksum = zlib.crc32(bytes(head[first.end : parent.end]))
        head[first.content : first.end] = checksum.to_bytes(4, "little")


def _find(head: bytearray, *names: bytes) -> _Element | None:
    """Find an element by the ids on the way to it."""
    start, end, found = 0, len(head), None
    for name in names:
        found = next((each for each in _children(head, start, end) if each.name == name), None)
        if found is None:
            return None
        start, end = found.content, min(found.end, len(head))
    return found if found is not None and found.end <= len(head) else None


def _children(head: bytearray, start: int, end: int) -> list[_Element]:
    """List the elements that begin between two places of the header."""
    found = []
    while start + 2 <= min(end, len(head)):
        # The number of leading zero bits gives the length of an id and of a size.
        id_length = 9 - head[start].bit_length()
        if id_length > 4:
            break
        place = start + id_length
        if place >= len(head):
            break
        size_length = 9 - head[place].bit_length()
        if size_length > 8:
            break
        raw = int.from_bytes(head[place : place + size_length], "big")
        size = raw & ((1 << 7 * size_length) - 1)
        content = place + size_length
        # A size of ones alone is unknown: to the end of the file.
        unknown = size == (1 << 7 * size_length) - 1
        stop = max(end, len(head)) if unknown else content + size
        found.append(_Element(bytes(head[start:place]), start, content, stop))
        start = stop
    return found


def _size_bytes(size: int) -> bytes:
    """Encode a size of an element in as few bytes as possible."""
    for length in range(1, 9):
        if size < (1 << 7 * length) - 1:
            return (size | 1 << 7 * length).to_bytes(length, "big")
    raise ValueError(f"an element of {size} bytes has no size in Matroska")
