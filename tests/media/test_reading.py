"""Reading: frames upright and in time; damaged files give one-line errors."""

from __future__ import annotations

import warnings
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import (
    DamagedMediaWarning,
    Frame,
    VideoInfo,
    VideoWriter,
    probe,
    read_audio,
    read_frames,
)
from dubfew.media.orientation import Orientation
from dubfew.media.reading import _FrameClock, read_last_duration, read_sample_frames
from tests.media.pictures import sine, smooth_rgb

RATES = [
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
]


# Matroska's milliseconds cannot tell odd rates from their neighbours: common ones only.
@pytest.mark.parametrize(
    ("fps", "suffix"),
    [(fps, "mp4") for fps in [*RATES, Fraction(1350, 61)]] + [(fps, "mkv") for fps in RATES],
    ids=str,
)
def test_rate_and_times_are_exact(make_video, fps: Fraction, suffix: str) -> None:
    path = make_video(f"a.{suffix}", fps=fps, count=31)
    assert probe(path).fps == fps
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(31))
    assert [frame.stamp for frame in frames] == [n / fps for n in range(31)]
    assert all(frame.duration == 1 / fps for frame in frames)


@pytest.mark.parametrize(
    ("codec", "name", "pix_fmt", "native"),
    [
        ("libx264", "a.mp4", "yuv420p", "yuv420p"),
        ("libx264", "a.mov", "yuv422p", "yuv422p"),
        ("libx264", "a.mkv", "yuv420p10le", "yuv420p10le"),
        ("libx264", "b.avi", "yuv444p", "yuv444p"),
        ("mpeg1video", "a.mpg", "yuv420p", "yuv420p"),
        ("mpeg4", "a.avi", "yuv420p", "yuv420p"),
        ("mjpeg", "c.avi", "yuvj420p", "yuvj420p"),
        ("ffv1", "b.mkv", "gray", "gray"),
        ("ffv1", "c.mkv", "bgra", "rgb24"),
        ("libvpx-vp9", "a.webm", "yuv420p", "yuv420p"),
        ("prores_ks", "b.mov", "yuv422p10le", "yuv422p10le"),
        ("libx264", "a.ts", "yuv420p", "yuv420p"),
    ],
)
def test_formats(make_video, codec: str, name: str, pix_fmt: str, native: str) -> None:
    path = make_video(name, codec=codec, pix_fmt=pix_fmt, count=8)
    info, frames = probe(path), list(read_frames(path))
    assert (info.width, info.height, info.pix_fmt, info.rotation) == (64, 48, native, 0)
    assert info.fps == 25
    assert [frame.pix_fmt for frame in frames] == [native] * 8
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(8)], abs=1e-9)
    for number, frame in enumerate(frames):
        wanted = smooth_rgb(48, 64, number)
        if native == "gray":
            wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, -1)
        assert np.abs(frame.to_rgb().astype(int) - wanted).mean() < 12, "wrong picture or order"


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le"])
def test_crop_of_a_decoded_frame_equals_the_box_of_the_whole(make_video, pix_fmt: str) -> None:
    # Decoded pictures carry chroma siting, which frames made by hand do not.
    frame = next(read_frames(make_video(pix_fmt=pix_fmt)))
    assert np.array_equal(frame.crop_rgb(5, 3, 40, 44), frame.to_rgb()[3:44, 5:40])
    again = frame.with_patch(0, 0, frame.to_rgb(), np.ones((48, 64), bool))
    for old, new in zip(frame.planes(), again.planes(), strict=True):
        assert np.abs(old.astype(int) - new).mean() < 0.6 * (4 if "10" in pix_fmt else 1)


def test_a_clock_that_is_written_as_the_rate_does_not_count(make_video, tmp_path) -> None:
    path = tmp_path / "copy.mkv"
    with av.open(str(make_video("a.mkv", count=12))) as old, av.open(str(path), "w") as new:
        stream = new.add_stream("libx264", rate=12800)
        stream.width, stream.height = 64, 48
        for number, frame in enumerate(old.decode(video=0)):
            frame.time_base, frame.pts = Fraction(1, 25), number
            for packet in stream.encode(frame):
                new.mux(packet)
        for packet in stream.encode(None):
            new.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate > 1000
    assert probe(path).fps == 25


def test_a_recording_of_a_browser_has_no_thousand_frames_a_second(make_video, tmp_path) -> None:
    """Chromium's recordings count milliseconds, and state that as their rate."""
    path = tmp_path / "camera.webm"
    with (
        av.open(str(make_video("a.mkv", count=12))) as old,
        av.open(str(path), "w", options={"live": "1"}) as new,
    ):
        stream = new.add_stream("libvpx", rate=1000)
        stream.width, stream.height = 64, 48
        for number, frame in enumerate(old.decode(video=0)):
            frame.time_base, frame.pts = Fraction(1, 1000), 40 * number
            new.mux(stream.encode(frame))
        new.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 1000
    assert probe(path).fps == 25


def test_variable_rate_goes_by_the_stamps(make_video) -> None:
    ticks = [0, 40, 80, 200, 210, 215, 400]
    path = make_video(ticks=ticks, count=7, time_base=Fraction(1, 1000))
    times = [frame.stamp for frame in read_frames(path)]
    assert times == [Fraction(tick, 1000) for tick in ticks]


def test_first_frame_is_at_zero(make_video) -> None:
    path = make_video("late.ts", ticks=[50 + n for n in range(6)], count=6)
    assert [frame.stamp for frame in read_frames(path)] == [Fraction(n, 25) for n in range(6)]


def test_part_of_a_video(make_video) -> None:
    path = make_video(count=12)
    assert [frame.index for frame in read_frames(path, start=3, stop=7)] == [3, 4, 5, 6]
    assert [frame.time for frame in read_frames(path, start=10)] == [0.4, 0.44]
    assert list(read_frames(path, start=4, stop=4)) == []
    with pytest.raises(MediaError, match="start <= stop"):
        next(read_frames(path, start=4, stop=3))


class TestClock:
    def test_missing_stamps_follow_the_rate(self) -> None:
        clock = _FrameClock(Fraction(25), Fraction(1, 100))
        stamps = [clock.next_stamp(pts) for pts in (None, None, 108, None)]
        assert stamps == [Fraction(n, 25) for n in range(4)]

    def test_a_jump_back_goes_on_from_there(self) -> None:
        clock = _FrameClock(Fraction(25), Fraction(1, 90000))
        stamps = [clock.next_stamp(pts) for pts in (7200, 10800, 0, 3600, 7200)]
        assert stamps == [Fraction(n, 25) for n in range(5)]

    @pytest.mark.parametrize(
        ("pts", "frames"),
        [
            ((0, 3600, 3600, 7200, 10800), (0, 1, 1, 2, 3)),  # twice the same stamp
            ((0, 3600, 3600, 3600, 3600, 18000), (0, 1, 1, 1, 1, 5)),
            ((0, 7200, 3600, 14400, 10800, 18000), (0, 2, 2, 4, 4, 5)),  # in coding order
        ],
    )
    def test_equal_stamps_delay_nothing_else(self, pts, frames) -> None:
        clock = _FrameClock(Fraction(25), Fraction(1, 90000))
        stamps = [clock.next_stamp(each) for each in pts]
        assert all(late > early for early, late in pairwise(stamps))
        assert max(abs(float(s) - n / 25) for s, n in zip(stamps, frames, strict=True)) < 1e-3

    def test_milliseconds_are_put_on_the_grid(self) -> None:
        fps = Fraction(30000, 1001)
        clock = _FrameClock(fps, Fraction(1, 1000))
        stamps = [clock.next_stamp(round(n * 1000 / fps)) for n in range(100)]
        assert stamps == [n / fps for n in range(100)]


def rotate(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a, b, c, d of a display matrix into an mp4's track header."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    values = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    data[place : place + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "degrees", "turn"),
    [
        ((0, 1, -1, 0), 90, lambda a: np.rot90(a, -1)),
        ((-1, 0, 0, -1), 180, lambda a: np.rot90(a, 2)),
        ((0, -1, 1, 0), 270, lambda a: np.rot90(a, 1)),
        ((-1, 0, 0, 1), 0, np.fliplr),
    ],
)
@pytest.mark.parametrize(
    ("pix_fmt", "size"),
    [
        ("yuv420p", (64, 48)),
        ("yuv422p", (64, 48)),
        ("yuv444p", (63, 47)),
        ("yuv420p10le", (64, 48)),
    ],
)
def test_pictures_come_upright(make_video, matrix, degrees, turn, pix_fmt, size) -> None:
    path = make_video(pix_fmt=pix_fmt, width=size[0], height=size[1], count=3)
    stored = [frame.to_rgb() for frame in read_frames(path)]
    rotate(path, matrix)
    info = probe(path)
    assert info.rotation == degrees
    for frame, picture in zip(read_frames(path), stored, strict=True):
        upright = turn(picture)
        assert (frame.height, frame.width) == upright.shape[:2] == (info.height, info.width)
        assert frame.pix_fmt == info.pix_fmt
        assert np.abs(frame.to_rgb().astype(int) - upright).max() <= 1


def test_odd_subsampled_pictures_turn_without_smearing() -> None:
    assert Orientation(mirror_x=True).pixel_format("yuv420p", 63, 48) == "yuv444p"
    assert Orientation(mirror_x=True).pixel_format("yuv420p", 64, 47) == "yuv420p"
    assert Orientation(swaps_axes=True).pixel_format("yuv422p10le", 64, 48) == "yuv444p10le"
    assert Orientation(swaps_axes=True).pixel_format("yuv420p", 63, 47) == "yuv420p"
    assert Orientation().pixel_format("yuv422p", 63, 47) == "yuv422p"


@pytest.mark.parametrize("tags", [(1, 6, 6, 6), (1, 1, 1, 1), (2, 1, 1, 13)])
def test_color_tags_are_read(make_video, tags) -> None:
    names = ("color_range", "colorspace", "color_primaries", "color_trc")
    path = make_video(tags=dict(zip(names, tags, strict=True)))
    info = probe(path)
    assert tuple(getattr(info, name) for name in names) == tags
    frame = next(read_frames(path))
    assert (frame.color.range, frame.color.matrix) == tags[:2]
    assert info.pix_fmt == ("yuvj420p" if tags[0] == 2 else "yuv420p")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "mit Umlaut äöü 中文.png"])
def test_still_image_is_a_video_of_one_frame(tmp_path: Path, name: str) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / name
    image.fromarray(smooth_rgb(31, 45, 2)).save(path)
    info, frames = probe(path), list(read_frames(path))
    assert (info.frames, info.width, info.height, info.has_audio) == (1, 45, 31, False)
    assert len(frames) == 1
    assert np.abs(frames[0].to_rgb().astype(int) - smooth_rgb(31, 45, 2)).mean() < 4


def test_names_with_spaces_colons_and_letters_of_the_world(make_video) -> None:
    for name in ("with space.mp4", "take:1.mp4", "дубляж 吹替 ñ.mp4", "-dash.mp4", "50%d.mp4"):
        assert len(list(read_frames(make_video(name, count=3)))) == 3


def sampled_numbers(path: Path, count: int) -> list[int]:
    """Numbers in the file of the frames that a sample has; their pictures differ."""
    pictures = [frame.planes()[0].tobytes() for frame in read_frames(path)]
    return [pictures.index(f.planes()[0].tobytes()) for f in read_sample_frames(path, count)]


def test_a_sample_has_the_key_frames(make_video) -> None:
    options = {"qp": "0", "g": "10", "keyint_min": "10", "sc_threshold": "0"}
    path = make_video(count=40, options=options)
    assert sampled_numbers(path, 4) == [0, 10, 20, 30]
    # Fewer key frames than are asked for: the beginning, a second apart.
    assert sampled_numbers(make_video("one.mp4", count=60), 4) == [0, 25, 50]


def test_a_sample_looks_for_no_frame_that_nobody_asks_for(make_video, monkeypatch) -> None:
    frames = read_sample_frames(make_video(count=40), 8)
    monkeypatch.setattr(av, "open", lambda *a, _open=av.open, **k: opened.append(a) or _open(*a))
    opened: list[object] = []
    assert next(frames).index == 0
    assert len(opened) == 1


def test_one_frame(make_video) -> None:
    path = make_video(count=1)
    assert (probe(path).frames, len(list(read_frames(path)))) == (1, 1)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_the_last_frame_is_shown_for_its_own_time(make_video, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    blank = Frame.from_rgb(np.zeros((32, 32, 3), np.uint8))
    frames = [blank.with_time(n, Fraction(n, 25)) for n in range(5)]
    frames.append(Frame(blank.picture, 5, Fraction(1, 5), Fraction(6, 5), blank.color))
    with VideoWriter(path, VideoInfo(path, 32, 32, Fraction(25)), reorder=False) as writer:
        for frame in frames:
            writer.write(frame)
    assert float(read_last_duration(path)) == pytest.approx(1.2, abs=2e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is not cut short
        assert float(list(read_frames(path))[-1].duration) == pytest.approx(1.2, abs=2e-3)


class TestBadInput:
    def refuse(self, path: Path, match: str) -> None:
        for read in (probe, lambda p: list(read_frames(p))):
            with pytest.raises(MediaError, match=match) as caught:
                read(path)
            assert "\n" not in str(caught.value)
            assert str(path) in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "nowhere.mp4", "no file at")

    def test_folder(self, tmp_path: Path) -> None:
        self.refuse(tmp_path, "is a folder")

    def test_empty(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.mp4"
        path.touch()
        self.refuse(path, "0 bytes")

    @pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.nfo", "a.mpg", "a.mkv"])
    def test_text(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_text("This is a text about dubbing.\n" * 100, encoding="utf-8")
        self.refuse(path, "text file|cannot be read|no frame|no picture")

    @pytest.mark.parametrize("name", ["a.mp4", "a.mpg", "a.avi"])
    def test_noise(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.write_bytes(np.random.default_rng(0).bytes(20000))
        self.refuse(path, "cannot be read|no frame|no picture")

    def test_sound_only(self, make_wav) -> None:
        self.refuse(make_wav(sine(0.2, 8000)[None], 8000), "only sound")

    def test_sound_with_a_cover_image(self, tmp_path: Path) -> None:
        path = tmp_path / "song.mp3"
        with av.open(str(path), "w") as container:
            sound = container.add_stream("libmp3lame", rate=44100, layout="mono")
            cover = container.add_stream("mjpeg", rate=25)
            cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic
            picture = av.VideoFrame.from_ndarray(smooth_rgb(32, 32, 0), "rgb24")
            container.mux(cover.encode(picture.reformat(format="yuvj420p")))
            container.mux(cover.encode(None))
            frame = av.AudioFrame.from_ndarray(sine(0.5, 44100)[None], "fltp", "mono")
            frame.sample_rate = 44100
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        self.refuse(path, "only sound")

    def test_head_cut_off(self, make_video) -> None:
        path = make_video(count=30)  # the index of an mp4 is at its end
        path.write_bytes(path.read_bytes()[:-2000])
        self.refuse(path, "cut short|damaged")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mpg", "a.ts"])
def test_truncated_file_gives_its_whole_frames(make_video, name: str) -> None:
    codec, options = "libx264", None
    if name.endswith("mpg"):
        # Fine enough to fill more than one of its 2 kB packs: the last is mostly padding.
        codec, options = "mpeg1video", {"qmin": "1", "qmax": "1", "b": "4000000"}
    path = make_video(name, count=50, codec=codec, options=options)
    whole = [frame.to_rgb() for frame in read_frames(path)]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedMediaWarning)
        part = [frame.to_rgb() for frame in read_frames(path)]
    assert 10 < len(part) < 50
    for number in range(len(part) - 1):
        assert np.array_equal(part[number], whole[number])


@pytest.mark.slow
def test_truncated_file_with_its_index_warns(make_video) -> None:
    path = make_video(count=60, options={"qp": "0", "movflags": "faststart"})
    data = path.read_bytes()
    if data.index(b"moov") > data.index(b"mdat"):  # put the index first by hand
        with (
            av.open(str(path)) as source,
            av.open(
                str(path.with_name("fast.mp4")), "w", options={"movflags": "faststart"}
            ) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        path = path.with_name("fast.mp4")
        data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(DamagedMediaWarning, match="cut short") as caught:
        frames = list(read_frames(path))
    assert 15 < len(frames) < 45
    assert len(caught) == 1


def test_change_of_size_is_named(make_video, tmp_path: Path) -> None:
    parts = [make_video(f"{n}.ts", width=w, count=5).read_bytes() for n, w in enumerate((64, 96))]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(MediaError, match="changes its size at frame"):
        list(read_frames(path))


def resident_bytes() -> int:
    """Memory of this process, arrays and FFmpeg's own."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow(make_video) -> None:
    path = make_video(count=600, width=128, height=96, options={"preset": "ultrafast"})
    sizes = []
    for frame in read_frames(path):
        frame.crop_rgb(0, 0, 64, 64)
        if frame.index % 100 == 99:
            sizes.append(resident_bytes())
    assert frame.index == 599
    assert max(sizes[1:]) - sizes[0] < 3_000_000  # 500 frames held would be 9 MB


def test_frame_at_another_time(make_video) -> None:
    first = next(read_frames(make_video()))
    later = first.with_time(7, Fraction(7, 25))
    assert (later.index, later.time, first.index) == (7, 0.28, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first.planes(), later.planes(), strict=True))
    assert isinstance(later, Frame)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["grid_bbaf2n.mpg", "hdtf_RD_Radio13.mp4"])
def test_real_footage(shared: Path, clip: str) -> None:
    path = shared / "clips" / clip
    info, frames = probe(path), 0
    for frame in read_frames(path):
        assert frame.stamp == Fraction(frame.index, 25)
        frames += 1
    assert frames == {"grid_bbaf2n.mpg": 75, "hdtf_RD_Radio13.mp4": 251}[clip]
    assert info.fps == 25
    assert info.duration == pytest.approx(frames / 25, abs=0.05)
    assert info.has_audio
    assert read_audio(path).duration == pytest.approx(frames / 25, abs=0.15)
