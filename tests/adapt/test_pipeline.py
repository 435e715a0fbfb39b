"""The parts of ``adapt`` that need no footage."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dubfew.adapt import ActorAdapter, AdaptOptions, actor_footage, adapt
from dubfew.adapt.actor_footage import read_audio_between
from dubfew.adapt.trainer import (
    MAX_HELD_OUT_FRAMES,
    sample_actor_batch,
    split_held_out,
)
from dubfew.errors import ArtefactError, ConsentError, DubfewError, MediaError, RegistryError
from dubfew.media import read_audio
from dubfew.prior import Prior
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.references.footage import resize_footage
from dubfew.references.selection import MIN_REFERENCE_GAP_ADAPT, farthest_point_sampling
from dubfew.registry import Registry
from dubfew.registry.consent import read_consent
from dubfew.utils.device import resolve_device
from tests.consents import filled_consent

pytestmark = pytest.mark.slow


@given(st.integers(1, 5000))
def test_split_keeps_training_and_validation_apart(count):
    train, held = split_held_out(count)
    assert len(train)
    assert len(held) <= MAX_HELD_OUT_FRAMES
    assert (len(held) > 0) == (count >= 16)
    np.testing.assert_array_equal(train, np.arange(len(train)))
    assert np.all(np.diff(held) > 0)
    assert np.all((held >= len(train)) & (held < count))
    assert len(train) >= 0.8 * count


def test_split_holds_out_the_end_of_the_footage():
    train, held = split_held_out(100)
    assert len(train) == 85
    assert (held[0], held[-1], len(held)) == (85, 99, 12)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.just(5)),
        elements=st.integers(-8, 8),
    ),
    st.integers(1, 50),
)
def test_farthest_points_are_in_order_and_repeat_nothing_needlessly(key, count):
    rows = farthest_point_sampling(key, count)
    assert len(rows) == min(count, len(key))
    assert np.all((rows >= 0) & (rows < len(key)))
    assert np.all(np.diff(rows) >= 0)
    # Once every different key is there, only twins are left to add.
    different = len(np.unique(key, axis=0))
    if count >= different:
        assert len(np.unique(key[rows], axis=0)) == different


def test_farthest_points_include_the_extremes():
    key = np.linspace(0, 1, 101)[:, None].astype(np.float32)
    assert farthest_point_sampling(key, 3).tolist() == [0, 50, 100]
    assert set(np.diff(farthest_point_sampling(key, 11))) <= set(range(5, 16))


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), -float("inf")])
def test_seconds_must_be_positive_and_finite(seconds):
    with pytest.raises(DubfewError, match=r"seconds.*above 0"):
        AdaptOptions(seconds=seconds)


@pytest.mark.parametrize("start", [-0.1, float("nan"), float("inf")])
def test_start_must_be_0_or_more(start):
    with pytest.raises(DubfewError, match="0 or more"):
        AdaptOptions(start=start)


def test_a_consent_record_is_checked_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(Prior, "load", lambda *given: pytest.fail("it began"))
    clip = files("dubfew.demo") / "actor.mp4"
    registry = Registry(tmp_path / "home")
    path = tmp_path / "consent.json"
    refused = {
        "minor": filled_consent() | {"minor": True},
        "ended on": filled_consent() | {"valid_from": "2020-01-01", "valid_to": "2020-12-31"},
        "begins on": filled_consent() | {"valid_from": "9000-01-01", "valid_to": None},
        "unknown": filled_consent() | {"until": "2027-01-01"},
    }
    for said, record in refused.items():
        path.write_text(json.dumps(record))
        with pytest.raises(ConsentError, match=said):
            adapt(str(clip), prior="warp", registry=registry, consent=path)
    registry.home.mkdir(exist_ok=True)
    (registry.home / "policy.json").write_text('{"require_consent": true}')
    with pytest.raises(ConsentError, match="requires"):
        adapt(str(clip), prior="warp", registry=registry)


def test_the_record_stays_when_the_actor_is_learned_again(tmp_path):
    clip = Path(str(files("dubfew.demo") / "actor.mp4"))
    registry = Registry(tmp_path / "home")
    path = tmp_path / "consent.json"
    record = filled_consent()
    path.write_text(json.dumps(record))
    short = {"prior": "warp", "steps": 0, "seconds": 0.4, "start": 0.0, "registry": registry}
    first = adapt(clip, actor="zoë", consent=path, **short)
    second = adapt(clip, actor="zoë", **short)
    assert (first.note, second.note) == ("", "")
    for revision in registry.revisions("zoë"):
        assert revision.consent.record == record
        assert revision.config["consent"]["sha256"] == read_consent(path).sha256
        # Nowhere else, where it would outlive a change.
        assert b"rights_holder" not in b"".join(map(revision.read, revision.file_names()))


def test_devices_that_exist_are_resolved():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "cuda")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(DubfewError, match="use --device cpu"):
        resolve_device("cuda:1")
    with pytest.raises(DubfewError, match="auto, cpu or cuda"):
        resolve_device("gpu")


def test_resized_footage_shows_the_same(footage):
    footage = footage.select_frames([0, 9, 20])
    half = resize_footage(footage, 32)
    assert half.images.shape == (3, 32, 32, 3)
    np.testing.assert_allclose(half.vertices[..., :2] * 2, footage.vertices[..., :2], rtol=1e-6)
    np.testing.assert_array_equal(half.vertices[..., 2], footage.vertices[..., 2])
    np.testing.assert_allclose(half.hulls * 2, footage.hulls, rtol=1e-6)
    means = footage.images.reshape(3, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(half.images[:, 4:-4, 4:-4] - means[:, 4:-4, 4:-4]).mean() < 6
    assert resize_footage(footage, 64) is footage


def test_a_batch_has_no_reference_near_its_target(footage):
    head = load_head_model()
    # Every frame its own colour, so that references can be recognised.
    marked = replace(
        footage,
        images=np.zeros_like(footage.images)
        + (np.arange(24, dtype=np.uint8) * 10)[:, None, None, None],
    )
    generator = np.random.default_rng(0)
    for _ in range(4):
        sample = sample_actor_batch(marked, np.arange(20), head, 2, generator, augment=False)
        targets = (sample.target[:, 0, 0, 0] * 25.5).round()
        references = (sample.inputs.references[:, :, 0, 0, 0] * 25.5).round()
        assert float(targets.max()) < 20
        assert float(references.max()) < 20
        assert float((references - targets[:, None]).abs().min()) >= MIN_REFERENCE_GAP_ADAPT


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"method": "magic"}, ArtefactError),
        ({"prior": "nobody"}, ArtefactError),
        ({"actor": "a/b"}, RegistryError),
        ({"seconds": -1}, DubfewError),
        ({"start": -1}, DubfewError),
        ({"method": "full", "rank": 4}, ArtefactError),
        ({"rank": 0}, ArtefactError),
        ({"device": "gpu"}, DubfewError),
        ({"consent": Path("none.json")}, ConsentError),
    ],
)
def test_options_are_checked_before_the_work(tmp_path, monkeypatch, given, error):
    """Tracking and training take minutes: what cannot be done is said at once."""

    def late(*args, **options):
        pytest.fail("tracking began")

    monkeypatch.setattr(actor_footage, "detect_people", late)
    clip = files("dubfew.demo") / "actor.mp4"
    with pytest.raises(error):
        adapt(str(clip), **{"prior": "warp", **given})


def test_footage_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.mp4").touch()
    for name in ("empty.mp4", "none.mp4"):
        with pytest.raises(MediaError):
            adapt(tmp_path / name, prior="warp")


def test_a_part_of_the_footage(tmp_path):
    """Frames, times and sound are those of the part that was asked for."""
    clip = Path(str(files("dubfew.demo") / "actor.mp4"))
    registry = Registry(tmp_path)
    result = adapt(clip, actor="part", prior="warp", steps=0, start=0.4, seconds=0.64,
                   registry=registry)  # fmt: skip
    assert (result.segment.first, result.segment.stop, result.segment.chosen) == (10, 26, "asked")
    assert result.segment.seconds == pytest.approx(0.64)
    stored = registry.open("part")
    source = stored.config["source"]
    assert (source["first"], source["frames"], source["complete"]) == (10, 16, False)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    track = Track.from_bytes(adapter.track_bytes, "track")
    np.testing.assert_allclose(track.times, np.arange(10, 26) / 25)
    assert adapter.references.frames.min() >= 10
    assert adapter.references.frames.max() < 26


def test_a_start_beyond_the_end():
    clip = Path(str(files("dubfew.demo") / "actor.mp4"))
    with pytest.raises(DubfewError, match="beyond the end"):
        adapt(clip, prior="warp", start=1e4)


def test_sound_of_a_part():
    clip = Path(str(files("dubfew.demo") / "actor.mp4"))
    whole = read_audio(clip).samples
    part = read_audio_between(clip, 1.0, 2.5)
    np.testing.assert_array_equal(part.samples, whole[16000:40000])
    assert len(read_audio_between(clip, 1e3, 1e4).samples) == 0
