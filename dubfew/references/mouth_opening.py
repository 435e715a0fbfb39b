"""The opening between the lips: its shape in a window, its gap, and where its teeth lie.

The mesh closes the opening by a sheet. Carried by the sheet, all that lies behind the lips would
stretch with them: a tooth would become three times as long when the mouth opens three times as
wide. Teeth are rigid. In films the upper ones keep their distance to the edge of the upper lip and
the lower ones to that of the lower lip; what grows is the gap between. So `map_heights` maps a
pixel of the opening to a reference by its distance from the nearer lip, and only the darkest band
of the reference, which is the gap, is spread over what is left.

All lengths are half widths of a window, as `grid_sample` counts them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from dubfew.utils.arrays import FloatArray
from dubfew.utils.luma import LUMA_BT601

# Factors by which what is near a lip may be shrunk or stretched along with the opening: landmarks
# err by as much. Beyond these teeth are rigid. The second is as much as the mesh stretches before
# (`dubfew.references.mouth_interior.CARRIED_UP_TO`), so that no tooth shrinks while lips part.
MIN_TEETH_SCALE, MAX_TEETH_SCALE = 0.75, 1.12
# Half of the band that may be spread, as a fraction of the reference's opening.
HALF_GAP_BAND = 0.1
# Part of the spread band at both of its ends over which what replaces it begins: it shall have no
# edge.
BAND_EDGE = 0.25
# Places at which a reference's opening is looked at to find the gap, across and down.
PROBE_COLUMNS, PROBE_ROWS = 24, 24
# Part of the mouth's half width on both sides of the middle that is looked at: corners are dark in
# all mouths and say nothing of the gap.
PROBED_WIDTH = 0.5
# Levels of brightness (of 255) by which a row has to be darker for each whole opening that it lies
# off the middle. It keeps the gap in the middle of mouths that show none.
GAP_PRIOR_LEVELS = 25.0
# Reach of a gap above and below its row, of the opening; difference of brightness, levels, by which
# a place counts less as gap, about the noise of video; columns over which it is averaged, a tooth.
GAP_REACH, GAP_LEVELS, GAP_BLUR = 0.2, 8.0, 5
# How far from the landmarks the seam of closed lips is looked for, and half of its width, px.
SEAM_SEARCH_PX, SEAM_HALF_WIDTH_PX = 5.0, 2.5
# How far outside of the lips' inner edges their colors are read, in half widths of the mouth.
LIP_DEPTH = 0.10
# Smallest length that is divided by: a tenth of a pixel in a window of 160.
MIN_LENGTH = 0.00125


@dataclass(frozen=True)
class MouthOpening:
    """The opening between the lips in one window, in axes along the mouth.

    Attributes:
        axes: unit vectors along the mouth, from the corner on the left, and down. [2, 2]
        center: middle of the two corners. [2]
        upper: inner edge of the upper lip in these axes, from left to right. [11, 2]
        lower: inner edge of the lower lip. [11, 2]
    """

    axes: FloatArray
    center: FloatArray
    upper: FloatArray
    lower: FloatArray

    @classmethod
    def from_ring(cls, ring: NDArray) -> MouthOpening:
        """Make the opening of a ring of points.

        Args:
            ring: inner edge of the lips, in the order of
                `dubfew.reconstruction.heads.landmark_indices.INNER_LIPS`. [20, 2]
        """
        half = len(ring) // 2
        along = ring[half] - ring[0]
        along = along / max(float(np.linalg.norm(along)), MIN_LENGTH)
        axes = np.stack([along, [-along[1], along[0]]]).astype(np.float32)
        center = ((ring[0] + ring[half]) / 2).astype(np.float32)
        points = ((ring - center) @ axes.T).astype(np.float32)
        upper, lower = points[: half + 1], np.concatenate([points[half:], points[:1]])
        # Seen from the side an edge may fold over. Heights are read from left to right.
        return cls(axes, center, *(edge[np.argsort(edge[:, 0])] for edge in (upper, lower)))

    @property
    def half_width(self) -> float:
        """Return half of the distance between the corners."""
        return max(float(self.upper[-1, 0] - self.upper[0, 0]) / 2, MIN_LENGTH)

    def to_axes(self, points: NDArray) -> NDArray:
        """Transform points of the window into the axes along the mouth. [N, 2]"""
        return (points - self.center) @ self.axes.T

    def from_axes(self, points: NDArray) -> NDArray:
        """Transform points from the axes along the mouth into the window. [..., 2]"""
        return points @ self.axes + self.center

    def edge_heights(self, across: NDArray) -> tuple[NDArray, NDArray]:
        """Look up the heights of the upper and of the lower lip's edge along the mouth.

        Args:
            across: places along the mouth, from its middle to the right, px. [N]

        Returns:
            Heights of the upper and the lower edge. [N] each
        """
        upper = np.interp(across, self.upper[:, 0], self.upper[:, 1])
        lower = np.interp(across, self.lower[:, 0], self.lower[:, 1])
        return upper, np.maximum(lower, upper + MIN_LENGTH)

    def spread_across(self, fraction: float, count: int) -> NDArray:
        """Spread places evenly over the middle of the mouth.

        Args:
            fraction: reach to each side, as a fraction of the half width.
            count: number of places.
        """
        return np.linspace(-fraction, fraction, count) * self.half_width


def sample_nearest(image: NDArray[np.uint8], points: NDArray) -> FloatArray:
    """Look up pixels of a window at points in [-1, 1], the border where they lie outside.

    Args:
        image: RGB window. [S, S, 3]
        points: x and y. [..., 2]

    Returns:
        RGB, 0 to 255. [..., 3]
    """
    size = len(image)
    index = np.clip(((points + 1) * (size / 2)).astype(int), 0, size - 1)
    return image[index[..., 1], index[..., 0]].astype(np.float32)


@dataclass(frozen=True)
class Gap:
    """The gap between upper and lower teeth, or between teeth and lip.

    Attributes:
        across: places along the mouth. [24]
        heights: its height in the opening there, 0 at the upper lip to 1 at the lower one. [24]
        color: mean color of its row, RGB 0 to 255. [3]
    """

    across: FloatArray
    heights: FloatArray
    color: FloatArray

    def at(self, across: NDArray) -> NDArray:
        """Return the heights at other places along the mouth. [N]"""
        return np.interp(across, self.across, self.heights)


def find_gap(
    image: NDArray[np.uint8], opening: MouthOpening, *, prior: float = GAP_PRIOR_LEVELS
) -> Gap:
    """Find the gap between upper and lower teeth, or between teeth and lip: the darkest row.

    Teeth have no straight edge. Around the darkest row each place has a height of its own, so that
    no tip of a tooth lies in the band that is spread.

    Args:
        image: window that shows the mouth. [S, S, 3]
        opening: its opening.
        prior: levels of brightness (of 255) by which a row has to be darker for each whole opening
            that it lies off the middle.
    """
    across = opening.spread_across(PROBED_WIDTH, PROBE_COLUMNS)
    upper, lower = opening.edge_heights(across)
    heights = (np.arange(PROBE_ROWS) + 0.5) / PROBE_ROWS
    down = upper + heights[:, None] * (lower - upper)
    points = np.stack([np.broadcast_to(across, down.shape), down], -1)
    # Three rows together: single ones are noise.
    probes = uniform_filter1d(sample_nearest(image, opening.from_axes(points)), 3, 0)
    rows = probes.mean(1)
    darkest = int(np.argmin(rows @ LUMA_BT601 + prior * np.abs(heights - 0.5)))
    near = np.abs(heights - heights[darkest]) <= GAP_REACH
    levels = probes[near] @ LUMA_BT601
    # The middle of what is about as dark as the darkest.
    weights = np.exp((levels.min(0) - levels) / GAP_LEVELS)
    found = (weights * heights[near, None]).sum(0) / weights.sum(0)
    return Gap(
        across.astype(np.float32),
        uniform_filter1d(found, GAP_BLUR, mode="nearest").astype(np.float32),
        rows[darkest].astype(np.float32),
    )


@dataclass(frozen=True)
class Seam:
    """The dark seam between closed lips.

    Attributes:
        across: places along the mouth. [24]
        heights: heights of the seam there, in the opening's axes. [24]
        half_width: half of its width.
    """

    across: FloatArray
    heights: FloatArray
    half_width: float

    def beside(self, across: NDArray, side: NDArray) -> NDArray:
        """Return the heights of the lips beside the seam.

        Args:
            across: places along the mouth. [N]
            side: -1 for the upper lip to 1 for the lower one. [N]
        """
        return np.interp(across, self.across, self.heights) + side * self.half_width


def find_seam(image: NDArray[np.uint8], opening: MouthOpening) -> Seam:
    """Find the seam between closed lips: the darkest place near the landmarks, which miss it.

    Args:
        image: window that shows closed lips. [S, S, 3]
        opening: the opening between their landmarks.
    """
    across = opening.spread_across(1.0, PROBE_COLUMNS)
    upper, lower = opening.edge_heights(across)
    middle, pixel = (upper + lower) / 2, 2 / len(image)
    offsets = np.linspace(-SEAM_SEARCH_PX, SEAM_SEARCH_PX, PROBE_ROWS)[:, None] * pixel
    down = middle + offsets
    points = np.stack([np.broadcast_to(across, down.shape), down], -1)
    levels = sample_nearest(image, opening.from_axes(points)) @ LUMA_BT601
    levels = uniform_filter1d(uniform_filter1d(levels, 3, 0), GAP_BLUR, 1, mode="nearest")
    weights = np.exp((levels.min(0) - levels) / GAP_LEVELS)
    found = middle + (weights * offsets).sum(0) / weights.sum(0)
    return Seam(
        across.astype(np.float32),
        uniform_filter1d(found, GAP_BLUR, mode="nearest").astype(np.float32),
        SEAM_HALF_WIDTH_PX * pixel,
    )


def map_heights(
    height: NDArray,  # [N]
    opening: NDArray,  # [N]
    reference_opening: NDArray,  # [N]
    gap: NDArray | float,  # [N]
) -> tuple[NDArray, float, NDArray]:
    """Map heights in an opening to heights in a reference's, with rigid teeth.

    Args:
        height: distance from the upper lip. [N]
        opening: distance of the lips there. [N]
        reference_opening: distance of the lips at the same place of the reference. [N]
        gap: height of the reference's gap there, 0 to 1; one number where it is level. [N]

    Returns:
        Height in the reference, 0 at its upper lip to 1 at its lower one [N]; factor by which the
        band is spread, one for the whole mouth; how deep in the band each place lies, 0 at its
        ends and outside of it to 1. [N]

    Example:
        >>> height = np.array([0.1, 0.5, 0.9])
        >>> mapped, spread, depth = map_heights(height, np.full(3, 1.0), np.full(3, 0.25), 0.5)
        >>> mapped.round(2).tolist(), round(spread, 1), depth.tolist()
        ([0.36, 0.5, 0.64], 15.5, [0.0, 1.0, 0.0])
    """
    scale = np.clip(opening / reference_opening, MIN_TEETH_SCALE, MAX_TEETH_SCALE)
    unit = reference_opening * scale
    # Parts of the reference above and below the band, and where they end in the opening.
    above = np.maximum(gap - HALF_GAP_BAND, 0.0)
    below = np.maximum(1 - gap - HALF_GAP_BAND, 0.0)
    band = 1 - above - below
    # Where both do not fit, the upper teeth stand before the lower ones.
    upper_end = np.minimum(above * unit, opening)
    lower_begin = np.maximum(opening - below * unit, upper_end)
    middle = lower_begin - upper_end
    in_upper, in_lower = height <= upper_end, height >= lower_begin
    between = above + band * (height - upper_end) / np.maximum(middle, MIN_LENGTH)
    mapped = np.select(
        [in_upper, in_lower], [height / unit, 1 - (opening - height) / unit], between
    )
    # One value for the whole mouth: of columns that are decided one by one some show this reference
    # and some another, side by side.
    spread = float(middle.sum()) / max(float((band * reference_opening).sum()), MIN_LENGTH)
    depth = np.minimum(height - upper_end, lower_begin - height) / np.maximum(middle, MIN_LENGTH)
    return np.clip(mapped, 0, 1), spread, np.clip(depth / BAND_EDGE, 0, 1)
