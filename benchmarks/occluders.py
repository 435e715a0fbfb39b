"""Things drawn in front of a mouth: paper, a microphone, a hand, a pen."""

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

MOUTH = (61, 291, 0, 17, 13, 14)
CHEEK = 205
LEAD_IN = 5  # frames that the detector sees of the free face first: it follows faces

Pen = ImageDraw.ImageDraw
Floats = NDArray[np.floating]


def occluded(
    rgb: NDArray[np.uint8], landmarks: Floats, kind: str, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """An RGB image [H, W, 3] with an entry of ``OCCLUDERS`` before the mouth of the face with these
    landmarks [478, 3] (px): its shape, with noise on it and a soft edge."""
    centre = landmarks[list(MOUTH), :2].mean(0)
    width = float(np.ptp(landmarks[:, 0]))
    cover = Image.new("L", (rgb.shape[1], rgb.shape[0]), 0)
    colour = OCCLUDERS[kind](ImageDraw.Draw(cover), centre, width, _skin(rgb, landmarks), rng)
    soft = cover.filter(ImageFilter.GaussianBlur(0.008 * width))
    opacity = np.asarray(soft, np.float32)[..., None] / 255
    grain = Image.fromarray((30 * rng.random((24, 24))).astype(np.uint8)).resize(cover.size)
    look = colour + np.asarray(grain, np.float32)[..., None] - 15
    return np.clip(rgb * (1 - opacity) + opacity * look, 0, 255).astype(np.uint8)


def found_share(
    path: Path, person: DetectedPerson, kind: str, first: int, stop: int, rng: np.random.Generator
) -> tuple[int, int, int]:
    """Cover a person's mouth in some frames of a clip, and look for it as tracking does.

    Args:
        path: the clip, of one shot.
        person: all frames of the clip.
        kind: one of ``OCCLUDERS``.
        first: rows of the person that are covered, from here
        stop: to here.
        rng: where the thing is, and its noise.

    Returns:
        Of these frames: in how many no face is found any more, in how many it is found covered; and
        how many frames beside them are taken for covered that were not before.
    """

    def draw(rgb: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
        return occluded(rgb, person.landmarks[row], kind, rng)

    at = int(person.frames[first])
    patches, landmarks, lost = _looked(path, person, slice(first, stop), at - LEAD_IN, draw)
    if lost[first:stop].all():  # some faces are found late in a clip, and only followed from there
        patches, landmarks, lost = _looked(path, person, slice(first, stop), 0, draw)
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


def _looked(
    path: Path,
    person: DetectedPerson,
    rows: slice,
    begin: int,
    draw: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    """Patches and landmarks of the person with some rows drawn on, the detector fed from frame
    ``begin`` on, and where it finds no face."""
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


def _skin(rgb: NDArray[np.uint8], landmarks: Floats) -> Floats:
    x, y = (int(v) for v in landmarks[CHEEK, :2])
    y, x = np.clip(y, 2, rgb.shape[0] - 3), np.clip(x, 2, rgb.shape[1] - 3)
    return np.median(rgb[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), 0)


def _paper(pen: Pen, centre: Floats, width: float, skin: Floats, rng: object) -> Floats:
    x, y = centre
    pen.rectangle((x - 0.4 * width, y - 0.1 * width, x + 0.5 * width, y + width), fill=255)
    return np.array([225.0, 225, 220])


def _microphone(pen: Pen, centre: Floats, width: float, skin: Floats, rng: object) -> Floats:
    (x, y), r = centre, 0.17 * width
    pen.ellipse((x - r, y - 0.3 * r, x + r, y + 1.7 * r), fill=255)
    pen.rectangle((x - 0.4 * r, y + r, x + 0.4 * r, y + 6 * r), fill=255)
    return np.array([30.0, 30, 32])


def _hand(pen: Pen, centre: Floats, width: float, skin: Floats, rng: np.random.Generator) -> Floats:
    for finger in range(4):
        x = centre[0] + (0.16 * finger - 0.3) * width
        y = centre[1] + rng.uniform(-0.03, 0.03) * width
        box = (x, y - 0.22 * width, x + 0.15 * width, y + 0.6 * width)
        pen.rounded_rectangle(box, radius=0.07 * width, fill=255)
    return skin * rng.uniform(0.8, 1.1)


def _pen(pen: Pen, centre: Floats, width: float, skin: Floats, rng: object) -> Floats:
    x, y = centre
    ends = (x - 0.5 * width, y + 0.3 * width, x + 0.4 * width, y - 0.15 * width)
    pen.line(ends, fill=255, width=max(2, int(0.05 * width)))
    return np.array([40.0, 40, 90])


OCCLUDERS: dict[str, Callable[..., Floats]] = {
    "paper": _paper,
    "microphone": _microphone,
    "hand": _hand,
    "pen": _pen,
}
