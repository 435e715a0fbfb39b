"""Style: how one actor moves the mouth, as an affine map of motion."""

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

STYLE_FORMAT_VERSION = 1
# Rows of footage that weigh as much as the belief that the actor moves like everybody: 2 s.
_PRIOR_ROWS = 50.0
# Predicted motion below this (root mean square of coefficients against typical) is a pause.
_PAUSE_RMS = 0.08
# Lips farther apart than this are not at rest, whatever the footage shows in its pauses.
_MAX_REST_GAP = 0.03
# A short clip may show a mumble or a shout; the actor can do otherwise.
_GAIN_RANGE = (0.6, 1.8)
# A clip with closed lips says nothing about how far they open.
_MIN_APERTURE_LIMIT = 0.1


@dataclass(frozen=True)
class SpeakingStyle:
    """Per-actor affine map of mouth motion, in the speech model's low-dimensional space.

    Attributes:
        basis: the space's directions, so that the style stands by itself. [K, P, 3]
        gain: factor of each coefficient. [K]
        offset: coefficients of the actor's rest pose against closed lips. [K]
        max_aperture: the widest gap between the lips that the footage supports, inter-ocular
            distances.
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

    def apply(self, motion: MouthMotion, *, reach: float = 1.0) -> MouthMotion:
        """The same speech in this actor's manner.

        Predicted silence (zero) becomes the actor's own rest pose; gaps beyond ``limit`` are
        pressed towards it smoothly, the whole motion of that moment with them.

        Args:
            motion: as the speech model predicts it.
            reach: how far the mouth may open, as a multiple of ``limit``.
        """
        limit = reach * self.max_aperture
        flat = self.basis.reshape(len(self.basis), -1)
        coefficients = motion.displacement.reshape(len(motion), -1) @ flat.T
        change = (coefficients * (self.gain - 1) + self.offset) @ flat
        moved = motion.displacement + change.reshape(motion.displacement.shape)
        gap = MouthMotion(moved, motion.times).aperture()
        # Identity up to 80 % of the limit, then towards the limit with a continuous slope.
        knee = 0.8 * limit
        room = limit - knee
        pressed = np.where(gap > knee, knee + room * np.tanh((gap - knee) / room), gap)
        factor = pressed / np.maximum(gap, 1e-6)
        factor = np.where(gap > knee, factor, 1.0)
        return MouthMotion((moved * factor[:, None, None]).astype(np.float32), motion.times)

    @classmethod
    def neutral(cls, space: MotionSpace | None = None) -> SpeakingStyle:
        """The style that changes nothing."""
        space = space or SpeechModel.load_default().space
        k = len(space.basis)
        return cls(space.basis, np.ones(k, np.float32), np.zeros(k, np.float32), 1.0)

    @classmethod
    def from_statistics(
        cls, observed: MouthMotion, space: MotionSpace | None = None
    ) -> SpeakingStyle:
        """Style of an actor whose footage has no sound.

        One gain for all directions: the ratio of the actor's wide openings (95th percentile) to
        those of predicted speech, between ``_GAIN_RANGE``; never above 1 unless the footage shows
        it.

        Args:
            observed: the actor's tracked motion.
            space: of the model whose predictions it will be applied to; None is the default's.

        Raises:
            ShapeError: no rows.
        """
        space = space or SpeechModel.load_default().space
        _check_not_empty(observed)
        ratio = float(np.quantile(observed.aperture(), 0.95)) / max(space.aperture_p95, 1e-3)
        k = len(space.basis)
        gain = np.full(k, np.clip(ratio, *_GAIN_RANGE), np.float32)
        return cls(space.basis, gain, np.zeros(k, np.float32), _estimate_max_aperture(observed))

    def to_bytes(self) -> bytes:
        """Serialise as safetensors with a JSON header."""
        header = {"format_version": STYLE_FORMAT_VERSION, "limit": self.max_aperture}
        tensors = {"basis": self.basis, "gain": self.gain, "offset": self.offset}
        return save(
            {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()},
            metadata={"dubfew.style": json.dumps(header)},
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> SpeakingStyle:
        """Read what ``to_bytes`` wrote.

        Raises:
            ArtefactError: not a style, damaged, or written by a newer dubfew.
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
    """Style of an actor whose footage has sound.

    Per direction, regularised least squares from prediction to observation through the origin,
    drawn towards no change by as much as two seconds of footage would weigh. Least squares shrinks
    where prediction and footage disagree, which would look like mumbling; a common factor therefore
    restores the spread of the lips' gap that the footage shows. The offset is the actor's pose
    where the prediction rests. A picture that runs early or late against its sound is shifted
    first.

    Args:
        predicted: by the speech model from the footage's sound, at ``observed.times``.
        observed: the actor's tracked motion.
        space: of the predicting model; None is the default's.

    Raises:
        ShapeError: the two do not have the same rows, or none.
    """
    space = space or SpeechModel.load_default().space
    _check_not_empty(observed)
    if len(predicted) != len(observed):
        raise ShapeError(
            f"{len(predicted)} predicted rows for {len(observed)} observed: predict at the "
            "observed times"
        )
    lag = reliable_lag(estimate_lag(predicted, observed))
    predicted = predicted.resample(observed.times - lag)
    given = space.project(predicted) / space.coefficient_rms
    seen = space.project(observed) / space.coefficient_rms
    pause = np.sqrt((given**2).mean(axis=1)) < _PAUSE_RMS
    offset = _estimate_rest_offset(seen[pause], space)
    speech = ~pause
    if not speech.any():
        return SpeakingStyle.from_statistics(observed, space)
    x, y = given[speech], seen[speech] - offset
    gain = ((x * y).sum(axis=0) + _PRIOR_ROWS) / ((x * x).sum(axis=0) + _PRIOR_ROWS)
    gain = np.clip(gain, 0.0, _GAIN_RANGE[1])
    fitted = space.reconstruct(given * gain * space.coefficient_rms, observed.times).aperture()[
        speech
    ]
    wanted = observed.aperture()[speech]
    trust = speech.sum() / (speech.sum() + _PRIOR_ROWS)
    spread = float(np.clip(wanted.std() / max(fitted.std(), 1e-4), *_GAIN_RANGE)) ** trust
    return SpeakingStyle(
        space.basis,
        np.clip(gain * spread, 0.0, 2 * _GAIN_RANGE[1]).astype(np.float32),
        (offset * space.coefficient_rms).astype(np.float32),
        _estimate_max_aperture(observed),
    )


def _estimate_rest_offset(pauses: FloatArray, space: MotionSpace) -> FloatArray:
    """The actor's rest pose in pauses, drawn to closed lips where there are few. [K]"""
    if not len(pauses):
        return np.zeros(len(space.coefficient_rms), np.float32)
    offset = np.median(pauses, axis=0) * (len(pauses) / (len(pauses) + 10))
    gap = abs(
        float(space.reconstruct(offset[None] * space.coefficient_rms, np.zeros(1)).aperture()[0])
    )
    return (offset * min(1.0, _MAX_REST_GAP / max(gap, 1e-6))).astype(np.float32)


def _estimate_max_aperture(observed: MouthMotion) -> float:
    # A tenth more than the widest that was seen: 4 s rarely hold the widest vowel.
    return max(1.1 * float(np.quantile(observed.aperture(), 0.99)), _MIN_APERTURE_LIMIT)


def _check_not_empty(observed: MouthMotion) -> None:
    if not len(observed):
        raise ShapeError("no observed motion: a style needs at least one tracked frame")
