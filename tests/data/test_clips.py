"""Clips of painting renderers: pictures at 25 fps, storage, and the samples of the dataset."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from dubfew.data.clip_dataset import ClipDataset
from dubfew.data.clip_footage import join_sounds, schedule_clip_frames
from dubfew.data.clip_samples import (
    ClipSampleForm,
    SoundFeatureCache,
    draw_references,
    find_windows,
    make_clip_sample,
    window_rows,
)
from dubfew.data.clip_shards import deserialize_clip, open_layout_clips, serialize_clip
from dubfew.data.prepare import store_clip_lags
from dubfew.data.shards import list_stored_clips, open_prepared_clips
from dubfew.errors import ArtefactError, DubfewError
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.data.clips import toy_clip, write_toy_clips

FORM = ClipSampleForm(frames=3, references=2, shrink=4, sound="mel16", textured=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy_clips(tmp_path_factory.mktemp("clips"), range(2))


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 50])
def test_pictures_are_the_frames_nearest_in_time(fps):
    times = np.arange(100) / fps
    numbers, rows = schedule_clip_frames(times)
    off = np.abs(times[rows] - numbers / 25)
    assert off.max() <= 0.5 / min(fps, 25) + 1e-9
    assert (off <= np.abs(times[:, None] - numbers / 25).min(0) + 1e-9).all()
    assert (np.diff(numbers) == 1).all()


@pytest.mark.slow
def test_stored_clips_are_opened_as_they_were(folder):
    (clip, header), _ = open_layout_clips(folder, "face256")
    made = toy_clip(24, 0)
    assert (header["identity"], clip.head, len(clip)) == ("toy 0", "lite", 24)
    rows = np.array([3, 20])
    np.testing.assert_array_equal(clip.vertices[rows], made.vertices[rows])
    np.testing.assert_array_equal(clip.unpack_masks(rows), made.unpack_masks(rows))
    difference = clip.images[rows].astype(int) - made.images[rows]
    assert 0 < np.abs(difference).mean() < 1.5  # JPEG
    np.testing.assert_allclose(clip.samples, made.samples, atol=1e-4)


@pytest.mark.slow
def test_a_stored_lag_moves_the_sound_and_can_be_forgotten(tmp_path):
    folder = write_toy_clips(tmp_path, range(2))
    store_clip_lags(folder, {"1.mp4": 0.08, "elsewhere.mp4": 0.04})
    (still, _), (late, header) = open_layout_clips(folder, "face256")
    assert (still.sound_start, late.sound_start) == (0.0, 0.08)
    assert header["lag_seconds"] == 0.08
    # The picture shows the mouth 0.08 s late: frame 10 goes with the sound of frame 8.
    cache = SoundFeatureCache("mel16")
    made = toy_clip(24, 1)
    heard = cache.cut_windows(0, late.samples, np.array([10 / 25]) - late.sound_start)
    expected = cache.cut_windows(0, made.samples, np.array([8 / 25]))
    torch.testing.assert_close(heard, expected, atol=0.05, rtol=0)
    store_clip_lags(folder, {})
    assert all("lag_seconds" not in header for _, header in open_layout_clips(folder, "face256"))


def test_other_readers_refuse_crops_and_list_them(folder):
    assert [c["frames"] for c in list_stored_clips(folder)] == [24, 24]
    with pytest.raises(DubfewError, match="without --layout"):
        open_prepared_clips(folder)
    with pytest.raises(DubfewError, match="--layout sidgan"):
        open_layout_clips(folder, "sidgan")
    with pytest.raises(DubfewError, match="exclude list"):
        open_layout_clips(folder, "face256", ["toy 0", "toy 1"])


@pytest.mark.slow
def test_crops_are_bytes_and_crops_again():
    data = serialize_clip(toy_clip())
    assert data == serialize_clip(toy_clip())
    assert len(deserialize_clip(data, "here")) == 24
    with pytest.raises(ArtefactError, match="damaged"):
        deserialize_clip(data[:-100], "here")


def test_sounds_of_segments_are_joined_in_time():
    joined, start = join_sounds([(1.0, np.ones(160, np.float32)), (1.02, np.ones(80, np.float32))])
    assert start == 1.0
    assert joined.tolist() == [1] * 160 + [0] * 160 + [1] * 80


def test_windows_do_not_cross_gaps():
    frames = np.array([0, 1, 2, 7, 8, 9, 10])
    assert find_windows(frames, 3).tolist() == [0, 3, 4]
    assert window_rows(frames, 1, 4).tolist() == [1, 2, 2, 2]


def test_references_are_far_from_the_window():
    frames = np.arange(60)
    rng = np.random.default_rng(0)
    drawn = np.concatenate(
        [draw_references(frames, np.array([30, 31, 32]), 5, rng) for _ in range(20)]
    )
    assert (np.abs(drawn - 31) >= 11).all()
    assert len(np.unique(drawn)) > 20
    # A short clip gives what it has.
    assert draw_references(np.arange(4), np.array([0, 1]), 2, rng).tolist() == [3, 3]


def test_a_sample_blanks_the_mask_and_shows_the_truth():
    clip, head = toy_clip(), load_head_model()
    features = SoundFeatureCache("mel16")
    rows = np.array([2, 3, 4])
    sample = make_clip_sample(clip, rows, np.array([20, 22]), head, FORM, features)
    inputs = sample.inputs
    assert inputs.scene.shape == sample.target.shape == (1, 3, 3, 64, 64)
    assert (inputs.references.shape[1], inputs.sound.shape) == (2, (1, 3, 80, 16))
    assert float((inputs.scene * inputs.mask).abs().max()) == 0
    torch.testing.assert_close(inputs.scene, sample.target * (1 - inputs.mask))
    assert float((inputs.mesh_mask * inputs.mask).sum() / inputs.mask.sum()) > 0.9
    # The window of a frame is the next frame's, a frame earlier.
    later = make_clip_sample(clip, rows + 1, np.array([20, 22]), head, FORM, features)
    torch.testing.assert_close(later.inputs.sound[:, 0], inputs.sound[:, 1])


def test_items_depend_on_their_number_alone(folder):
    clips = [clip for clip, _ in open_layout_clips(folder, "face256")]
    whole = ClipDataset(clips, FORM, 6, seed=3)
    rest = ClipDataset(clips, FORM, 6, seed=3, first_index=4)
    a, b, other = whole[4], rest[0], whole[5]
    for field in fields(a.inputs):
        assert torch.equal(getattr(a.inputs, field.name), getattr(b.inputs, field.name))
    assert torch.equal(a.target, b.target)
    assert not torch.equal(a.target, other.target)
