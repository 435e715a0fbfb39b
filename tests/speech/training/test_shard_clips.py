"""Training clips out of shards: joined, taken apart, left out, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.data.array_cache import ArrayCache
from dubfew.errors import ArtefactError, DubfewError
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.training import shard_clips
from dubfew.speech.training.shard_clips import load_filmed_clips
from dubfew.speech.training.speech_clip import StoredClip
from dubfew.utils.signal import pearson_correlation
from tests.speech.shards import jaw_at, sample, sound_at, write_shard

FIRST = np.arange(60)


def test_segments_become_one_clip_on_one_clock(tmp_path: Path) -> None:
    # Stored out of order, the first frames without a face: the clip begins at 0.2 s.
    parts = [sample("ann", 1, np.arange(65, 100)), sample("ann", 0, np.arange(5, 65))]
    (clip,) = load_filmed_clips(write_shard(tmp_path, parts)).train
    assert (clip.name, clip.identity) == ("ann.mp4", "ann")
    np.testing.assert_allclose(clip.motion.times, np.arange(95) / 25, atol=1e-9)
    np.testing.assert_allclose(
        clip.samples, sound_at(4.0)[int(0.2 * SPEECH_SAMPLE_RATE_HZ) :], atol=1e-4
    )
    moved = clip.motion.aperture()
    assert pearson_correlation(moved, jaw_at(clip.motion.times + 0.2)) > 0.99
    assert 0.05 < moved.max() < 0.5
    assert abs(moved.min()) < 0.01


@pytest.mark.slow
def test_a_clip_is_taken_apart_where_face_or_sound_is_missing(tmp_path: Path) -> None:
    bridged = np.concatenate([np.arange(40), np.arange(48, 75)])  # 0.36 s without a face
    parts = [
        sample("ann", 0, bridged),
        sample("ann", 1, np.arange(75, 110), has_audio=False),
        sample("ann", 2, np.arange(110, 160)),
        sample("ann", 3, np.arange(190, 200)),  # too short to be of use
    ]
    first, second = load_filmed_clips(write_shard(tmp_path, parts)).train
    assert (first.name, second.name) == ("ann.mp4", "ann.mp4 (2)")
    assert (len(first.motion), len(second.motion)) == (67, 50)
    assert len(first.samples) == 3 * SPEECH_SAMPLE_RATE_HZ
    np.testing.assert_allclose(second.motion.times, np.arange(50) / 25, atol=1e-9)
    has_audio = sound_at(6.4)[int(4.4 * SPEECH_SAMPLE_RATE_HZ) :]
    np.testing.assert_allclose(second.samples, has_audio, atol=1e-4)


def test_long_clips_are_taken_apart_and_kept_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_clips, "MAX_PIECE_SECONDS", 2.0)
    folder = write_shard(tmp_path / "data", [sample("ann", 0, np.arange(110))])
    memory = load_filmed_clips(folder).train
    assert [len(clip.motion) for clip in memory] == [37, 37, 36]
    # The second piece has its own clock, and the sound of its time: from 37 / 25 s on.
    first = 37 * SPEECH_SAMPLE_RATE_HZ // 25
    np.testing.assert_allclose(memory[1].motion.times, np.arange(37) / 25, atol=1e-9)
    np.testing.assert_allclose(
        memory[1].samples, sound_at(5.4)[first : first + len(memory[1].samples)], atol=1e-4
    )
    stored = load_filmed_clips(folder, cache=ArrayCache(tmp_path / "cache")).train
    for a, b in zip(memory, stored, strict=True):
        assert isinstance(b, StoredClip)
        assert (a.name, a.identity, a.sound_hash) == (b.name, b.identity, b.sound_hash)
        np.testing.assert_array_equal(a.samples, b.samples)
        np.testing.assert_array_equal(a.motion.displacement, b.motion.displacement)


def test_people_are_held_out_or_not_touched(tmp_path: Path) -> None:
    parts = [sample(name, 0, FIRST, sha256=c * 64) for name, c in (("ann", "a"), ("bob", "b"))]
    folder = write_shard(tmp_path, [*parts, sample("cy", 0, FIRST, has_audio=False)])
    found = load_filmed_clips(folder, held_out_people=["bob"])
    assert [clip.identity for clip in found.train] == ["ann"]
    assert [clip.identity for clip in found.held_out] == ["bob"]
    assert list(found.skipped) == ["cy.mp4"]
    for name in ("ann", "ann.mp4", "A" * 64):
        found = load_filmed_clips(folder, excluded_people=[name], held_out_people=["bob"])
        assert not found.train
        assert len(found.held_out) == 1
    with pytest.raises(DubfewError, match=r"'dan' .*manifest\.json"):
        load_filmed_clips(folder, held_out_people=["dan"])


def test_folders_that_nothing_can_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(DubfewError, match="dubfew prior prepare"):
        load_filmed_clips(tmp_path)
    mute = write_shard(tmp_path / "mute", [sample("ann", 0, FIRST, has_audio=False)])
    with pytest.raises(DubfewError, match="none of the 1 clips"):
        load_filmed_clips(mute)
    ann = write_shard(tmp_path / "ann", [sample("ann", 0, FIRST)])
    with pytest.raises(DubfewError, match=r"all 1 clips .* exclude list"):
        load_filmed_clips(ann, excluded_people=["ann"])


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    late = write_shard(tmp_path / "late", [sample("ann", 0, FIRST, shift=0.5)])
    with pytest.raises(ArtefactError, match="not where its frames begin"):
        load_filmed_clips(late)
    # Sound of crops begins with a picture of 25 fps, up to half of it from the frame that it shows.
    crops = [sample("ann", 0, FIRST, shift=0.016, layout="face256")]
    assert len(load_filmed_clips(write_shard(tmp_path / "crops", crops)).train) == 1
    off = write_shard(tmp_path / "off", [sample("ann", 0, FIRST, shift=0.016)])
    with pytest.raises(ArtefactError, match="not where its frames begin"):
        load_filmed_clips(off)
    good = sample("ann", 0, FIRST)
    for old, new in (
        (b"dubfew.audio", b"dubfew.other"),
        (b'format_version\\": 1, \\"rate', b'format_version\\": 7, \\"rate'),
        (b'\\"rate\\": 16000', b'\\"rate\\": 48000'),
    ):
        assert old in good
        folder = write_shard(tmp_path / "bad", [good.replace(old, new)])
        with pytest.raises(ArtefactError, match=r"shard-000000\.tar: ann_00000"):
            load_filmed_clips(folder)
