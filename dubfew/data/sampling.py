"""Draw training samples: a frame, the references it may have, a random part of them, one sample.

Training of the prior, adaptation to an actor and replay draw in the same way under different
rules. The rules stand here side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from dubfew.data.augmentation import AFFINE_PROBABILITY, augment_sample, transform_frame_affine
from dubfew.data.samples import TrainingSample, make_sample
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.references.inputs import select_motion_window
from dubfew.references.selection import (
    MIN_REFERENCE_GAP_ADAPT,
    MIN_REFERENCE_GAP_TRAIN,
    MIN_REFERENCE_GAP_VALIDATE,
    find_candidate_rows,
    find_nearest_references,
    spread_rows,
)

# Fewest and most candidates in the prior's training. The number is drawn log-uniformly: often it is
# small, so that no reference shows the target's mouth; seldom it exceeds the 48 of an actor.
MIN_TRAIN_CANDIDATES, MAX_TRAIN_CANDIDATES = 2, 64
# Probability that training keeps only the third of the candidates that is least like the target:
# four seconds of footage lack many mouths that a dub asks for.
HARD_REFERENCES_PROBABILITY = 0.3
# Fewest candidates that are kept then; fewer would nearly fix the references of a short clip.
MIN_HARD_CANDIDATES = 4
# Probability that training shows a person as a new actor, with the unwrapped colors alone. At 0 the
# network relies on learned features that a new actor lacks; at 1 it never learns to use them.
UNSEEN_ACTOR_PROBABILITY = 0.5
# Fewest candidates in adaptation: fewer references than there are, since rendering meets mouths
# that are not among them, but not so few that the nearest is unlike every target.
MIN_ADAPT_CANDIDATES = 8
# Fewest candidates in replay, whose people have about 16 frames each.
MIN_REPLAY_CANDIDATES = 2

# Frames at the start of a held-out clip that references are taken from: four seconds at 25 fps, the
# least footage that an actor is expected to have.
MAX_VALIDATION_SPAN = 100

# Draws how many of so many candidates are kept.
CandidateCount = Callable[[int, np.random.Generator], int]


def _draw_train_count(num_candidates: int, rng: np.random.Generator) -> int:
    low, high = np.log((MIN_TRAIN_CANDIDATES, MAX_TRAIN_CANDIDATES))
    return round(float(np.exp(rng.uniform(low, high))))


def _draw_adapt_count(num_candidates: int, rng: np.random.Generator) -> int:
    return int(rng.integers(MIN_ADAPT_CANDIDATES, num_candidates + 1))


def _draw_replay_count(num_candidates: int, rng: np.random.Generator) -> int:
    return int(rng.integers(min(MIN_REPLAY_CANDIDATES, num_candidates), num_candidates + 1))


@dataclass(frozen=True)
class SamplingRule:
    """How the references of a sample are drawn, and how the sample is varied.

    Attributes:
        min_gap: least distance between target and reference, frames.
        draw_count: draws how many candidates are kept.
        keep_all_up_to: this many candidates or fewer are all kept, without a draw.
        hard_references_probability: probability of keeping only candidates unlike the target.
        unseen_actor_probability: probability that the sample's person counts as a new actor.
        align_mesh: whether the mesh is aligned with the references that were drawn.
        vary_camera: whether head poses, resolution and compression vary, too.
    """

    min_gap: int
    draw_count: CandidateCount
    keep_all_up_to: int = 0
    hard_references_probability: float = 0.0
    unseen_actor_probability: float = 1.0
    align_mesh: bool = True
    vary_camera: bool = False


# Training of the prior: many people, each seldom, in all conditions that a renderer may meet.
TRAIN_SAMPLING = SamplingRule(
    min_gap=MIN_REFERENCE_GAP_TRAIN,
    draw_count=_draw_train_count,
    hard_references_probability=HARD_REFERENCES_PROBABILITY,
    unseen_actor_probability=UNSEEN_ACTOR_PROBABILITY,
    vary_camera=True,
)
# Adaptation: a few seconds of one actor. Every mesh is aligned anew with the references that were
# drawn: without that, which would save a fifth of the time, an actor who moves far was rendered
# 0.5 dB worse after 100 steps than before.
ADAPT_SAMPLING = SamplingRule(
    min_gap=MIN_REFERENCE_GAP_ADAPT,
    draw_count=_draw_adapt_count,
    keep_all_up_to=MIN_ADAPT_CANDIDATES,
)
# Replay: a few frames of each person, chosen to be unlike each other, so that neighbors in time are
# no danger; they were aligned when the set was made.
REPLAY_SAMPLING = SamplingRule(min_gap=1, draw_count=_draw_replay_count, align_mesh=False)


def split_validation_rows(
    num_frames: int, num_references: int, num_targets: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a held-out clip into references and the targets to render from them.

    References come from the first half, at most its first `MAX_VALIDATION_SPAN` frames: as much as
    an actor's footage. Targets are spread over the rest.

    Args:
        num_frames: frames of the clip.
        num_references: at most this many references.
        num_targets: at most this many targets.

    Returns:
        Rows of the references and rows of the targets, ascending; no draw is involved.

    Example:
        >>> references, targets = split_validation_rows(40, 3, 2)
        >>> references.tolist(), targets.tolist()
        ([0, 9, 19], [24, 39])
    """
    half, last = min(MAX_VALIDATION_SPAN, num_frames // 2), num_frames - 1
    first_target = min(half - 1 + MIN_REFERENCE_GAP_VALIDATE, last)
    return spread_rows(0, half - 1, num_references), spread_rows(first_target, last, num_targets)


def draw_candidates(
    footage: Footage,
    row: int,
    rule: SamplingRule,
    rng: np.random.Generator,
    rows: NDArray | None = None,  # [M]
) -> NDArray[np.int64]:  # [C]
    """Draw the rows among which a sample's references are the nearest.

    Args:
        footage: one person's windows.
        row: the target.
        rule: how to draw.
        rng: random numbers; advanced.
        rows: rows to draw from; all by default. [M]

    Returns:
        Rows of the footage, in random order unless all were kept. [C]
    """
    candidates = find_candidate_rows(footage.frames, row, rule.min_gap, rows)
    # Sometimes only candidates unlike the target. No draw where the rule does without: seeds of
    # other rules must not depend on it.
    hard = rule.hard_references_probability
    if hard > 0 and rng.random() < hard:
        distance = np.linalg.norm(footage.key[candidates] - footage.key[row], axis=1)
        kept = max(MIN_HARD_CANDIDATES, len(candidates) // 3)
        candidates = candidates[np.argsort(-distance, kind="stable")[:kept]]
    if len(candidates) <= rule.keep_all_up_to:
        return candidates
    # Shuffle before counting: tests hold this order of the draws.
    shuffled = rng.permutation(candidates)
    return shuffled[: rule.draw_count(len(candidates), rng)]


def draw_sample(
    footage: Footage,
    head: HeadModel,
    num_references: int,
    rule: SamplingRule,
    rng: np.random.Generator,
    *,
    row: int | None = None,
    rows: NDArray | None = None,  # [M]
    motion_windows: NDArray[np.float32] | None = None,  # [N, T, P, 3]
    actor_index: int = 0,
    augment: bool = True,
) -> TrainingSample:
    """Draw one sample of a person.

    The same generator state gives the same sample.

    Args:
        footage: the person's windows, N rows.
        head: the footage's head model.
        num_references: references of the sample, K.
        rule: how to draw.
        rng: random numbers; advanced.
        row: the target; drawn from all rows by default.
        rows: rows to draw references from; all by default. [M]
        motion_windows: mouth motion around every row, for footage that does not hold the
            neighbors in time; taken from the footage by default. [N, T, P, 3]
        actor_index: row of the neural texture.
        augment: False for the sample as filmed.
    """
    if row is None:
        row = int(rng.integers(len(footage)))
    candidates = draw_candidates(footage, row, rule, rng, rows)
    if motion_windows is None:
        motion = select_motion_window(footage.motion, row)
    else:
        motion = motion_windows[row]
    if augment and rule.vary_camera:
        # Only the rows that the sample shows: the other windows may still be on the disk.
        nearest, _ = find_nearest_references(
            footage.key[row], footage.key[candidates], num_references
        )
        footage = footage.select_frames([row, *candidates[nearest]])
        row, candidates = 0, np.arange(1, len(footage))
        if rng.random() < AFFINE_PROBABILITY:
            footage = transform_frame_affine(footage, row, rng)
    sample = make_sample(
        footage,
        row,
        candidates,
        head,
        num_references,
        actor_index,
        motion=motion,
        align_mesh=rule.align_mesh,
    )
    if not augment:
        return sample
    if rule.unseen_actor_probability < 1:
        is_new = bool(rng.random() < rule.unseen_actor_probability)
        sample = replace(sample, is_new_actor=torch.tensor([is_new]))
    return augment_sample(sample, rng, degrade=rule.vary_camera)
