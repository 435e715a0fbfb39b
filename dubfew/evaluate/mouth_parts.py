"""Measures of the inside of the mouth where footage is short of it: wide mouths, teeth, smiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.evaluate.contact_sheets import save_contact_sheet
from dubfew.evaluate.face_geometry import eye_corner_distance, has_face, mouth_opening
from dubfew.evaluate.metrics import METRICS, FrameCurve, FramePair, Measurement
from dubfew.evaluate.metrics._mouth_inside import BOX_PX, MouthPlace, find_mouth_inside
from dubfew.media import read_frames
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, OUTER_LIPS
from dubfew.references.teeth import TEETH_SHARE

# The measures between the lips, in the order of tables.
INSIDE_MEASURES = (
    "inside_color", "inside_psnr", "teeth_found", "teeth_share", "teeth_overlap", "tooth_length",
    "inside_sharpness", "inside_flicker", "inside_haze",
)  # fmt: skip
# Part of the frames that counts as the widest, the broadest smiles and the most turned.
EXTREME_PART = 0.2
# Mouths on a sheet.
SHEET_MOUTHS = 8


def head_turn(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure how far heads are turned to the side, degrees, 0 for frontal ones.

    Args:
        landmarks: px; rows without a face are NaN. [N, 478, 3]
    """
    first, second = (landmarks[:, corner].astype(np.float64) for corner in EYE_CORNERS)
    across = np.abs(second[:, 0] - first[:, 0])
    return np.asarray(np.degrees(np.arctan2(np.abs(second[:, 2] - first[:, 2]), across)))


def mouth_width(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure the distance of the corners of the mouth, in that of the eyes. [N, 478, 3] -> [N]"""
    left, right = (landmarks[:, OUTER_LIPS[k], :2].astype(np.float64) for k in (0, 10))
    return np.asarray(np.linalg.norm(left - right, axis=1) / eye_corner_distance(landmarks))


def measure_teeth(video: Path, landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure the share of the opening that shows teeth in every frame of a video.

    Args:
        video: file.
        landmarks: its landmarks, px; rows without a face are NaN. [N, 478, 3]

    Returns:
        0 to 1; 0 where too little of the inside shows. [N]
    """
    shares = np.zeros(len(landmarks))
    faces = has_face(landmarks)
    for frame in read_frames(video):
        if frame.index < len(faces) and faces[frame.index]:
            found = find_mouth_inside(None, _pair(frame.to_rgb(), None, landmarks[frame.index]))
            shares[frame.index] = 0.0 if found is None else found.shares[0]
    return shares


def find_mouth_parts(
    landmarks: NDArray[np.float32], teeth: NDArray[np.float64], rows: NDArray | None = None
) -> dict[str, NDArray[np.int64]]:
    """Sort the frames of a clip into those that footage is often short of, and the rest.

    Args:
        landmarks: landmarks of the original, px; rows without a face are NaN. [N, 478, 3]
        teeth: share of the opening that shows teeth, 0 to 1. [N]
        rows: frames to sort; by default all. [M]

    Returns:
        "widest": the fifth with the widest openings; "rest": all but these; "teeth": frames with
        teeth; "smiles": the fifth with the broadest mouths; "turned": the fifth whose head is
        turned most. Rows in order.
    """
    rows = np.arange(len(landmarks)) if rows is None else rows
    rows = rows[has_face(landmarks)[rows]]
    count = max(1, round(EXTREME_PART * len(rows)))
    openings = mouth_opening(landmarks[rows])

    def largest(values: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.sort(rows[np.argsort(-values, kind="stable")[:count]])

    widest = largest(openings)
    return {
        "widest": widest,
        "rest": np.setdiff1d(rows, widest),
        "teeth": rows[teeth[rows] > TEETH_SHARE],
        "smiles": largest(mouth_width(landmarks[rows])),
        "turned": largest(head_turn(landmarks[rows])),
    }


def summarize_parts(
    curves: Mapping[str, FrameCurve], parts: Mapping[str, NDArray[np.int64]]
) -> dict[str, dict[str, float]]:
    """Compute the measures of the inside over parts of the frames.

    Args:
        curves: values of the frames, by measure.
        parts: rows of the frames, by part.

    Returns:
        Values by measure, by part; NaN where a part has none.
    """
    return {
        part: {
            name: curves[name].aggregate(curves[name].values[rows])
            for name in INSIDE_MEASURES
            if name in curves
        }
        for part, rows in parts.items()
    }


def measure_mouths(
    reference: Path, outputs: Mapping[str, Path], landmarks: NDArray[np.float32]
) -> dict[str, dict[str, FrameCurve]]:
    """Measure the inside of the mouth in several outputs of one original.

    Args:
        reference: the original video.
        outputs: outputs of the same size, by name.
        landmarks: landmarks of the original, px; rows without a face are NaN. [N, 478, 3]

    Returns:
        Values of the frames by measure, by output.
    """
    from dubfew.evaluate.metrics import ClipPair

    faces = has_face(landmarks)
    curves: dict[str, dict[str, FrameCurve]] = {}
    for name, output in outputs.items():
        measurements: dict[str, Measurement] = {
            each: METRICS[each].measure.start(True) for each in INSIDE_MEASURES
        }
        count = 0
        for frame, rendered in zip(read_frames(reference), read_frames(output), strict=False):
            if count == len(faces):
                break
            marks = landmarks[count] if faces[count] else None
            pair = _pair(frame.to_rgb(), rendered.to_rgb(), marks)
            for measurement in measurements.values():
                measurement.add_frame(pair)
            count += 1
        clips = ClipPair(reference, output, landmarks[:count], landmarks[:count], np.zeros(count))
        found = {each: item.curve(clips) for each, item in measurements.items()}
        curves[name] = {each: curve for each, curve in found.items() if curve is not None}
    return curves


def _pair(
    reference: NDArray[np.uint8],
    output: NDArray[np.uint8] | None,
    landmarks: NDArray[np.float32] | None,
) -> FramePair:
    """Make a pair of which measures of the inside need nothing else."""
    from dubfew.evaluate.face_geometry import PixelBox

    output = reference if output is None else output
    return FramePair(reference, output, None, PixelBox(0, 0, 1, 1), None, landmarks, landmarks)


def save_mouth_sheet(
    path: Path,
    videos: Sequence[Path],
    landmarks: NDArray[np.float32],
    *,
    rows: NDArray | None = None,
    count: int = SHEET_MOUTHS,
) -> None:
    """Write a picture of the widest mouths, side by side, one video below the other.

    Args:
        path: PNG file to write.
        videos: the original, then outputs of it.
        landmarks: landmarks of the original, px; rows without a face are NaN. [N, 478, 3]
        rows: frames to choose from; by default all. [M]
        count: number of mouths. They are spread over the widest fifth, the widest first.

    Raises:
        OSError: The file cannot be written.
    """
    widest = find_mouth_parts(landmarks, np.zeros(len(landmarks)), rows)["widest"]
    ordered = widest[np.argsort(-mouth_opening(landmarks[widest]), kind="stable")]
    shown = ordered[:: max(len(ordered) // count, 1)][:count]
    sheet = np.zeros((len(videos) * BOX_PX, len(shown) * BOX_PX, 3), np.uint8)
    places = {int(row): MouthPlace.from_landmarks(landmarks[row]) for row in shown}
    columns = {int(row): column for column, row in enumerate(shown)}
    for line, video in enumerate(videos):
        for frame in read_frames(video, stop=int(shown.max(initial=-1)) + 1):
            if frame.index in places:
                left = columns[frame.index] * BOX_PX
                cut = places[frame.index].cut(frame.to_rgb())
                sheet[line * BOX_PX : (line + 1) * BOX_PX, left : left + BOX_PX] = cut
    save_contact_sheet(Image.fromarray(sheet), path)
