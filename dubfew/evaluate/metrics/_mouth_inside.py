"""The inside of the mouth in one frame of two clips: what lies between the lips, teeth above all.

The place is the original's: both clips are cut by its landmarks, at a width of 256 px, and only
pixels between its lips count. So these measures are for an output that moves as its original does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import deltaE_ciede2000

from dubfew.evaluate.face_geometry import eye_corner_distance
from dubfew.evaluate.metrics._base import FramePair, MetricRequirement, RgbImage
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.references.teeth import are_teeth, to_lab

# Edge of the square that a mouth is measured in, px, and its size as a factor of the mouth's width.
BOX_PX, BOX_OVER_MOUTH = 256, 1.3
# Standard deviation of the blur before colors are compared, px of the box: a tooth a little beside
# its place shall cost little.
BLUR_SIGMA_PX = 1.5
# Smallest opening that is measured, px of the box: in fewer the eye sees no inside.
MIN_INSIDE_PIXELS = 150
# Percentile of the heights of teeth in a frame that counts as their length: the longest ones, but
# no single columns.
LENGTH_PERCENTILE = 95.0
# These measures are asked for: they mean nothing for a dub, and cost a third of a comparison.
INSIDE = MetricRequirement("inside", "--inside", bool, on_request=True)


@dataclass(frozen=True)
class MouthPlace:
    """Where the mouth of one frame lies.

    Attributes:
        corner: left and top of the square around it, px of the frame. [2]
        side: edge of the square, px of the frame.
        inside: pixels between the lips. [256, 256]
        lip: pixels of the lower lip. [256, 256]
        eyes: distance of the eye corners, px of the square.
    """

    corner: NDArray[np.float64]
    side: float
    inside: NDArray[np.bool_]
    lip: NDArray[np.bool_]
    eyes: float

    @classmethod
    def from_landmarks(cls, landmarks: NDArray[np.float32]) -> MouthPlace:
        """Find the mouth by its landmarks, px of the frame. [478, 3]"""
        points = landmarks[:, :2].astype(np.float64)
        outer = points[list(OUTER_LIPS)]
        side = BOX_OVER_MOUTH * max(float(np.ptp(outer[:, 0])), 1.0)
        corner = (outer.min(0) + outer.max(0) - side) / 2
        scale = BOX_PX / side
        scaled = (points - corner) * scale
        inner = scaled[list(INNER_LIPS)]
        lower = np.concatenate([inner[10:], inner[:1], scaled[list(OUTER_LIPS)][10:][::-1]])
        eyes = float(eye_corner_distance(landmarks[None])[0]) * scale
        inside = _fill_polygon(inner)
        return cls(corner, side, inside, _fill_polygon(lower) & ~inside, eyes)

    def cut(self, image: RgbImage) -> RgbImage:
        """Cut the mouth out of a frame [H, W, 3]. [256, 256, 3]"""
        # The part that is needed, with what a bicubic filter sees: whole frames are slow to copy.
        low = np.maximum(np.floor(self.corner).astype(int) - 2, 0)
        high = np.maximum(np.ceil(self.corner + self.side).astype(int) + 2, low + 1)
        part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
        if not part.size:
            return np.zeros((BOX_PX, BOX_PX, 3), np.uint8)
        corner = self.corner - low
        return np.asarray(
            Image.fromarray(part).transform(
                (BOX_PX, BOX_PX),
                Image.Transform.EXTENT,
                (*corner, *(corner + self.side)),
                Image.Resampling.BICUBIC,
            )
        )


def _fill_polygon(points: NDArray) -> NDArray[np.bool_]:
    mask = Image.new("1", (BOX_PX, BOX_PX))
    ImageDraw.Draw(mask).polygon([tuple(p) for p in points.tolist()], fill=1)
    return np.asarray(mask)


@dataclass(frozen=True)
class MouthInside:
    """The mouths of one frame, cut out of both clips.

    Attributes:
        place: where the mouth lies.
        reference: the original's mouth. [256, 256, 3]
        output: the output's. [256, 256, 3]
    """

    place: MouthPlace
    reference: RgbImage
    output: RgbImage

    @cached_property
    def blurred(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both mouths after a little blur, 0 to 1. [256, 256, 3] each"""
        sigma = (BLUR_SIGMA_PX, BLUR_SIGMA_PX, 0)
        images = (gaussian_filter(i.astype(np.float32), sigma) for i in self._pair)
        return next(images) / 255, next(images) / 255

    @cached_property
    def teeth(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Pixels of teeth in both: as bright as the lower lip, and paler. [256, 256] each"""
        return self._find_teeth(self.blurred[0]), self._find_teeth(self.blurred[1])

    @cached_property
    def shares(self) -> tuple[float, float]:
        """Parts of the opening that show teeth, 0 to 1."""
        count = self.place.inside.sum()
        return float(self.teeth[0].sum() / count), float(self.teeth[1].sum() / count)

    @property
    def color_difference(self) -> float:
        """Mean CIEDE2000 difference between the lips."""
        inside = self.place.inside
        first, second = (to_lab(image[inside]) for image in self.blurred)
        return float(deltaE_ciede2000(first, second).mean())

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio between the lips, dB; infinity if they are equal."""
        reference, output = (i[self.place.inside].astype(np.float64) for i in self._pair)
        error = np.square(reference - output).mean()
        return float(10 * np.log10(255**2 / error)) if error else float("inf")

    @property
    def overlap(self) -> float:
        """Dice coefficient of the teeth of both: 1 if they lie in one place, 0 if nowhere."""
        first, second = self.teeth
        total = first.sum() + second.sum()
        return float(2 * (first & second).sum() / total) if total else float("nan")

    @property
    def lengths(self) -> tuple[float, float]:
        """Length of the longest teeth, % of the distance of the eye corners; NaN without any."""
        first, second = (
            float(np.percentile(runs, LENGTH_PERCENTILE)) / self.place.eyes * 100
            if len(runs := longest_runs(mask))
            else float("nan")
            for mask in self.teeth
        )
        return first, second

    @property
    def sharpness(self) -> float:
        """Variance of the Laplacian between the lips, output / original; NaN for a flat one."""
        first, second = (
            laplace(i.astype(np.float32).mean(2))[self.place.inside].var() for i in self._pair
        )
        return float(second / first) if first > 0 else float("nan")

    @property
    def _pair(self) -> tuple[RgbImage, RgbImage]:
        return self.reference, self.output

    def _find_teeth(self, image: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Find the teeth of one of both. [256, 256]"""
        inside, lip = self.place.inside, self.place.lip
        found = np.zeros_like(inside)
        found[inside] = are_teeth(image[inside], image[lip])
        return found


def longest_runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Measure the longest vertical run of every column that has one, px.

    Example:
        >>> longest_runs(np.array([[1, 0, 1], [1, 0, 0], [0, 0, 1]], bool)).tolist()
        [2, 1]
    """
    best = run = np.zeros(mask.shape[1], np.int64)
    for row in mask:
        run = (run + 1) * row
        best = np.maximum(best, run)
    return best[best > 0]


def find_mouth_inside(resource: Any, pair: FramePair) -> MouthInside | None:
    """Cut the inside of the mouth; None without a face, or if too little of it shows.

    Args:
        resource: not used.
        pair: a frame of both clips.
    """
    return pair.compute_once(_cut_mouths)


def _cut_mouths(pair: FramePair) -> MouthInside | None:
    if pair.reference_landmarks is None:
        return None
    place = MouthPlace.from_landmarks(pair.reference_landmarks)
    if place.inside.sum() < MIN_INSIDE_PIXELS:
        return None
    return MouthInside(place, place.cut(pair.reference), place.cut(pair.output))
