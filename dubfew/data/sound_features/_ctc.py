"""What all features of speech recognizers share: 29 logits, 25 times a second."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dubfew.data.sound_features._base import CLIP_FPS, SoundFeature
from dubfew.utils.arrays import FloatArray

# Logits of DeepSpeech: blank, space, apostrophe and 26 letters.
# Source: Hannun et al. 2014, "Deep Speech: Scaling up end-to-end speech recognition" (arXiv
# 1412.5567), section 2.
NUM_CTC_LOGITS = 29
# Steps of a window, those of five frames, and how many of them lie before the frame in the middle.
CTC_WINDOW_STEPS, CTC_LEAD_FRAMES = 5, 2
# Rate of the recognizers' own logits, Hz: two for each frame.
CTC_LOGIT_RATE = 2 * CLIP_FPS


def halve_logit_rate(
    logits: FloatArray,  # [T, 29]
) -> FloatArray:  # [ceil(T / 2), 29]
    """Average pairs of logits, from 50 to 25 Hz; a last one without a partner stays as it is."""
    if len(logits) % 2:
        logits = np.concatenate([logits, logits[-1:]])
    return logits.reshape(-1, 2, logits.shape[1]).mean(1).astype(np.float32)


def make_ctc_feature(extract: Callable[[FloatArray], FloatArray]) -> SoundFeature:
    """Make the entry of a recognizer: windows of five of its steps.

    Args:
        extract: computes logits of a whole recording at 25 Hz. [n] to [K, 29]
    """
    return SoundFeature(NUM_CTC_LOGITS, CLIP_FPS, CTC_WINDOW_STEPS, CTC_LEAD_FRAMES, extract)
