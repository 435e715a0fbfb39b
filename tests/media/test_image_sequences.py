"""Sequences of pictures: what is not painted keeps its values to the bit, in every format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from dubfew.errors import MediaError, OutputExistsError
from dubfew.media import VideoWriter, probe, read_frames
from dubfew.media.facts import read_facts
from dubfew.media.frame import Frame
from dubfew.media.image_files import read_image, write_image
from dubfew.media.image_sequences import (
    find_sequence,
    make_working_video,
    write_sequence,
)
from dubfew.media.pixels import new_picture

cv2 = pytest.importorskip("cv2")

HEIGHT, WIDTH, FIRST = 24, 40, 1001
# What the "render" of these tests paints.
MOUTH = (slice(10, 16), slice(12, 24))


def _pixels(seed: int, channels: int, kind: type) -> NDArray:
    random = np.random.default_rng(seed).random((HEIGHT, WIDTH, channels))
    return random if kind is float else (random * np.iinfo(kind).max).astype(kind)


def _write_png(path: Path, number: int) -> None:
    _, data = cv2.imencode(".png", _pixels(number, 4, np.uint16))
    raw = data.tobytes()
    # A chunk of an editor before the picture, and one behind it.
    text = b"Comment\0reel A12"
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + text))
    path.write_bytes(raw[:33] + chunk + raw[33:-12] + chunk + raw[-12:])


def _write_tiff(path: Path, number: int) -> None:
    cv2.imwrite(str(path), _pixels(number, 3, np.uint16))


def _write_dpx(path: Path, number: int, bits: int = 10) -> None:
    """As FFmpeg writes it, which is nobody here's code."""
    pix_fmt = f"gbrp{bits}le"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("dpx", rate=24)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
        channels = _pixels(number, 3, np.uint16).T >> (16 - bits)
        for plane, values in zip(frame.planes, channels, strict=True):
            padded = np.zeros((HEIGHT, plane.line_size // 2), np.uint16)
            padded[:, :WIDTH] = values.T
            plane.update(padded.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_exr(path: Path, number: int) -> None:
    exr = pytest.importorskip("OpenEXR")
    values = (_pixels(number, 3, float) * 4 - 0.2).astype(np.float16)  # highlights and negatives
    channels = {name: np.ascontiguousarray(values[..., k]) for k, name in enumerate("RGB")}
    channels["Z"] = _pixels(number, 1, float)[..., 0].astype(np.float32)
    header = {
        "compression": exr.ZIP_COMPRESSION,
        "type": exr.scanlineimage,
        "framesPerSecond": Fraction(24000, 1001),
        "scene": "A12",
        # ACES2065-1 (SMPTE ST 2065-1).
        "chromaticities": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    }
    with exr.File(header, channels) as file:
        file.write(str(path))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "exr": _write_exr,
    "dpx": _write_dpx,
    "png": _write_png,
    "tif": _write_tiff,
}


def _write_pictures(folder: Path, kind: str, count: int = 3) -> Path:
    for number in range(FIRST, FIRST + count):
        WRITERS[kind](folder / f"shot.{number}.{kind}", number)
    return folder / f"shot.####.{kind}"


def _paint(scene: Path, dub: Path, frames: tuple[int, ...] = (1,)) -> None:
    """Change the middle of some frames, as a render without loss does."""
    with VideoWriter(dub, probe(scene), lossless=True, codec="ffv1") as writer:
        for frame in read_frames(scene):
            planes = [plane.copy() for plane in frame.planes()]
            if frame.index in frames:
                planes[0][MOUTH] = planes[0][MOUTH] // 2 + 6400
            picture = new_picture(frame.pix_fmt, WIDTH, HEIGHT, tuple(planes))
            writer.write(Frame(picture, frame.index, frame.stamp, frame.duration, frame.color))


def _round_trip(folder: Path, kind: str) -> tuple[Path, Path]:
    """Dub a sequence; return the second picture before and after."""
    pattern = _write_pictures(folder, kind)
    sequence = find_sequence(pattern)
    assert sequence.numbers == (1001, 1002, 1003)
    scene, dub = folder / "scene.mkv", folder / "dub.mkv"
    make_working_video(sequence, scene, rate=Fraction(24000, 1001))
    _paint(scene, dub)
    painted, _ = write_sequence(
        sequence,
        scene,
        dub,
        folder / "new" / f"dub.%04d.{kind}",
        matte=folder / "new" / "matte.####.png",
    )
    assert painted == 1
    # Frames without paint are the very files, with their numbers.
    for number in (1001, 1003):
        old, new = folder / f"shot.{number}.{kind}", folder / "new" / f"dub.{number}.{kind}"
        assert old.read_bytes() == new.read_bytes()
    return folder / f"shot.1002.{kind}", folder / "new" / f"dub.1002.{kind}"


@pytest.mark.parametrize("kind", WRITERS)
def test_values_outside_of_the_paint_are_equal_to_the_bit(tmp_path: Path, kind: str):
    before, after = (read_image(path).rgb for path in _round_trip(tmp_path, kind))
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[MOUTH] = True
    matte = cv2.imread(str(tmp_path / "new" / "matte.1002.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(matte, np.where(inside, 255, 0))
    assert not cv2.imread(str(tmp_path / "new" / "matte.1001.png")).any()
    assert np.array_equal(before[~inside], after[~inside])
    # Halved luma is darker, and gray stays about as colored as it was.
    assert (after[inside] < before[inside]).mean() > 0.6
    assert np.isfinite(after).all()


@pytest.mark.parametrize(("bits", "pixel_bytes"), [(10, 4), (12, 6)])
def test_dpx_is_read_as_ffmpeg_writes_it_and_every_other_byte_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, pixel_bytes: int
):
    monkeypatch.setitem(WRITERS, "dpx", partial(_write_dpx, bits=bits))
    before, after = _round_trip(tmp_path, "dpx")
    wanted = (_pixels(1002, 3, np.uint16) >> (16 - bits)).astype(np.float32) / (2**bits - 1)
    # FFmpeg's planes are G, B, R.
    np.testing.assert_allclose(read_image(before).rgb, wanted[..., [2, 0, 1]], atol=1e-6)
    old, new = (np.frombuffer(path.read_bytes(), np.uint8) for path in (before, after))
    (offset,) = struct.unpack_from("<I", old.tobytes(), 4)
    assert np.array_equal(old[:offset], new[:offset])
    pixels = (old != new)[offset : offset + pixel_bytes * HEIGHT * WIDTH]
    changed = pixels.reshape(HEIGHT, WIDTH, pixel_bytes)
    assert changed.any()
    changed[MOUTH] = False
    assert not changed.any()


def test_png_keeps_alpha_and_the_chunks_of_others(tmp_path: Path):
    before, after = _round_trip(tmp_path, "png")
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (before, after)]
    assert images[1].dtype == np.uint16
    assert np.array_equal(images[0][..., 3], images[1][..., 3])
    assert after.read_bytes().count(b"tEXtComment\0reel A12") == 2


def test_exr_keeps_header_depth_and_highlights(tmp_path: Path):
    exr = pytest.importorskip("OpenEXR")
    before, after = _round_trip(tmp_path, "exr")
    found = []
    for path in (before, after):
        with exr.File(str(path), separate_channels=True) as file:
            channels = {name: each.pixels for name, each in file.channels().items()}
            found.append((dict(file.header()), channels))
    (old, first), (new, second) = found
    assert new["scene"] == "A12"
    assert new["chromaticities"] == old["chromaticities"]
    assert new["framesPerSecond"] == Fraction(24000, 1001)
    assert second["R"].dtype == np.float16
    assert np.array_equal(first["Z"], second["Z"])
    # Light above white lives on outside of the paint.
    assert second["G"][0].max() > 2
    assert np.array_equal(first["G"][0], second["G"][0])


def test_a_painted_gradient_has_no_steps_of_ten_bits(tmp_path: Path):
    exr = pytest.importorskip("OpenEXR")
    gray = np.full((HEIGHT, WIDTH), 0.18, np.float16)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    with exr.File(header, dict.fromkeys("RGB", gray)) as file:
        file.write(str(tmp_path / "a.0001.exr"))
    sequence = find_sequence(tmp_path / "a.%04d.exr")
    scene, dub = tmp_path / "s.mkv", tmp_path / "d.mkv"
    make_working_video(sequence, scene, rate=Fraction(24))
    # A render's colors are floats: here from 120 to 121 of 255 over the width.
    levels = np.linspace(120, 121, WIDTH, dtype=np.float32)
    patch = np.broadcast_to(levels[None, :, None], (12, WIDTH, 3)).astype(np.float32)
    with VideoWriter(dub, probe(scene), lossless=True) as writer:
        for frame in read_frames(scene):
            assert frame.is_deep
            read = frame.crop_levels(0, 0, WIDTH, HEIGHT)
            assert read.mean() == pytest.approx(255 * 0.4614, abs=0.02)  # sRGB of 0.18
            writer.write(frame.with_patch(0, 6, patch, np.ones((12, WIDTH), bool)))
    assert probe(dub).pix_fmt == "yuv444p16le"
    write_sequence(sequence, scene, dub, tmp_path / "new.%04d.exr")
    found = read_image(tmp_path / "new.0001.exr").rgb[10, :, 1].astype(np.float64)
    wanted = ((levels.astype(np.float64) / 255 + 0.055) / 1.055) ** 2.4
    # Within a step of half floats, 2^-13 here; steps of ten bits are five times as wide.
    np.testing.assert_allclose(found, wanted, atol=1.3e-4)
    assert len(np.unique(found)) > 13


def test_lossy_exr_is_written_without_loss(tmp_path: Path):
    exr = pytest.importorskip("OpenEXR")
    pattern = tmp_path / "a.%04d.exr"
    plane = _pixels(1, 1, float)[..., 0].astype(np.float16)
    header = {"compression": exr.DWAA_COMPRESSION, "type": exr.scanlineimage}
    with exr.File(header, dict.fromkeys("RGB", plane)) as file:
        file.write(str(tmp_path / "a.0001.exr"))
    sequence = find_sequence(pattern)
    make_working_video(sequence, tmp_path / "s.mkv", rate=Fraction(24))
    _paint(tmp_path / "s.mkv", tmp_path / "d.mkv", (0,))
    _, notes = write_sequence(
        sequence, tmp_path / "s.mkv", tmp_path / "d.mkv", tmp_path / "new.%04d.exr"
    )
    assert "ZIP" in notes[0]
    before, after = (read_image(tmp_path / name).rgb for name in ("a.0001.exr", "new.0001.exr"))
    assert np.array_equal(before[0], after[0])


@pytest.mark.parametrize("kind", ["tiles", "overscan"])
def test_exr_of_other_layouts_keep_them(tmp_path: Path, kind: str):
    exr = pytest.importorskip("OpenEXR")
    plane = _pixels(1, 1, float)[..., 0].astype(np.float16)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    if kind == "tiles":
        header |= {"type": exr.tiledimage, "tiles": exr.TileDescription()}
    else:
        corners = np.array([-4, -2], np.int32), np.array([WIDTH - 5, HEIGHT - 3], np.int32)
        header["dataWindow"] = corners
    source, out = tmp_path / "a.exr", tmp_path / "b.exr"
    with exr.File(header, dict.fromkeys("RGB", plane)) as file:
        file.write(str(source))
    before = read_image(source).rgb
    changed = np.zeros((HEIGHT, WIDTH), bool)
    changed[MOUTH] = True
    write_image(source, out, np.zeros_like(before), changed)
    after = read_image(out).rgb
    assert np.array_equal(before[~changed], after[~changed])
    assert not after[changed].any()
    with exr.File(str(out), separate_channels=True) as file:
        found = dict(file.header())
    assert found["type"] == header["type"]
    if kind == "overscan":
        assert np.array_equal(found["dataWindow"][0], corners[0])


def test_the_video_has_rate_and_timecode_of_the_pictures(tmp_path: Path):
    sequence = find_sequence(_write_pictures(tmp_path, "png", 1))
    with pytest.raises(MediaError, match="give --fps"):
        make_working_video(sequence, tmp_path / "a.mkv")
    info = make_working_video(sequence, tmp_path / "a.mkv", rate=Fraction(24))
    assert (info.fps, info.width, info.height, info.pix_fmt) == (24, WIDTH, HEIGHT, "yuv444p16le")
    # Frame 1001 at 24 frames/s.
    assert read_facts(tmp_path / "a.mkv").timecode == "00:00:41:17"


def test_patterns(tmp_path: Path):
    for number in (7, 8, 9, 11):
        (tmp_path / f"a{number:03d}.png").write_bytes(b"x")
    with pytest.raises(MediaError, match="lacks 1 frames: 10"):
        find_sequence(tmp_path / "a%03d.png")
    found = find_sequence(tmp_path / "a[007-009].png")
    assert found.numbers == (7, 8, 9)
    assert found.name_frame(10, found.files[0]) == "a010.png"
    assert find_sequence(tmp_path / "a[007-008].png").numbers == (7, 8)
    for bad, message in (
        ("b###.png", "no picture fits"),
        ("a001.png", "no place for a number"),
        ("a###.jpg", "is no sequence of"),
        ("a[005-009].png", "names 5 to 9"),
    ):
        with pytest.raises(MediaError, match=message):
            find_sequence(tmp_path / bad)


def test_wrong_videos_and_places_are_refused(tmp_path: Path):
    sequence = find_sequence(_write_pictures(tmp_path, "png"))
    scene, dub = tmp_path / "scene.mkv", tmp_path / "dub.mkv"
    make_working_video(sequence, scene, rate=Fraction(24))
    with pytest.raises(MediaError, match="would replace"):
        write_sequence(sequence, scene, scene, tmp_path / "shot.%04d.png")
    # Encoded with loss: nearly every pixel is another one.
    with VideoWriter(dub, probe(scene), codec="libx264", crf=40) as writer:
        for frame in read_frames(scene):
            writer.write(frame)
    with pytest.raises(MediaError, match="--lossless"):
        write_sequence(sequence, scene, dub, tmp_path / "new.%04d.png")
    (tmp_path / "new.1001.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_sequence(sequence, scene, scene, tmp_path / "new.%04d.png")
    assert (tmp_path / "new.1001.png").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["dpx", "png", "tif"])
def test_damaged_pictures_are_told_by_name(tmp_path: Path, kind: str):
    _write_pictures(tmp_path, kind, 1)
    path = tmp_path / f"shot.1001.{kind}"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(MediaError, match=path.name):
        read_image(path)
