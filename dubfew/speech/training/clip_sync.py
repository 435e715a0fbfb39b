"""Which filmed clips to train on: those whose mouth follows their sound, with the lag removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dubfew.data.array_cache import ArrayCache
from dubfew.media import Audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import estimate_lag, reliable_lag
from dubfew.speech.training.examples import StoredRecording, store_recording
from dubfew.speech.training.speech_clip import FilmedSpeech
from dubfew.utils.signal import LagEstimate

# Largest lag between picture and sound that is searched for and corrected, s. Nearly every lag
# that containers and encoders cause is smaller. Three seconds of film correlate by chance at some
# larger one, and a clip with a wrong lag does more harm than one that is left as it is.
MAX_TRAINING_LAG_SECONDS = 0.12
# Step at which the prediction is sampled for the comparison, s.
_PREDICTION_STEP_SECONDS = 0.01


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
    samples = clip.samples
    grid = np.arange(0, len(samples) / SPEECH_SAMPLE_RATE_HZ, _PREDICTION_STEP_SECONDS)
    # No lead: lags are measured against the moments as annotated, as training uses them.
    predicted = model.predict(Audio(samples, SPEECH_SAMPLE_RATE_HZ), grid, lead=0.0)
    return estimate_lag(predicted, clip.motion, max_lag=MAX_TRAINING_LAG_SECONDS)


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
