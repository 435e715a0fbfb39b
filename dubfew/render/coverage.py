"""Coverage of an actor's seconds: which mouths, sounds and poses they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.render.report import measure_unseen_mouths
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import Phone, motion_from_phones

# Sounds that stand for all that look alike, and words to film where they are missing. One letter of
# each group of `VISEME_BY_LETTER` that the lips show.
# fmt: off
EXAMPLE_WORDS: Mapping[str, str] = {
    "m": "mama, baby, pipe", "f": "five, very, fifty", "s": "see, yes, Sissy",
    "ʃ": "shoe, cherry, measure", "t": "ten, need, don't", "k": "key, good, king",
    "l": "lily, hello, well", "w": "we, away, why", "i": "see, meet, easy", "e": "day, they",
    "æ": "cat, man, apple", "a": "father, hot, far", "ə": "about, the, sofa",
    "ɔ": "law, all, more", "o": "so, hope, ocean", "u": "who, two, moon",
}
# fmt: on
# Frames for each sound: distances to references are smoothed over time, and the middle of this many
# is free of its neighbors.
FRAMES_PER_SOUND = 11
# Length of a sound and of its neighbors, s: that of running speech. Held sounds would ask for more
# than anybody's speech shows.
SYLLABLE_SECONDS = 0.11
# Distance to the nearest stored mouth, in the unit of `measure_unseen_mouths`: above 1 the footage
# lacks the mouth, and from this on it is near the edge of what is shown.
NEAR_DISTANCE = 0.67
# Gaps that part closed lips, small openings, vowels and wide ones, inter-ocular distances: closed
# lips are below 0.02 in a track, open vowels begin at 0.1, and few sounds need more than 0.15.
GAP_LIMITS = (0.02, 0.06, 0.1, 0.15)
GAP_NAMES = ("closed", "slightly open", "half open", "open", "wide")
# Frames that make an opening known: fewer are one moment, seen in one light and pose.
MIN_SHOWN_FRAMES = 3
# Turn of the head up to which a mesh carries a mouth well beyond the poses that were seen, degrees.
POSE_MARGIN_DEGREES = 10.0


@dataclass(frozen=True)
class SoundCoverage:
    """How well the footage shows the mouth of one sound.

    Attributes:
        sound: IPA letter that stands for all sounds that look alike.
        verdict: "shown", "near" (at the edge of what is shown) or "missing".
        distance: distance to the nearest stored mouth; above 1 the footage lacks it.
        words: words to film.
    """

    sound: str
    verdict: str
    distance: float
    words: str


@dataclass(frozen=True)
class FootageCoverage:
    """What the seconds of an actor show.

    Attributes:
        actor: id of the actor.
        revision: number of the revision.
        frames: frames that can be learned from.
        seconds: their length, s.
        openings: frames by how far the mouth is open.
        widest_gap: widest gap between the lips, inter-ocular distances.
        sounds: the sounds, those that are missing first.
        yaw: range of the head's turn to the side, degrees; 5 % of the frames lie on either side.
        pitch: range of its nod, degrees.
        roll: range of its tilt, degrees.
    """

    actor: str
    revision: int
    frames: int
    seconds: float
    openings: dict[str, int]
    widest_gap: float
    sounds: tuple[SoundCoverage, ...]
    yaw: tuple[float, float]
    pitch: tuple[float, float]
    roll: tuple[float, float]

    def describe(self) -> list[tuple[str, str]]:
        """Describe the coverage for readers, as pairs of a title and one line."""
        counts = ", ".join(f"{name} {count}" for name, count in self.openings.items())
        lines = [
            ("Actor", f"{self.actor}, revision {self.revision}"),
            ("Footage", f"{self.frames} frames, {self.seconds:.1f} s"),
            ("Openings", f"{counts} (widest gap {self.widest_gap:.2f} of the eyes' distance)"),
        ]
        for verdict in ("shown", "near", "missing"):
            sounds = " ".join(each.sound for each in self.sounds if each.verdict == verdict)
            lines.append((f"Sounds {verdict}", sounds or "none"))
        poses = (("turned", self.yaw), ("nodding", self.pitch), ("tilted", self.roll))
        words = ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, (low, high) in poses)
        lines.append(("Poses", f"{words} degrees; {POSE_MARGIN_DEGREES:.0f} more go well"))
        lines += [("Film", line) for line in self.advise()]
        return lines

    def advise(self) -> list[str]:
        """Say what to film so that the actor can do what they cannot do yet; may be empty."""
        lines = []
        missing = [each for each in self.sounds if each.verdict == "missing"]
        if missing:
            words = "; ".join(each.words for each in missing[:4])
            lines.append(f"speech with words such as {words}")
        if self.openings["closed"] < MIN_SHOWN_FRAMES:
            lines.append("a moment of closed lips: pauses and the sounds m, b, p")
        if self.openings["open"] + self.openings["wide"] < MIN_SHOWN_FRAMES:
            lines.append("open vowels, so that teeth and tongue are seen")
        return lines


def measure_actor_coverage(
    actor: str, revision: int | None = None, *, registry: Registry | None = None
) -> FootageCoverage:
    """Measure what an actor's footage shows.

    Args:
        actor: id of the actor.
        revision: number of the revision; None for the one that is used.
        registry: registry that holds the actor; default: the user's own.

    Raises:
        ActorNotFoundError: The actor or the revision does not exist.
        SuspendedError: The actor is suspended.
        ArtefactError: The actor's files are damaged.
    """
    registry = registry or Registry()
    stored = registry.open(actor, revision)
    registry.check_suspension(stored)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    return measure_coverage(adapter, stored.actor, stored.number)


def measure_coverage(adapter: ActorAdapter, actor: str, revision: int) -> FootageCoverage:
    """Measure what the footage of an adapter shows.

    Args:
        adapter: everything that is stored of the actor.
        actor: id of the actor.
        revision: number of the revision.
    """
    head = load_head_model(adapter.config["head"])
    whole = Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE)
    track = whole.select(np.flatnonzero(whole.usable))
    gaps = motion_from_track(track, head).aperture()
    kinds = np.bincount(np.digitize(gaps, GAP_LIMITS), minlength=len(GAP_NAMES))
    angles = Rotation.from_rotvec(track.rotation).as_euler("YXZ", degrees=True)
    # Without the outermost tenth, where the tracker errs.
    ranges = [tuple(map(float, np.quantile(column, (0.05, 0.95)))) for column in angles.T]
    distances = _measure_sounds(adapter, track, head)
    sounds = [
        SoundCoverage(letter, _judge(distance), round(float(distance), 3), words)
        for (letter, words), distance in zip(EXAMPLE_WORDS.items(), distances, strict=True)
    ]
    return FootageCoverage(
        actor=actor,
        revision=revision,
        frames=len(track),
        seconds=len(track) / float(track.fps),
        openings=dict(zip(GAP_NAMES, map(int, kinds), strict=True)),
        widest_gap=float(gaps.max()),
        sounds=tuple(sorted(sounds, key=lambda each: -each.distance)),
        yaw=(ranges[0][0], ranges[0][1]),
        pitch=(ranges[1][0], ranges[1][1]),
        roll=(ranges[2][0], ranges[2][1]),
    )


def _judge(distance: float) -> str:
    """Judge a distance to the nearest stored mouth."""
    if distance > 1:
        return "missing"
    return "near" if distance > NEAR_DISTANCE else "shown"


def _measure_sounds(adapter: ActorAdapter, track: Track, head: HeadModel) -> NDArray[np.float64]:
    """Distance of the actor's mouth in each sound to the nearest stored one."""
    basis, middle = load_viseme_basis(), np.array([SYLLABLE_SECONDS * 1.5])
    shapes = np.concatenate(
        [
            motion_from_phones(_make_syllables(letter), middle, basis).displacement
            for letter in EXAMPLE_WORDS
        ]
    )
    # As a render does: the average speaker's mouth in the actor's style, in the calmest pose.
    every = np.repeat(shapes, FRAMES_PER_SOUND, axis=0)
    spoken = adapter.style.apply(MouthMotion(every, np.arange(len(every), dtype=np.float64)))
    away = np.linalg.norm(track.rotation - np.median(track.rotation, axis=0), axis=1)
    # The footage comes first, because the actor's rest pose is estimated from it.
    count = len(track)
    rows = np.concatenate([np.arange(count), np.full(len(every), int(away.argmin()))])
    moved = np.concatenate([np.zeros((count, *every.shape[1:]), np.float32), spoken.displacement])
    motion = MouthMotion(moved, np.arange(len(moved), dtype=np.float64))
    driven = retarget_mouth(track.select(rows), head, motion).select(slice(count, None))
    found = measure_unseen_mouths(driven, track, head, adapter.references, mouth_in_scene=False)
    return found[FRAMES_PER_SOUND // 2 :: FRAMES_PER_SOUND]


def _make_syllables(letter: str) -> list[Phone]:
    """Put a sound between two neutral vowels, as in running speech."""
    neutral, step = "ə", SYLLABLE_SECONDS
    return [
        Phone(neutral, 0, step),
        Phone(letter, step, 2 * step),
        Phone(neutral, 2 * step, 3 * step),
    ]
