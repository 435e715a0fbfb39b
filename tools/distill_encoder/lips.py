"""Directions of the teacher's features that tell where the lips are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dubfew.speech.encoders import ROW_SAMPLES, ROW_SECONDS
from dubfew.speech.training.speech_clip import FilmedSpeech
from tools.distill_encoder.teacher import Teacher

# How far ahead of the picture the features are looked up, s: film shows a sound's mouth before the
# sound is heard.
FEATURE_LEAD_SECONDS = 0.05
# Principal components of the lower face's motion that are predicted beside gap and width.
_NUM_MOTIONS = 6
# Ridge of the regression, as a share of the rows: features are correlated and clips are few.
_RIDGE = 1.0


def fit_lip_directions(
    clips: Sequence[FilmedSpeech], teacher: Teacher, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Regress lip gap, lip width and the main motions of the lower face on single rows.

    Args:
        clips: filmed people whose mouths follow their sound.
        teacher: the teacher, its `Teacher.place_mean` measured.
        rng: source of randomness.

    Returns:
        Directions; the predictions along each have a variance of 1. [F, 8]
    """
    features, lips, motions = [], [], []
    for clip in clips:
        rows = teacher.encode(clip.samples[: (teacher.max_rows - 1) * ROW_SAMPLES], rng)
        place = np.clip(
            (clip.motion.times + FEATURE_LEAD_SECONDS) / ROW_SECONDS, 0, len(rows) - 1.001
        )
        lower = place.astype(int)
        share = (place - lower)[:, None]
        features.append(rows[lower] * (1 - share) + rows[lower + 1] * share)
        measures = np.stack([clip.motion.aperture(), clip.motion.width_change()], 1)
        lips.append((measures - measures.mean(0)) / (measures.std(0) + 1e-9))
        motion = clip.motion.displacement.reshape(len(clip.motion), -1)
        motion = motion - motion.mean(0)
        motions.append(motion / (motion.std() + 1e-9))
    motion = np.concatenate(motions)
    components = np.linalg.svd(motion, full_matrices=False)[2][:_NUM_MOTIONS]
    components = motion @ components.T
    target = np.concatenate([np.concatenate(lips), components / components.std(0)], 1)
    rows = np.concatenate(features)
    spread = rows.std(0) + 1e-6
    rows = (rows - rows.mean(0)) / spread
    normal = rows.T @ rows + _RIDGE * len(rows) * np.eye(rows.shape[1])
    weights = np.linalg.solve(normal, rows.T @ target)
    return (weights / spread[:, None] / (rows @ weights).std(0)).astype(np.float32)
