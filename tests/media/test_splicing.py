"""Packets of an earlier video around new frames: the same pictures, whole files, right times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.splicing import find_kept_packets

pytestmark = pytest.mark.slow

# Ten frames from one key frame to the next.
FPS, FRAMES = Fraction(5, 2), 34
SIZE = 64


def make_frames(seed: int) -> list[Frame]:
    """Make frames of a moving texture, which encoders reorder."""
    texture = np.random.default_rng(seed).integers(0, 255, (8, 40, 3), np.uint8)
    large = np.repeat(np.repeat(texture, 8, 0), 8, 1)
    return [
        Frame.from_rgb(large[:, 3 * n : 3 * n + SIZE]).with_time(n, n / FPS) for n in range(FRAMES)
    ]


def write(path: Path, frames: list[Frame], pix_fmt: str = "yuv420p", **options) -> VideoWriter:
    info = VideoInfo(path, SIZE, SIZE, FPS, pix_fmt=pix_fmt)
    with VideoWriter(path, info, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return writer


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.to_rgb() for frame in read_frames(path)]


@pytest.mark.parametrize(
    ("suffix", "codec", "stop"),
    [
        (".mp4", "libx264", 20),
        (".mkv", "libx264", 20),
        (".mov", "libx265", 20),
        (".webm", "libvpx-vp9", 20),
        (".mov", "prores_ks", 19),
        (".mkv", "ffv1", 24),  # its own groups have 12 frames
    ],
)
def test_all_but_the_passage_keeps_its_packets(tmp_path, suffix, codec, stop):
    old, new = make_frames(1), make_frames(2)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write(first, old, codec=codec)
    kept = find_kept_packets(first, 16, 19)
    # At most the frames that are reordered before the passage, and those up to the next key frame.
    assert (14 <= kept.first <= 16, kept.stop) == (True, stop)
    joined = [*old[:16], *new[16:19], *old[19:]]
    writer = write(second, joined, codec=codec, keep=kept)
    assert writer.kept_frames == kept.count == FRAMES - (kept.stop - kept.first)
    before, after = pictures(first), pictures(second)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same[: kept.first] == [True] * kept.first
    assert same[kept.stop :] == [True] * (FRAMES - kept.stop)
    assert not any(same[16:19])
    for number in range(16, 19):
        assert np.abs(after[number].astype(int) - new[number].to_rgb()).mean() < 8
    assert packets(first)[kept.stop :] == packets(second)[kept.stop :]
    assert [f.stamp for f in read_frames(second)] == [f.stamp for f in read_frames(first)]
    one, other = probe(first), probe(second)
    assert (one.frames, one.duration, one.fps) == (other.frames, other.duration, other.fps)
    # A second passage, in the output of the first, at the very beginning.
    third = tmp_path / f"c{suffix}"
    again = find_kept_packets(second, 0, 3)
    assert write(third, [*new[:3], *joined[3:]], codec=codec, keep=again).kept_frames >= 22
    assert all(map(np.array_equal, pictures(third)[again.stop :], after[again.stop :]))


def test_what_does_not_fit_is_encoded(tmp_path):
    frames, path, out = make_frames(1), tmp_path / "a.mp4", tmp_path / "b.mp4"
    write(path, frames)
    kept = find_kept_packets(path, 12, 14)
    for options in ({"preset": "slow"}, {"codec": "libx265"}, {"codec": "libvpx-vp9"}):
        assert write(out, frames, keep=kept, **options).kept_frames == 0
        assert probe(out).frames == FRAMES
    # Neither does a passage to which no key frame follows and none precedes.
    assert find_kept_packets(path, 0, FRAMES) is None
    assert find_kept_packets(path, 0, 31) is None
    short = write(tmp_path / "c.avi", frames, keep=kept)
    assert (short.kept_frames, short.frames) == (0, FRAMES)


def test_more_frames_than_packets_leave_no_file(tmp_path):
    frames, path, out = make_frames(1), tmp_path / "a.mp4", tmp_path / "b.mp4"
    write(path, frames[:25])
    kept = find_kept_packets(path, 3, 5)
    with pytest.raises(MediaError, match="fewer frames"):
        write(out, frames, keep=kept)
    assert not out.exists()
