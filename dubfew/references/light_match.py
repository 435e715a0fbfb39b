"""Match the light of an actor's references to a scene's: exposure, white balance, grade, a lamp.

Skin around the mask is seen in the scene, and the same skin in the references. A `LightMatch` maps
the colors of one to the other. It has the form of what cameras, lamps and graders do: a gain and an
offset per channel, saturation, a power, and a gain that changes linearly over the window. A form of
few parameters extends to colors that the skin around the mask does not have, such as teeth and the
dark of a mouth. `LightTracker` fits it frame by frame.

The scene is brought into the actor's light, in which the renderer was trained; the mouth is painted
there, and what is painted goes back by the exact inverse. A black and white scene therefore gets a
gray mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_kernels import (
    average_cells,
    correlate_planes,
    measure_deviations,
    relight_planes,
    sample_planes,
    shrink_images,
    shrink_planes,
    to_array,
)
from dubfew.references.overlays import (
    COVERED_STRANGE_PART,
    MIN_STRANGE_PART,
    SILHOUETTE_PX,
    Overlay,
    SceneView,
    find_things,
    look_quickly,
    measure_hidden_lips,
    outline_things,
)
from dubfew.references.skin_hue import find_skin
from dubfew.utils.jit import njit_cached

# Weights of red, green and blue in luma (BT.709). The mixing terms take up other weights.
LUMA = np.array([0.2126, 0.7152, 0.0722])
# Parameters in order: logarithm of the gain of each channel, offset of each channel, saturation,
# the six terms that mix channels, logarithm of the power, slope of the gain over x and y.
_GAIN, _OFFSET, _SATURATION, _MIXING = slice(0, 3), slice(3, 6), 6, slice(7, 13)
_POWER, _SLOPE, NUM_PARAMETERS = 13, slice(14, 16), 16
_FIRST_MIXING, _SLOPE_X, _SLOPE_Y = _MIXING.start, _SLOPE.start, _SLOPE.start + 1
_OFF_DIAGONAL = np.nonzero(~np.eye(3, dtype=bool))
IDENTITY = np.zeros(NUM_PARAMETERS)
IDENTITY[_SATURATION] = 1.0


def _by_parameter(
    gain: float, offset: float, saturation: float, mixing: float, power: float, slope: float
) -> NDArray[np.float64]:
    """One value for each parameter. [16]"""
    return np.array([gain] * 3 + [offset] * 3 + [saturation] + [mixing] * 6 + [power] + [slope] * 2)


# Standard deviations of the parameters at the beginning of a shot: grades that are met. Wider ones
# leave to chance what the skin does not show, and the mouth's dark or teeth get the chance's color.
# The exposure varies more than the color of the light, so the gains share most of their deviation.
START_DEVIATION = _by_parameter(0.25, 0.04, 0.5, 0.02, 0.35, 0.35)
START_EXPOSURE_DEVIATION = 0.8
# Standard deviations of their change from one frame to the next. A fade to white moves the offset,
# a lamp the slope; a grade stays. Gains may jump, too (a flash): by as much as the frame shows.
CHANGE_DEVIATION = _by_parameter(0.003, 0.003, 0.01, 0.002, 0.01, 0.02)
CHANGE_EXPOSURE_DEVIATION = 0.01
# Share of what is known at the begin of a shot that is added again in each frame.
START_RECALL = 1.0
# Factor by which window and references are shrunk before colors are compared: meshes lie a pixel
# beside the truth, and noise in the references would lower the contrast of the fit.
CELL_PX = 4
# Part of a cell that has to be known skin.
MIN_KNOWN_FRACTION = 0.75
# Cells per parameter, at least, or the match stays as it was.
MIN_CELLS = 24
# Neighboring cells err alike: that many count as one.
CELLS_PER_OBSERVATION = 40.0
# Least standard deviation of a cell's error: a little more than rounding and compression.
MIN_CELL_DEVIATION = 0.008
# Values above this are clipped by the camera or the grade, and say nothing.
CLIPPED_LEVEL = 0.96
# Robust weights fall to one half at this many standard deviations (Cauchy).
ROBUST_DEVIATIONS = 2.0
# Rounds of Gauss-Newton at most, and the largest change of a parameter after which none follows: a
# twentieth of a gray level. Frames of a shot are alike, so that two or three rounds do.
FIT_ROUNDS, SMALLEST_STEP = 8, 2e-4
# Smallest value whose power is taken, and bounds of the logarithms, so that black stays finite.
MIN_LEVEL, MIN_LOG_GAIN, MAX_LOG_GAIN, MAX_LOG_POWER = 1e-3, -5.0, 1.5, 1.2
# Mean difference, in levels of [0, 1], up to which the scene counts as lit as the footage, and from
# which the match acts in full. Renders of an actor's own footage stay what they were.
UNCHANGED_DIFFERENCE, CHANGED_DIFFERENCE = 0.02, 0.04
# The same for the certain change of what is painted: half the saturation changed the lips of pale
# skin by 0.027, where the unaltered scene had 0.
UNCHANGED_MOUTH, CHANGED_MOUTH = 0.01, 0.02
# Standard deviations of a predicted color that may be chance, and the quantile of the mask's cells
# whose change counts: lips are a sixth of the mask.
CHANCE_DEVIATIONS, MOST_CHANGED_QUANTILE = 2.0, 0.9
# Damping of the inverse: levels of the scene that are noise. Where the scene has lost something,
# such as all color, the actor's own is put in its place.
INVERSE_NOISE = 0.02
# Chroma, in levels of [0, 1], below which all of a scene's skin is gray.
GRAY_CHROMA = 0.012
# Standard deviation, in a black and white scene, of what would be color.
GRAY_DEVIATION = 0.01
# Correlation of scene and that matched reference which resembles it most, around the mask and
# inside of the border, up to which a frame is left as it is, and from which the paint is opaque.
# In clean film of a head that turns and gestures 0.45 and more in 95 of 100 frames, 0.32 at least
# for a frame or two; captions over the chin 0.36 to 0.48; a dissolve from another face rises from
# 0.12.
LEFT_AGREEMENT, OPAQUE_AGREEMENT = 0.4, 0.5
# Correlation below which a frame is left at once. Above it a head that turns or smiles as no
# reference does may be seen for some frames (0.41 on the actor's own footage), so what was seen
# before in the shot counts on. It falls by that much a frame: as in a dissolve of a second.
CERTAIN_DISAGREEMENT, AGREEMENT_FALL = 0.25, 0.04
# Rise of the correlation without what was found over the face, from which it is believed. Without
# captions it was 0.40 to 0.78 where with them it was 0.30 to 0.47.
OVERLAY_GAIN = 0.06
# Part of the scene's lips under solid things from which a frame is left, because no paint fits
# around them, and down to which the frames that follow are left, too. Two lines of a caption
# cover half of the lips at times, and paint above them looks right.
HIDDEN_LIPS, SHOWN_LIPS = 0.65, 0.4
# Frames for which a thing that was found stays where it was.
MAX_LOST_FRAMES = 2
# The bounds above for what is left of a face beside things: less skin agrees less by chance.
COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT = 0.3, 0.4
# Cells of a quarter of the window, at least, to compare it.
MIN_QUARTER_CELLS = 12
# Rise of the opacity per frame after a frame that was left: the paint does not pop up.
OPACITY_RISE = 1 / 3
# Mean difference that is left after the match from which the frame is reported, over that part of
# the cells which the match explains best: at the border of a turned jaw the references show
# another thing than the scene, whatever the light.
UNMATCHED_DIFFERENCE, COMPARED_FRACTION = 0.05, 0.75


# Colors in the references, colors in the scene, and positions of cells. [N, 3], [N, 3], [N, 2]
SkinCells = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class LightMatch:
    """Map colors of the actor's footage to those of a scene.

    A color x becomes ``exp(slope . p) * (matrix x + offset) ** power``, where p is the position in
    the window, -1 to 1.

    Attributes:
        matrix: gains, saturation and mixing. [3, 3]
        offset: levels that are added. [3]
        power: exponent; 1 for none.
        slope: logarithm of the gain per unit of x and of y. [2]
        actor_color: mean color of the skin in the actor's footage. [3]
    """

    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]
    power: float
    slope: NDArray[np.float32]
    actor_color: NDArray[np.float32]

    def to_scene(
        self,
        colors: Tensor,  # [3, H, W]
        positions: Tensor,  # [H, W, 2]
    ) -> Tensor:  # [3, H, W]
        """Bring colors of the actor's light into the scene's.

        Args:
            colors: RGB in [0, 1]. [3, H, W]
            positions: x and y in the window, -1 to 1. [H, W, 2]

        Returns:
            RGB in [0, 1], clipped as a camera clips. [3, H, W]
        """
        mixed = self._mix(colors).clamp_(min=0)
        if self.power != 1:
            mixed = mixed.clamp_(min=MIN_LEVEL).pow_(self.power)
        return mixed.mul_(self._gain(positions)).clamp_(0, 1)

    def to_actor(
        self,
        colors: Tensor,  # [3, H, W]
        positions: Tensor,  # [H, W, 2]
        expected: Tensor,  # [3, H, W]
    ) -> Tensor:  # [3, H, W]
        """Bring colors of the scene's light into the actor's.

        Args:
            colors: RGB in [0, 1]. [3, H, W]
            positions: x and y in the window, -1 to 1. [H, W, 2]
            expected: what the references show there, for what the scene does not tell. [3, H, W]

        Returns:
            RGB in [0, 1]. [3, H, W]
        """
        plain = (colors / self._gain(positions)).clamp_(min=0)
        if self.power != 1:
            plain = plain.clamp_(min=MIN_LEVEL).pow_(1 / self.power)
        matrix = self.matrix.astype(np.float64)
        inverse = matrix.T @ np.linalg.inv(matrix @ matrix.T + INVERSE_NOISE**2 * np.eye(3))
        difference = (plain - self._mix(expected)).permute(1, 2, 0)
        moved = difference @ torch.from_numpy(inverse.astype(np.float32)).to(colors).T
        return (expected + moved.permute(2, 0, 1)).clamp_(0, 1)

    @property
    def is_gray(self) -> bool:
        """Whether all results are gray."""
        return bool((self.matrix == self.matrix[0]).all())

    def _mix(self, colors: Tensor) -> Tensor:
        """Apply the matrix and the offset. [3, H, W]"""
        matrix = torch.from_numpy(self.matrix).to(colors)
        offset = torch.from_numpy(self.offset).to(colors)[:, None]
        return torch.addmm(offset, matrix, colors.flatten(1)).view_as(colors)

    def _gain(self, positions: Tensor) -> Tensor:
        """The part of the gain that depends on the position. [H, W]"""
        return (positions @ torch.from_numpy(self.slope).to(positions)).exp()


def make_match(parameters: NDArray[np.float64], actor_color: NDArray[np.float64]) -> LightMatch:
    """Make a match of the 16 parameters of a fit.

    Args:
        parameters: result of the fit. [16]
        actor_color: mean color of skin in the actor's footage. [3]
    """
    mixing = _mixing_matrix(parameters)
    return LightMatch(
        (mixing * np.exp(parameters[_GAIN])).astype(np.float32),
        (mixing @ parameters[_OFFSET]).astype(np.float32),
        float(np.exp(parameters[_POWER])),
        parameters[_SLOPE].astype(np.float32),
        actor_color.astype(np.float32),
    )


def _mixing_matrix(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Saturation and mixing. [3, 3]"""
    saturation = parameters[_SATURATION]
    matrix = saturation * np.eye(3) + (1 - saturation) * LUMA
    matrix[_OFF_DIAGONAL] += parameters[_MIXING]
    return np.asarray(matrix)


def predict_colors(
    parameters: NDArray[np.float64],  # [16]
    colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # [N, 3], [N, 3, 16]
    """Predict scene colors of the actor's colors, with derivatives.

    Args:
        parameters: of the match. [16]
        colors: RGB in [0, 1]. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]

    Returns:
        Predicted colors and their derivatives by each parameter. [N, 3], [N, 3, 16]
    """
    slopes = np.empty((*colors.shape, NUM_PARAMETERS))
    return _run_prediction(parameters, colors, positions, slopes), slopes


def _predict_colors_only(
    parameters: NDArray[np.float64], colors: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Predict scene colors as `predict_colors` does, without derivatives. [N, 3]"""
    return _run_prediction(parameters, colors, positions, np.empty((0, 3, NUM_PARAMETERS)))


def _run_prediction(
    parameters: NDArray[np.float64],
    colors: NDArray[np.float64],
    positions: NDArray[np.float64],
    slopes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Predict scene colors, and fill ``slopes`` with the derivatives if it has rows. [N, 3]"""
    predicted = np.empty(colors.shape)
    # One layout, so that the kernel is compiled once.
    arrays = (np.ascontiguousarray(colors), np.ascontiguousarray(positions))
    _predict_kernel(parameters, *arrays, predicted, slopes)
    return predicted


@njit_cached
def _predict_kernel(parameters, colors, positions, predicted, slopes):
    """Fill ``predicted`` and, unless they have no rows, ``slopes``, see `predict_colors`."""
    # As in `_mixing_matrix`.
    mixing = np.empty((3, 3))
    place = _FIRST_MIXING
    for row in range(3):
        for column in range(3):
            mixing[row, column] = (1 - parameters[_SATURATION]) * LUMA[column]
            if row == column:
                mixing[row, column] += parameters[_SATURATION]
            else:
                mixing[row, column] += parameters[place]
                place += 1
    power = np.exp(parameters[_POWER])
    gains = np.exp(parameters[:3])
    for n in range(len(colors)):
        gain = np.exp(
            positions[n, 0] * parameters[_SLOPE_X] + positions[n, 1] * parameters[_SLOPE_Y]
        )
        luma = 0.0
        for column in range(3):
            luma += LUMA[column] * (colors[n, column] * gains[column] + parameters[3 + column])
        for row in range(3):
            mixed = 0.0
            for column in range(3):
                shifted = colors[n, column] * gains[column] + parameters[3 + column]
                mixed += mixing[row, column] * shifted
            is_dark = mixed <= MIN_LEVEL
            mixed = max(mixed, MIN_LEVEL)
            logarithm = np.log(mixed)
            value = gain * np.exp(power * logarithm)
            predicted[n, row] = value
            if len(slopes) == 0:
                continue
            # Derivative by the mixed color first; the chain rule gives the rest.
            by_mixed = 0.0 if is_dark else power * value / mixed
            place = _FIRST_MIXING + 2 * row
            for column in range(3):
                gained = colors[n, column] * gains[column]
                shifted = gained + parameters[3 + column]
                slopes[n, row, column] = by_mixed * mixing[row, column] * gained
                slopes[n, row, 3 + column] = by_mixed * mixing[row, column]
                if column == row:
                    slopes[n, row, _SATURATION] = by_mixed * (shifted - luma)
                else:
                    slopes[n, row, place] = by_mixed * shifted
                    place += 1
            # The terms that mix into other channels.
            for other in range(_FIRST_MIXING, _POWER):
                if other < _FIRST_MIXING + 2 * row or other >= _FIRST_MIXING + 2 * row + 2:
                    slopes[n, row, other] = 0.0
            slopes[n, row, _POWER] = value * logarithm * power
            slopes[n, row, _SLOPE_X] = value * positions[n, 0]
            slopes[n, row, _SLOPE_Y] = value * positions[n, 1]


@njit_cached
def _error_kernel(predicted, seen, errors, sizes):
    """Fill the errors [N, 3] of predicted colors, and their root mean squares [N]."""
    for n in range(len(sizes)):
        total = 0.0
        for channel in range(3):
            error = seen[n, channel] - predicted[n, channel]
            # A clipped value is explained by anything above it.
            if seen[n, channel] > CLIPPED_LEVEL and error < 0:
                error = 0.0
            errors[n, channel] = error
            total += error * error
        # Outliers are pixels, not channels: a hair is wrong in all three.
        sizes[n] = np.sqrt(total / 3)


@njit_cached
def _normal_kernel(slopes, seen, errors, sizes, deviation, information, right):
    """Add the robust least squares of some cells to ``information`` and ``right``."""
    # Each channel depends on 12 of the 16 parameters: on all but what mixes into the others.
    own = np.empty((3, 12), np.int64)
    for channel in range(3):
        count = 0
        for i in range(NUM_PARAMETERS):
            first = _FIRST_MIXING + 2 * channel
            if i < _FIRST_MIXING or i >= _POWER or first <= i < first + 2:
                own[channel, count] = i
                count += 1
    products, slope = np.zeros((3, 12, 12)), np.empty(12)
    for n in range(len(sizes)):
        ratio = sizes[n] / (ROBUST_DEVIATIONS * deviation)
        weight = 1 / ((1 + ratio * ratio) * deviation**2 * CELLS_PER_OBSERVATION)
        for channel in range(3):
            if seen[n, channel] > CLIPPED_LEVEL:
                continue
            for i in range(12):
                slope[i] = slopes[n, channel, own[channel, i]]
            for i in range(12):
                scaled = weight * slope[i]
                right[own[channel, i]] += scaled * errors[n, channel]
                # A fixed number of products, more than the half that would do: vectors are faster.
                for j in range(12):
                    products[channel, i, j] += scaled * slope[j]
    for channel in range(3):
        for i in range(12):
            for j in range(12):
                information[own[channel, i], own[channel, j]] += products[channel, i, j]


@dataclass(frozen=True)
class LightFit:
    """A fitted match with its certainty.

    Attributes:
        parameters: of the match. [16]
        information: inverse of their covariance. [16, 16]
        residual: mean absolute difference that the match leaves, over three quarters of the cells,
            those that it explains best, in levels of [0, 1].
    """

    parameters: NDArray[np.float64]
    information: NDArray[np.float64]
    residual: float


def start_fit(*, gray: bool = False) -> LightFit:
    """What is known before anything was seen: about the actor's own light.

    Args:
        gray: whether the scene is black and white.
    """
    parameters, deviation = IDENTITY.copy(), START_DEVIATION.copy()
    if gray:
        # Skin has one hue, so it does not tell how much each channel weighs in the gray. Lips of
        # another hue would show the chance: luma it is.
        parameters[_SATURATION], deviation[_SATURATION] = 0.0, GRAY_DEVIATION
        deviation[_GAIN] = deviation[_OFFSET] = deviation[_MIXING] = GRAY_DEVIATION
    covariance = np.diag(deviation**2)
    covariance[_GAIN, _GAIN] += START_EXPOSURE_DEVIATION**2
    covariance[_OFFSET, _OFFSET] += START_DEVIATION[_OFFSET.start] ** 2
    return LightFit(parameters, np.linalg.inv(covariance), 0.0)


def _recall_start(fit: LightFit, start: LightFit) -> LightFit:
    """Add what was known at the begin to what a shot has shown.

    The meshes err alike in neighboring frames. Counted as independent they outvote all that was
    known, and drift along what the skin does not show: in a clip in the actor's own light the
    saturation fell to 0.6 within 140 frames, mixed channels made up for it on cheeks, and a chin
    was orange.
    """
    information = fit.information + START_RECALL * start.information
    right = fit.information @ fit.parameters + START_RECALL * start.information @ start.parameters
    return LightFit(np.linalg.solve(information, right), information, fit.residual)


def fit_light(
    actor_colors: NDArray[np.float64],  # [N, 3]
    scene_colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
    before: LightFit,
) -> LightFit:
    """Fit a match to pairs of colors, robustly, by Gauss-Newton.

    Args:
        actor_colors: colors of some skin in the references. [N, 3]
        scene_colors: colors of the same skin in the scene. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]
        before: what is known without these pairs.

    Returns:
        The match that explains most of them.
    """
    parameters = before.parameters.copy()
    parameters[_GAIN] += measure_exposure_change(parameters, actor_colors, scene_colors, positions)
    errors, sizes = np.empty(scene_colors.shape), np.empty(len(scene_colors))
    for _ in range(FIT_ROUNDS):
        predicted, slopes = predict_colors(parameters, actor_colors, positions)
        _error_kernel(predicted, scene_colors, errors, sizes)
        deviation = max(1.4826 * _median(sizes), MIN_CELL_DEVIATION)
        information = before.information.copy()
        right = before.information @ (before.parameters - parameters)
        _normal_kernel(slopes, scene_colors, errors, sizes, deviation, information, right)
        step = np.linalg.solve(information, right)
        parameters = parameters + step
        parameters[_GAIN] = parameters[_GAIN].clip(MIN_LOG_GAIN, MAX_LOG_GAIN)
        parameters[_POWER] = parameters[_POWER].clip(-MAX_LOG_POWER, MAX_LOG_POWER)
        parameters[_SATURATION] = parameters[_SATURATION].clip(0, 3)
        if np.abs(step).max() < SMALLEST_STEP:
            break
    differences = np.sort(np.abs(errors).mean(1))[: max(1, int(COMPARED_FRACTION * len(errors)))]
    return LightFit(parameters, information, float(differences.mean()))


def measure_exposure_change(
    parameters: NDArray[np.float64],  # [16]
    actor_colors: NDArray[np.float64],  # [N, 3]
    scene_colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
) -> float:
    """Measure how much the logarithm of the gains has changed, from the ratio of the middle cell.

    Gauss-Newton begins near its solution then, after a cut or a flash, and its robust weights do
    not take all cells for outliers.

    Args:
        parameters: of the match until now. [16]
        actor_colors: colors of some skin in the references. [N, 3]
        scene_colors: colors of the same skin in the scene. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]

    Returns:
        What is to be added to the logarithms; 0 where all is clipped.
    """
    predicted = _predict_colors_only(parameters, actor_colors, positions)
    ratio = (np.maximum(scene_colors, MIN_LEVEL) / predicted)[scene_colors <= CLIPPED_LEVEL]
    if not len(ratio):
        return 0.0
    # The gain stands under the power.
    change = float(np.log(_median(ratio)) / np.exp(parameters[_POWER]))
    level = float(parameters[_GAIN].mean())
    return min(max(level + change, MIN_LOG_GAIN), MAX_LOG_GAIN) - level


def _median(values: NDArray[np.float64]) -> float:
    """The median of at least one value [N], as `numpy.median` in a third of its time."""
    half = len(values) // 2
    parted = np.partition(values, half)
    if len(values) % 2:
        return float(parted[half])
    return float(parted[half] + parted[:half].max()) / 2


def measure_agreement(
    expected: NDArray[np.float64],  # [N, 3]
    seen: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
) -> float:
    """Measure how well two pictures of some skin show the same, whatever their light.

    Args:
        expected: RGB in [0, 1]. [N, 3]
        seen: RGB in [0, 1]. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]

    Returns:
        Correlation of their luma without a linear change, -1 to 1, averaged over the quarters of
        the window: a hard shadow over one side changes little.
    """
    both = np.stack([expected @ LUMA, seen @ LUMA], 1)
    right, low = (positions[:, axis] > _median(positions[:, axis]) for axis in (0, 1))
    quarters = right + 2 * low
    return float(correlate_planes(both, positions, quarters, MIN_QUARTER_CELLS))


class LightTracker:
    """Match the light of a stream of frames; what a frame does not show is as in those before."""

    def __init__(self) -> None:
        self._fit = start_fit()
        # Shot of the last frame, and whether it was gray.
        self._stretch: tuple[int, bool] | None = None
        # Frames in which the match leaves too much, and frames whose skin is not the references'.
        self.unmatched = 0
        self.disagreeing = 0
        # Opacity of the paint in the last frame that was matched, from how well its skin agrees.
        self.opacity = 1.0
        # What lies over the face in the last frame.
        self.overlay: Overlay | None = None
        # Whether it hid the mouth.
        self._was_hidden = False
        # Frames since it was found.
        self._lost_frames = 0
        # Frames in which something lies over the face, and frames whose mouth it hides.
        self.overlaid = 0
        self.hidden = 0
        # How well the skin agrees, with what was seen before in the shot.
        self._agreement = 0.0

    def match(
        self, inputs: RenderInputs, shot: int, view: SceneView | None = None
    ) -> LightMatch | None:
        """Fit the match of one frame.

        Args:
            inputs: inputs of the frame (B = 1).
            shot: number of the frame's shot; light is not carried over a cut.
            view: what the frame shows, in which things before the face are found; None to look for
                none.

        Returns:
            The match, or None where the light is that of the footage.
        """
        frame = FrameCells(inputs)
        skin = frame.compare_skin()
        last_overlay, self.overlay = self.overlay, None
        if skin is None:
            # Too little to see, such as a face at the frame's edge: the light stays what it was.
            self.opacity = 1.0
            if self._stretch is None or self._stretch[0] != shot:
                return None
            return self._strengthen(np.full((1, 3), 0.5), np.zeros((1, 2)), inputs)
        cells = skin.pair_with_typical()
        gray = bool(np.ptp(cells[1], axis=1).max() < GRAY_CHROMA)
        goes_on = self._stretch is not None and self._stretch[0] == shot
        rise = OPACITY_RISE if goes_on else 1.0
        if self._stretch != (shot, gray):
            self._fit, self._stretch = start_fit(gray=gray), (shot, gray)
        change = CHANGE_DEVIATION.copy()
        if gray:
            change[_SATURATION] = change[_MIXING] = 0
        spread = np.linalg.inv(self._fit.information) + np.diag(change**2)
        jump = measure_exposure_change(self._fit.parameters, *cells)
        spread[_GAIN, _GAIN] += jump**2 + CHANGE_EXPOSURE_DEVIATION**2
        spread[_OFFSET, _OFFSET] += CHANGE_EXPOSURE_DEVIATION**2
        before = LightFit(self._fit.parameters, np.linalg.inv(spread), 0.0)
        before = _recall_start(before, start_fit(gray=gray))
        fit, agreement = _fit_and_compare(skin, before)
        look = None
        if view is not None and agreement >= CERTAIN_DISAGREEMENT:
            found, things = None, None
            look = look_quickly(inputs, view, frame.bring_to_scene(fit, half=True))
            if look.may_be_covered:
                things = find_things(inputs, view, frame.bring_to_scene(fit))
            # A face that agrees as it is has hair or a shadow before it, unless things are sure.
            agrees = agreement >= OPAQUE_AGREEMENT
            if things is not None and (things.is_sure or not agrees):
                found = outline_things(things)
            self._lost_frames = 0 if things is not None else self._lost_frames + 1
            if found is None and goes_on and 0 < self._lost_frames <= MAX_LOST_FRAMES:
                # A thing that is not found for a frame is there nevertheless.
                found = last_overlay
            clear = None if found is None else frame.compare_skin(found)
            if found is not None and clear is not None:
                other_fit, other_agreement = _fit_and_compare(clear, before)
                explains = other_agreement >= agreement + OVERLAY_GAIN
                if found.is_sure or (explains and not agrees):
                    cells, self.overlay = clear.pair_with_typical(), found
                    fit, agreement = other_fit, other_agreement
        self._fit = fit
        if goes_on and agreement >= CERTAIN_DISAGREEMENT:
            agreement = max(agreement, self._agreement - AGREEMENT_FALL)
        self._agreement = agreement
        left, opaque = LEFT_AGREEMENT, OPAQUE_AGREEMENT
        if self.overlay is not None:
            left, opaque = COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT
        share = (agreement - left) / (opaque - left)
        self.opacity = float(np.clip(share, 0, min(1.0, self.opacity + rise)))
        is_hidden = False
        if look is not None:
            # A thing of the color of skin has no outline that could be kept.
            limit = MIN_STRANGE_PART if self._was_hidden and goes_on else COVERED_STRANGE_PART
            is_hidden = look.measure_strange_part(self.overlay) > limit
        if self.overlay is not None and view is not None:
            share = SHOWN_LIPS if self._was_hidden and goes_on else HIDDEN_LIPS
            is_hidden = is_hidden or measure_hidden_lips(self.overlay, view) > share
            # Hair and collars at the jaw's border count for the light alone.
            inside = inputs.alpha[0, 0].cpu().numpy() > 0
            self.overlaid += not is_hidden and bool((self.overlay.mask & inside).any())
        self.hidden += is_hidden
        self.opacity = 0.0 if is_hidden else self.opacity
        self._was_hidden = is_hidden
        self.disagreeing += self.opacity == 0 and not is_hidden
        self.unmatched += self.opacity > 0 and self._fit.residual > UNMATCHED_DIFFERENCE
        match = self._strengthen(cells[0], cells[2], inputs)
        if match is not None and gray:
            return _without_color(match)
        return match

    @property
    def left_reason(self) -> str:
        """Return why the last frame was left as it is, or ""."""
        if self.opacity > 0:
            return ""
        return "mouth hidden" if self._was_hidden else "not the actor's skin"

    def describe_unmatched(self) -> str:
        """Describe the frames that were not or hardly matched in one line; empty if all were."""
        parts = []
        if self.disagreeing:
            parts.append(
                f"{self.disagreeing} frames left as they are: what is seen around the mouth is not "
                "the actor's face where it was tracked (captions or things before it, a dissolve, "
                "a head upside down)"
            )
        if self.hidden:
            parts.append(
                f"{self.hidden} frames left as they are: something before the face hides the "
                "mouth, or has the color of skin"
            )
        if self.overlaid:
            parts.append(
                f"captions or other things lie over the face in {self.overlaid} frames, and were "
                "kept: look at the mouths beside them"
            )
        if self.unmatched:
            parts.append(
                f"the light of {self.unmatched} frames is unlike the actor's footage beyond what "
                "can be matched: look at their mouths"
            )
        return "; ".join(parts)

    def _strengthen(
        self,
        actor_colors: NDArray[np.float64],
        positions: NDArray[np.float64],
        inputs: RenderInputs,
    ) -> LightMatch | None:
        """The match as it acts: not at all where the light is that of the footage."""
        predicted = _predict_colors_only(self._fit.parameters, actor_colors, positions)
        difference = float(np.abs(predicted - actor_colors).mean())
        share = (difference - UNCHANGED_DIFFERENCE) / (CHANGED_DIFFERENCE - UNCHANGED_DIFFERENCE)
        if share < 1:
            # Pale skin hardly shows another saturation, and red lips do.
            certain = measure_mouth_change(self._fit, inputs) - UNCHANGED_MOUTH
            share = max(share, certain / (CHANGED_MOUTH - UNCHANGED_MOUTH))
        if share <= 0:
            return None
        share = min(share, 1.0)
        parameters = IDENTITY + share * (self._fit.parameters - IDENTITY)
        return make_match(parameters, actor_colors.mean(0))


def measure_mouth_change(fit: LightFit, inputs: RenderInputs) -> float:
    """Measure how far a match certainly changes what is painted, in levels of [0, 1].

    Args:
        fit: the match and its certainty.
        inputs: inputs of the frame (B = 1).

    Returns:
        Mean absolute difference, less what it may be by chance, of the cells of the mask that
        change most.
    """
    mask = shrink_planes(to_array(inputs.alpha[:1]), CELL_PX)[0, 0] > 0.5
    if not mask.any():
        return 0.0
    grid = shrink_images(to_array(inputs.sampling_grid[0, :1]), CELL_PX)[:, mask]
    sampled = sample_planes(to_array(inputs.references[0, :1]), grid[:, None])
    colors = sampled[0, :, 0].T.astype(np.float64)
    positions = cell_positions(len(mask))[mask]
    predicted, slopes = predict_colors(fit.parameters, colors, positions)
    deviation = np.empty(predicted.shape)
    measure_deviations(slopes, np.linalg.inv(fit.information), deviation)
    certain = np.maximum(np.abs(predicted - colors) - CHANCE_DEVIATIONS * deviation, 0).mean(1)
    return float(np.quantile(certain, MOST_CHANGED_QUANTILE))


def _fit_and_compare(skin: SkinComparison, before: LightFit) -> tuple[LightFit, float]:
    """Fit the light to cells of skin, and measure how well the face agrees in it."""
    fit = fit_light(*skin.pair_with_typical(), before)
    agreements = []
    for actor_colors, scene_colors, positions in skin.pair_with_each():
        predicted = _predict_colors_only(fit.parameters, actor_colors, positions)
        agreements.append(measure_agreement(predicted, scene_colors, positions))
    return fit, max(agreements)


def _without_color(match: LightMatch) -> LightMatch:
    """The same match whose results are gray."""
    return LightMatch(
        np.tile(match.matrix.mean(0), (3, 1)),
        np.full(3, match.offset.mean(), np.float32),
        match.power,
        match.slope,
        match.actor_color,
    )


@dataclass(frozen=True)
class SkinComparison:
    """The same skin in references and scene, in cells outside of the mask.

    Attributes:
        references: RGB in the scene's pose. [K, 3, H, W]
        scene: RGB. [3, H, W]
        known: where both show skin. [H, W]
        inner: where they do inside of the mesh's border. [H, W]
    """

    references: NDArray[np.float32]
    scene: NDArray[np.float32]
    known: NDArray[np.bool_]
    inner: NDArray[np.bool_]

    def pair_with_typical(self) -> SkinCells:
        """Pair the middle one of the references, or the mean of two, with the scene.

        Where a reference shows something of another color than skin it does not count.
        """
        colors = self.references[:, :, self.known]
        everywhere = torch.ones(len(colors), colors.shape[2], dtype=torch.bool)
        shown = find_skin(torch.from_numpy(colors), everywhere).numpy()
        kept = shown.any(0)
        if int(kept.sum()) < MIN_CELLS:
            shown, kept = np.ones_like(shown), np.ones_like(kept)
        colors, shown, known = colors[:, :, kept], shown[:, kept], self.known.copy()
        known[self.known] = kept
        if len(colors) > 2:
            # Of an even number the lower one of the two in the middle: a mean would blur them.
            ordered = np.sort(np.where(shown[:, None], colors, np.inf), 0)
            middle = (shown.sum(0) - 1) // 2
            typical = np.take_along_axis(ordered, middle[None, None], 0)[0]
        else:
            typical = np.where(shown[:, None], colors, 0).sum(0) / shown.sum(0)
        return self._pair(typical, known)

    def pair_with_each(self) -> list[SkinCells]:
        """Pair every reference with the scene, inside of the mesh's border if enough is known."""
        inside = self.inner if int(self.inner.sum()) >= MIN_CELLS else self.known
        return [self._pair(reference[:, inside], inside) for reference in self.references]

    def _pair(self, colors: NDArray[np.float32], where: NDArray[np.bool_]) -> SkinCells:
        """Colors of a reference [3, N] and of the scene, and positions, of N cells [H, W]."""
        return (
            np.ascontiguousarray(colors.T, np.float64),
            np.ascontiguousarray(self.scene[:, where].T, np.float64),
            cell_positions(len(where))[where],
        )


class FrameCells:
    """A frame's window, and its references in the frame's pose, in several sizes.

    Args:
        inputs: inputs of the frame (B = 1).
    """

    def __init__(self, inputs: RenderInputs) -> None:
        self._planes = tuple(
            to_array(plane)
            for plane in (inputs.scene[0], inputs.alpha[0, 0], inputs.mesh_mask[0, 0])
        )
        grid, references = to_array(inputs.sampling_grid[0]), to_array(inputs.references[0])
        # Places and pictures at full and at half the size. Cells are averages of the latter.
        self._full = references, grid
        self._half = shrink_planes(references, 2), shrink_images(grid, 2)
        factor = max(1, references.shape[-1] * CELL_PX // grid.shape[1])
        if factor % 2:
            small = shrink_planes(references, factor)
        else:
            small = shrink_planes(self._half[0], factor // 2)
        cells = shrink_images(self._half[1], CELL_PX // 2)
        self._sampled = sample_planes(small, cells)
        # A cell that looks beyond a reference's window is not known.
        self._seen = (np.abs(cells) < 1).all((0, 3))

    def bring_to_scene(self, fit: LightFit, *, half: bool = False) -> NDArray[np.float32]:
        """Bring all references into the pose and the light of the frame.

        Args:
            fit: match of the frame.
            half: whether at half the size, s = 2; otherwise s = 1.

        Returns:
            RGB in [0, 1]. [K, 3, S / s, S / s]
        """
        sampled = sample_planes(*(self._half if half else self._full))
        match = make_match(fit.parameters, np.zeros(3))
        relight_planes(sampled, match.matrix, match.offset, match.power, match.slope, MIN_LEVEL)
        return sampled

    def compare_skin(self, overlay: Overlay | None = None) -> SkinComparison | None:
        """Find colors of the same skin in references and scene, outside of the mask.

        Args:
            overlay: what lies over the face and does not count.

        Returns:
            The cells that show skin in both; None where there are too few.
        """
        scene, alpha, mesh = self._planes
        covered = np.zeros(mesh.shape, np.bool_) if overlay is None else overlay.mask
        colors = np.empty((3, *self._seen.shape), np.float32)
        part, beside = np.empty((2, *self._seen.shape), np.float32)
        average_cells(scene, alpha, mesh, covered, CELL_PX, colors, part, beside)
        chosen = (part >= MIN_KNOWN_FRACTION) & self._seen
        if int(chosen.sum()) < MIN_CELLS:
            return None
        reach = SILHOUETTE_PX // CELL_PX
        border = maximum_filter(beside > 0, 2 * reach + 1, mode="constant")
        return SkinComparison(self._sampled, colors, chosen, chosen & ~border)


def bring_to_actor_light(
    window: NDArray[np.uint8],  # [S, S, 3]
    inputs: RenderInputs,
    light: LightMatch,
) -> NDArray[np.uint8]:  # [S, S, 3]
    """Bring a frame's window from the scene's light into that of the actor's footage.

    Args:
        window: RGB, mouth included. [S, S, 3]
        inputs: inputs of the frame (B = 1).
        light: match of the frame.

    Returns:
        RGB. [S, S, 3]
    """
    colors = torch.from_numpy(window).to(inputs.scene).permute(2, 0, 1) / 255
    positions = window_positions(len(window)).to(colors)
    mean = torch.from_numpy(light.actor_color).to(colors)[:, None, None]
    if light.is_gray:
        # The hue of skin at the brightness of the scene. Hues of the references would show where
        # they lie, and the mesh would be aligned with them.
        expected = light.to_actor(colors, positions, mean.expand_as(colors))
        brightness = _luma(expected) / _luma(mean)
        return _to_window(mean * brightness)
    nearest = F.grid_sample(
        inputs.references[0, :1],
        inputs.sampling_grid[0, :1],
        padding_mode="border",
        align_corners=False,
    )[0]
    # Beside the face the references show nothing: there the face's mean color has to do.
    expected = torch.where(inputs.mesh_mask[0] > 0, nearest, mean)
    return _to_window(light.to_actor(colors, positions, expected))


def _luma(colors: Tensor) -> Tensor:
    """Luma of [3, H, W]. [H, W]"""
    return (colors * torch.from_numpy(LUMA).to(colors)[:, None, None]).sum(0)


def _to_window(colors: Tensor) -> NDArray[np.uint8]:
    """Convert [3, S, S] in [0, 1] to [S, S, 3] in 0 to 255, rounded."""
    levels = colors.clamp(0, 1) * 255 + 0.5
    return np.asarray(levels.byte().permute(1, 2, 0).cpu().numpy())


def window_positions(size: int) -> Tensor:
    """Positions of the centers of a window's pixels or cells, -1 to 1. [size, size, 2]"""
    centers = (torch.arange(size) + 0.5) * (2 / size) - 1
    return torch.stack(torch.meshgrid(centers, centers, indexing="xy"), -1)


@cache
def cell_positions(size: int) -> NDArray[np.float64]:
    """Positions of the centers of a window's cells, -1 to 1; not to be changed. [size, size, 2]"""
    return np.asarray(window_positions(size).double().numpy())
