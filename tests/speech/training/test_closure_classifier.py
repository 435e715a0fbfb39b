"""The classifier of closures: it finds the rows whose sound closes the lips, and no pauses."""

from __future__ import annotations

import numpy as np
import torch

from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.network import ClosureClassifier, SpeechNetworkConfig
from dubfew.speech.training.closure_classifier import fit_closure_classifier
from dubfew.speech.training.examples import TrainingPassage


def _passage(seed: int) -> TrainingPassage:
    """Speech whose closures are heard two rows later in the first feature, and a pause."""
    rng = np.random.default_rng(seed)
    is_closed = np.zeros(300, bool)
    for start in rng.permutation(np.arange(10, 240, 20))[:6]:
        is_closed[start : start + 4] = True
    features = rng.standard_normal((300, 6)).astype(np.float32)
    features[:, 0] += 6 * np.roll(is_closed, 2)
    gap = np.where(is_closed, 0.0, 0.08)
    gap[250:] = 0  # a pause, whose lips are closed without a sound
    displacement = np.zeros((300, len(MOUTH_POINTS), 3), np.float32)
    displacement[:, mouth_point_rows(tuple(pair[1] for pair in INNER_LIP_PAIRS)), 1] = -gap[:, None]
    activity = (np.arange(300) < 250).astype(np.float32)
    return TrainingPassage(features, displacement, activity)


def test_closures_are_heard_and_pauses_are_not() -> None:
    config = SpeechNetworkConfig(inputs=6, stride=1)
    classifier = ClosureClassifier(config)
    fit_closure_classifier(classifier, [_passage(seed) for seed in range(6)])
    test = _passage(99)
    with torch.no_grad():
        probability = classifier(torch.from_numpy(test.features)[None])[0].sigmoid().numpy()
    is_closed = (test.displacement[:, :, 1].min(axis=1) > -0.01) & (np.arange(300) < 250)
    assert (probability[is_closed] > 0.5).mean() > 0.9
    assert (probability[~is_closed] > 0.5).mean() < 0.03
