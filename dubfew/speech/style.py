"""Speaking style: how one actor moves the mouth, as an affine map of predicted motion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.ndimage import maximum_filter1d

from dubfew.errors import ArtefactError, ShapeError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.motion_lag import PictureLag, estimate_picture_lag
from dubfew.speech.parameter_style import ParameterStyle
from dubfew.utils.arrays import FloatArray
from dubfew.utils.format_version import check_format_version
from dubfew.utils.growable_array import map_row_blocks
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header
from dubfew.utils.smoothstep import smoothstep

# Version of the stored form. Version 1 had one gain per direction.
STYLE_FORMAT_VERSION = 2
# Arrays of `ParameterStyle`, as files name them.
_PARAMETER_TENSORS = ("shape", "rest", "scale", "shift")
# Weights, in seconds of footage, of the prior that the actor moves as predicted, among which
# held-out seconds choose; infinity is that prior itself. Weaker ones win within four seconds and
# lose behind them: neighboring seconds resemble each other (r of the gap .705 with 1.2 s, .720 with
# 12 s, 40 clips by turns).
_PRIOR_SECONDS = (12.0, 40.0, np.inf)
# Consecutive parts that are held out by turns to choose the weight.
_NUM_FOLDS = 4
# Seconds of footage at which its size of gap and width counts as much as the average speaker's.
_SIZE_PRIOR_SECONDS = 1.0
# Predicted motion below this counts as a pause: root mean square of the coefficients, each relative
# to its typical size.
_PAUSE_RMS = 0.08
# Largest lip gap of a rest pose, inter-ocular distances, whatever the footage shows in its pauses.
_MAX_REST_GAP = 0.03
# Ranges of the factors of gap and width: a short clip may show a mumble or a shout, but the actor
# can speak otherwise. Predictions of strangers' width are flatter than those of their gap.
_GAIN_RANGE, _WIDTH_GAIN_RANGE = (0.6, 1.8), (0.6, 2.5)
# Least limit of the lip gap, inter-ocular distances: a clip with closed lips does not show how far
# they open.
_MIN_APERTURE_LIMIT = 0.1
# Quantile of the observed gap that counts as its widest, and the factor on it: four seconds of
# footage rarely hold the widest vowel.
_WIDEST_QUANTILE, _APERTURE_MARGIN = 0.99, 1.1
# Fraction of the limit up to which gaps stay as they are where little has to be compressed.
_COMPRESSION_START = 0.8
# Least mean slope of the compression, if it can start above closed lips. A smaller one squeezes
# wide openings into a plateau: the mouth seems to stand open while vowels change.
_MIN_COMPRESSION_SLOPE = 0.5
# Predicted gaps, inter-ocular distances, between which closed lips are let go: below the first a
# style opens them no further than predicted, above the second it is free.
_CLOSED_GAP_RANGE = (0.005, 0.02)
# Closed lips are a consonant where the predicted gap is wider nearby (above the second figure
# fully, below the first not at all), within this time, about a syllable, s. Elsewhere they are at
# rest, and the actor's own rest pose may be open.
_SPOKEN_GAP_RANGE, _SPOKEN_REACH_SECONDS = (0.02, 0.05), 0.15
# Rows of pauses whose median weighs half of the rest pose, the other half being closed lips.
_REST_PRIOR_ROWS = 10


@dataclass(frozen=True)
class SpeakingStyle:
    """An actor's affine map of mouth motion, in the speech model's low-dimensional space.

    Attributes:
        basis: directions of the space, stored so that the style needs no model. [K, P, 3]
        gain: matrix that rows of coefficients are multiplied by, from the right. [K, K]
        offset: coefficients of the actor's rest pose relative to closed lips. [K]
        max_aperture: widest lip gap that the footage supports, inter-ocular distances.
        picture_lag: lag of the footage's picture against its sound, which was removed before the
            style was fitted; None without sound. Renders do not use it: the mouth of a dub is in
            step with the dub's sound.
        parameters: one scale and shift for each parameter of jaw and expression, the form of
            Dubbing for Everyone; None where the footage had no sound.
        form: what `apply` uses, see `with_form`; not stored.
    """

    basis: FloatArray
    gain: FloatArray
    offset: FloatArray
    max_aperture: float
    picture_lag: PictureLag | None = None
    parameters: ParameterStyle | None = None
    form: str = "mouth"

    def __post_init__(self) -> None:
        k = len(self.basis)
        if self.gain.shape != (k, k) or self.offset.shape != (k,):
            raise ShapeError(
                f"Style has {k} directions, gain {self.gain.shape}, offset {self.offset.shape}: "
                "expected a square matrix of gains and one offset per direction"
            )

    def with_form(self, form: str) -> SpeakingStyle:
        """Choose what `apply` uses.

        Args:
            form: "mouth" for the matrix over the mouth's directions, "parameters" for the scales
                and shifts of jaw and expression.

        Raises:
            ArtefactError: The actor has no scales and shifts.
        """
        if form == "parameters" and self.parameters is None:
            raise ArtefactError(
                "the actor has no scales and shifts of parameters, which footage with sound gives: "
                "adapt the actor anew from such footage, or leave out --style parameters"
            )
        return replace(self, form=form)

    def apply(
        self, motion: MouthMotion, *, reach: float = 1.0, opening: float = 1.0
    ) -> MouthMotion:
        """Apply the style to a predicted motion.

        Predicted silence (zero) becomes the actor's own rest pose. Lips that are predicted to close
        between openings close, whatever the matrix and the rest pose add. If a gap exceeds
        ``max_aperture``, the wider gaps are compressed so that the widest one meets it, and the
        whole motion of their moments with them.

        Args:
            motion: motion as the speech model predicts it, of the whole sound.
            reach: limit of the gap as a multiple of ``max_aperture``, above 0.
            opening: factor of the gap, above 0; applied before the limit.
        """
        limit = reach * self.max_aperture
        if self.form == "parameters" and self.parameters is not None and len(motion):
            moved = self.parameters.apply(motion).displacement
        else:
            # The part of the motion inside of the space changes, the rest stays.
            moved = map_row_blocks(self._move, motion.displacement)
        moved = moved - self._find_opened_closures(motion, MouthMotion(moved, motion.times))
        scaled = MouthMotion(moved, motion.times).scale_opening(opening)
        gap = scaled.aperture()
        # Closed lips have no ratio, and nothing to compress.
        factor = np.where(gap > 1e-6, compress_gaps(gap, limit) / np.maximum(gap, 1e-6), 1.0)
        compressed = map_row_blocks(
            lambda rows, factors: (rows * factors[:, None, None]).astype(np.float32),
            scaled.displacement,
            factor,
        )
        return MouthMotion(compressed, motion.times)

    def _move(self, displacement: NDArray[np.float32]) -> FloatArray:
        """Apply the map to some rows of a motion. [M, P, 3]"""
        flat = self.basis.reshape(len(self.basis), -1)
        coefficients = displacement.reshape(len(displacement), -1) @ flat.T
        change = (coefficients @ self.gain - coefficients + self.offset) @ flat
        return displacement + change.reshape(displacement.shape)

    def _find_opened_closures(
        self, predicted: MouthMotion, styled: MouthMotion
    ) -> NDArray[np.float32]:  # [N, P, 3]
        """Compute the displacement by which the style opens lips that are predicted to close."""
        closed_gap = predicted.aperture()
        is_closed = 1 - smoothstep(*_CLOSED_GAP_RANGE, closed_gap)
        is_spoken = smoothstep(*_SPOKEN_GAP_RANGE, _widest_gap_near(predicted))
        excess = np.maximum(styled.aperture() - np.maximum(closed_gap, 0), 0)
        # The smallest change within the space that makes a gap of 1.
        times = np.zeros(len(self.basis))
        gap_per_direction = MouthMotion(self.basis, times).aperture()
        size = float(gap_per_direction @ gap_per_direction)
        if not size:  # a space in which the lips do not open
            return np.zeros_like(predicted.displacement)
        unit_gap = np.tensordot(gap_per_direction / size, self.basis, axes=1)
        return map_row_blocks(
            lambda rows: (rows[:, None, None] * unit_gap).astype(np.float32),
            excess * is_closed * is_spoken,
        )

    @classmethod
    def neutral(cls, space: MotionSpace | None = None) -> SpeakingStyle:
        """Make the style that changes nothing; without a space, that of the model that ships."""
        space = space or SpeechModel.load_default().space
        k = len(space.basis)
        return cls(space.basis, np.eye(k, dtype=np.float32), np.zeros(k, np.float32), 1.0)

    @classmethod
    def from_statistics(
        cls, observed: MouthMotion, space: MotionSpace | None = None
    ) -> SpeakingStyle:
        """Estimate the style of an actor whose footage has no sound.

        One gain serves all directions: the ratio of the actor's wide openings (95th percentile) to
        those of predicted speech, between 0.6 and 1.8. It exceeds 1 only if the footage shows it.

        Args:
            observed: the actor's tracked motion.
            space: space of the model whose predictions the style is applied to; None is that of the
                model that ships.

        Raises:
            ShapeError: The motion has no rows.
        """
        space = space or SpeechModel.load_default().space
        _check_not_empty(observed)
        ratio = float(np.quantile(observed.aperture(), 0.95)) / max(space.aperture_p95, 1e-3)
        k = len(space.basis)
        gain = np.eye(k, dtype=np.float32) * np.float32(np.clip(ratio, *_GAIN_RANGE))
        return cls(space.basis, gain, np.zeros(k, np.float32), _estimate_max_aperture(observed))

    def to_bytes(self) -> bytes:
        """Serialize as safetensors with a JSON header."""
        header: dict[str, Any] = {
            "format_version": STYLE_FORMAT_VERSION,
            "limit": self.max_aperture,
            "picture_lag": None if self.picture_lag is None else asdict(self.picture_lag),
        }
        tensors = {"basis": self.basis, "gain": self.gain, "offset": self.offset}
        # Readers of the same version that do not know them take no notice.
        if self.parameters is not None:
            header["head"] = self.parameters.head
            for name in _PARAMETER_TENSORS:
                tensors[f"parameters.{name}"] = getattr(self.parameters, name)
        return save(
            {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()},
            metadata={"dubfew.style": json.dumps(header)},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> SpeakingStyle:
        """Read the output of `to_bytes`.

        Raises:
            ArtefactError: The data is not a style, is damaged or was written by a newer dubfew.
        """
        try:
            tensors, header = read_tensors_and_header(data, "dubfew.style")
            check_format_version(header["format_version"], STYLE_FORMAT_VERSION, "style")
            gain = tensors["gain"]
            return cls(
                tensors["basis"],
                np.diag(gain) if gain.ndim == 1 else gain,  # one gain per direction in version 1
                tensors["offset"],
                float(header["limit"]),
                _read_picture_lag(header.get("picture_lag")),
                _read_parameters(tensors, header),
            )
        except TENSOR_READ_ERRORS as error:
            raise ArtefactError("not a dubfew style, or damaged: adapt the actor anew") from error


def fit_style(
    predicted: MouthMotion, observed: MouthMotion, space: MotionSpace | None = None
) -> SpeakingStyle:
    """Fit the style of an actor whose footage has sound.

    A picture that is clearly early or late against its sound is put in step first. Then a matrix of
    gains is fitted by ridge regression of differences, drawn towards moving as predicted with one
    of several weights. Held-out parts of the footage choose the weight, and the matrix is left out
    where none predicts them better. Least squares shrinks where prediction and footage disagree,
    which would look like mumbling, so factors of up, down and forth and of the width restore the
    sizes of gap and width. The offset is the actor's pose where the prediction rests.

    Args:
        predicted: motion predicted from the footage's sound, on the clock of ``observed``, sampled
            at least as finely. It should begin 0.4 s before and end 0.4 s after it, where there is
            sound.
        observed: the actor's tracked motion.
        space: space of the predicting model; None is that of the model that ships.

    Raises:
        ShapeError: One of the two has no rows.
    """
    space = space or SpeechModel.load_default().space
    _check_not_empty(observed)
    if not len(predicted):
        raise ShapeError("no predicted motion: a style of footage without sound has no prediction")
    # Compare in step: a lag would look like disagreement.
    lag = estimate_picture_lag(predicted, observed)
    in_step = predicted.resample(observed.times - lag.correction_seconds)
    # Coefficients relative to their typical size, so that all directions weigh alike.
    x = (space.project(in_step) / space.coefficient_rms).astype(np.float64)
    y = (space.project(observed) / space.coefficient_rms).astype(np.float64)
    is_pause = np.sqrt((x**2).mean(axis=1)) < _PAUSE_RMS
    if is_pause.all():
        return replace(SpeakingStyle.from_statistics(observed, space), picture_lag=lag)
    rows_per_second = 1 / max(float(np.median(np.diff(observed.times, prepend=0.0))), 1e-3)
    gain = _choose_gain(x, y, rows_per_second)
    gain = gain @ _restore_size(space, x @ gain, y, len(y) / rows_per_second)
    # From relative coefficients to those of the space.
    size = space.coefficient_rms.astype(np.float64)
    offset = _estimate_rest_offset(y[is_pause].astype(np.float32), space)
    return SpeakingStyle(
        space.basis,
        (gain * size / size[:, None]).astype(np.float32),
        (offset * space.coefficient_rms).astype(np.float32),
        _estimate_max_aperture(observed),
        lag,
    )


def _choose_gain(
    x: NDArray[np.float64],  # [N, K]
    y: NDArray[np.float64],  # [N, K]
    rows_per_second: float,
) -> NDArray[np.float64]:  # [K, K]
    """Fit the matrix of gains with the weight of the prior that predicts held-out parts best."""
    parts = np.array_split(np.arange(len(x)), _NUM_FOLDS)
    best, least = np.inf, np.inf
    # The strongest prior first: of equally good ones it stays.
    for seconds in sorted(_PRIOR_SECONDS, reverse=True):
        error = 0.0
        for part in parts:
            known = np.setdiff1d(np.arange(len(x)), part)
            if not len(part) or not len(known):
                continue
            gain = _fit_gain(x[known], y[known], seconds * rows_per_second)
            rest = (y[part] - y[known].mean(0)) - (x[part] - x[known].mean(0)) @ gain
            error += float((rest**2).sum())
        if error < least:
            best, least = seconds, error
    return _fit_gain(x, y, best * rows_per_second)


def _fit_gain(
    x: NDArray[np.float64],  # [N, K]
    y: NDArray[np.float64],  # [N, K]
    prior_rows: float,
) -> NDArray[np.float64]:  # [K, K]
    """Regress differences of y on those of x, drawn towards y = x with the weight of some rows."""
    identity = np.eye(x.shape[1])
    if np.isinf(prior_rows):
        return identity
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.solve(x.T @ x + prior_rows * identity, x.T @ y + prior_rows * identity)


def _restore_size(
    space: MotionSpace,
    fitted: NDArray[np.float64],  # [N, K]
    observed: NDArray[np.float64],  # [N, K]
    seconds: float,
) -> NDArray[np.float64]:  # [K, K]
    """Compute the matrix that gives fitted motion the observed sizes of gap and width.

    The size of the gap is its root mean square, measured from closed lips: a standard deviation is
    that of the few widest moments of seconds, and knows nothing of how far the mouth is open all
    the time. Of the seconds behind them it errs by 24 thousandths of the inter-ocular distance, the
    root mean square by 22 (43 clips by turns; 43 and 35 on five of HDTF). The width has no zero of
    that kind: its size is the standard deviation.

    Args:
        space: space of the coefficients, which are relative to their typical size.
        fitted: coefficients of the fitted motion.
        observed: those of the tracked one.
        seconds: length of the footage.
    """
    times = np.zeros(len(fitted))
    first, second = (
        space.reconstruct(each * space.coefficient_rms, times) for each in (fitted, observed)
    )
    trust = seconds / (seconds + _SIZE_PRIOR_SECONDS)
    factors = []
    for sizes, limits in (
        ([float(each.width_change().std()) for each in (first, second)], _WIDTH_GAIN_RANGE),
        ([float(np.sqrt((each.aperture() ** 2).mean())) for each in (first, second)], _GAIN_RANGE),
    ):
        ratio = sizes[1] / max(sizes[0], 1e-4)
        factors.append(float(np.clip(ratio, *limits)) ** trust)
    across, other = factors
    # Displacements to the side times one factor, all others times the other; within the space.
    flat = space.basis.reshape(len(space.basis), -1).astype(np.float64)
    scales = np.tile([across, other, other], space.basis.shape[1])
    size = space.coefficient_rms.astype(np.float64)
    return (flat * scales) @ flat.T * size[:, None] / size


def _widest_gap_near(motion: MouthMotion) -> NDArray[np.float64]:  # [N]
    """Find the widest gap within `_SPOKEN_REACH_SECONDS` of each row, which are in any rate."""
    if len(motion) < 2:
        return np.abs(motion.aperture()).astype(np.float64)
    step = float(np.median(np.diff(motion.times)))
    reach = max(1, round(_SPOKEN_REACH_SECONDS / step)) if step > 0 else 1
    return maximum_filter1d(motion.aperture().astype(np.float64), 2 * reach + 1)


def compress_gaps(
    gap: FloatArray,  # [N]
    limit: float,
) -> FloatArray:  # [N]
    """Compress lip gaps so that the widest meets a limit; nothing changes if none exceeds it.

    Small gaps stay as they are. Above them a hyperbola with a continuous slope leads from the first
    compressed gap to the limit. It starts lower the more has to be compressed, so that it never
    becomes flat: the order of the gaps stays, and their differences stay visible.

    Args:
        gap: lip gaps of a whole sound, inter-ocular distances. [N]
        limit: largest gap of the result, above 0.

    Returns:
        Gaps up to ``limit``. [N]

    Example:
        >>> compress_gaps(np.array([0.02, 0.1, 0.2, 0.3]), 0.2).round(3)
        array([0.02 , 0.1  , 0.167, 0.2  ])
    """
    widest = float(gap.max(initial=0.0))
    if widest <= limit:
        return gap
    # The mean slope from the knee to the widest gap is (limit - knee) / (widest - knee).
    slope = _MIN_COMPRESSION_SLOPE
    knee = max(0.0, min(_COMPRESSION_START * limit, (limit - slope * widest) / (1 - slope)))
    excess = np.maximum(gap - knee, 0)
    bend = 1 / (limit - knee) - 1 / (widest - knee)
    return np.where(gap > knee, knee + excess / (1 + bend * excess), gap)


def _read_picture_lag(stored: Any) -> PictureLag | None:
    """Read a stored lag.

    Raises:
        TypeError: It is no mapping of the lag's names to numbers.
    """
    if stored is None:
        return None
    if not isinstance(stored, dict):
        raise TypeError("the lag of the picture is no mapping")
    return PictureLag(**{name: float(value) for name, value in stored.items()})


def _read_parameters(
    tensors: Mapping[str, NDArray], header: Mapping[str, Any]
) -> ParameterStyle | None:
    """Read the scales and shifts of parameters; None where there are none.

    Raises:
        KeyError: Some of them are missing.
        TypeError: The head model's name is no text.
    """
    if "head" not in header:
        return None
    if not isinstance(header["head"], str):
        raise TypeError("the head model of the style is no name")
    stored = {name: tensors[f"parameters.{name}"] for name in _PARAMETER_TENSORS}
    return ParameterStyle(header["head"], **stored)


def _estimate_rest_offset(pauses: FloatArray, space: MotionSpace) -> FloatArray:
    """Estimate the actor's rest pose from pauses, drawn to closed lips where there are few. [K]"""
    if not len(pauses):
        return np.zeros(len(space.coefficient_rms), np.float32)
    offset = np.median(pauses, axis=0) * (len(pauses) / (len(pauses) + _REST_PRIOR_ROWS))
    # Scale the pose down until its gap is one that a mouth at rest may have.
    gap = abs(
        float(space.reconstruct(offset[None] * space.coefficient_rms, np.zeros(1)).aperture()[0])
    )
    return (offset * min(1.0, _MAX_REST_GAP / max(gap, 1e-6))).astype(np.float32)


def _estimate_max_aperture(observed: MouthMotion) -> float:
    """Estimate the widest lip gap that the footage supports."""
    widest = float(np.quantile(observed.aperture(), _WIDEST_QUANTILE))
    return max(_APERTURE_MARGIN * widest, _MIN_APERTURE_LIMIT)


def _check_not_empty(observed: MouthMotion) -> None:
    """Raise ShapeError if there is no row."""
    if not len(observed):
        raise ShapeError("no observed motion: a style needs at least one tracked frame")
