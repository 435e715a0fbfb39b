"""Distances of painted faces from every person, and shifts of identity in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.leakage.harness import LeakHarness, PicturesByScene
from dubfew.evaluate.leakage.statistics import (
    IdentityShift,
    PriorShift,
    measure_identity_shift,
    measure_prior_shift,
)


@dataclass(frozen=True)
class PictureDistances:
    """Distances of painted scenes from every person.

    Attributes:
        mean_distance: mean distance from each person, by the scene's name. [P] each
        approach: how much the paint reduced that distance, by the scene's name. [P] each
    """

    mean_distance: dict[str, NDArray[np.float64]]
    approach: dict[str, NDArray[np.float64]]


# Painted scenes of each actor, by the condition under which they were painted.
DistancesByCondition = Mapping[str, Sequence[PictureDistances]]


def measure_pictures(harness: LeakHarness, pictures: PicturesByScene) -> PictureDistances:
    """Measure how near painted scenes are to every person.

    Args:
        harness: people and scenes.
        pictures: painted frames of every scene.
    """
    distances = {
        scene.name: harness.mean_distances(harness.embed_pictures(scene, pictures[scene.name]))
        for scene in harness.scenes
    }
    approach = {
        scene.name: harness.bare_distances(scene) - distances[scene.name]
        for scene in harness.scenes
    }
    return PictureDistances(distances, approach)


def compute_shifts(harness: LeakHarness, measured: PictureDistances) -> NDArray[np.float64]:
    """Compute how much more the paint brings faces to each person than to everyone on average.

    Args:
        harness: people and scenes.
        measured: distances of painted scenes.

    Returns:
        Mean shift over the scenes, in the embedding's distance; NaN for a person who takes part in
        all of the scenes. [P]
    """
    approach = np.full((len(harness.scenes), len(harness.people)), np.nan)
    # A scene of the person, or with the person's references, says nothing about the paint.
    for row, scene in enumerate(harness.scenes):
        for person in range(len(harness.people)):
            if scene in harness.scenes_for_person(person):
                approach[row, person] = measured.approach[scene.name][person]
    return nan_mean(approach - nan_mean(approach.T)[:, None])


def nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the first axis what is not NaN. [N, P] -> [P], NaN where all is NaN

    Unlike ``numpy.nanmean`` it does not warn of columns without a value.

    Example:
        >>> nan_mean(np.array([[1.0, np.nan], [3.0, np.nan]]))
        array([ 2., nan])
    """
    counts = np.isfinite(values).sum(0)
    return np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)


def find_lookalikes(harness: LeakHarness, person: int) -> list[int]:
    """Find other people whom the embedding takes for this one, who are no strangers then.

    Args:
        harness: the people.
        person: row of the person in ``harness.people``.

    Returns:
        Rows of the others.
    """
    own = harness.people[person]
    return [
        number
        for number, other in enumerate(harness.people)
        if number != person and own.mean_distance_to(other) < harness.embedding.same_person_distance
    ]


def measure_all_shifts(
    harness: LeakHarness, measured: DistancesByCondition, seed: int
) -> dict[str, IdentityShift]:
    """Test under every condition whether pictures are shifted towards their actors.

    Args:
        harness: people and scenes; the actors come first among the people.
        measured: distances of every actor's pictures, by condition; "adapter" is among them.
        seed: seed of the permutations.

    Returns:
        A shift for each condition, and for "others" with several actors: the pictures of all other
        actors, as a control.
    """
    shifts = {
        condition: np.stack([compute_shifts(harness, each) for each in per_actor])
        for condition, per_actor in measured.items()
    }
    # The control: is everyone nearer to an actor whose paint is not used?
    stored = shifts["adapter"]
    rows = np.arange(len(stored))
    if len(stored) > 1:
        painted = stored.copy()
        painted[rows, rows] = np.nan  # shifts of the actors' own pictures
        shifts["others"] = np.stack([nan_mean(np.delete(painted, row, axis=0)) for row in rows])
    # People whom the embedding takes for the actor are left out.
    for each in shifts.values():
        for row in rows:
            each[row, find_lookalikes(harness, int(row))] = np.nan
    return {
        condition: measure_identity_shift(each, rows, seed) for condition, each in shifts.items()
    }


def measure_training_shift(
    harness: LeakHarness, measured: PictureDistances, seed: int
) -> PriorShift:
    """Test whether a prior alone is shifted towards the people whom it was trained on.

    Args:
        harness: people and scenes.
        measured: distances of scenes that the prior painted.
        seed: seed of the permutations.
    """
    in_training_set = np.array([person.in_training_set for person in harness.people])
    return measure_prior_shift(compute_shifts(harness, measured), in_training_set, seed)
