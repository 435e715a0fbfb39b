"""Single pictures of a sequence: EXR, DPX, PNG and TIFF, read as numbers and written back.

Writing replaces some pixels of a file and keeps the rest of it: every other sample to the bit, and
header, other channels and attributes where the format's writer allows it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import MediaError
from dubfew.utils.files import check_input_file, write_atomic
from dubfew.utils.import_utils import import_optional

# Formats of sequences by suffix.
IMAGE_SUFFIXES = (".exr", ".dpx", ".png", ".tif", ".tiff")
# Largest picture that is read, pixels: 16K at 2:1. A header may say anything.
_MAX_PIXELS = 16384 * 8192
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# DPX (SMPTE 268M-2003): descriptor of RGB, and offsets in the header.
_DPX_RGB, _DPX_RGBA = 50, 51
_DPX_MAGIC = {b"SDPX": ">", b"XPDS": "<"}
# The parts of the header that every file has, and the whole with film's and television's parts.
_DPX_SHORT_HEADER_BYTES, _DPX_HEADER_BYTES = 1664, 2048
# Timecode and frame rate in DPX's television header; all ones is undefined.
_DPX_TIMECODE_OFFSET, _DPX_RATE_OFFSET = 1920, 1940
_DPX_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class StoredImage:
    """A picture of a sequence.

    Attributes:
        path: its file.
        rgb: values as stored; integers are divided by their largest value. [H, W, 3] float32
        largest: largest value of its integers; 0 for floating point.
        rate: frame rate that the file states, or None.
        timecode: timecode that it states, such as "01:00:00:00", or "".
        corners: red, green, blue and white, x and y, that it states; empty if it states none.
    """

    path: Path
    rgb: NDArray[np.float32]
    largest: int
    rate: Fraction | None = None
    timecode: str = ""
    corners: tuple[tuple[float, float], ...] = field(default=())


def read_image(path: Path) -> StoredImage:
    """Read a picture.

    Args:
        path: .exr, .dpx, .png, .tif or .tiff.

    Raises:
        MediaError: The file does not exist, is damaged, or has a form that is not read.
        MissingDependencyError: The package that reads its format is not installed.
    """
    check_input_file(path)
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return _read_exr(path)
    if suffix == ".dpx":
        return _Dpx(path).read()
    image = _read_integers(path)
    largest = int(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else 0
    rgb = image[..., 2::-1].astype(np.float32) / (largest or 1)
    return StoredImage(path, rgb, largest)


def write_image(
    source: Path,
    out: Path,
    rgb: NDArray[np.float32],  # [H, W, 3]
    changed: NDArray[np.bool_],  # [H, W]
) -> str:
    """Write a copy of a picture in which some pixels are other ones, atomically.

    Args:
        source: the picture.
        out: file to write, of the same format.
        rgb: new values, as `StoredImage` has them; only those of changed pixels count. [H, W, 3]
        changed: True where a pixel is replaced. [H, W]

    Returns:
        A note about what could not be kept, or "".

    Raises:
        MediaError: As `read_image`; or the file cannot be written.
    """
    suffix = source.suffix.lower()
    if out.suffix.lower() != suffix:
        raise MediaError(f"{out} is to be {suffix} as {source.name}: end its name so")
    # Nothing has changed: the very file.
    if not changed.any():
        write_atomic(out, source.read_bytes())
        return ""
    if suffix == ".exr":
        return _write_exr(source, out, rgb, changed)
    if suffix == ".dpx":
        write_atomic(out, _Dpx(source).replace(rgb, changed))
        return ""
    image = _read_integers(source)
    largest = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 0
    image[changed, :3] = _to_stored(rgb[changed][:, ::-1], largest, image.dtype)
    if suffix == ".png":
        write_atomic(out, _encode_png(source, image))
        return ""
    cv2 = import_optional("cv2")
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, 5]  # LZW: lossless at all depths
    fine, data = cv2.imencode(".tiff", image, flags)
    if not fine:
        raise MediaError(f"{out} cannot be written")
    write_atomic(out, data.tobytes())
    return "TIFF's tags other than size and depth are not kept"


def write_matte(path: Path, changed: NDArray[np.bool_]) -> None:
    """Write a matte as a gray PNG, atomically.

    Args:
        path: file to write.
        changed: True where it is white. [H, W]

    Raises:
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = import_optional("cv2")
    _, data = cv2.imencode(".png", changed.astype(np.uint8) * 255)
    write_atomic(path, data.tobytes())


def _to_stored(values: NDArray, largest: int, kind: Any) -> NDArray:
    """Bring values to a stored type."""
    if not largest:
        return values.astype(kind)
    return np.clip(np.rint(values * largest), 0, largest).astype(kind)


def _read_integers(path: Path) -> NDArray:
    """Read PNG or TIFF as OpenCV gives it. BGR or BGRA [H, W, C], uint8, uint16 or float32"""
    cv2 = import_optional("cv2")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise MediaError(f"{path} cannot be read as a picture: it is damaged or has another format")
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise MediaError(f"{path} is gray: give pictures in color")
    if image.dtype not in (np.uint8, np.uint16, np.float32):
        raise MediaError(f"{path} has values of type {image.dtype}: 8 or 16 bits, or 32-bit floats")
    return np.asarray(image)


def _encode_png(source: Path, image: NDArray) -> bytes:
    """Encode a PNG with all chunks of its source but the picture's."""
    cv2 = import_optional("cv2")
    fine, data = cv2.imencode(".png", image)
    if not fine:
        raise MediaError(f"{source.name} cannot be encoded as PNG")
    made = [*_png_chunks(data.tobytes())]
    pieces = [_PNG_MAGIC, made[0][1]]
    # Order counts: what describes colors comes before the picture.
    kept = [*_png_chunks(source.read_bytes())]
    first = next(number for number, (kind, _) in enumerate(kept) if kind == b"IDAT")
    skipped = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS")
    pieces += [chunk for kind, chunk in kept[:first] if kind not in skipped]
    pieces += [chunk for kind, chunk in made if kind == b"IDAT"]
    pieces += [chunk for kind, chunk in kept[first:] if kind not in skipped]
    return b"".join([*pieces, made[-1][1]])


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """List the chunks of a PNG: kind, and bytes with length and checksum."""
    place = len(_PNG_MAGIC)
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunk = data[place : place + 12 + length]
        if len(chunk) < 12 + length or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            return
        yield chunk[4:8], chunk
        place += 12 + length


def _read_exr(path: Path) -> StoredImage:
    exr = import_optional("OpenEXR")
    header, channels = _open_exr(exr, path)
    rgb = np.stack([channels[name].astype(np.float32) for name in "RGB"], axis=2)
    rate = header.get("framesPerSecond")
    corners = tuple(float(each) for each in header.get("chromaticities", ()))
    return StoredImage(
        path,
        rgb,
        0,
        Fraction(rate) if rate else None,
        _format_exr_timecode(header.get("timeCode")),
        tuple(zip(corners[::2], corners[1::2], strict=True)),
    )


def _open_exr(exr: Any, path: Path) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read header and channels of the only part of an EXR."""
    try:
        with exr.File(str(path), separate_channels=True) as file:
            if len(file.parts) != 1:
                raise MediaError(f"{path} has {len(file.parts)} parts: give pictures of one part")
            header = dict(file.header())
            channels = {name: each.pixels for name, each in file.channels().items()}
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise MediaError(f"{path} cannot be read as EXR: {reason}") from error
    if not {*"RGB"} <= {*channels}:
        raise MediaError(f"{path} has the channels {', '.join(channels)}: R, G and B are needed")
    shapes = {channels[name].shape for name in "RGB"}
    if len(shapes) > 1 or next(iter(shapes))[0] * next(iter(shapes))[1] > _MAX_PIXELS:
        raise MediaError(f"{path} has channels of several sizes, or too large ones")
    return header, channels


def _write_exr(
    source: Path, out: Path, rgb: NDArray[np.float32], changed: NDArray[np.bool_]
) -> str:
    exr = import_optional("OpenEXR")
    header, channels = _open_exr(exr, source)
    note = ""
    lossless = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "ZSTD")
    if header["compression"].name.removesuffix("_COMPRESSION") not in lossless:
        # Compressed anew, all pixels would change.
        note = f"{header['compression'].name} loses: the pictures are written as ZIP"
        header["compression"] = exr.ZIP_COMPRESSION
    new: dict[str, NDArray] = {}
    for name, pixels in channels.items():
        # OpenEXR 3.5 writes arrays with strides as if they had none.
        new[name] = np.ascontiguousarray(pixels)
        if name in "RGB":
            new[name] = new[name].copy()
            new[name][changed] = rgb[..., "RGB".index(name)][changed].astype(pixels.dtype)
    header.pop("channels", None)
    temporary = out.with_name(f".{out.stem[:40]}.dubfew-new.exr")
    try:
        with exr.File(header, new) as file:
            file.write(str(temporary))
        write_atomic(out, temporary.read_bytes())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:120]
        raise MediaError(f"{out} cannot be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return note


def _format_exr_timecode(code: Any) -> str:
    """Write the time code of an EXR as text, or "" without one."""
    if code is None:
        return ""
    mark = ";" if code.dropFrame else ":"
    return f"{code.hours:02d}:{code.minutes:02d}:{code.seconds:02d}{mark}{code.frame:02d}"


class _Dpx:
    """A DPX with one element, not compressed: RGB or RGBA of 8, 12 or 16 bits, or RGB of 10 bits.

    Three numbers of 10 bits fill a word of 32, one of 12 bits the upper part of a word of 16.

    Source: SMPTE 268M-2003, File Format for Digital Moving-Picture Exchange.

    Args:
        path: the file.

    Raises:
        MediaError: It is no DPX, or of another form.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._data = path, path.read_bytes()
        order = _DPX_MAGIC.get(self._data[:4])
        if order is None or len(self._data) < _DPX_SHORT_HEADER_BYTES:
            raise MediaError(f"{path} is no DPX, or damaged")
        self._order = order
        (self._offset,) = self._unpack("I", 4)
        _, elements, width, height = self._unpack("HHII", 768)
        (descriptor, _, _, bits, packing, encoding) = self._unpack("BBBBHH", 800)
        (self._element_offset,) = self._unpack("I", 808)
        start = self._element_offset
        self._offset = self._offset if start in (0, _DPX_UNDEFINED) else start
        self._size = (height, width)
        self._bits, self._count = bits, 4 if descriptor == _DPX_RGBA else 3
        known = descriptor == _DPX_RGB and bits == 10 and packing == 1
        is_sampled = bits in (8, 16) or (bits == 12 and packing == 1)
        known = known or (descriptor in (_DPX_RGB, _DPX_RGBA) and is_sampled)
        if elements != 1 or encoding not in (0, 0xFFFF) or not known:
            raise MediaError(
                f"{path} is a DPX of {bits} bits, packing {packing}, descriptor {descriptor}: RGB "
                "of 8, 10 or 12 (filled, method A) or 16 bits is read; export it so"
            )
        # Lowest bits of a sample that are filling.
        self._filling = 4 if bits == 12 else 0
        self._words = self._view_words()

    def read(self) -> StoredImage:
        """Read the picture."""
        largest = (1 << self._bits) - 1
        if self._bits == 10:
            samples = np.stack([(self._words >> shift) & 1023 for shift in (22, 12, 2)], axis=2)
        else:
            samples = self._words[..., :3] >> self._filling
        rgb = samples.astype(np.float32) / largest
        # Files may end their header before television's part, as FFmpeg's do.
        if self._offset < _DPX_HEADER_BYTES:
            return StoredImage(self._path, rgb, largest)
        (rate,) = self._unpack("f", _DPX_RATE_OFFSET)
        # Rates are single floats: 23.976 is the nearest of television's.
        exact = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 240 else None
        return StoredImage(self._path, rgb, largest, exact, self._read_timecode())

    def replace(self, rgb: NDArray[np.float32], changed: NDArray[np.bool_]) -> bytes:
        """Return the file with some pixels replaced; all other bytes stay."""
        data = bytearray(self._data)
        words = self._words.copy()
        stored = _to_stored(rgb[changed], (1 << self._bits) - 1, np.uint32)
        if self._bits == 10:
            # The two lowest bits of a word are filling, and stay.
            packed = (stored[:, 0] << 22) | (stored[:, 1] << 12) | (stored[:, 2] << 2)
            words[changed] = packed.astype(words.dtype) | (words[changed] & 3)
        else:
            pixels = words[changed]
            filling = pixels[:, :3] & ((1 << self._filling) - 1)
            pixels[:, :3] = (stored << self._filling) | filling
            words[changed] = pixels
        written = words.astype(self._kind()).tobytes()
        data[self._offset : self._offset + len(written)] = written
        return bytes(data)

    def _kind(self) -> np.dtype:
        return np.dtype({8: "u1", 10: f"{self._order}u4"}.get(self._bits, f"{self._order}u2"))

    def _view_words(self) -> NDArray:
        """Return words [H, W] of 10 bits, or samples [H, W, C]."""
        height, width = self._size
        shape = (height, width) if self._bits == 10 else (height, width, self._count)
        kind = self._kind()
        count = int(np.prod([int(each) for each in shape]))
        # Rows of 8 bits are filled to words; other widths would need another reader.
        is_filled = self._bits == 8 and width * self._count % 4
        if not 0 < height * width <= _MAX_PIXELS or is_filled:
            raise MediaError(f"{self._path} has {width}x{height} pixels in a form that is not read")
        if self._offset + count * kind.itemsize > len(self._data):
            raise MediaError(f"{self._path} is cut short: copy it again")
        return np.frombuffer(self._data, kind, count, self._offset).reshape(shape)

    def _read_timecode(self) -> str:
        (code,) = self._unpack("I", _DPX_TIMECODE_OFFSET)
        text = f"{code:08x}"
        if code == _DPX_UNDEFINED or not text.isdecimal():
            return ""
        return ":".join(text[k : k + 2] for k in (0, 2, 4, 6))

    def _unpack(self, form: str, place: int) -> tuple[Any, ...]:
        return struct.unpack_from(self._order + form, self._data, place)
