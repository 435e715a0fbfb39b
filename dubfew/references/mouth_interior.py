"""The mouth's inside in one frame: where its pixels lie in the references, and a cavity beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from dubfew.references.cavity_parts import CavityPoints, MouthColors
from dubfew.references.mouth_cavity import draw_cavity
from dubfew.references.mouth_opening import (
    MIN_LENGTH,
    Gap,
    MouthOpening,
    Seam,
    find_gap,
    find_seam,
    map_heights,
)
from dubfew.references.teeth import is_dark, is_flesh, is_hollow, look_at_teeth
from dubfew.utils.arrays import FloatArray
from dubfew.utils.smoothstep import smoothstep

# Factors by which an opening is higher than the reference's: up to the first the mesh carries the
# inside, from the second on teeth are rigid. The mesh was aligned with the picture and is the
# better guide as long as nothing is stretched much (docs/findings.md, "The mouth's inside").
CARRIED_UP_TO, RIGID_FROM = 1.12, 1.3
# The same for clenched teeth, which have no gap that could spread.
CLENCHED_CARRIED_UP_TO, CLENCHED_RIGID_FROM = 1.3, 1.6
# Factors up to which a reference that shows a dark hollow without teeth is carried by the mesh at
# any opening, and from which it is not: there is nothing rigid in it, and darkness stretched is
# darkness. Somebody whose teeth do not show in speech shall get none from the mean of others.
HOLLOW_CARRIED_UP_TO, HOLLOW_UNKNOWN_FROM = 4.0, 8.0
# Factors by which the gap of a reference is spread: up to the first it is shown, from the second on
# it is replaced by the cavity. A tongue is still one; the dark between teeth has torn edges, and
# there may be a tongue in it. Clenched teeth show no gap: what comes between them when they part is
# dark, and the row, spread, is a gray slab.
TONGUE_SPREAD, DARK_SPREAD, CLENCHED_SPREAD = (3.0, 5.0), (2.5, 4.0), (2.0, 2.7)
# How far the back has the color between clenched teeth: it is that of teeth in the shade, and a
# black gap between them would be seen first.
CLENCHED_GAP_WEIGHT = 0.5
# Shares of teeth in a tongue's opening up to which teeth are drawn before it, and from which they
# are not: the actor's own are there.
OWN_TEETH_SHARE = (0.02, 0.1)
# Levels of brightness (of 255) by which a row of clenched teeth has to be darker for each whole
# opening that it lies off the middle.
CLENCHED_PRIOR_LEVELS = 120.0
# Factors by which the inside may be shrunk or stretched across: teeth do not widen in a smile.
MIN_ACROSS_SCALE, MAX_ACROSS_SCALE = 0.85, 1.15
# Width of the soft edge between lips and cavity, px of the window as the network draws it.
EDGE_PX = 2.0
# Height of an opening, px, below which it is left to the mesh, and from which nothing is: twice of
# a pixel is no tooth.
SMALL_OPENING_PX = (4.0, 9.0)
# How far beside the opening lips make room for the seam that they have where they are closed, px,
# and heights of the opening at which they begin to and do so in full: the seam would be an outline
# of the opened mouth, and is the line between lips that hardly part.
SEAM_REACH_PX, SEAM_SKIPPED_PX = 9, (5.0, 9.0)
# Height of an opening, px, up to which a reference shows closed lips, and from which it does not.
CLOSED_PX = (2.0, 4.0)
# Places along the mouth, in half widths, between which a seam is the dark corner of the mouth.
LIP_MIDDLE = (0.6, 0.95)
# An opening as small is left to the mesh no longer where it is wider than the reference's by these
# factors even if landmarks err by so many px in both: closed lips, stretched, are a row of dashes.
SURELY_WIDER, LANDMARK_ERROR_PX = (1.5, 2.5), 1.0


@dataclass(frozen=True)
class MouthInterior:
    """The pixels between the lips of one frame, mapped to K references.

    Attributes:
        rows: row of each pixel. [N]
        columns: column of each pixel. [N]
        positions: place of each pixel in each reference, -1 to 1. [K, N, 2]
        shown: how far each reference shows what lies there, 0 to 1. [K, N]
        seam_rows: row of each pixel of the lips beside the opening. [M]
        seam_columns: column of each. [M]
        seam_shifts: what to add to their places in each reference, so that they lie outside of the
            dark seam of closed lips. [K, M, 2]
        rigid: how far the places in the first reference are those of rigid teeth instead of the
            mesh's, 0 to 1.
        cavity: RGB of the drawn cavity in the light of the references, 0 to 1; 0 where
            nothing is missing in any pixel. [N, 3]
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    positions: FloatArray
    shown: FloatArray
    rigid: float
    cavity: FloatArray
    seam_rows: NDArray[np.int64]
    seam_columns: NDArray[np.int64]
    seam_shifts: FloatArray


@dataclass(frozen=True, eq=False)
class ReferenceMouth:
    """The mouth of one reference; what is found in its pixels is looked for once, when asked for.

    Attributes:
        image: RGB window. [R, R, 3]
        ring: inner edge of the lips, -1 to 1. [20, 2]
    """

    image: NDArray[np.uint8]
    ring: FloatArray

    @cached_property
    def opening(self) -> MouthOpening:
        """Return the opening between the lips."""
        return MouthOpening.from_ring(self.ring)

    @cached_property
    def is_hollow(self) -> bool:
        """Return whether it is open with nothing but darkness in it."""
        return is_hollow(self.image, self.ring)

    @cached_property
    def gap(self) -> Gap:
        """Return the gap between the teeth."""
        gap = find_gap(self.image, self.opening)
        if is_dark(self.image, self.opening, gap.color):
            return gap
        # Clenched teeth: the darkest row may be the shadow of a lip, and they meet in the middle.
        return find_gap(self.image, self.opening, prior=CLENCHED_PRIOR_LEVELS)

    @cached_property
    def seam(self) -> Seam:
        """Return the seam between closed lips."""
        return find_seam(self.image, self.opening)

    @cached_property
    def is_dark(self) -> bool:
        """Return whether the gap is dark, as clenched teeth are not."""
        return is_dark(self.image, self.opening, self.gap.color)

    @cached_property
    def shows_tongue(self) -> bool:
        """Return whether the gap is flesh: neither dark nor the teeth of a clenched mouth."""
        return not self.is_dark and is_flesh(self.image, self.opening, self.gap.color)

    @property
    def gap_weight(self) -> float:
        """Return how far the back of a wider mouth has the color of the gap, 0 to 1."""
        if self.is_dark:
            return 0.0
        return 1.0 if self.shows_tongue else CLENCHED_GAP_WEIGHT

    @cached_property
    def lacks_teeth(self) -> float:
        """Return how far nothing but a tongue shows, 0 to 1."""
        if not self.shows_tongue:
            return 0.0
        share, _ = look_at_teeth(self.image, self.ring)
        return 1 - float(smoothstep(*OWN_TEETH_SHARE, np.array(share)))


def map_mouth_interior(
    inside: NDArray[np.bool_],  # [S, S]
    ring: FloatArray,  # [20, 2]
    eye_distance: float,
    mouths: Sequence[ReferenceMouth],
    carried: FloatArray,  # [K, S, S, 2]
    measure_colors: Callable[[], MouthColors],
) -> MouthInterior:
    """Map the pixels between the lips to references by their distance from the lips.

    Args:
        inside: pixels of the opening. [S, S]
        ring: inner edge of the lips in the frame's window, -1 to 1. [20, 2]
        eye_distance: inter-ocular distance in the frame's window, half widths of it.
        mouths: those of the K references.
        carried: place of each pixel in each reference as the mesh carries it. [K, S, S, 2]
        measure_colors: returns the colors around the actor's mouth; called if a cavity is drawn.
    """
    rows, columns = np.nonzero(inside)
    pixel = 2 / len(inside)
    target = MouthOpening.from_ring(ring)
    points = target.to_axes((np.stack([columns, rows], 1) + 0.5) * pixel - 1)
    upper, lower = target.edge_heights(points[:, 0])
    opening = lower - upper
    height = np.clip(points[:, 1] - upper, 0, opening)
    # The lips' edges are soft, and small openings need no cavity.
    near_lip = 1 - np.minimum(height, opening - height) / (EDGE_PX * pixel)
    height_px = float(opening.max(initial=0)) / pixel
    tall = smoothstep(*SMALL_OPENING_PX, np.array(height_px))
    skipped = float(smoothstep(*SEAM_SKIPPED_PX, np.array(height_px)))
    positions, shown, rigidity, closed, skips_seam = [], [], [], [], []
    for mouth, by_mesh in zip(mouths, carried, strict=True):
        reference = mouth.opening
        scale = np.clip(
            target.half_width / reference.half_width, MIN_ACROSS_SCALE, MAX_ACROSS_SCALE
        )
        across = np.clip(points[:, 0] / scale, reference.upper[0, 0], reference.upper[-1, 0])
        reference_upper, reference_lower = reference.edge_heights(across)
        reference_opening = reference_lower - reference_upper
        # One value for the whole mouth: parts that are carried beside others would show seams.
        widening = np.array(opening.sum() / max(float(reference_opening.sum()), MIN_LENGTH))
        reference_px = float(reference_opening.max(initial=0)) / pixel
        surely = max(height_px - LANDMARK_ERROR_PX, 0) / (reference_px + LANDMARK_ERROR_PX)
        trusted = max(float(tall), float(smoothstep(*SURELY_WIDER, np.array(surely))))
        rigid = float(smoothstep(CARRIED_UP_TO, RIGID_FROM, widening)) * trusted
        if rigid > 0 and not (mouth.is_dark or mouth.shows_tongue):
            rigid *= float(smoothstep(CLENCHED_CARRIED_UP_TO, CLENCHED_RIGID_FROM, widening))
        if rigid > 0 and widening < HOLLOW_UNKNOWN_FROM and mouth.is_hollow:
            rigid *= float(smoothstep(HOLLOW_CARRIED_UP_TO, HOLLOW_UNKNOWN_FROM, widening))
        rigidity.append(rigid)
        closed.append(1 - float(smoothstep(*SMALL_OPENING_PX, np.array(reference_px))))
        shut = 1 - float(smoothstep(*CLOSED_PX, np.array(reference_px)))
        skips_seam.append(skipped * shut)
        place = by_mesh[rows, columns]
        if rigid == 0:  # as in most frames
            positions.append(place)
            shown.append(np.ones(len(rows)))
            continue
        shown_up_to, replaced_from = (
            TONGUE_SPREAD
            if mouth.shows_tongue
            else DARK_SPREAD
            if mouth.is_dark
            else CLENCHED_SPREAD
        )
        mapped, factor, depth = map_heights(
            height, opening, reference_opening, mouth.gap.at(across)
        )
        down = reference_upper + mapped * reference_opening
        lips = mouth.seam.beside(across, np.sign(2 * height - opening))
        middle = _fade_corners(points[:, 0], target)
        down = down + skips_seam[-1] * middle * (lips - down)
        positions.append(place + rigid * (reference.from_axes(np.stack([across, down], 1)) - place))
        # What replaces a gap has no edge: it begins softly at teeth and corners. Closed lips, which
        # have neither, end where they are spread as much.
        stretch = np.stack([1 + depth * (factor - 1), np.full(len(depth), factor)])
        at_lips, in_gap = np.clip((stretch - shown_up_to) / (replaced_from - shown_up_to), 0, 1)
        in_gap = in_gap * smoothstep(0.0, 1.0, depth) * middle
        replaced = in_gap + closed[-1] * (at_lips - in_gap)
        # Beside the corners of closed lips lies their seam, and a lip only in the middle.
        seam = skips_seam[-1] * (1 - middle)
        edge = near_lip - seam * np.clip(1 - near_lip, 0, near_lip)
        shown.append(np.clip(np.maximum(1 - replaced, edge), 1 - rigid, 1))
    cavity = np.zeros((len(rows), 3), np.float32)
    if (np.max(shown, 0) < 1).any():
        described = CavityPoints.from_opening(target, points, eye_distance)
        # Where references show the tongue between their teeth, or teeth in the shade, more of it is
        # behind. Closed ones show nothing.
        parted = [(part, m) for part, m in zip(closed, mouths, strict=True) if part < 1]
        seen = [(1 - part) * m.gap_weight for part, m in parted]
        gap = None
        if any(seen):
            gap = np.average([m.gap.color for _, m in parted], axis=0, weights=seen)
        cavity = draw_cavity(
            described,
            measure_colors(),
            teeth_opacity=1 - sum(1 - max(part, m.lacks_teeth) for part, m in parted) / len(mouths),
            gap=gap,
            gap_weight=max(seen, default=0.0),
        )
    seam_rows, seam_columns, shifts = _make_room(
        inside, target, mouths, np.array(rigidity) * skips_seam
    )
    return MouthInterior(
        rows,
        columns,
        np.stack(positions).astype(np.float32),
        np.stack(shown).astype(np.float32),
        rigidity[0],
        cavity,
        seam_rows,
        seam_columns,
        shifts,
    )


def _make_room(
    inside: NDArray[np.bool_],  # [S, S]
    target: MouthOpening,
    mouths: Sequence[ReferenceMouth],
    amounts: NDArray,  # [K]
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Move lips beside an opening off the seam that they have where they are closed.

    Returns:
        Rows and columns of pixels beside the opening [M] each, and what to add to their places in
        each reference [K, M, 2].
    """
    if not amounts.any():  # as in most frames
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros((len(mouths), 0, 2), np.float32)
    pixel = 2 / len(inside)
    rows, columns, distance = _find_beside(inside, SEAM_REACH_PX)
    points = target.to_axes((np.stack([columns, rows], 1) + 0.5) * pixel - 1)
    upper, lower = target.edge_heights(points[:, 0])
    # Beside the corners neither lip is nearer.
    side = np.clip((points[:, 1] - (upper + lower) / 2) / (2 * pixel), -1, 1)
    strength = _fade_corners(points[:, 0], target) * (1 - distance / SEAM_REACH_PX)
    shifts = []
    for amount, mouth in zip(amounts, mouths, strict=True):
        if amount == 0:
            shifts.append(np.zeros((len(rows), 2)))
            continue
        reference = mouth.opening
        across = np.clip(points[:, 0], reference.upper[0, 0], reference.upper[-1, 0])
        edges = reference.edge_heights(across)
        edge = edges[0] + (side + 1) / 2 * (edges[1] - edges[0])
        moved = amount * strength * (mouth.seam.beside(across, side) - edge)
        shifts.append(moved[:, None] * reference.axes[1])
    return rows, columns, np.stack(shifts).astype(np.float32)


def _fade_corners(across: NDArray, opening: MouthOpening) -> NDArray:
    """Return 1 along the mouth [N], fading to 0 towards its corners, which are dark in all."""
    begin, end = LIP_MIDDLE
    return smoothstep(end, begin, np.abs(across) / opening.half_width)


def _find_beside(
    inside: NDArray[np.bool_], reach: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray]:
    """Find the pixels beside an opening: rows, columns, distances from it, px. [M] each"""
    if not inside.any():
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0)
    rows, columns = np.nonzero(inside)
    top, left = max(rows.min() - reach, 0), max(columns.min() - reach, 0)
    part = np.s_[top : rows.max() + reach + 1, left : columns.max() + reach + 1]
    distance = distance_transform_edt(~inside[part])
    near = np.nonzero((distance > 0) & (distance < reach))
    return near[0] + top, near[1] + left, distance[near]
