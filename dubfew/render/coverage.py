"""Coverage of an actor's seconds: mouths, teeth, sounds, poses and light that they show."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.media import read_audio
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.references.mouth_opening import sample_nearest
from dubfew.references.teeth import TEETH_SHARE, look_at_teeth
from dubfew.registry import Registry
from dubfew.render.report import measure_unseen_mouths
from dubfew.speech.resolve_model import resolve_speech_model
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import VISEME_BY_LETTER, Phone, motion_from_phones
from dubfew.utils.luma import LUMA_BT601

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
# Share of the pictures that makes teeth known: less is a moment, or a shine on the lip.
MIN_TEETH_SHARE = 0.05
# Reach at which nothing is limited: the largest that renders take.
MAX_REACH = 10.0
# Factor by which a line would open wider before it is said.
WANTED_FACTOR = 1.05
# Frames of a line for each second: mouths do not change faster than films show.
LINE_FPS = 25
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
class LineNeeds:
    """What a line needs that the footage may lack.

    Attributes:
        frames: frames of the line, 25 a second.
        lacking: frames whose mouth the footage lacks.
        widest_gap: widest gap that the line opens, inter-ocular distances. Speech alone opens no
            wider than the footage (``--reach 1``).
        wanted_gap: widest gap that it would open without that limit.
    """

    frames: int
    lacking: int
    widest_gap: float
    wanted_gap: float

    def describe(self, coverage: FootageCoverage) -> str:
        """Describe the needs in one line, beside what the footage shows."""
        words = (
            f"{self.lacking} of {self.frames} frames ask for mouths that the footage lacks; it "
            f"opens to {self.widest_gap:.2f}, the footage to {coverage.widest_gap:.2f}"
        )
        if self.wanted_gap > self.widest_gap * WANTED_FACTOR:
            reach = self.wanted_gap / max(self.widest_gap, 1e-6)
            words += f", and would to {self.wanted_gap:.2f} (--reach {reach:.1f})"
        return words


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
        teeth: share of the stored pictures that show teeth, 0 to 1.
        light: range of the brightness of the cheeks in the stored pictures, 8-bit levels of luma;
            5 % of them lie on either side.
        line: what a line needs beyond that; None if none was named.
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
    teeth: float
    light: tuple[float, float]
    line: LineNeeds | None = None

    def describe(self) -> list[tuple[str, str]]:
        """Describe the coverage for readers, as pairs of a title and one line."""
        counts = ", ".join(f"{name} {count}" for name, count in self.openings.items())
        lines = [
            ("Actor", f"{self.actor}, revision {self.revision}"),
            ("Footage", f"{self.frames} frames, {self.seconds:.1f} s"),
            ("Openings", f"{counts} (widest gap {self.widest_gap:.2f} of the eyes' distance)"),
            ("Teeth", f"in {100 * self.teeth:.0f} % of the stored pictures"),
        ]
        for verdict in ("shown", "near", "missing"):
            sounds = " ".join(each.sound for each in self.sounds if each.verdict == verdict)
            lines.append((f"Sounds {verdict}", sounds or "none"))
        poses = (("turned", self.yaw), ("nodding", self.pitch), ("tilted", self.roll))
        words = ", ".join(f"{name} {low:.0f} to {high:.0f}" for name, (low, high) in poses)
        lines.append(("Poses", f"{words} degrees; {POSE_MARGIN_DEGREES:.0f} more go well"))
        lines.append(("Light", "cheeks at {:.0f} to {:.0f} of 255".format(*self.light)))
        if self.line is not None:
            lines.append(("Line", self.line.describe(self)))
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
        elif self.teeth < MIN_TEETH_SHARE:
            lines.append("a smile or words such as see, yes, cheese: no picture shows teeth")
        return lines


def describe_gain(before: FootageCoverage, after: FootageCoverage) -> tuple[tuple[str, str], ...]:
    """Say what an actor's footage shows now and did not show before, as pairs of title and line.

    Args:
        before: coverage of the earlier revision.
        after: that of the later one.
    """
    verdicts = {each.sound: each.verdict for each in before.sounds}
    rank = {"missing": 0, "near": 1, "shown": 2}
    gained, lost, missing = [], [], []
    for each in after.sounds:
        old = verdicts[each.sound]
        change = f"{each.sound} ({old}, now {each.verdict})"
        if rank[each.verdict] > rank[old]:
            gained.append(change)
        elif rank[each.verdict] < rank[old]:
            lost.append(change)
        elif each.verdict == "missing":
            missing.append(f"{each.sound} ({each.words})")
    counts = [
        f"{name} {count} to {after.openings[name]}"
        for name, count in before.openings.items()
        if after.openings[name] != count
    ]
    poses = [
        f"{name} {old[0]:.0f} to {old[1]:.0f}, now {new[0]:.0f} to {new[1]:.0f}"
        for name, old, new in (
            ("turned", before.yaw, after.yaw),
            ("nodding", before.pitch, after.pitch),
            ("tilted", before.roll, after.roll),
        )
        if round(new[0]) < round(old[0]) or round(new[1]) > round(old[1])
    ]
    return (
        ("Sounds gained", ", ".join(gained) or "none"),
        # The style of both asks for other mouths than that of the first.
        *((("Sounds lost", ", ".join(lost)),) if lost else ()),
        ("Still missing", ", ".join(missing) or "none"),
        ("Frames", ", ".join(counts) or "no more"),
        ("Poses", f"{'; '.join(poses)} degrees" if poses else "no others"),
    )


def measure_actor_coverage(
    actor: str,
    revision: int | None = None,
    *,
    audio: Path | str | None = None,
    registry: Registry | None = None,
) -> FootageCoverage:
    """Measure what an actor's footage shows, and how far a line needs more.

    Args:
        actor: id of the actor.
        revision: number of the revision; None for the one that is used.
        audio: sound of a line, or None.
        registry: registry that holds the actor; default: the user's own.

    Raises:
        ActorNotFoundError: The actor or the revision does not exist.
        SuspendedError: The actor is suspended.
        ArtefactError: The actor's files are damaged.
        MediaError: The sound cannot be read.
    """
    registry = registry or Registry()
    stored = registry.open(actor, revision)
    registry.check_suspension(stored)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    return measure_coverage(
        adapter, stored.actor, stored.number, None if audio is None else Path(audio)
    )


def measure_coverage(
    adapter: ActorAdapter, actor: str, revision: int, audio: Path | None = None
) -> FootageCoverage:
    """Measure what the footage of an adapter shows, and how far a line needs more.

    Args:
        adapter: everything that is stored of the actor.
        actor: id of the actor.
        revision: number of the revision.
        audio: sound of a line, or None.

    Raises:
        MediaError: The sound cannot be read.
    """
    head = load_head_model(adapter.config["head"])
    tracks = read_footage_tracks(adapter)
    # The first clip's: sounds are tried on it.
    track = tracks[0]
    gaps = np.concatenate([motion_from_track(each, head).aperture() for each in tracks])
    kinds = np.bincount(np.digitize(gaps, GAP_LIMITS), minlength=len(GAP_NAMES))
    rotations = np.concatenate([each.rotation for each in tracks])
    angles = Rotation.from_rotvec(rotations).as_euler("YXZ", degrees=True)
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
        frames=len(gaps),
        seconds=sum(len(each) / float(each.fps) for each in tracks),
        openings=dict(zip(GAP_NAMES, map(int, kinds), strict=True)),
        widest_gap=float(gaps.max()),
        sounds=tuple(sorted(sounds, key=lambda each: -each.distance)),
        yaw=(ranges[0][0], ranges[0][1]),
        pitch=(ranges[1][0], ranges[1][1]),
        roll=(ranges[2][0], ranges[2][1]),
        teeth=measure_teeth(adapter, head),
        light=_measure_light(adapter, head),
        line=None if audio is None else _measure_line(adapter, track, head, audio),
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
    # As a render does: the average speaker's mouth in the actor's style.
    every = np.repeat(shapes, FRAMES_PER_SOUND, axis=0)
    spoken = adapter.style.apply(MouthMotion(every, np.arange(len(every), dtype=np.float64)))
    return _measure_unseen(adapter, track, head, spoken)[FRAMES_PER_SOUND // 2 :: FRAMES_PER_SOUND]


def _measure_unseen(
    adapter: ActorAdapter, track: Track, head: HeadModel, spoken: MouthMotion
) -> NDArray[np.float64]:
    """Distance of the mouth in some motion to the nearest stored one, in the calmest pose. [N]"""
    # The footage comes first, because the actor's rest pose is estimated from it.
    count, shape = len(track), spoken.displacement.shape
    rows = np.concatenate([np.arange(count), np.full(shape[0], find_calmest_row(track))])
    moved = np.concatenate([np.zeros((count, *shape[1:]), np.float32), spoken.displacement])
    motion = MouthMotion(moved, np.arange(len(moved), dtype=np.float64))
    driven = retarget_mouth(track.select(rows), head, motion).select(slice(count, None))
    return measure_unseen_mouths(driven, track, head, adapter.references, mouth_in_scene=False)


def _measure_line(adapter: ActorAdapter, track: Track, head: HeadModel, audio: Path) -> LineNeeds:
    """Predict the mouths of a line, as a render does, and compare them with the stored ones."""
    sound = read_audio(audio)
    times = np.arange(max(1, int(sound.duration * LINE_FPS))) / LINE_FPS
    predicted = resolve_speech_model(adapter.config.get("speech")).predict(sound, times)
    spoken = adapter.style.apply(predicted)
    unseen = _measure_unseen(adapter, track, head, spoken)
    wanted = adapter.style.apply(predicted, reach=MAX_REACH)
    return LineNeeds(
        len(times),
        int((unseen > 1).sum()),
        float(spoken.aperture().max()),
        float(wanted.aperture().max()),
    )


def read_footage_tracks(adapter: ActorAdapter) -> list[Track]:
    """Read the tracks of an actor's footage without the frames that were left out.

    Args:
        adapter: everything that is stored of the actor.

    Returns:
        One track per clip, that of the first adaptation first.
    """
    tracks = []
    for data in (adapter.track_bytes, *adapter.added_tracks):
        whole = Track.from_bytes(data, ADAPTER_TRACK_FILE)
        tracks.append(whole.select(np.flatnonzero(whole.usable)))
    return tracks


def find_calmest_row(track: Track) -> int:
    """Find the row of a track whose head is turned as usual.

    Args:
        track: an actor's footage.
    """
    away = np.linalg.norm(track.rotation - np.median(track.rotation, axis=0), axis=1)
    return int(away.argmin())


def find_missing_sounds(
    adapter: ActorAdapter, head: HeadModel, symbols: Set[str]
) -> tuple[str, ...]:
    """Find the sounds of a line whose mouths the footage lacks.

    Args:
        adapter: everything that is stored of the actor.
        head: the actor's head model.
        symbols: IPA letters of the line.

    Returns:
        Letters that stand for the sounds, as in `SoundCoverage`.
    """
    spoken = {VISEME_BY_LETTER[symbol] for symbol in symbols}
    distances = _measure_sounds(adapter, read_footage_tracks(adapter)[0], head)
    return tuple(
        letter
        for letter, distance in zip(EXAMPLE_WORDS, distances, strict=True)
        if _judge(distance) == "missing" and VISEME_BY_LETTER[letter] in spoken
    )


def measure_teeth(adapter: ActorAdapter, head: HeadModel) -> float:
    """Measure the share of the stored pictures that show teeth, 0 to 1.

    Args:
        adapter: everything that is stored of the actor.
        head: the actor's head model.
    """
    windows = adapter.references
    rings = windows.project_points(np.arange(len(windows)), head.inner_lip_matrix)
    shown = [
        look_at_teeth(image, ring)[0] > TEETH_SHARE
        for image, ring in zip(windows.images, rings, strict=True)
    ]
    return float(np.mean(shown))


def _measure_light(adapter: ActorAdapter, head: HeadModel) -> tuple[float, float]:
    """Range of the brightness of the cheeks over the stored pictures."""
    windows = adapter.references
    cheeks = windows.project_points(np.arange(len(windows)), head.cheek_matrix)
    levels = [
        np.median(sample_nearest(image, places) @ LUMA_BT601)
        for image, places in zip(windows.images, cheeks, strict=True)
    ]
    low, high = np.quantile(levels, (0.05, 0.95))
    return float(low), float(high)


def _make_syllables(letter: str) -> list[Phone]:
    """Put a sound between two neutral vowels, as in running speech."""
    neutral, step = "ə", SYLLABLE_SECONDS
    return [
        Phone(neutral, 0, step),
        Phone(letter, step, 2 * step),
        Phone(neutral, 2 * step, 3 * step),
    ]
