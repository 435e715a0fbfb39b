"""Agreement of an output's mouth with recognized phonemes, from which three metrics are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, MetricRequirement
from dubfew.utils.import_utils import import_optional

if TYPE_CHECKING:
    from dubfew.evaluate.lipsync.phonemes import PhonemeSync

PHONEME_SOURCE = (
    "lip gaps that are typical of the phonemes that PocketSphinx recognizes in the output's sound, "
    "against the tracked lip gap"
)


def _require_pocketsphinx(wanted: Any) -> Any:
    return import_optional("pocketsphinx")


PHONEME_RECOGNIZER = MetricRequirement(
    name="listen",
    description="--listen and PocketSphinx",
    load=_require_pocketsphinx,
)


def _measure_phoneme_sync(clips: ClipPair) -> PhonemeSync:
    from dubfew.evaluate.lipsync import phonemes  # imports torch

    return phonemes.measure_phoneme_sync(clips.output, clips.output_landmarks, clips.output_times)


def measure_phonemes(field: str) -> ClipMeasure:
    """Make the measure of one field of `PhonemeSync`; recognition runs once."""

    def measure(recognizer: Any, clips: ClipPair) -> float:
        return getattr(clips.compute_once(_measure_phoneme_sync), field)

    return ClipMeasure(measure)
