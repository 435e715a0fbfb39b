"""Real clips: the bundled actor, cut short."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

import dubfew.demo
from dubfew.data import prepare_clip as prepare_clip_module
from dubfew.data.clip_index import SourceClip
from dubfew.data.clip_shards import open_layout_clips
from dubfew.data.jobs import ClipJob, ClipOutcome, PreparedForm
from dubfew.data.prepare import prepare_footage
from dubfew.data.prepare_clip import check_one_face, prepare_clip
from dubfew.data.shards import open_prepared_clips, read_shard
from dubfew.data.tar import read_members
from dubfew.data.workers import ClipWorker
from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.media.mel import estimate_channel, log_mel
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import load_clip_footage
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES
from dubfew.utils.files import sha256_file
from tests.footage import with_paper

pytestmark = pytest.mark.slow

ACTOR = Path(dubfew.demo.__file__).parent / "actor.mp4"
FRAMES = 32


def cut(path: Path, frames: int, *, sound: bool = True, blank: int = 0) -> Path:
    """The first frames of the actor; of those the first ``blank`` without a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = AudioSource(ACTOR, duration=frames / 25) if sound else None
    with VideoWriter(path, probe(ACTOR), audio=audio) as writer:
        for frame in read_frames(ACTOR, stop=frames):
            if frame.index < blank:
                box = frame.to_rgb()
                frame = frame.with_patch(0, 0, box * 0, np.ones(box.shape[:2], bool))
            writer.write(frame)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return cut(tmp_path_factory.mktemp("clips") / "s1" / "Zoë (1).mp4", FRAMES)


def job(path: Path, out: Path, **more) -> ClipJob:
    clip = SourceClip(path, f"{path.parent.name}/{path.name}", path.parent.name, "train")
    facts = {**clip.metadata(), "bytes": path.stat().st_size if path.exists() else 0}
    return ClipJob(str(path), str(out), clip.sample_key, 64, facts, **more)


@pytest.fixture(scope="module")
def worker() -> Iterator[ClipWorker]:
    """A process that prepares clips, for several tests: its imports take longer than a clip."""
    with ClipWorker() as worker:
        yield worker


@pytest.fixture(scope="module")
def prepared(video, worker, tmp_path_factory) -> Path:
    """The clip as a worker prepares it: with one thread, unlike what runs in this process."""
    out = tmp_path_factory.mktemp("out") / "shard-000000.tar"
    reports: list[int] = []
    assert worker.run_job(job(video, out), reports.append) == ClipOutcome(num_frames=FRAMES)
    assert reports == [FRAMES]
    return out


def member(path: Path, extension: str) -> bytes:
    [found] = [m for m in read_members(path) if m.name.endswith(extension)]
    return path.read_bytes()[found.data_offset : found.data_offset + found.num_bytes]


def test_a_clip_is_tracked_cut_and_aligned_as_in_adaptation(prepared, video):
    head = load_head_model()
    expected = align_footage(
        load_clip_footage(video, track_video(video), head, window_size=64), head
    )
    footage, header = open_prepared_clips(prepared.parent)[0]
    for name in FOOTAGE_ARRAY_NAMES:
        np.testing.assert_allclose(
            np.asarray(getattr(footage, name)), getattr(expected, name), atol=1e-4
        )
    assert header["sha256"] == sha256_file(video)
    assert Fraction(header["fps"]) == 25
    assert header["seconds"] == pytest.approx(FRAMES / 25)
    assert header["sound"]


def test_the_track_belongs_to_the_windows(prepared):
    track = Track.from_bytes(member(prepared, ".track.safetensors"), "track")
    assert len(track) == FRAMES
    assert track.valid.all()


def test_sound_is_what_the_speech_model_hears(prepared, video, tmp_path):
    from dubfew.media import read_audio

    data = member(prepared, ".audio.safetensors")
    (tmp_path / "a.safetensors").write_bytes(data)
    with safe_open(str(tmp_path / "a.safetensors"), "numpy") as file:
        header = json.loads(file.metadata()["dubfew.audio"])
    arrays = load(data)
    assert (header["rate"], header["hop"], header["start"]) == (16000, 160, 0.0)
    samples = read_audio(video).samples[: FRAMES * 640]
    np.testing.assert_allclose(arrays["samples"] / 32767, samples, atol=2e-5)
    assert arrays["mel"].shape == (FRAMES * 4, 80)
    expected = log_mel(samples, channel=estimate_channel(samples))[: FRAMES * 4]
    np.testing.assert_array_equal(arrays["mel"], expected)
    np.testing.assert_allclose(arrays["times"], np.arange(FRAMES) / 25, atol=1e-6)


def test_a_long_clip_is_prepared_in_chunks_and_segments(prepared, video, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_clip_module, "TRACKING_CHUNK_FRAMES", 14)
    monkeypatch.setattr(prepare_clip_module, "SEGMENT_FRAMES", 8)
    out = tmp_path / "shard-000000.tar"
    reports: list[int] = []
    assert prepare_clip(job(video, out), reports.append) == ClipOutcome(num_frames=FRAMES)
    assert reports == [7, 7, 5, 4, 5, 4]
    headers = [sample.header for sample in read_shard(out)]
    assert [header["start"] for header in headers] == [0, 7, 14, 19, 23, 28]
    footage, header = open_prepared_clips(tmp_path)[0]
    whole = open_prepared_clips(prepared.parent)[0][0]
    np.testing.assert_array_equal(footage.frames, np.arange(FRAMES))
    assert header["seconds"] == pytest.approx(FRAMES / 25)
    # The head's shape is fitted anew in every passage: windows differ, but not by much.
    shift = np.asarray(footage.vertices)[..., :2] - np.asarray(whole.vertices)[..., :2]
    assert np.abs(shift).mean() < 1.5
    assert np.abs(np.asarray(footage.images).astype(float) - np.asarray(whole.images)).mean() < 8


def test_a_clip_without_sound_has_none(tmp_path):
    out = tmp_path / "shard-000000.tar"
    path = cut(tmp_path / "mute.mp4", 30, sound=False, blank=3)
    assert prepare_clip(job(path, out)) == ClipOutcome(num_frames=27)
    assert not any("audio" in m.name for m in read_members(out))
    [sample] = read_shard(out)
    assert (sample.header["start"], sample.header["stop"]) == (3, 30)
    assert not sample.header["sound"]


def test_a_failed_clip_has_a_reason_and_leaves_no_file(tmp_path):
    out = tmp_path / "out" / "a.tar"
    short = cut(tmp_path / "short.mp4", 20)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    for path, reason in (
        (short, "20 frames, expected 25"),
        (cut(tmp_path / "empty.mp4", 4, blank=4), "0 frames"),
        (tmp_path / "broken.mp4", "broken.mp4"),
        (tmp_path / "none.mp4", "none.mp4"),
    ):
        outcome = prepare_clip(job(path, out))
        assert reason in outcome.error
        assert len(outcome.error.splitlines()) == 1
        assert not list(tmp_path.glob("out/*"))
    sha256 = sha256_file(short)
    assert prepare_clip(job(short, out, excluded=(sha256,))) == ClipOutcome(excluded_sha256=sha256)


def test_covered_frames_are_left_out(tmp_path):
    out = tmp_path / "shard-000000.tar"
    path = with_paper(tmp_path / "paper.mp4", 38, 16, 22)
    outcome = prepare_clip(job(path, out))
    assert outcome.error == ""
    footage, _ = open_prepared_clips(tmp_path)[0]
    used = np.asarray(footage.frames)
    assert outcome.num_frames == len(used)
    assert not set(used) & set(range(16, 22))
    assert len(used) >= 30  # what is next to paper may be left out, too


def test_a_jump_to_another_face_is_found():
    face = np.random.default_rng(0).random((478, 3)).astype(np.float32) * 100
    steps = np.arange(12, dtype=np.float32)[:, None, None] * 8
    check_one_face(Path("a"), 0, face + steps)  # fast, but moving
    jumped = face + steps + 60 * (np.arange(12) > 6)[:, None, None]
    jumped[7] = np.nan
    with pytest.raises(DubfewError, match="frames 106 and 108"):
        check_one_face(Path("a"), 100, jumped)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that never ends")
def test_the_death_of_a_worker_costs_one_clip(worker, tmp_path):
    os.mkfifo(tmp_path / "endless.mp4")
    process = worker._ensure_process()

    def kill_reader() -> None:
        with open(tmp_path / "endless.mp4", "wb"):  # waits until the worker reads it
            process.kill()

    threading.Thread(target=kill_reader, daemon=True).start()
    assert "SIGKILL" in worker.run_job(job(tmp_path / "endless.mp4", tmp_path / "a.tar")).error
    assert "none.mp4" in worker.run_job(job(tmp_path / "none.mp4", tmp_path / "a.tar")).error


def test_two_processes_make_the_same_as_one(prepared, video, tmp_path):
    folder = tmp_path / "clips"
    for name in ("s1", "s2"):
        (folder / name).mkdir(parents=True)
        (folder / name / video.name).write_bytes(video.read_bytes())
    (folder / "broken.mp4").write_bytes(b"no video")
    done = prepare_footage(folder, tmp_path / "out", window_size=64, jobs=2)
    assert done.failed.keys() == {"broken.mp4"}
    assert (done.clips, done.identities, done.frames) == (2, 2, 2 * FRAMES)
    shard = tmp_path / "out" / "shard-000000.tar"
    first = read_members(shard)[:4]
    assert shard.read_bytes()[: first[-1].end_offset] == prepared.read_bytes()[:-1024]
    footage = [np.asarray(footage.images) for footage, _ in open_prepared_clips(tmp_path / "out")]
    np.testing.assert_array_equal(*footage)


def test_ray_makes_the_same(prepared, video, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    # Ray lowers the priority of its processes: while other tests run that takes minutes.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    done = prepare_footage(video.parents[1], tmp_path / "out", window_size=64, jobs=1, engine="ray")
    assert done.failed == {}
    shard = tmp_path / "out" / "shard-000000.tar"
    assert shard.read_bytes() == prepared.read_bytes()


def test_without_ray_the_message_says_how_to_install_it(video, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dubfew\[ray\]'"):
        prepare_footage(video.parents[1], tmp_path / "out", engine="ray")


def test_crops_of_a_layout_are_prepared_at_25_fps_with_their_sound(video, worker, tmp_path):
    out = tmp_path / "shard-000000.tar"
    outcome = worker.run_job(job(video, out, form=PreparedForm(layout="dinet64")))
    assert outcome.num_frames == round(FRAMES / probe(video).fps * 25)
    ((clip, header),) = open_layout_clips(tmp_path, "dinet64")
    assert (header["layout"], header["fps"], header["head"]) == ("dinet64", "25", "lite")
    assert clip.images[[0]].shape == (1, 104, 80, 3)
    # The mouth lies in the blanked part, and the sound begins with the pictures.
    lips = clip.landmarks[0, [13, 14]].mean(0).astype(int)
    assert clip.unpack_masks(np.array([0]))[0, lips[1], lips[0]]
    assert abs(clip.sound_start - clip.frames[0] / 25) < 0.05
    assert len(clip.samples) / 16000 == pytest.approx(len(clip) / 25, abs=0.05)
