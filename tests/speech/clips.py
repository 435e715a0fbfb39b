"""A spoken and filmed sentence without a file: espeak-ng's sound with the motion of its visemes."""

from __future__ import annotations

import numpy as np

from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.espeak import get_synthesizer
from dubfew.speech.training.speech_clip import SpeechClip
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import motion_from_phones

# Sizes of a training: as many utterances and passages as a real one needs take a minute to make.
TOY_SIZES = {
    "scout_steps": 3,
    "num_linear_batches": 2,
    "batch_size": 3,
    "num_utterances": 4,
    "num_synthetic_passages": 3,
    "num_silent_passages": 2,
    "num_filmed_versions": 1,
    "num_projection_passages": 4,
    "num_detector_recordings": 2,
}

SENTENCE = "Mama papa, Bob may move a bamboo boat over the bay."


def spoken_clip(name: str = "one", delay: float = 0.0) -> SpeechClip:
    """Make a speaker filmed at 25 fps whose picture is late by ``delay`` s."""
    utterance = get_synthesizer().synthesize(SENTENCE, "en-us")
    times = np.arange(int(len(utterance.samples) / SPEECH_SAMPLE_RATE_HZ * 25)) / 25
    motion = motion_from_phones(utterance.phones, times - delay, load_viseme_basis())
    return SpeechClip(name, utterance.samples, MouthMotion(motion.displacement, times))
