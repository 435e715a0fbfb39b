"""Logits of 28 groups of phones and a blank, by a small network that ships: for tests and trials.

It stands in for DeepSpeech's 29 logits where neither its file nor wav2vec 2.0's weights are at
hand. It has learned from espeak-ng's synthetic speech alone (``tools/train_phone_network.py``), so
it knows phones rather than letters and hears people less well than either. Networks that learned
from one of these features do not fit another.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from dubfew.data.sound_features._ctc import halve_logit_rate, make_ctc_feature
from dubfew.data.sound_features._phone_network import (
    FRAMES_PER_STEP,
    PhoneNetwork,
    load_phone_network,
)
from dubfew.media.mel import estimate_channel, log_mel, num_mel_frames
from dubfew.utils.arrays import FloatArray

# File of the weights that ship.
PHONE_NETWORK_FILE = Path(__file__).with_name("ctc29_espeak.safetensors")
# Steps of 20 ms per pass, 20 s, and those on either side that are computed and dropped: more than
# the network sees.
_STEPS_PER_PASS, _CONTEXT_STEPS = 1000, 24


@lru_cache(maxsize=1)
def _load_network() -> PhoneNetwork:
    return load_phone_network(PHONE_NETWORK_FILE)[0]


def phone_logits(
    samples: FloatArray,  # [n]
) -> FloatArray:  # [K, 29]
    """Compute the logits of a recording, 25 rows a second.

    Args:
        samples: mono at 16 kHz, in [-1, 1]. [n]

    Raises:
        ArtefactError: The file of weights is damaged.
    """
    samples = np.asarray(samples, np.float32)
    channel = estimate_channel(samples)
    num_steps = -(-num_mel_frames(len(samples)) // FRAMES_PER_STEP)
    rows = []
    for first in range(0, num_steps, _STEPS_PER_PASS):
        last = min(num_steps, first + _STEPS_PER_PASS)
        # Beyond the ends is silence, as within the recording.
        mel = log_mel(
            samples,
            channel=channel,
            start=(first - _CONTEXT_STEPS) * FRAMES_PER_STEP,
            stop=(last + _CONTEXT_STEPS) * FRAMES_PER_STEP,
        )
        with torch.inference_mode():
            logits = _load_network()(torch.from_numpy(mel)[None])[0]
        rows.append(logits[_CONTEXT_STEPS : _CONTEXT_STEPS + last - first].numpy())
    return halve_logit_rate(np.concatenate(rows))


SOUND_FEATURE = make_ctc_feature(phone_logits)
