"""Tracks of synthetic people against the truth: geometry, head rotation, focal length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.common import markdown_table
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.fitting.track_quality import frontal_eye_distance, second_difference
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import project_head_points, rotvecs_to_matrices
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import DEFAULT_FOCAL_PER_LONG_SIDE, fit_track
from dubfew.synthetic import SyntheticPerson, write_clip

SIZE, SECONDS = 384, 4.0
FACE_POINTS = 468
LIPS = OUTER_LIPS + INNER_LIPS
BELOW_NOSE = 2  # the landmark at the nose's base: what lies lower is the lower face
FOCAL_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class Cast:
    """A person to film.

    Attributes:
        seed: who; light, words and expressions follow from it, too.
        turn: pitch, yaw, roll added to the head's own motion, rad.
        label: what is special.
    """

    seed: int
    turn: tuple[float, float, float]
    label: str


CAST = (
    Cast(7001, (0.0, 0.0, 0.0), "frontal"),
    Cast(7002, (0.0, 0.35, 0.0), "turned 20°"),
    Cast(7003, (0.2, -0.2, 0.0), "down and aside"),
    Cast(7004, (0.0, 0.0, 0.25), "tilted 14°"),
    Cast(7005, (-0.2, 0.15, 0.0), "up and aside"),
    Cast(7006, (0.0, -0.55, 0.0), "turned 32°"),
    Cast(7007, (0.0, 0.0, 0.0), "frontal"),
    Cast(7008, (0.1, 0.3, -0.1), "turned and tilted"),
)


@dataclass(frozen=True)
class Errors:
    """Means over a clip; lengths in % of the distance of the outer eye corners.

    Attributes:
        lower_face: of the landmarks below the nose, in space, see ``compare``.
        lips: the same of the lips.
        lips_moving: of the lips, what is not the same in every frame.
        lips_image: of the lips in the picture.
        detector_image: of the detector's own lips in the picture.
        jitter: second difference of the lips' error in the picture.
        detector_jitter: the same of the detector's.
        rotation: of the head against the truth, degrees.
        rotation_moving: without what is the same in every frame.
    """

    lower_face: float
    lips: float
    lips_moving: float
    lips_image: float
    detector_image: float
    jitter: float
    detector_jitter: float
    rotation: float
    rotation_moving: float


COLUMNS = (
    "lower face %", "lips %", "lips, moving %", "lips in picture %", "detector's %",
    "jitter %", "detector's %", "rotation °", "moving °",
)  # fmt: skip


def measure_people(folder: Path) -> tuple[list[list[object]], list[list[object]]]:
    """Film the cast into a folder (again only if it is not there), track it, compare.

    Returns:
        Rows of the table of people, and of that of focal lengths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = load_head_model()
    found: list[Errors] = []
    by_focal: dict[float, list[Errors]] = {factor: [] for factor in FOCAL_FACTORS}
    for cast in CAST:
        truth, seen = _filmed(cast, folder)
        found.append(
            compare(_fitted(seen, truth, head, DEFAULT_FOCAL_PER_LONG_SIDE * SIZE), truth, head)
        )
        for factor, errors in by_focal.items():
            track = _fitted(seen, truth, head, factor * truth.camera.focal)
            errors.append(compare(track, truth, head))
    people: list[list[object]] = [
        [cast.label, *vars(errors).values()] for cast, errors in zip(CAST, found, strict=True)
    ]
    people.append(["**mean**", *_mean(found)])
    return people, [[f"{factor:g}", *_mean(errors)] for factor, errors in by_focal.items()]


def people_text(people: list[list[object]], focal: list[list[object]]) -> str:
    """Both tables as Markdown."""
    default = DEFAULT_FOCAL_PER_LONG_SIDE * SIZE
    return "\n\n".join(
        [
            "## Synthetic people",
            f"{len(CAST)} people, {SECONDS:g} s each at {SIZE} px, assumed focal length "
            f"{default:g} px.",
            markdown_table(["", *COLUMNS], people),
            "Assumed focal length over the true one:",
            markdown_table(["focal length", *COLUMNS], focal),
        ]
    )


def compare(track: Track, truth: Track, head: HeadModel) -> Errors:
    """Errors of a track of a synthetic clip.

    In space: where the head is, how it is turned and how large it is cannot be told from where it
    is far away, nearer, and smaller; so head space is compared, after the one similarity transform
    (for the clip, not for each frame) that brings its face onto the true one best.
    """
    rows = track.valid
    ours, theirs = (
        head.vertices(t.shape, t.expression[rows], t.jaw[rows])[:, :FACE_POINTS].astype(np.float64)
        for t in (track, truth)
    )
    ours = _aligned(ours, theirs)
    unit = head.inter_ocular_distance(truth.shape) / 100
    lower = np.flatnonzero(head.template[:FACE_POINTS, 1] < head.template[BELOW_NOSE, 1])
    lips = ours[:, LIPS] - theirs[:, LIPS]
    size = frontal_eye_distance(truth, head)[rows] / 100
    true_lips = truth.landmarks[rows][:, LIPS, :2].astype(np.float64)
    shown = project_head_points(head.vertices(track.shape, track.expression, track.jaw), track)
    shown_error = shown[rows][:, LIPS, :2] - true_lips
    seen_error = track.landmarks[rows][:, LIPS, :2] - true_lips
    turned = Rotation.from_matrix(
        rotvecs_to_matrices(track.rotation[rows])
        @ rotvecs_to_matrices(truth.rotation[rows]).transpose(0, 2, 1)
    )
    return Errors(
        lower_face=_length(ours[:, lower] - theirs[:, lower]) / unit,
        lips=_length(lips) / unit,
        lips_moving=_length(lips - lips.mean(0)) / unit,
        lips_image=float((np.linalg.norm(shown_error, axis=-1).mean(1) / size).mean()),
        detector_image=float((np.linalg.norm(seen_error, axis=-1).mean(1) / size).mean()),
        jitter=float(np.nanmean(second_difference(shown_error) / size)),
        detector_jitter=float(np.nanmean(second_difference(seen_error) / size)),
        rotation=float(np.degrees(turned.magnitude()).mean()),
        rotation_moving=float(np.degrees((turned * turned.mean().inv()).magnitude()).mean()),
    )


def _filmed(cast: Cast, folder: Path) -> tuple[Track, NDArray[np.float32]]:
    """The truth about a clip, and what the detector sees in it."""
    name = f"{cast.seed}-{'_'.join(f'{100 * angle:.0f}' for angle in cast.turn)}"
    video, exact, marks = (folder / f"{name}{ending}" for ending in (".mp4", ".track", ".npy"))
    if not exact.exists():
        write_clip(
            SyntheticPerson(cast.seed),
            video,
            seconds=SECONDS,
            size=SIZE,
            seed=cast.seed,
            head_turn=cast.turn,
        )
    if not marks.exists():
        seen = detect_people(video)
        np.save(marks, seen.people[0].dense_landmarks(len(seen.times)))
    return Track.load(exact), np.load(marks)


def _fitted(seen: NDArray[np.float32], truth: Track, head: HeadModel, focal: float) -> Track:
    return fit_track(
        seen,
        truth.times,
        head,
        replace(truth.camera, focal=focal),
        fps=truth.fps,
        frame_size=(truth.width, truth.height),
        source="a synthetic person",
        sha256=truth.source_sha256,
    )


def _aligned(points: NDArray, target: NDArray) -> NDArray[np.float64]:
    """Points [N, P, 3] under the similarity that brings them onto the target (Umeyama 1991)."""
    middle, goal = points.mean((0, 1)), target.mean((0, 1))
    centred, wanted = points - middle, target - goal
    u, singular, vt = np.linalg.svd(np.einsum("npa,npb->ab", wanted, centred))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (singular * sign).sum() / (centred**2).sum()
    return np.asarray(scale * centred @ ((u * sign) @ vt).T + goal)


def _length(vectors: NDArray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean())


def _mean(errors: list[Errors]) -> list[float]:
    return [float(value) for value in np.mean([list(vars(e).values()) for e in errors], axis=0)]
