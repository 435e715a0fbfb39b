"""Principal components of features."""

from __future__ import annotations

import numpy as np
import torch

from dubfew.speech.network import SpeechNetworkConfig
from dubfew.speech.training.examples import TrainingPassage
from dubfew.speech.training.feature_projection import fit_feature_projection


def test_speech_has_unit_variance_in_each_component_and_silence_does_not_count() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 12)) * np.array([9, 5, 3, 2, 1, 0.5])[:, None]
    is_speech = np.arange(4000) % 4 > 0
    features = (rng.standard_normal((4000, 6)) @ mixing + 7).astype(np.float32)
    features[~is_speech] = -100.0
    passage = TrainingPassage(
        features, np.zeros((4000, 1, 3), np.float32), is_speech.astype(np.float32)
    )
    config = SpeechNetworkConfig(inputs=12, stride=1, projected=4)
    projection = fit_feature_projection(config, [passage])
    found = projection(torch.from_numpy(features[is_speech])).numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.T @ found / len(found), np.eye(4), atol=1e-3)
    # The strongest directions are kept: what is left of the features is the two weakest.
    weights, *_ = np.linalg.lstsq(found, features[is_speech] - 7, rcond=None)
    rest = (features[is_speech] - 7 - found @ weights).var(axis=0).sum()
    assert rest < 0.05 * features[is_speech].var(axis=0).sum()


def test_constant_features_do_not_blow_up() -> None:
    rng = np.random.default_rng(0)
    features = np.ones((500, 5), np.float32)
    features[:, 0] = rng.standard_normal(500)
    passage = TrainingPassage(features, np.zeros((500, 1, 3), np.float32), np.ones(500, np.float32))
    projection = fit_feature_projection(
        SpeechNetworkConfig(inputs=5, stride=1, projected=3), [passage]
    )
    assert float(projection(torch.from_numpy(features)).abs().max()) < 10
