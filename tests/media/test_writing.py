"""Writing: every frame that goes in comes out, or nothing is left."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubfew.errors import MediaError
from dubfew.media import (
    AudioSource,
    ColorTags,
    Frame,
    VideoInfo,
    VideoWriter,
    probe,
    read_audio,
    read_frames,
)
from dubfew.media.codecs import choose_encoding
from tests.media.pictures import sine, smooth_rgb

RATES = [
    *(Fraction(n * 1000, 1001) for n in (24, 30, 60)),
    *(Fraction(n) for n in (24, 25, 30, 50, 60)),
    Fraction(1350, 61),
]


def copy(source: Path, target: Path, **options) -> VideoInfo:
    info = probe(source)
    with VideoWriter(target, info, **options) as writer:
        for frame in read_frames(source):
            writer.write(frame)
    return info


def made(count: int, width: int, height: int, fps: Fraction | int = 25, **options) -> list[Frame]:
    return [Frame.from_rgb(smooth_rgb(height, width, n), n, fps, **options) for n in range(count)]


def write(path: Path, frames: list[Frame], fps: Fraction | int = 25, **options) -> None:
    first = frames[0]
    info = VideoInfo(path, first.width, first.height, Fraction(fps), pix_fmt=first.pix_fmt)
    with VideoWriter(path, info, **options) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi"])
def test_frames_out_are_frames_in(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    write(path, made(13, 32, 32, fps), fps)
    frames = list(read_frames(path))
    odd_in_milliseconds = suffix == "mkv" and fps == Fraction(1350, 61)
    if not odd_in_milliseconds:
        assert probe(path).fps == fps
    slack = 0.0006 if odd_in_milliseconds else 0
    assert len(frames) == 13
    assert all(abs(frame.stamp - n / fps) <= slack for n, frame in enumerate(frames))


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(st.integers(1, 40_000), min_size=1, max_size=30),
    base=st.sampled_from([Fraction(1, 90000), Fraction(1, 15360), Fraction(1, 600)]),
    fps=st.sampled_from(RATES),
)
def test_any_presentation_times_are_kept(tmp_path: Path, steps, base, fps) -> None:
    path = tmp_path / "vfr.mp4"
    blank = Frame.from_rgb(np.zeros((32, 32, 3), np.uint8))
    stamps = [base * sum(steps[:n]) for n in range(len(steps) + 1)]
    info = VideoInfo(path, 32, 32, fps, time_base=base)
    with VideoWriter(path, info, preset="ultrafast") as writer:
        for number, stamp in enumerate(stamps):
            writer.write(blank.with_time(number, stamp))
    assert [frame.stamp for frame in read_frames(path)] == stamps


def test_variable_rate_survives_a_copy(make_video, tmp_path: Path) -> None:
    ticks = [0, 33, 70, 95, 190, 191, 400]
    source = make_video(ticks=ticks, count=7, time_base=Fraction(1, 1000))
    for suffix in ("mp4", "mkv"):
        copy(source, tmp_path / f"out.{suffix}")
        out = [frame.stamp for frame in read_frames(tmp_path / f"out.{suffix}")]
        # Half a millisecond where the grid of the mean rate is nearer than Matroska's clock.
        slack = 0 if suffix == "mp4" else 0.001
        assert all(abs(t - Fraction(k, 1000)) <= slack for t, k in zip(out, ticks, strict=True))


def test_a_cut_starts_at_zero(make_video, tmp_path: Path) -> None:
    source, target = make_video(count=12), tmp_path / "cut.mp4"
    with VideoWriter(target, probe(source)) as writer:
        for frame in read_frames(source, start=5):
            writer.write(frame)
    assert [frame.time for frame in read_frames(target)] == [n / 25 for n in range(7)]


@pytest.mark.parametrize(
    ("pix_fmt", "name", "back"),
    [
        ("yuv420p", "a.mp4", "yuv420p"),
        ("yuvj420p", "a.mp4", "yuvj420p"),
        ("yuv422p", "a.mov", "yuv422p"),
        ("yuvj422p", "a.mkv", "yuvj422p"),
        ("yuv444p", "a.mp4", "yuv444p"),
        ("yuvj444p", "a.mp4", "yuvj444p"),
        ("yuv420p10le", "a.mp4", "yuv420p10le"),
        ("yuv422p10le", "a.mkv", "yuv422p10le"),
        ("yuv444p10le", "a.mov", "yuv444p10le"),
        ("nv12", "a.mp4", "yuv420p"),
        ("gray", "a.mkv", "gray"),
        ("rgb24", "a.mkv", "rgb24"),
        ("gbrp", "a.mkv", "rgb24"),
        ("yuv420p", "a.avi", "yuv420p"),
    ],
)
@pytest.mark.parametrize("size", [(32, 24), (33, 25)])
def test_lossless_is_bit_for_bit(tmp_path: Path, pix_fmt, name, back, size) -> None:
    path = tmp_path / name
    frames = made(4, *size, pix_fmt=pix_fmt)
    subsampled = "420" in pix_fmt or "422" in pix_fmt or pix_fmt == "nv12"
    if size == (33, 25) and subsampled and name.endswith(("mp4", "mov")):
        with pytest.raises(MediaError, match=r"bit for bit in \.\w+: write to .mkv"):
            write(path, frames, lossless=True)
        return
    write(path, frames, lossless=True)
    again = list(read_frames(path))
    assert len(again) == 4
    for old, new in zip(frames, again, strict=True):
        if pix_fmt.startswith(("rgb", "gbr")) or pix_fmt == "nv12":
            assert np.array_equal(old.to_rgb(), new.to_rgb())
        else:
            assert new.pix_fmt in (back, back.replace("yuvj", "yuv"))
            for a, b in zip(old.planes(), new.planes(), strict=True):
                assert np.array_equal(a, b)


@pytest.mark.parametrize("codec", ["libx265", "libvpx-vp9", "ffv1", "h264"])
def test_other_lossless_codecs(tmp_path: Path, codec: str) -> None:
    frames = made(3, 64, 48)
    write(tmp_path / "a.mkv", frames, codec=codec, lossless=True)
    for old, new in zip(frames, read_frames(tmp_path / "a.mkv"), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old.planes(), new.planes(), strict=True))


@pytest.mark.parametrize("codec", ["hevc", "h264"])
@pytest.mark.parametrize("count", [1, 2])
def test_so_few_frames_are_decoded_when_they_are_shown(tmp_path, codec: str, count: int) -> None:
    # x265 leaves the decoding times of one or two frames unset.
    frames = made(count, 64, 48)
    write(tmp_path / "a.mov", frames, codec=codec)
    with av.open(str(tmp_path / "a.mov")) as container:
        times = [(packet.pts, packet.dts) for packet in container.demux(video=0) if packet.size]
    assert len(times) == count
    assert all(pts == dts for pts, dts in times)


@pytest.mark.parametrize("size", [(33, 25), (32, 25), (33, 24), (1, 1), (17, 64)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gray", "rgb24"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_odd_sizes_stay(tmp_path: Path, size, pix_fmt: str, name: str) -> None:
    frames = made(3, *size, pix_fmt=pix_fmt)
    write(tmp_path / name, frames, crf=4)
    again = list(read_frames(tmp_path / name))
    assert len(again) == 3
    for old, new in zip(frames, again, strict=True):
        assert (new.width, new.height) == size
        assert np.abs(old.to_rgb().astype(int) - new.to_rgb()).mean() < 9


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv420p10le", "gray", "rgb24", "nv12"])
def test_picture_keeps_its_colors(tmp_path: Path, name: str, pix_fmt: str) -> None:
    rgb = np.random.default_rng(3).integers(30, 226, (4, 6, 3)).astype(np.uint8)
    rgb = rgb.repeat(16, 0).repeat(16, 1)
    frame = Frame.from_rgb(rgb, pix_fmt=pix_fmt)
    wanted = frame.to_rgb().astype(int)
    write(tmp_path / name, [frame], crf=2)
    error = next(read_frames(tmp_path / name)).to_rgb() - wanted
    assert np.abs(error).mean() < 2.5
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.7


def test_depth_and_subsampling_are_kept(tmp_path: Path) -> None:
    for pix_fmt in ("yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"):
        write(tmp_path / "a.mp4", made(2, 32, 32, pix_fmt=pix_fmt))
        assert probe(tmp_path / "a.mp4").pix_fmt == pix_fmt
    write(tmp_path / "a.mov", made(2, 32, 32), codec="prores")
    assert probe(tmp_path / "a.mov").pix_fmt == "yuv422p10le"


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("tags", [(1, 6, 6, 6), (1, 1, 1, 1), (1, 9, 9, 16), (2, 1, 1, 13)])
def test_color_tags_are_copied(tmp_path: Path, name: str, tags) -> None:
    path = tmp_path / name
    info = VideoInfo(path, 32, 32, Fraction(25), color_range=tags[0], colorspace=tags[1],
                     color_primaries=tags[2], color_trc=tags[3])  # fmt: skip
    with VideoWriter(path, info) as writer:
        for frame in made(2, 32, 32, color=ColorTags(*tags)):
            writer.write(frame)
    again = probe(path)
    assert again.color == ColorTags(*tags)


def test_rgb_is_tagged_with_the_matrix_that_was_used(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", made(2, 32, 32, pix_fmt="rgb24"))
    assert (probe(tmp_path / "a.mp4").color_range, probe(tmp_path / "a.mp4").colorspace) == (1, 6)


def test_pixel_aspect_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    info = VideoInfo(path, 32, 32, Fraction(25), sample_aspect=Fraction(16, 11))
    with VideoWriter(path, info) as writer:
        writer.write(made(1, 32, 32)[0])
    assert probe(path).sample_aspect == Fraction(16, 11)


class TestNothingHalfWritten:
    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
    def test_an_error_in_the_block(self, tmp_path: Path, error: type[BaseException]) -> None:
        path = tmp_path / "out.mp4"
        path.write_bytes(b"what was there before")
        frames = made(40, 64, 64)
        info = VideoInfo(path, 64, 64, Fraction(25))

        def job() -> None:
            with VideoWriter(path, info) as writer:
                for frame in frames:
                    writer.write(frame)
                raise error("stop")

        with pytest.raises(error, match="stop"):
            job()
        assert path.read_bytes() == b"what was there before"
        assert self.names(tmp_path) == ["out.mp4"]

    def test_not_there_before_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with VideoWriter(path, VideoInfo(path, 64, 64, Fraction(25))) as writer:
            for frame in made(3, 64, 64):
                writer.write(frame)
            assert not path.exists()
        assert self.names(tmp_path) == ["out.mp4"]

    def test_no_frames(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with (
            pytest.raises(MediaError, match="no frame was written"),
            VideoWriter(path, VideoInfo(path, 64, 64, Fraction(25))),
        ):
            pass
        assert self.names(tmp_path) == []

    def test_bad_sound(self, tmp_path: Path) -> None:
        path, sound = tmp_path / "out.mp4", tmp_path / "no.wav"
        writer = VideoWriter(path, VideoInfo(path, 64, 64, Fraction(25)), audio=AudioSource(sound))
        with pytest.raises(MediaError, match="no file at"), writer:
            pass
        assert self.names(tmp_path) == []

    @pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.avi"])
    def test_disk_full(self, tmp_path: Path, name: str) -> None:
        """A limit on file size fails at write(2) just as a full disk does."""
        resource = pytest.importorskip("resource")
        rng = np.random.default_rng(0)
        noise = [
            Frame.from_rgb(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8), n, 25)
            for n in range(30)
        ]
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, old[1]))
        try:
            with pytest.raises(MediaError, match="no space left while writing"):
                write(tmp_path / name, noise)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert self.names(tmp_path) == []

    @pytest.mark.slow
    def test_killed(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_bytes(b"before")
        script = f"""
            import os, signal
            from fractions import Fraction
            import numpy as np
            from dubfew.media import Frame, VideoInfo, VideoWriter
            with VideoWriter({str(path)!r}, VideoInfo({str(path)!r}, 64, 64, Fraction(25))) as w:
                for n in range(60):
                    w.write(Frame.from_rgb(np.zeros((64, 64, 3), np.uint8), n))
                os.kill(os.getpid(), signal.SIGKILL)
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
        assert done.returncode == -9
        assert path.read_bytes() == b"before"

    def test_writing_over_what_is_being_read(self, make_video) -> None:
        path = make_video(count=20)
        before = [frame.to_rgb() for frame in read_frames(path)]
        copy(path, path, lossless=True)
        for old, frame in zip(before, read_frames(path), strict=True):
            assert np.array_equal(old, frame.to_rgb())

    def test_no_right_to_write(self, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.touch()
        with pytest.raises(MediaError, match="cannot be written"):
            write(blocked / "out.mp4", made(1, 32, 32))


def test_superfast_looks_ahead_beside_what_the_picture_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    plain = VideoInfo(path, 64, 64, Fraction(25))
    fields = VideoInfo(path, 64, 64, Fraction(25), field_order=3)
    more = ["rc-lookahead=5", "sync-lookahead=0", "mbtree=1", "b-adapt=0", "aq-strength=0.5"]
    for info, own in ((plain, []), (fields, ["bff=1"])):
        options = choose_encoding(path, info, preset="superfast").options
        assert options["x264-params"].split(":") == [*own, *more]
    assert "x264-params" not in choose_encoding(path, plain, preset="veryfast").options


@pytest.mark.parametrize(
    ("options", "most"), [({}, 1), ({"preset": "veryfast"}, 3), ({"reorder": False}, 0)]
)
def test_b_frames_in_a_row(tmp_path: Path, options: dict, most: int) -> None:
    # Of a still an encoder that looks for places of B-frames finds as many as it may.
    frames = [Frame.from_rgb(smooth_rgb(64, 64, 0), index) for index in range(24)]
    path = tmp_path / "a.mp4"
    write(path, frames, **options)
    with av.open(str(path)) as container:
        kinds = "".join("?IPB"[picture.pict_type] for picture in container.decode(video=0))
    assert max(map(len, re.split("[IP]", kinds))) == most


def test_the_fastest_preset_has_a_thread_for_every_two_million_pixels(
    tmp_path: Path, monkeypatch
) -> None:
    def choose(width: int, height: int, cores: int, **options) -> int:
        monkeypatch.setattr("dubfew.media.codecs.num_available_cpus", lambda: cores)
        path = tmp_path / "a.mp4"
        return choose_encoding(
            path, VideoInfo(path, width, height, Fraction(25)), **options
        ).threads

    assert [choose(1920, 1080, cores) for cores in (1, 2, 16)] == [1, 1, 1]
    assert [choose(3840, 2160, cores) for cores in (1, 2, 4, 16)] == [1, 1, 2, 4]
    assert choose(3840, 2160, 16, preset="slow") == 0  # libx264's own number
    assert choose(3840, 2160, 16, lossless=True) == 0


def test_the_default_preset_of_h264_comes_with_its_own_quality(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    info = VideoInfo(path, 64, 64, Fraction(25))

    def choose(**options) -> tuple[str, str]:
        chosen = choose_encoding(path, info, **options).options
        return chosen["preset"], chosen["crf"]

    assert choose() == choose(preset="superfast") == ("superfast", "15")
    assert choose(preset="veryfast") == ("veryfast", "16")
    assert choose(crf=23) == ("superfast", "23")
    assert choose(codec="libx265") == ("veryfast", "18")


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "options", "match"),
        [
            ("a.xyz", {}, r"use one of \.mp4"),
            ("a", {}, "name without suffix"),
            ("a.mp4", {"codec": "nonsense"}, "codec nonsense does not go into .mp4; use libx264"),
            ("a.webm", {"codec": "h264"}, "use libvpx-vp9"),
            ("a.mp4", {"crf": 99}, "not between 0"),
            ("a.mov", {"codec": "prores", "crf": 10}, "has no crf"),
            ("a.mov", {"codec": "prores", "lossless": True}, "cannot write losslessly"),
            ("a.webm", {"preset": "fast"}, "has no preset"),
            ("a.mp4", {"preset": "quick"}, "preset quick"),
        ],
    )
    def test_settings(self, tmp_path: Path, name: str, options: dict, match: str) -> None:
        with pytest.raises(MediaError, match=match) as caught:
            VideoWriter(tmp_path / name, VideoInfo(Path(name), 32, 32, Fraction(25)), **options)
        assert "\n" not in str(caught.value)

    def test_a_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "x.mp4"
        folder.mkdir()
        with pytest.raises(MediaError, match="is a folder"):
            VideoWriter(folder, VideoInfo(folder, 32, 32, Fraction(25)))

    def test_another_size(self, tmp_path: Path) -> None:
        frames = [*made(1, 32, 32), *made(1, 48, 32)]
        with pytest.raises(MediaError, match="give frames of one size"):
            write(tmp_path / "a.mp4", frames)

    def test_times_that_do_not_rise(self, tmp_path: Path) -> None:
        frame = made(1, 32, 32)[0]
        with pytest.raises(MediaError, match="write frames in order"):
            write(tmp_path / "a.mp4", [frame, frame])

    def test_outside_the_block(self, tmp_path: Path) -> None:
        writer = VideoWriter(tmp_path / "a.mp4", VideoInfo(Path("a"), 32, 32, Fraction(25)))
        with pytest.raises(MediaError, match="inside the with block"):
            writer.write(made(1, 32, 32)[0])


@pytest.mark.slow
def test_real_footage_through_lossless(shared: Path, tmp_path: Path) -> None:
    """Patched frames come back as they were handed over, sound untouched."""
    source, target = shared / "clips" / "hdtf_RD_Radio13.mp4", tmp_path / "out.mp4"
    mask = np.zeros((80, 80), bool)
    mask[20:60, 15:70] = True
    handed = []
    audio = AudioSource(source)
    with VideoWriter(target, probe(source), audio=audio, lossless=True) as writer:
        for frame in read_frames(source, stop=50):
            patch = 255 - frame.crop_rgb(91, 101, 171, 181)
            handed.append(frame.with_patch(91, 101, patch, mask))
            writer.write(handed[-1])
    for old, new in zip(handed, read_frames(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old.planes(), new.planes(), strict=True))
    assert np.array_equal(read_audio(source).samples, read_audio(target).samples)


def test_sound_goes_in_while_the_picture_does(make_wav, tmp_path: Path) -> None:
    wav = make_wav(sine(2.0, 48000)[None], 48000)
    info = VideoInfo(tmp_path / "a.mp4", 64, 64, Fraction(25))
    with VideoWriter(tmp_path / "a.mp4", info, audio=AudioSource(wav)) as writer:
        (track,) = writer._audio_tracks
        for number, frame in enumerate(made(50, 64, 64)):
            writer.write(frame)
            assert track._time == pytest.approx(number / 25, abs=0.1)
