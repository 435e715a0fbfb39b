"""A model of light and grade, and its robust fit to colors of skin.

Skin around the mask is seen in the scene, and the same skin in the references. A `LightMatch` maps
the colors of one to the other. It has the form of what cameras, lamps and graders do: a gain and an
offset per channel, saturation, a power, and a gain that changes linearly over the window. A form of
few parameters extends to colors that the skin around the mask does not have, such as teeth and the
dark of a mouth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dubfew.references.light_kernels import correlate_planes
from dubfew.utils.jit import njit_cached
from dubfew.utils.luma import LUMA_BT709

# Parameters in order: logarithm of the gain of each channel, offset of each channel, saturation,
# the six terms that mix channels, logarithm of the power, slope of the gain over x and y. The
# saturation goes by BT.709's luma; the mixing terms take up other weights.
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
# Standard deviations of a shot's light around what its first frames and their mouths showed. Grades
# stay in a shot: saturation, mixing and power are known then. Lamps and fades change the others.
SHOT_DEVIATION = _by_parameter(0.25, 0.04, 0.05, 0.005, 0.05, 0.35)
# Neighboring cells err alike: that many count as one.
CELLS_PER_OBSERVATION = 40.0
# Least standard deviation of a cell's error: a little more than rounding and compression.
MIN_CELL_DEVIATION = 0.008
# Values above this are clipped by the camera or the grade, and say nothing.
CLIPPED_LEVEL = 0.96
# Offset that a fade to white adds within a frame, at least, levels of [0, 1], and the part of what
# gains leave that the line with it leaves, at most: meshes that lie beside the truth explain a line
# by chance.
MIN_HAZE, MAX_HAZE_REST = 0.03, 0.5
# Cells, at least, and rounds of the robust line.
MIN_HAZE_CELLS, LINE_ROUNDS = 24, 4
# Robust weights fall to one half at this many standard deviations (Cauchy).
ROBUST_DEVIATIONS = 2.0
# Logarithm of the range of light on one face around its most common one, powers of grades included.
# Cells beyond it show another thing in one of the two pictures, such as a collar and a neck. They
# are of one kind, and many, so that robust weights alone take them for what has to be explained.
MAX_LOG_LIGHT_RANGE = 0.5
# Correlation of the lumas of both pictures below which such things are looked for: whatever the
# grade, bright skin is the brighter one. Half a face in a collar had 0.39.
ONE_LIGHT_CORRELATION = 0.6
# Share of the cells in whose light, the narrowest range that holds so many, the others are judged.
MODE_FRACTION = 0.4
# Rounds of Gauss-Newton at most, and the largest change of a parameter after which none follows: a
# twentieth of a gray level. Frames of a shot are alike, so that two or three rounds do.
FIT_ROUNDS, SMALLEST_STEP = 8, 2e-4
# Smallest value whose power is taken, and bounds of the logarithms, so that black stays finite.
MIN_LEVEL, MIN_LOG_GAIN, MAX_LOG_GAIN, MAX_LOG_POWER = 1e-3, -5.0, 1.5, 1.2
# Damping of the inverse: levels of the scene that are noise. Where the scene has lost something,
# such as all color, the actor's own is put in its place.
INVERSE_NOISE = 0.02
# Standard deviation, in a black and white scene, of what would be color.
GRAY_DEVIATION = 0.01
# Cells of a quarter of the window, at least, to compare it.
MIN_QUARTER_CELLS = 12
# Part of the cells whose differences count as left, those that the match explains best: at the
# border of a turned jaw the references show another thing than the scene, whatever the light.
COMPARED_FRACTION = 0.75


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
    matrix = saturation * np.eye(3) + (1 - saturation) * LUMA_BT709
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


def predict_scene_colors(
    parameters: NDArray[np.float64], colors: NDArray[np.float64], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Predict colors in the scene as `predict_colors` does, without their slopes. [N, 3]"""
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
            mixing[row, column] = (1 - parameters[_SATURATION]) * LUMA_BT709[column]
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
            luma += LUMA_BT709[column] * (
                colors[n, column] * gains[column] + parameters[3 + column]
            )
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


def settle_fit(fit: LightFit) -> LightFit:
    """What a shot's first frames tell of all its frames, instead of `start_fit`.

    Args:
        fit: match of the first frames together.

    Returns:
        The same parameters; those that stay in a shot are as certain as they were found.
    """
    found = np.sqrt(np.diag(np.linalg.inv(fit.information)))
    deviation = SHOT_DEVIATION.copy()
    stays = slice(_SATURATION, _POWER + 1)
    deviation[stays] = np.maximum(deviation[stays], found[stays])
    covariance = np.diag(deviation**2)
    covariance[_GAIN, _GAIN] += START_EXPOSURE_DEVIATION**2
    return LightFit(fit.parameters, np.linalg.inv(covariance), 0.0)


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


def predict_fit(
    fit: LightFit,
    actor_colors: NDArray[np.float64],  # [N, 3]
    scene_colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
    *,
    gray: bool = False,
    known: LightFit | None = None,
) -> LightFit:
    """Predict the match of the next frame of a shot from that of the last one.

    Args:
        fit: match of the last frame.
        actor_colors: colors of skin in the references. [N, 3]
        scene_colors: colors of the same skin in the next frame. [N, 3]
        positions: where it lies in the window, -1 to 1. [N, 2]
        gray: whether the scene is black and white.
        known: what is known of all frames of the shot; by default that of `start_fit`.

    Returns:
        The same parameters, drawn a little to what is known of the shot, with less certainty:
        light may have changed.
    """
    change = CHANGE_DEVIATION.copy()
    if gray:
        change[_SATURATION] = change[_MIXING] = 0
    spread = np.linalg.inv(fit.information) + np.diag(change**2)
    jump, haze = measure_light_change(fit.parameters, actor_colors, scene_colors, positions)
    spread[_GAIN, _GAIN] += jump**2 + CHANGE_EXPOSURE_DEVIATION**2
    spread[_OFFSET, _OFFSET] += haze**2 + CHANGE_EXPOSURE_DEVIATION**2
    carried = LightFit(fit.parameters, np.linalg.inv(spread), 0.0)
    known = known or start_fit(gray=gray)
    # What is known of a shot holds for its grade, not for a fade.
    away = float((fit.parameters[_OFFSET] - known.parameters[_OFFSET]).mean()) + haze
    if abs(away) > MIN_HAZE:
        spread = np.linalg.inv(known.information)
        spread[_OFFSET, _OFFSET] += away**2
        known = LightFit(known.parameters, np.linalg.inv(spread), 0.0)
    return _recall_start(carried, known)


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
    alike = _find_one_light(before.parameters, actor_colors, scene_colors, positions)
    actor_colors, scene_colors = actor_colors[alike], scene_colors[alike]
    positions = positions[alike]
    parameters = before.parameters.copy()
    jump, haze = measure_light_change(parameters, actor_colors, scene_colors, positions)
    parameters[_GAIN] += jump
    parameters[_OFFSET] += haze
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


def _find_one_light(
    parameters: NDArray[np.float64],  # [16]
    actor_colors: NDArray[np.float64],  # [N, 3]
    scene_colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
) -> NDArray[np.bool_]:  # [N]
    """Tell which cells are within one light, by their luma against that which is predicted.

    Args:
        parameters: of the match that is known before.
        actor_colors: colors of some skin in the references. [N, 3]
        scene_colors: colors of the same skin in the scene. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]
    """
    everything = np.ones(len(actor_colors), np.bool_)
    both = np.stack([actor_colors @ LUMA_BT709, scene_colors @ LUMA_BT709])
    if len(actor_colors) < 2:
        return everything
    both -= both.mean(1, keepdims=True)
    products = both @ both.T / both.shape[1]
    deviations = np.sqrt(np.diag(products))
    # Cells of one brightness tell of no order.
    if deviations.min() < MIN_CELL_DEVIATION:
        return everything
    if products[0, 1] >= ONE_LIGHT_CORRELATION * deviations.prod():
        return everything
    predicted = predict_scene_colors(parameters, actor_colors, positions)
    seen, expected = (
        np.maximum(each @ LUMA_BT709, MIN_LEVEL) for each in (scene_colors, predicted)
    )
    ratio = np.log(seen / expected)
    # The middle of the narrowest range that holds a share of all: the mode, which many cells of
    # another kind do not move.
    sorted_ratio, count = np.sort(ratio), max(1, int(MODE_FRACTION * len(ratio)))
    widths = sorted_ratio[count - 1 :] - sorted_ratio[: len(ratio) - count + 1]
    first = int(widths.argmin())
    mode = (sorted_ratio[first] + sorted_ratio[first + count - 1]) / 2
    return np.asarray(np.abs(ratio - mode) <= MAX_LOG_LIGHT_RANGE)


def measure_light_change(
    parameters: NDArray[np.float64],  # [16]
    actor_colors: NDArray[np.float64],  # [N, 3]
    scene_colors: NDArray[np.float64],  # [N, 3]
    positions: NDArray[np.float64],  # [N, 2]
) -> tuple[float, float]:
    """Measure how much gains and offsets have changed.

    Gauss-Newton begins near its solution then, after a cut or a flash, and its robust weights do
    not take all cells for outliers. Gains alone explain all but a fade to white or from it, whose
    levels are a line over the predicted ones.

    Args:
        parameters: of the match until now. [16]
        actor_colors: colors of some skin in the references. [N, 3]
        scene_colors: colors of the same skin in the scene. [N, 3]
        positions: x and y in the window, -1 to 1. [N, 2]

    Returns:
        What is to be added to the logarithms of the gains, and to the offsets; 0 where all is
        clipped.
    """
    predicted = predict_scene_colors(parameters, actor_colors, positions)
    shown = scene_colors <= CLIPPED_LEVEL
    ratio = (np.maximum(scene_colors, MIN_LEVEL) / predicted)[shown]
    if not len(ratio):
        return 0.0, 0.0
    gain, power = _median(ratio), float(np.exp(parameters[_POWER]))
    haze = 0.0
    whole = shown.all(1)
    if int(whole.sum()) >= MIN_HAZE_CELLS:
        expected, seen = predicted[whole] @ LUMA_BT709, scene_colors[whole] @ LUMA_BT709
        slope, level, left = _fit_line(expected, seen)
        without = _median(np.abs(seen - gain * expected))
        if abs(level) > MIN_HAZE and slope > 0 and left < MAX_HAZE_REST * without:
            gain = slope
            # The offset stands under the power, too.
            middle = max(_median(gain * expected), MIN_LEVEL)
            haze = level * middle ** (1 / power - 1) / power
    # The gain stands under the power.
    change = float(np.log(gain) / power)
    mean = float(parameters[_GAIN].mean())
    return min(max(mean + change, MIN_LOG_GAIN), MAX_LOG_GAIN) - mean, haze


def _fit_line(
    expected: NDArray[np.float64], seen: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Fit ``seen = slope expected + level`` robustly; return slope, level and median deviation."""
    weights = np.ones(len(seen))
    slope, level, deviation = 1.0, 0.0, 0.0
    for _ in range(LINE_ROUNDS):
        total = weights.sum()
        x, y = weights @ expected / total, weights @ seen / total
        spread = weights @ (expected - x) ** 2
        slope = float(weights @ ((expected - x) * (seen - y)) / max(spread, 1e-9))
        level = float(y - slope * x)
        errors = np.abs(seen - slope * expected - level)
        deviation = _median(errors)
        weights = 1 / (1 + (errors / (ROBUST_DEVIATIONS * max(deviation, 1e-4))) ** 2)
    return slope, level, deviation


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
    both = np.stack([expected @ LUMA_BT709, seen @ LUMA_BT709], 1)
    right, low = (positions[:, axis] > _median(positions[:, axis]) for axis in (0, 1))
    quarters = right + 2 * low
    return float(correlate_planes(both, positions, quarters, MIN_QUARTER_CELLS))


def without_color(match: LightMatch) -> LightMatch:
    """Return a match with the same brightness whose results are gray."""
    return LightMatch(
        np.tile(match.matrix.mean(0), (3, 1)),
        np.full(3, match.offset.mean(), np.float32),
        match.power,
        match.slope,
        match.actor_color,
    )
