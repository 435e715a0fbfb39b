"""Decide whose mouth in a scene is the actor's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.actor_likeness import ActorFace
from dubfew.errors import WrongPersonError
from dubfew.media import DamagedMediaWarning, read_sample_frames
from dubfew.reconstruction.detection.face_descriptors import crop_face
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.multi_face_landmarker import MAX_TRACKED_FACES
from dubfew.reconstruction.detection.people import DetectedPerson, choose_person
from dubfew.reconstruction.likeness import Likeness, Verdict
from dubfew.utils.arrays import FloatArray

# Two people are ambiguous if their distances from the actor differ by less than this, in units of
# the distance from which people differ. Larger values warn more often.
AMBIGUITY_MARGIN = 0.1
# Pictures of a scene that are looked at before all of it is tracked, and how many of them must show
# a stranger. More pictures take longer; a few are enough to see that somebody else is filmed.
NUM_SAMPLE_FRAMES, MIN_STRANGER_FRAMES = 8, 3


@dataclass(frozen=True)
class FaceChoice:
    """Which face of a scene is rendered, as the user asked for it.

    Attributes:
        actor_id: id of the actor, for messages.
        face: selector, see `choose_person`; None for the face that is most like the actor.
        anyone: whether a face that is not the actor's is rendered all the same.
        proxy: smaller version of the scene in which the face is tracked, or None.
    """

    actor_id: str
    face: str | None = None
    anyone: bool = False
    proxy: Path | None = None


def match_actor(
    people: Sequence[DetectedPerson], actor: ActorFace, choice: FaceChoice
) -> tuple[DetectedPerson, str]:
    """Choose the person whose mouth is rendered, and describe the choice in one line.

    A close second person and an uncertain likeness raise a warning, because the render that follows
    takes minutes.

    Args:
        people: people of the scene, at least one, the one who is seen most first.
        actor: the actor's face.
        choice: what the user asked for.

    Returns:
        The person, and a line for the user, or "".

    Raises:
        WrongPersonError: The person is not like the actor.
        DubfewError: No face fits the selector.
    """
    likeness = {person.number: actor.measure_likeness(person.crops) for person in people}
    ranked = sorted(people, key=lambda person: likeness[person.number].distance)
    chosen = ranked[0] if choice.face is None else choose_person(people, choice.face)
    own = likeness[chosen.number]
    actor_id, number, total = choice.actor_id, chosen.number, len(people)
    if own.verdict is Verdict.STRANGER:
        if not choice.anyone:
            raise WrongPersonError(_refusal(choice, own, total))
        chosen = people[0] if choice.face is None else chosen
        line = (
            f"face {chosen.number} is not {actor_id!r} ({likeness[chosen.number]}): rendered all "
            "the same, as --anyone says"
        )
    elif own.verdict is Verdict.UNCLEAR:
        line = f"face {number} may not be {actor_id!r} ({own}): look at the result"
    elif choice.face is None and _is_ambiguous(ranked, likeness):
        line = (
            f"faces {number} and {ranked[1].number} are nearly alike: {number} is taken for "
            f"{actor_id!r} (--face chooses)"
        )
    else:
        # One face that is the actor's needs no words.
        taken = f"face {number} of {total} is {actor_id!r}, by likeness"
        return chosen, taken if choice.face is None and total > 1 else ""
    warnings.warn(line, stacklevel=2)
    return chosen, line


def refuse_strangers(scene: Path, actor: ActorFace, choice: FaceChoice) -> None:
    """Refuse a scene that shows one stranger alone, by a few of its pictures.

    Whatever is less clear is left to `match_actor`, which has seen the whole scene.

    Args:
        scene: the video.
        actor: the actor's face.
        choice: what the user asked for.

    Raises:
        WrongPersonError: All pictures show one person, who is not the actor.
        MediaError: The scene cannot be read.
    """
    if choice.anyone or choice.face is not None:
        return
    faces: list[tuple[NDArray[np.uint8], FloatArray]] = []
    with (
        warnings.catch_warnings(),
        FaceLandmarker(use_tracking=False, max_faces=MAX_TRACKED_FACES) as landmarker,
    ):
        # A damaged file is reported when all of it is read.
        warnings.simplefilter("ignore", DamagedMediaWarning)
        for frame in read_sample_frames(scene, NUM_SAMPLE_FRAMES):
            rgb = frame.to_rgb(fast=True)
            found = landmarker.detect_all(rgb)
            # With several people the actor may be in other pictures.
            if len(found) > 1:
                return
            faces += [crop_face(rgb, landmarks) for landmarks in found]
            if faces and actor.measure_likeness(faces[-1:]).verdict is not Verdict.STRANGER:
                return
    if len(faces) < MIN_STRANGER_FRAMES:
        return
    # Pictures of several people, one after another, are left to the whole scene, too.
    first = ActorFace(actor.descriptor, actor.descriptor(*faces[0]))
    if all(first.measure_likeness([f]).verdict is not Verdict.STRANGER for f in faces[1:]):
        raise WrongPersonError(_refusal(choice, actor.measure_likeness(faces), 1))


def _is_ambiguous(ranked: Sequence[DetectedPerson], likeness: dict[int, Likeness]) -> bool:
    """Whether two people of a scene are about equally like the actor."""
    if len(ranked) < 2:
        return False
    first, second = (likeness[person.number].distance for person in ranked[:2])
    return second - first < AMBIGUITY_MARGIN


def _refusal(choice: FaceChoice, likeness: Likeness, total: int) -> str:
    """The error for a face that is not the actor's."""
    if choice.face is not None:
        found, ways = f"face {choice.face} is not", "choose another --face or actor"
    elif total > 1:
        found, ways = f"none of the {total} faces is", "give another scene or actor"
    else:
        found, ways = "the face in the scene is not", "give another scene or actor"
    return (
        f"{found} {choice.actor_id!r} ({likeness}): {ways}; --anyone renders the face all the "
        "same, and the audit log says so"
    )
