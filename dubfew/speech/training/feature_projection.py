"""Principal components of an encoder's features."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from dubfew.speech.network import FeatureProjection, SpeechNetworkConfig
from dubfew.speech.training.examples import TrainingPassage

# Least variance of a component as a fraction of the largest: what varies less is rounding noise,
# which unit variance would blow up.
_MIN_VARIANCE_FRACTION = 1e-8


@torch.no_grad()
def fit_feature_projection(
    config: SpeechNetworkConfig, passages: Iterable[TrainingPassage]
) -> FeatureProjection:
    """Fit a projection to the principal components of speech, each scaled to unit variance.

    Args:
        config: sizes; ``projected`` components are kept.
        passages: passages whose features are not projected, with speech in them.
    """
    gram = np.zeros((config.inputs, config.inputs))
    total, count = np.zeros(config.inputs), 0
    for passage in passages:
        # Silence says nothing about speech; its frames would only move the mean.
        is_speech = np.repeat(passage.voice_activity > 0, config.stride)
        frames = passage.features[is_speech].astype(np.float64)
        gram += frames.T @ frames
        total += frames.sum(axis=0)
        count += len(frames)
    mean = total / max(count, 1)
    variances, directions = np.linalg.eigh(gram / max(count, 1) - np.outer(mean, mean))
    # The strongest come last.
    variances = variances[::-1][: config.projected]
    directions = directions[:, ::-1][:, : config.projected]
    floor = _MIN_VARIANCE_FRACTION * max(float(variances[0]), _MIN_VARIANCE_FRACTION)
    projection = FeatureProjection(config)
    projection.mean.copy_(torch.from_numpy(mean))
    projection.directions.copy_(
        torch.from_numpy(directions / np.sqrt(np.maximum(variances, floor)))
    )
    return projection
