"""Replay: sets of other people, their file, and mixed batches."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.adapt import trainer
from dubfew.adapt.judges import Judges
from dubfew.adapt.replay import (
    REPLAY_FILE,
    ReplayPerson,
    ReplaySampler,
    bundled_replay_path,
    load_replay,
    load_replay_for_prior,
    save_replay,
)
from dubfew.data.sampling import REPLAY_SAMPLING, draw_sample
from dubfew.errors import ArtefactError
from dubfew.prior.checkpoint import create_untrained_prior
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.inputs import select_motion_window
from tests.adapt.toys import train_toy_adapter
from tests.data.people import TOY, toy_footage
from tools.build_replay_set import FRAMES_PER_PERSON, PERSON_SEEDS, film_person, make_replay_header

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def people():
    return [ReplayPerson.from_footage(toy_footage(16, seed), 5) for seed in (1, 2)]


@pytest.fixture(scope="module")
def stored(people, tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / REPLAY_FILE
    save_replay(path, people, {"head": "lite"})
    return path


def test_a_replay_person_has_the_frames_that_span_the_mouth_shapes():
    footage = toy_footage(16, 1)
    person = ReplayPerson.from_footage(footage, 5)
    assert len(person.windows) == 5
    for row, motion in zip(person.windows.frames, person.motion, strict=True):
        # Frames around a frame are those of the clip, not those of the selection.
        np.testing.assert_array_equal(motion, select_motion_window(footage.motion, int(row)))


def test_a_stored_replay_set_comes_back(people, stored):
    again, header = load_replay(stored)
    assert header["head"] == "lite"
    for ours, theirs in zip(people, again, strict=True):
        a, b = ours.windows, theirs.windows
        assert np.abs(a.images.astype(int) - b.images).mean() < 3
        np.testing.assert_allclose(b.vertices[..., :2], a.vertices[..., :2], atol=2e-3)
        np.testing.assert_allclose(b.vertices[..., 2], a.vertices[..., 2], atol=1e-4)
        np.testing.assert_allclose(b.hulls, a.hulls, atol=2e-3)
        np.testing.assert_allclose(b.key, a.key, atol=1e-3)
        np.testing.assert_allclose(theirs.motion, ours.motion, atol=1e-3)
        np.testing.assert_array_equal(b.frames, a.frames)
        assert (b.vertices.dtype, b.images.dtype) == (np.float32, np.uint8)


def test_replay_batches_follow_from_the_seed(people):
    replay = ReplaySampler(people, load_head_model())

    def drawn(seed):
        return replay.sample_replay_batch(6, TOY.references, 5, np.random.default_rng(seed))

    (a, texture), (b, same) = drawn(0), drawn(0)
    assert torch.equal(a.target, b.target)
    assert torch.equal(texture, same)
    assert not torch.equal(a.target, drawn(1)[0].target)
    assert texture.shape == (6, 5, 64, 64)
    assert float(texture[:, :3].std()) > 0.01
    assert not texture[:, 3:].any()
    assert a.inputs.references.shape[1] == TOY.references
    # The texture is where the face is: it resembles the image there.
    inside = a.inputs.mesh_mask.bool().expand(-1, 3, -1, -1)
    assert float((texture[:, :3] - a.target)[inside].abs().mean()) < 0.15


def test_no_target_is_among_its_own_references(people):
    plain = ReplayPerson(
        replace(
            people[0].windows,
            images=np.zeros_like(people[0].windows.images)
            + (np.arange(5, dtype=np.uint8) * 50)[:, None, None, None],
        ),
        people[0].motion,
    )
    head, motion, generator = load_head_model(), plain.motion, np.random.default_rng(0)
    for _ in range(12):
        sample = draw_sample(
            plain.windows, head, 2, REPLAY_SAMPLING, generator, augment=False, motion_windows=motion
        )
        assert float(sample.target[0, 0, 0, 0]) not in sample.inputs.references[0, :, 0, 0, 0]


def test_the_shipped_replay_set():
    people, header = load_replay(bundled_replay_path())
    assert bundled_replay_path().stat().st_size <= 2.5e6
    assert header["people"] == [f"synthetic person, seed {seed}" for seed in PERSON_SEEDS]
    assert header == {"format_version": 1, "window": 160, **make_replay_header(load_head_model())}
    assert [len(p.windows) for p in people] == [FRAMES_PER_PERSON] * len(PERSON_SEEDS)
    replay = ReplaySampler(people[:2], load_head_model())
    sample, texture = replay.sample_replay_batch(2, 3, 16, np.random.default_rng(0))
    assert sample.target.shape == (2, 3, 160, 160)
    assert texture.shape == (2, 16, 160, 160)


def test_a_synthetic_clip_is_rendered_once(tmp_path, monkeypatch):
    asked = []

    def write(person, path, **options):
        asked.append((person, options))
        path.write_bytes(b"clip")

    monkeypatch.setattr("tools.build_replay_set.write_clip", write)
    monkeypatch.setattr("tools.build_replay_set.SyntheticPerson", lambda seed: seed)
    assert (
        film_person(1003, tmp_path)
        == film_person(1003, tmp_path)
        == tmp_path / "synthetic_1003.mp4"
    )
    assert asked == [(1003, {"seconds": 5.0, "size": 576, "seed": 1003, "crf": 20})]


def test_a_prior_may_have_a_replay_set_of_its_own(tmp_path, stored):
    prior = create_untrained_prior(config=TOY)
    folder = tmp_path / "own"
    prior.save(folder, {}, "card")
    (folder / REPLAY_FILE).write_bytes(stored.read_bytes())
    own = replace(prior, name=str(folder.resolve()))
    assert len(load_replay_for_prior(own, load_head_model()).people) == 2
    others = load_replay_for_prior(replace(prior, name="lite"), load_head_model()).people
    assert len(others) == len(PERSON_SEEDS)
    # Windows come in the size of the prior's.
    assert others[0].windows.window_size == TOY.window
    with pytest.raises(ArtefactError, match="head model 'lite'"):
        load_replay_for_prior(own, replace(load_head_model(), name="flame"))


def test_mixed_batches_reach_the_renderer(prior, footage, people, monkeypatch):
    seen = []
    inner = Judges.compute_loss

    def spy(judges, renderer, sample, texture):
        seen.append((len(sample.target), len(texture)))
        return inner(judges, renderer, sample, texture)

    monkeypatch.setattr(Judges, "compute_loss", spy)
    replay = ReplaySampler(people, load_head_model())
    mixed = train_toy_adapter(prior, footage, "texture", 1, replay=replay)
    alone = train_toy_adapter(prior, footage, "texture", 1)
    again = train_toy_adapter(prior, footage, "texture", 1, replay=replay)
    assert seen == [
        (2 * trainer.ACTOR_BATCH_SIZE,) * 2,
        (trainer.ACTOR_BATCH_SIZE,) * 2,
        (2 * trainer.ACTOR_BATCH_SIZE,) * 2,
    ]
    assert not torch.equal(mixed.texture, alone.texture)
    assert torch.equal(mixed.texture, again.texture)


def test_bytes_of_another_kind_are_refused(tmp_path, stored):
    newer = tmp_path / "newer"
    content = stored.read_bytes()
    newer.write_bytes(content.replace(b'format_version\\": 1', b'format_version\\": 9'))
    with pytest.raises(ArtefactError, match="newer dubfew"):
        load_replay(newer)
    with pytest.raises(ArtefactError, match="not a replay set"):
        load_replay(tmp_path / "none")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_or_goes_into_values(tmp_path_factory, stored, data):
    content = stored.read_bytes()
    place = data.draw(st.integers(0, 1500) | st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        broken = content[:place]
    else:
        flipped = content[place] ^ (1 << data.draw(st.integers(0, 7)))
        broken = content[:place] + bytes([flipped]) + content[place + 1 :]
    path = tmp_path_factory.mktemp("damaged") / REPLAY_FILE
    path.write_bytes(broken)
    try:
        people, header = load_replay(path)
    except ArtefactError:
        return
    assert json.dumps(header)
    assert all(len(p.windows) == len(p.motion) for p in people)
