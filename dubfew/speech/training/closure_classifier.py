"""Weights of the classifier of closures by logistic regression on synthetic speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import minimum_filter1d
from torch import Tensor
from torch.nn import functional as F

from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.network import ClosureClassifier
from dubfew.speech.training.examples import TrainingPassage
from dubfew.speech.training.logistic_regression import fit_logistic

# Gaps of the viseme targets, inter-ocular distances: /p b m/ are below the first, all other sounds
# above the second. The lips' way in and out of a closure lies between and does not count.
_CLOSED_TARGET_GAP, _OTHER_TARGET_GAP = 0.012, 0.018
# Rows (20 ms) beside a pause that do not count: there, lips are closed because nothing is said.
_PAUSE_MARGIN_ROWS = 5
# Weight of the mean squared weights: a tenth of it hears the training's voices by heart (area under
# the curve in held-out languages and voices 0.974 instead of 0.979).
_RIDGE = 0.01


def fit_closure_classifier(
    classifier: ClosureClassifier, passages: Sequence[TrainingPassage]
) -> None:
    """Set the classifier's weights from synthetic speech, whose phones are known.

    Film does not teach closures: what a tracker measures as closed is often a small opening. (A
    classifier of film's closed frames is no better than the networks' gap.)

    Args:
        classifier: classifier to set, in place.
        passages: passages of synthetic speech, with projected features.
    """
    columns, labels = [], []
    for passage in passages:
        gap = MouthMotion(passage.displacement, np.zeros(len(passage))).aperture()
        spoken = minimum_filter1d(passage.voice_activity, 2 * _PAUSE_MARGIN_ROWS + 1) > 0
        is_closed = gap < _CLOSED_TARGET_GAP
        known = spoken & (is_closed | (gap > _OTHER_TARGET_GAP))
        columns.append(_context(classifier, torch.from_numpy(passage.features))[known])
        labels.append(torch.from_numpy(is_closed[known]))
    x, y = torch.cat(columns), torch.cat(labels).float()
    if not len(y):
        return
    weights = fit_logistic(x, y, _RIDGE)
    taps = classifier.map.kernel_size[0]
    with torch.no_grad():
        classifier.map.weight.copy_(weights[:-1].unflatten(0, (-1, taps))[None])
        classifier.map.bias.copy_(weights[-1:])  # type: ignore[union-attr]


def _context(
    classifier: ClosureClassifier,
    features: Tensor,  # [T, width]
) -> Tensor:  # [R, width * taps]
    """Collect the rows that the classifier's convolution sees, in the order of its weights."""
    layer = classifier.map
    half, dilation = int(layer.padding[0]), int(layer.dilation[0])
    windows = F.pad(features, (0, 0, half, half)).unfold(0, 2 * half + 1, int(layer.stride[0]))
    return windows[..., ::dilation].flatten(1)
