"""Which filmed clips to train on: those whose mouth follows their sound, with the lag removed.

`measure_picture_lags` measures prepared clips for other trainings: ``dubfew prior align``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dubfew.data.array_cache import ArrayCache
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import (
    PictureLag,
    estimate_lag,
    estimate_picture_lag,
    reliable_lag,
)
from dubfew.speech.training.examples import StoredRecording, store_recording
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.utils.signal import LagEstimate

# Largest lag between picture and sound that is searched for and corrected, s. Nearly every lag
# that containers and encoders cause is smaller. Three seconds of film correlate by chance at some
# larger one, and a clip with a wrong lag does more harm than one that is left as it is.
MAX_TRAINING_LAG_SECONDS = 0.12
# Step at which the prediction is sampled for the comparison, s.
_PREDICTION_STEP_SECONDS = 0.01
# Number of a part of a file behind its name, as `load_filmed_clips` names parts.
_PART_NUMBER = re.compile(r" \(\d+\)$")


@dataclass(frozen=True)
class SyncedClips:
    """Filmed clips that are fit to train on.

    Attributes:
        lag_estimates: lag and correlation of every clip that was measured, by its name.
        names: clips to train on.
        recordings: these clips, their pictures shifted onto their sound.
    """

    lag_estimates: Mapping[str, LagEstimate] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    recordings: tuple[StoredRecording, ...] = ()


def measure_lag(model: SpeechModel, clip: FilmedSpeech) -> LagEstimate:
    """Estimate the lag of a clip's picture against its sound.

    Args:
        model: predicts the lip gap that the tracked one is compared with.
        clip: filmed speaker.
    """
    # No lead: lags are measured against the moments as annotated, as training uses them.
    predicted = _predict_clip(model, clip, lead=0.0)
    return estimate_lag(predicted, clip.motion, max_lag=MAX_TRAINING_LAG_SECONDS)


def file_of_clip(clip: FilmedSpeech) -> str:
    """Return the file that a clip is, or is a part of."""
    return _PART_NUMBER.sub("", clip.name)


def measure_picture_lags(
    model: SpeechModel,
    clips: Sequence[FilmedSpeech],
    progress: ProgressCallback = no_progress,
) -> dict[str, PictureLag]:
    """Estimate how late the pictures of files are against their sound.

    Args:
        model: predicts the motion that the tracked one is compared with.
        clips: filmed speakers; parts of a long file count as one, by its clearest part.
        progress: called after each clip.

    Returns:
        Lag by file.
    """
    found: dict[str, PictureLag] = {}
    for number, clip in enumerate(clips):
        lag = estimate_picture_lag(_predict_clip(model, clip), clip.motion)
        file = file_of_clip(clip)
        if file not in found or lag.probability > found[file].probability:
            found[file] = lag
        progress(Progress("measure", number + 1, len(clips)))
    return found


def _predict_clip(model: SpeechModel, clip: FilmedSpeech, lead: float | None = None) -> MouthMotion:
    """Predict a clip's motion from its sound, sampled finely."""
    grid = np.arange(0, len(clip.samples) / SPEECH_SAMPLE_RATE_HZ, _PREDICTION_STEP_SECONDS)
    return model.predict(Audio(clip.samples, SPEECH_SAMPLE_RATE_HZ), grid, lead=lead)


def select_synced_clips(
    clips: Sequence[FilmedSpeech],
    lag_estimates: Mapping[str, LagEstimate],
    min_correlation: float,
    cache: ArrayCache,
) -> SyncedClips:
    """Keep the clips whose mouth follows their sound, and remove their lag.

    Args:
        clips: filmed speakers.
        lag_estimates: lag and correlation of all of them, by name.
        min_correlation: least correlation of predicted and tracked lip gap at the best lag.
        cache: cache that their targets are moved to.
    """
    # A small lag is left alone unless removing it clearly helps.
    chosen = [clip for clip in clips if lag_estimates[clip.name].r_best >= min_correlation]
    return SyncedClips(
        lag_estimates,
        tuple(clip.name for clip in chosen),
        tuple(
            store_recording(clip, reliable_lag(lag_estimates[clip.name]), cache) for clip in chosen
        ),
    )
