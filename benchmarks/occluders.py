"""Objects drawn in front of a mouth: paper, a microphone, a hand, a pen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from dubfew.media import read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.visibility.temporal_occlusion import (
    detect_occluded_frames,
    extract_face_patch,
)

# Landmarks whose mean is the center of the mouth.
MOUTH_CENTER_LANDMARKS = (61, 291, 0, 17, 13, 14)
# Landmark where the color of the skin is taken.
CHEEK_LANDMARK = 205
# Frames of the free face that the detector gets first, because it follows faces.
NUM_LEAD_IN_FRAMES = 5

Pen = ImageDraw.ImageDraw
FloatPoints = NDArray[np.floating]


def draw_occluder(
    rgb: NDArray[np.uint8], landmarks: FloatPoints, kind: str, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw an object in front of a mouth, with noise on it and a soft edge.

    Args:
        rgb: image. [H, W, 3]
        landmarks: the face's landmarks, px. [478, 3]
        kind: an entry of ``OCCLUDERS``.
        rng: noise and position of the object.
    """
    center = landmarks[list(MOUTH_CENTER_LANDMARKS), :2].mean(0)
    width = float(np.ptp(landmarks[:, 0]))
    cover = Image.new("L", (rgb.shape[1], rgb.shape[0]), 0)
    color = OCCLUDERS[kind](
        ImageDraw.Draw(cover), center, width, _sample_skin_color(rgb, landmarks), rng
    )
    soft = cover.filter(ImageFilter.GaussianBlur(0.008 * width))
    opacity = np.asarray(soft, np.float32)[..., None] / 255
    grain = Image.fromarray((30 * rng.random((24, 24))).astype(np.uint8)).resize(cover.size)
    surface = color + np.asarray(grain, np.float32)[..., None] - 15
    return np.clip(rgb * (1 - opacity) + opacity * surface, 0, 255).astype(np.uint8)


def count_found_frames(
    path: Path, person: DetectedPerson, kind: str, first: int, stop: int, rng: np.random.Generator
) -> tuple[int, int, int]:
    """Cover a person's mouth in some frames of a clip and count the frames that are found.

    Args:
        path: clip of one shot.
        person: the person, seen in all frames of the clip.
        kind: an entry of ``OCCLUDERS``.
        first: first row of the person that is covered.
        stop: row after the last one.
        rng: noise and position of the object.

    Returns:
        Number of covered frames without a face, number of covered frames that are found, and
        number of other frames that are newly flagged.
    """

    def draw(rgb: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
        return draw_occluder(rgb, person.landmarks[row], kind, rng)

    at = int(person.frames[first])
    patches, landmarks, lost = _detect_with_occluder(
        path, person, slice(first, stop), at - NUM_LEAD_IN_FRAMES, draw
    )
    # Some faces are detected late in a clip and only followed from there: feed the whole clip.
    if lost[first:stop].all():
        patches, landmarks, lost = _detect_with_occluder(path, person, slice(first, stop), 0, draw)
    before = detect_occluded_frames(person.patches, person.landmarks, person.frames)
    hidden = np.zeros(len(lost), bool)
    hidden[~lost] = detect_occluded_frames(patches[~lost], landmarks[~lost], person.frames[~lost])
    inside = np.zeros(len(lost), bool)
    inside[first:stop] = True
    return (
        int(lost.sum()),
        int((hidden & inside).sum()),
        int((hidden & ~inside & ~before).sum()),
    )


def _detect_with_occluder(
    path: Path,
    person: DetectedPerson,
    rows: slice,
    begin: int,
    draw: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    """Detect the person again with an object drawn in some rows.

    Args:
        path: the clip.
        person: the person.
        rows: rows in which the object is drawn.
        begin: first frame that the detector gets.
        draw: function that draws the object on a frame, by row.

    Returns:
        Patches and landmarks of all rows, and True for rows without a detected face.
    """
    patches, landmarks = person.patches.copy(), person.landmarks.copy()
    lost = np.zeros(len(person.frames), bool)
    row_of = {int(frame): row for row, frame in enumerate(person.frames)}
    begin, stop = max(0, begin), int(person.frames[rows.stop - 1]) + 1
    with FaceLandmarker() as detector:
        for number, frame in enumerate(read_frames(path, start=begin, stop=stop), begin):
            rgb, row = frame.to_rgb(fast=True), row_of.get(number)
            if row is None or row < rows.start:
                detector(rgb)
                continue
            drawn = draw(rgb, row)
            face = detector(drawn)
            lost[row] = face is None
            if face is not None:
                landmarks[row], patches[row] = face, extract_face_patch(drawn, face)
    return patches, landmarks, lost


def _sample_skin_color(rgb: NDArray[np.uint8], landmarks: FloatPoints) -> FloatPoints:
    """Sample the median color of the cheek, RGB."""
    x, y = (int(v) for v in landmarks[CHEEK_LANDMARK, :2])
    y, x = np.clip(y, 2, rgb.shape[0] - 3), np.clip(x, 2, rgb.shape[1] - 3)
    return np.median(rgb[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), 0)


def _draw_paper(
    pen: Pen, center: FloatPoints, width: float, skin: FloatPoints, rng: object
) -> FloatPoints:
    x, y = center
    pen.rectangle((x - 0.4 * width, y - 0.1 * width, x + 0.5 * width, y + width), fill=255)
    return np.array([225.0, 225, 220])


def _draw_microphone(
    pen: Pen, center: FloatPoints, width: float, skin: FloatPoints, rng: object
) -> FloatPoints:
    (x, y), r = center, 0.17 * width
    pen.ellipse((x - r, y - 0.3 * r, x + r, y + 1.7 * r), fill=255)
    pen.rectangle((x - 0.4 * r, y + r, x + 0.4 * r, y + 6 * r), fill=255)
    return np.array([30.0, 30, 32])


def _draw_hand(
    pen: Pen, center: FloatPoints, width: float, skin: FloatPoints, rng: np.random.Generator
) -> FloatPoints:
    for finger in range(4):
        x = center[0] + (0.16 * finger - 0.3) * width
        y = center[1] + rng.uniform(-0.03, 0.03) * width
        box = (x, y - 0.22 * width, x + 0.15 * width, y + 0.6 * width)
        pen.rounded_rectangle(box, radius=0.07 * width, fill=255)
    return skin * rng.uniform(0.8, 1.1)


def _draw_pen(
    pen: Pen, center: FloatPoints, width: float, skin: FloatPoints, rng: object
) -> FloatPoints:
    x, y = center
    ends = (x - 0.5 * width, y + 0.3 * width, x + 0.4 * width, y - 0.15 * width)
    pen.line(ends, fill=255, width=max(2, int(0.05 * width)))
    return np.array([40.0, 40, 90])


# Functions by name that draw an object at the center of the mouth. Their arguments are pen, center
# (px), width of the face (px), color of the skin and randomness; they return the object's color.
OCCLUDERS: dict[str, Callable[..., FloatPoints]] = {
    "paper": _draw_paper,
    "microphone": _draw_microphone,
    "hand": _draw_hand,
    "pen": _draw_pen,
}
