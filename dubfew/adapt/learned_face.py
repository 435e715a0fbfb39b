"""Whose face is learned: chosen among the people of the footage, and compared with the actor's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubfew.adapt.actor_likeness import ActorFace
from dubfew.adapt.artefact import ActorAdapter
from dubfew.errors import ArtefactError, NoFaceError, WrongPersonError
from dubfew.reconstruction.detection.clip_detections import ClipDetections
from dubfew.reconstruction.detection.face_descriptors import NUM_DESCRIPTOR_CROPS
from dubfew.reconstruction.detection.people import DetectedPerson, choose_person
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.likeness import FacePictures, Likeness, Verdict
from dubfew.reconstruction.tracking import describe_no_face
from dubfew.registry.revision import Revision

# Names of the thirds of the picture, from its left edge.
PICTURE_THIRDS = ("left", "middle", "right")


@dataclass(frozen=True)
class LearnedFace:
    """The person of the footage that is learned.

    Attributes:
        person: the person, among everyone in the footage.
        description: one line on where they are seen and how many others there are.
        note: one line for the user on the choice, or "".
    """

    person: DetectedPerson
    description: str
    note: str

    @property
    def pictures(self) -> FacePictures:
        """A few pictures of the face with the landmarks in them, spread over the footage."""
        crops = self.person.crops
        rows = np.unique(np.linspace(0, len(crops) - 1, NUM_DESCRIPTOR_CROPS).astype(int))
        return tuple(crops[row] for row in rows) if crops else ()


@dataclass(frozen=True)
class FacePolicy:
    """Which face may be learned.

    Attributes:
        actor_id: id that the actor will have, for messages.
        selector: the user's choice of a face, see `choose_person`, or None.
        known: face of the actor who has that id already, or None: anybody may be learned.
    """

    actor_id: str
    selector: str | None
    known: ActorFace | None

    def choose(self, video: Path, detections: ClipDetections) -> LearnedFace:
        """Choose the person to learn.

        Args:
            video: the footage, for messages.
            detections: everyone in the footage.

        Raises:
            NoFaceError: The footage shows nobody.
            WrongPersonError: Nobody is like the actor who has the id already, several are, or the
                chosen face is not.
            DubfewError: No face fits the selector.
        """
        people = detections.people
        if not people:
            raise NoFaceError(describe_no_face(video, detections.frame_size))
        note = ""
        # A new id takes whom the selector names; one that exists takes nobody but its actor.
        if self.known is None:
            chosen = choose_person(people, self.selector)
        else:
            likeness = [self.known.measure_likeness(person.crops) for person in people]
            chosen = self._choose_known(people, likeness)
            own = likeness[chosen.number]
            if own.verdict is Verdict.STRANGER:
                raise WrongPersonError(self._refusal(own, len(people)))
            if own.verdict is Verdict.UNCLEAR:
                note = f"the face may not be that of {self.actor_id!r} ({own}): check it"
        description = describe_person(chosen, detections)
        if len(people) > 1:
            note = "; ".join(filter(None, (f"learned is {description}", note)))
        return LearnedFace(chosen, description, note)

    def _choose_known(
        self, people: Sequence[DetectedPerson], likeness: Sequence[Likeness]
    ) -> DetectedPerson:
        """Choose the user's face, or the only one that is like the actor."""
        if self.selector is not None:
            return choose_person(people, self.selector)
        alike = [p for p in people if likeness[p.number].verdict is not Verdict.STRANGER]
        if len(alike) > 1:
            raise WrongPersonError(
                f"{len(alike)} of the {len(people)} faces are like {self.actor_id!r}: choose one "
                "with --face ('dubfew track --faces' lists them)"
            )
        return min(people, key=lambda person: likeness[person.number].distance)

    def _refusal(self, likeness: Likeness, total: int) -> str:
        """The error for footage of somebody else."""
        found = "the face" if total == 1 or self.selector is not None else f"none of {total} faces"
        verb = "is" if found.startswith("none") else "is not"
        return (
            f"{self.actor_id!r} exists, and {found} {verb} theirs ({likeness}): learn this person "
            "under another id with --actor, or say --new-person to replace the actor knowingly"
        )


def load_known_face(revision: Revision) -> ActorFace:
    """Load the face of an actor who is in the registry.

    Args:
        revision: the revision to compare with.

    Raises:
        WrongPersonError: The revision cannot be read, so nothing can be compared.
    """
    adapter = load_actor_adapter(revision)
    return ActorFace.from_adapter(adapter, load_head_model(adapter.config["head"]))


def load_actor_adapter(revision: Revision) -> ActorAdapter:
    """Load the adapter of an actor who is in the registry, to compare a face with theirs.

    Args:
        revision: the revision to compare with.

    Raises:
        WrongPersonError: The revision cannot be read, so nothing can be compared.
    """
    try:
        return ActorAdapter.from_files({n: revision.read(n) for n in revision.file_names()})
    except ArtefactError as error:
        raise WrongPersonError(
            f"{revision.actor!r} exists, but revision {revision.number} cannot be compared with "
            f"({error}): choose another id with --actor, or say --new-person"
        ) from error


def describe_person(person: DetectedPerson, detections: ClipDetections) -> str:
    """Describe in one line where a person is seen in a clip.

    Args:
        person: the person.
        detections: everyone in the clip.
    """
    (x, y) = np.median(person.landmarks[..., :2], (0, 1))
    third = min(2, max(0, int(3 * x / detections.frame_size[0])))
    total, frames = len(detections.people), len(detections.times)
    share = f"in {100 * len(person.frames) / frames:.0f} % of the frames"
    others = f", {total - 1} other{'s' if total > 2 else ''} left out" if total > 1 else ""
    place = f"{PICTURE_THIRDS[third]}, at {x:.0f},{y:.0f}"
    return f"face {person.number} of {total} ({place}, {share}{others})"
