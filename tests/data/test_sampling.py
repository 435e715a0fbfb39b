from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubfew.data.samples import make_sample
from dubfew.data.sampling import (
    ADAPT_SAMPLING,
    REPLAY_SAMPLING,
    TRAIN_SAMPLING,
    draw_candidates,
    draw_sample,
    split_validation_rows,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import MIN_REFERENCE_GAP_VALIDATE
from tests.data.people import equal_samples, toy_footage


@pytest.fixture(scope="module")
def footage():
    return toy_footage(60)


# The draws as training, adaptation and replay had them before they shared one implementation: the
# order of the random numbers decides what a seed gives, and may not change.


def draw_as_training_did(footage, row, rng):
    far = np.nonzero(np.abs(footage.frames - footage.frames[row]) >= 10)[0]
    if rng.random() < 0.3:
        distance = np.linalg.norm(footage.key[far] - footage.key[row], axis=1)
        far = far[np.argsort(-distance, kind="stable")[: max(4, len(far) // 3)]]
    return rng.permutation(far)[: round(float(np.exp(rng.uniform(*np.log((2, 64))))))]


def draw_as_adaptation_did(footage, row, rng, rows):
    bank = rows[np.abs(footage.frames[rows] - footage.frames[row]) > 3]
    if len(bank) > 8:
        bank = rng.permutation(bank)[: int(rng.integers(8, len(bank) + 1))]
    return bank if len(bank) else rows


def draw_as_replay_did(footage, row, rng):
    others = rng.permutation(np.delete(np.arange(len(footage)), row))
    fewest = min(2, len(others))
    return others[: int(rng.integers(fewest, len(others) + 1))]


def same_draw(rng, expected_rng, found, expected) -> bool:
    """Whether two draws gave the same and left their generators in the same state."""
    return found.tolist() == expected.tolist() and rng.random() == expected_rng.random()


@pytest.mark.parametrize("seed", range(20))
def test_value_seeds_give_the_draws_that_they_always_gave(footage, seed):
    def generators():
        return np.random.default_rng(seed), np.random.default_rng(seed)

    row = seed * 3
    rng, expected = generators()
    found = draw_candidates(footage, row, TRAIN_SAMPLING, rng)
    assert same_draw(rng, expected, found, draw_as_training_did(footage, row, expected))
    for count in (50, 14, 6, 1):
        rows = np.arange(count)
        rng, expected = generators()
        found = draw_candidates(footage, row, ADAPT_SAMPLING, rng, rows)
        assert same_draw(rng, expected, found, draw_as_adaptation_did(footage, row, expected, rows))
    for count in (16, 3, 2):
        few = footage.select_frames(range(0, 3 * count, 3))
        rng, expected = generators()
        found = draw_candidates(few, seed % count, REPLAY_SAMPLING, rng)
        assert same_draw(rng, expected, found, draw_as_replay_did(few, seed % count, expected))


def test_a_target_is_drawn_unless_it_is_given(footage):
    head = load_head_model()
    rng = np.random.default_rng(4)
    row = int(rng.integers(len(footage)))
    given = draw_sample(footage, head, 2, ADAPT_SAMPLING, rng, row=row)
    drawn = draw_sample(footage, head, 2, ADAPT_SAMPLING, np.random.default_rng(4))
    assert equal_samples(given, drawn)


def test_a_sample_without_augmentation_is_the_frame_as_filmed(footage):
    head, rng = load_head_model(), np.random.default_rng(0)
    found = draw_sample(footage, head, 2, TRAIN_SAMPLING, rng, row=7, actor_index=3, augment=False)
    candidates = draw_candidates(footage, 7, TRAIN_SAMPLING, np.random.default_rng(0))
    assert equal_samples(found, make_sample(footage, 7, candidates, head, 2, 3))


def test_motion_windows_stand_in_for_neighbors_in_time(footage):
    head, rows = load_head_model(), np.arange(0, 60, 6)
    few = footage.select_frames(rows)
    motion = np.stack([select_motion_window(footage.motion, row) for row in rows])
    options = {"row": 4, "augment": False}
    rng = np.random.default_rng(0)
    alone = draw_sample(few, head, 2, REPLAY_SAMPLING, rng, motion_windows=motion, **options)
    whole = make_sample(footage, 24, np.array([0]), head, 2, align_mesh=False)
    np.testing.assert_array_equal(alone.inputs.motion, whole.inputs.motion)


def test_only_rules_that_say_so_show_people_as_known_actors(footage):
    head = load_head_model()
    for probability, expected in ((0.0, False), (1.0, True)):
        rule = replace(TRAIN_SAMPLING, unseen_actor_probability=probability)
        sample = draw_sample(footage, head, 2, rule, np.random.default_rng(1))
        assert sample.is_new_actor.tolist() == [expected]
    sample = draw_sample(footage, head, 2, ADAPT_SAMPLING, np.random.default_rng(1))
    assert sample.is_new_actor.tolist() == [True]


@pytest.mark.parametrize("num_frames", [1, 2, 26, 60, 150, 1000])
def test_validation_renders_another_part_of_the_clip(num_frames):
    references, targets = split_validation_rows(num_frames, 48, 6)
    assert 1 <= len(references) <= 48
    assert 1 <= len(targets) <= 6
    assert targets.max() < num_frames
    if num_frames > 20:
        assert targets.min() - references.max() >= MIN_REFERENCE_GAP_VALIDATE
        assert references.max() < 100
    # As it always was.
    half, last = min(100, num_frames // 2), num_frames - 1
    expected = np.unique(np.linspace(0, half - 1, 48).astype(int))
    assert references.tolist() == expected.tolist()
    expected = np.unique(np.linspace(min(half + 4, last), last, 6).astype(int))
    assert targets.tolist() == expected.tolist()
