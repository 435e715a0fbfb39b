"""Tracking benchmark on synthetic people with ground truth: geometry, rotation, focal length."""

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

# Edge of the frames, px, and length of each clip, s.
CLIP_SIZE_PX, CLIP_SECONDS = 384, 4.0
# Vertices of the head that are the face.
NUM_FACE_VERTICES = 468
LIP_LANDMARKS = OUTER_LIPS + INNER_LIPS
# Landmark at the base of the nose. The lower face is below it.
NOSE_BASE_LANDMARK = 2
# Assumed focal lengths of the second table, over the true one.
FOCAL_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class CastMember:
    """A synthetic person and a head pose.

    Attributes:
        seed: seed of the person, the light, the words and the expressions.
        turn: pitch, yaw and roll that are added to the head's motion, rad.
        label: name of the row in the table.
    """

    seed: int
    turn: tuple[float, float, float]
    label: str


CAST = (
    CastMember(7001, (0.0, 0.0, 0.0), "frontal"),
    CastMember(7002, (0.0, 0.35, 0.0), "turned 20°"),
    CastMember(7003, (0.2, -0.2, 0.0), "down and aside"),
    CastMember(7004, (0.0, 0.0, 0.25), "tilted 14°"),
    CastMember(7005, (-0.2, 0.15, 0.0), "up and aside"),
    CastMember(7006, (0.0, -0.55, 0.0), "turned 32°"),
    CastMember(7007, (0.0, 0.0, 0.0), "frontal"),
    CastMember(7008, (0.1, 0.3, -0.1), "turned and tilted"),
)


@dataclass(frozen=True)
class TrackErrors:
    """Mean errors of a clip; lengths in % of the distance of the outer eye corners.

    Attributes:
        lower_face: error of the face below the nose, in space, see ``compare_with_truth``.
        lips: error of the lips, in space.
        lips_moving: error of the lips without the part that is constant over the clip.
        lips_image: error of the lips in the image.
        detector_image: error of the detected lips in the image.
        jitter: second difference of the lips' error in the image.
        detector_jitter: second difference of the detected lips' error in the image.
        rotation: error of the head's rotation, degrees.
        rotation_moving: error of the rotation without the constant part, degrees.
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


# Headers of the columns, in the order of the attributes.
COLUMNS = (
    "lower face %", "lips %", "lips, moving %", "lips in picture %", "detector's %",
    "jitter %", "detector's %", "rotation °", "moving °",
)  # fmt: skip


def measure_people(folder: Path) -> tuple[list[list[object]], list[list[object]]]:
    """Render the cast, track it and compare with the ground truth.

    Args:
        folder: folder for the clips; those that exist are used again.

    Returns:
        Rows of the table of people and of the table of focal lengths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = load_head_model()
    errors: list[TrackErrors] = []
    by_focal: dict[float, list[TrackErrors]] = {factor: [] for factor in FOCAL_FACTORS}
    for member in CAST:
        truth, landmarks = _render_and_detect(member, folder)
        default_focal = DEFAULT_FOCAL_PER_LONG_SIDE * CLIP_SIZE_PX
        track = _fit_with_focal(landmarks, truth, head, default_focal)
        errors.append(compare_with_truth(track, truth, head))
        for factor, focal_errors in by_focal.items():
            track = _fit_with_focal(landmarks, truth, head, factor * truth.camera.focal)
            focal_errors.append(compare_with_truth(track, truth, head))
    people: list[list[object]] = [
        [member.label, *vars(own).values()] for member, own in zip(CAST, errors, strict=True)
    ]
    people.append(["**mean**", *_average_errors(errors)])
    focal = [[f"{factor:g}", *_average_errors(own)] for factor, own in by_focal.items()]
    return people, focal


def format_people(people: list[list[object]], focal: list[list[object]]) -> str:
    """Format both tables as Markdown."""
    default = DEFAULT_FOCAL_PER_LONG_SIDE * CLIP_SIZE_PX
    return "\n\n".join(
        [
            "## Synthetic people",
            f"{len(CAST)} people, {CLIP_SECONDS:g} s each at {CLIP_SIZE_PX} px, assumed focal "
            f"length {default:g} px.",
            markdown_table(["", *COLUMNS], people),
            "Assumed focal length over the true one:",
            markdown_table(["focal length", *COLUMNS], focal),
        ]
    )


def compare_with_truth(track: Track, truth: Track, head: HeadModel) -> TrackErrors:
    """Measure the errors of a track of a synthetic clip.

    Errors in space are measured in head space, after one similarity transform for the whole clip.
    The reason is that a large head far away and a small head nearby give the same image.
    """
    rows = track.valid
    face = slice(NUM_FACE_VERTICES)
    ours, theirs = (
        head.vertices(t.shape, t.expression[rows], t.jaw[rows])[:, face].astype(np.float64)
        for t in (track, truth)
    )
    ours = _align_to(ours, theirs)
    unit = head.inter_ocular_distance(truth.shape) / 100
    height = head.template[:, 1]
    lower = np.flatnonzero(height[face] < height[NOSE_BASE_LANDMARK])
    lips = ours[:, LIP_LANDMARKS] - theirs[:, LIP_LANDMARKS]
    # Errors in the image, of the fitted and of the detected lips.
    eye_distance = frontal_eye_distance(truth, head)[rows] / 100
    true_lips = truth.landmarks[rows][:, LIP_LANDMARKS, :2].astype(np.float64)
    projected = project_head_points(head.vertices(track.shape, track.expression, track.jaw), track)
    image_error = projected[rows][:, LIP_LANDMARKS, :2] - true_lips
    detector_error = track.landmarks[rows][:, LIP_LANDMARKS, :2] - true_lips
    rotation_error = Rotation.from_matrix(
        rotvecs_to_matrices(track.rotation[rows])
        @ rotvecs_to_matrices(truth.rotation[rows]).transpose(0, 2, 1)
    )
    moving = rotation_error * rotation_error.mean().inv()
    image_distance, detector_distance = (
        float((np.linalg.norm(error, axis=-1).mean(1) / eye_distance).mean())
        for error in (image_error, detector_error)
    )
    return TrackErrors(
        lower_face=_mean_length(ours[:, lower] - theirs[:, lower]) / unit,
        lips=_mean_length(lips) / unit,
        lips_moving=_mean_length(lips - lips.mean(0)) / unit,
        lips_image=image_distance,
        detector_image=detector_distance,
        jitter=float(np.nanmean(second_difference(image_error) / eye_distance)),
        detector_jitter=float(np.nanmean(second_difference(detector_error) / eye_distance)),
        rotation=float(np.degrees(rotation_error.magnitude()).mean()),
        rotation_moving=float(np.degrees(moving.magnitude()).mean()),
    )


def _render_and_detect(member: CastMember, folder: Path) -> tuple[Track, NDArray[np.float32]]:
    """Render a clip and detect its landmarks; return the true track and the landmarks."""
    name = f"{member.seed}-{'_'.join(f'{100 * angle:.0f}' for angle in member.turn)}"
    video, truth, landmarks = (folder / f"{name}{ending}" for ending in (".mp4", ".track", ".npy"))
    if not truth.exists():
        write_clip(
            SyntheticPerson(member.seed),
            video,
            seconds=CLIP_SECONDS,
            size=CLIP_SIZE_PX,
            seed=member.seed,
            head_turn=member.turn,
        )
    if not landmarks.exists():
        detections = detect_people(video)
        np.save(landmarks, detections.people[0].dense_landmarks(len(detections.times)))
    return Track.load(truth), np.load(landmarks)


def _fit_with_focal(
    landmarks: NDArray[np.float32], truth: Track, head: HeadModel, focal: float
) -> Track:
    """Fit the head to landmarks with an assumed focal length (px)."""
    return fit_track(
        landmarks,
        truth.times,
        head,
        replace(truth.camera, focal=focal),
        fps=truth.fps,
        frame_size=(truth.width, truth.height),
        source="a synthetic person",
        sha256=truth.source_sha256,
    )


def _align_to(points: NDArray, target: NDArray) -> NDArray[np.float64]:
    """Move points [N, P, 3] by the similarity that fits them to the target (Umeyama 1991)."""
    center, target_center = points.mean((0, 1)), target.mean((0, 1))
    centered, centered_target = points - center, target - target_center
    u, singular, vt = np.linalg.svd(np.einsum("npa,npb->ab", centered_target, centered))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (singular * sign).sum() / (centered**2).sum()
    return np.asarray(scale * centered @ ((u * sign) @ vt).T + target_center)


def _mean_length(vectors: NDArray) -> float:
    """Average the length of vectors [..., 3]."""
    return float(np.linalg.norm(vectors, axis=-1).mean())


def _average_errors(errors: list[TrackErrors]) -> list[float]:
    """Average each error over clips."""
    return [float(value) for value in np.mean([list(vars(e).values()) for e in errors], axis=0)]
