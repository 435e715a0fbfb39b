"""Speaking style: how one actor moves the mouth, as an affine map of predicted motion."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import save

from dubfew.errors import ArtefactError, ShapeError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.motion_lag import estimate_lag, reliable_lag
from dubfew.utils.arrays import FloatArray
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

# Version of the stored form.
STYLE_FORMAT_VERSION = 1
# Weight, in rows of footage (2 s at 25 fps), of the prior that the actor moves as predicted. More
# footage outweighs it; a higher value keeps short clips closer to the average speaker.
_PRIOR_ROWS = 50.0
# Predicted motion below this counts as a pause: root mean square of the coefficients, each relative
# to its typical size.
_PAUSE_RMS = 0.08
# Largest lip gap of a rest pose, inter-ocular distances, whatever the footage shows in its pauses.
_MAX_REST_GAP = 0.03
# Range of gains: a short clip may show a mumble or a shout, but the actor can speak otherwise.
_GAIN_RANGE = (0.6, 1.8)
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
# Rows of pauses whose median weighs half of the rest pose, the other half being closed lips.
_REST_PRIOR_ROWS = 10


@dataclass(frozen=True)
class SpeakingStyle:
    """An actor's affine map of mouth motion, in the speech model's low-dimensional space.

    Attributes:
        basis: directions of the space, stored so that the style needs no model. [K, P, 3]
        gain: factor of each coefficient. [K]
        offset: coefficients of the actor's rest pose relative to closed lips. [K]
        max_aperture: widest lip gap that the footage supports, inter-ocular distances.
    """

    basis: FloatArray
    gain: FloatArray
    offset: FloatArray
    max_aperture: float

    def __post_init__(self) -> None:
        k = len(self.basis)
        if self.gain.shape != (k,) or self.offset.shape != (k,):
            raise ShapeError(
                f"Style has {k} directions, gain {self.gain.shape}, offset {self.offset.shape}: "
                "expected one gain and one offset per direction"
            )

    def apply(
        self, motion: MouthMotion, *, reach: float = 1.0, opening: float = 1.0
    ) -> MouthMotion:
        """Apply the style to a predicted motion.

        Predicted silence (zero) becomes the actor's own rest pose. If a gap exceeds
        ``max_aperture``, the wider gaps are compressed so that the widest one meets it, and the
        whole motion of their moments with them.

        Args:
            motion: motion as the speech model predicts it, of the whole sound.
            reach: limit of the gap as a multiple of ``max_aperture``, above 0.
            opening: factor of the gap, above 0; applied before the limit.
        """
        limit = reach * self.max_aperture
        # The part of the motion inside of the space changes, the rest stays.
        flat = self.basis.reshape(len(self.basis), -1)
        coefficients = motion.displacement.reshape(len(motion), -1) @ flat.T
        change = (coefficients * (self.gain - 1) + self.offset) @ flat
        moved = motion.displacement + change.reshape(motion.displacement.shape)
        scaled = MouthMotion(moved, motion.times).scale_opening(opening)
        gap = scaled.aperture()
        # Closed lips have no ratio, and nothing to compress.
        factor = np.where(gap > 1e-6, compress_gaps(gap, limit) / np.maximum(gap, 1e-6), 1.0)
        return MouthMotion(
            (scaled.displacement * factor[:, None, None]).astype(np.float32), motion.times
        )

    @classmethod
    def neutral(cls, space: MotionSpace | None = None) -> SpeakingStyle:
        """Make the style that changes nothing; without a space, that of the model that ships."""
        space = space or SpeechModel.load_default().space
        k = len(space.basis)
        return cls(space.basis, np.ones(k, np.float32), np.zeros(k, np.float32), 1.0)

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
        gain = np.full(k, np.clip(ratio, *_GAIN_RANGE), np.float32)
        return cls(space.basis, gain, np.zeros(k, np.float32), _estimate_max_aperture(observed))

    def to_bytes(self) -> bytes:
        """Serialize as safetensors with a JSON header."""
        header = {"format_version": STYLE_FORMAT_VERSION, "limit": self.max_aperture}
        tensors = {"basis": self.basis, "gain": self.gain, "offset": self.offset}
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
            return cls(tensors["basis"], tensors["gain"], tensors["offset"], float(header["limit"]))
        except TENSOR_READ_ERRORS as error:
            raise ArtefactError("not a dubfew style, or damaged: adapt the actor anew") from error


def fit_style(
    predicted: MouthMotion, observed: MouthMotion, space: MotionSpace | None = None
) -> SpeakingStyle:
    """Fit the style of an actor whose footage has sound.

    Each direction gets a gain by regularized least squares from prediction to observation through
    the origin, drawn towards 1 with the weight of two seconds of footage. Least squares shrinks
    where prediction and footage disagree, which would look like mumbling, so a common factor
    restores the spread of the observed lip gap. The offset is the actor's pose where the prediction
    rests. A picture that is early or late against its sound is shifted first.

    Args:
        predicted: motion predicted from the footage's sound, at ``observed.times``.
        observed: the actor's tracked motion.
        space: space of the predicting model; None is that of the model that ships.

    Raises:
        ShapeError: The two have different numbers of rows, or none.
    """
    space = space or SpeechModel.load_default().space
    _check_not_empty(observed)
    if len(predicted) != len(observed):
        raise ShapeError(
            f"{len(predicted)} predicted rows for {len(observed)} observed: predict at the "
            "observed times"
        )
    # Compare in sync: a lag would look like disagreement.
    lag = reliable_lag(estimate_lag(predicted, observed))
    predicted = predicted.resample(observed.times - lag)
    # Coefficients relative to their typical size, so that all directions weigh alike.
    x_all = space.project(predicted) / space.coefficient_rms
    y_all = space.project(observed) / space.coefficient_rms
    is_pause = np.sqrt((x_all**2).mean(axis=1)) < _PAUSE_RMS
    offset = _estimate_rest_offset(y_all[is_pause], space)
    is_speech = ~is_pause
    if not is_speech.any():
        return SpeakingStyle.from_statistics(observed, space)
    # Regularized least squares through the origin, one gain per direction.
    x, y = x_all[is_speech], y_all[is_speech] - offset
    gain = ((x * y).sum(axis=0) + _PRIOR_ROWS) / ((x * x).sum(axis=0) + _PRIOR_ROWS)
    gain = np.clip(gain, 0.0, _GAIN_RANGE[1])
    # Least squares shrinks where the two disagree; a common factor restores the spread of the gap.
    fitted = space.reconstruct(x_all * gain * space.coefficient_rms, observed.times)
    fitted_gap, observed_gap = fitted.aperture()[is_speech], observed.aperture()[is_speech]
    ratio = observed_gap.std() / max(fitted_gap.std(), 1e-4)
    trust = is_speech.sum() / (is_speech.sum() + _PRIOR_ROWS)
    spread = float(np.clip(ratio, *_GAIN_RANGE)) ** trust
    return SpeakingStyle(
        space.basis,
        np.clip(gain * spread, 0.0, 2 * _GAIN_RANGE[1]).astype(np.float32),
        (offset * space.coefficient_rms).astype(np.float32),
        _estimate_max_aperture(observed),
    )


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
