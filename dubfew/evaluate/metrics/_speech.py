"""Mouth opening in speech, in silence and by phoneme."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.face_geometry import mouth_opening
from dubfew.evaluate.metrics._base import ClipPair, MetricRequirement
from dubfew.speech.visemes import MOUTH_LEAD_SECONDS

# Opening from which a mouth counts as open, in eye-corner distances: the median of running speech
# is 0.07 of the distance between the pupils, which is 0.05 of that of the corners. Closed lips
# are seen at up to 0.02 by the detector.
OPEN_FROM = 0.05
# Opening below which the lips count as closed. The detector finds closed lips at 0 to 0.02.
CLOSED_BELOW = 0.025

PHONES = MetricRequirement(
    name="phones",
    description="--transcript FILE --language CODE, or --listen",
    load=lambda phones: phones,
)


def phone_openings(clips: ClipPair, letters: Collection[str]) -> list[NDArray[np.float64]]:
    """List the openings of the output's mouth during each phone of some kinds.

    The mouth leads the sound, so a phone is looked for as much earlier.

    Args:
        clips: both clips, with phones.
        letters: IPA letters of the phones.

    Returns:
        Openings of the frames with a face in each phone, at least one frame wide. [n] each
    """
    opening = mouth_opening(clips.output_landmarks)
    times = clips.output_times
    found = []
    for phone in clips.phones or ():
        if phone.symbol not in letters:
            continue
        start, end = phone.start - MOUTH_LEAD_SECONDS, phone.end
        inside = (times >= start) & (times <= end)
        # A phone may be shorter than a frame; then the frame nearest to its middle stands for it.
        if not inside.any():
            if not len(times) or not times[0] <= (start + end) / 2 <= times[-1]:
                continue
            inside[np.abs(times - (start + end) / 2).argmin()] = True
        values = opening[inside]
        values = values[np.isfinite(values)]
        if len(values):
            found.append(values)
    return found


def openings_in_speech(clips: ClipPair) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the openings of original and output in the frames in which each of them speaks.

    Returns:
        Openings of the original [n] and of the output [m], in inter-ocular distances.
    """
    found = []
    for landmarks, silent in (
        (clips.reference_landmarks, clips.reference_silent),
        (clips.output_landmarks, clips.output_silent),
    ):
        opening = mouth_opening(landmarks)
        heard = np.ones(len(opening), np.bool_) if silent is None else ~silent
        found.append(opening[heard & np.isfinite(opening)])
    return found[0], found[1]
