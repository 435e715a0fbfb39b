"""The ensemble: closures of the networks hold, whatever the linear predictor adds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dubfew.speech.network import SpeechEnsemble, SpeechNetworkConfig, SpeechPrediction

OPENING = torch.tensor([0.5, -0.2, 0.0])
# Coefficients that open the lips by 1 without any other motion.
UNIT_GAP = OPENING / (OPENING @ OPENING)


class FixedNetwork(nn.Module):
    """Stands for a network: predicts these gaps for any frames."""

    def __init__(self, gaps: Tensor, sideways: Tensor) -> None:
        super().__init__()
        self.prediction = SpeechPrediction(
            gaps[None, :, None] * UNIT_GAP + sideways, torch.zeros(1, len(gaps))
        )

    def forward(self, frames: Tensor) -> SpeechPrediction:
        return self.prediction


class FixedClassifier(nn.Module):
    """Stands for the classifier of closures: hears these probabilities in any frames."""

    def __init__(self, probability: Tensor) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, frames: Tensor) -> Tensor:
        return torch.logit(self.probability)[None]


def predict_with(
    gaps: Tensor, linear_gap: float, sideways: Tensor, heard: Tensor | None = None
) -> Tensor:
    """Predict coefficients [R, 3] with fixed networks and a constant linear predictor."""
    config = SpeechNetworkConfig(components=3, members=2, hears_closures=heard is not None)
    ensemble = SpeechEnsemble(config, OPENING).eval()
    if heard is not None:
        ensemble.closure = FixedClassifier(heard)
    ensemble.networks = nn.ModuleList([FixedNetwork(gaps, sideways) for _ in range(2)])
    with torch.no_grad():
        ensemble.linear.map.weight.zero_()
        ensemble.linear.map.bias[:] = linear_gap * UNIT_GAP + sideways
        return ensemble(torch.rand(1, 2 * len(gaps), 80)).coefficients[0]


def test_shape() -> None:
    config = SpeechNetworkConfig(components=4, members=2, inputs=20, stride=3)
    prediction = SpeechEnsemble(config, torch.ones(4)).eval()(torch.rand(2, 31, 20))
    assert prediction.coefficients.shape == (2, 11, 4)
    assert prediction.voice_logits.shape == (2, 11)


@pytest.mark.parametrize("shut", [0.0, 0.008])
def test_lips_that_the_networks_close_stay_closed(shut: float) -> None:
    sideways = torch.tensor([0.02, 0.05, 0.3])
    gaps = torch.full((60,), 0.09)
    gaps[20:24] = shut  # a moment, as for /p/
    found = predict_with(gaps, 0.11, sideways)
    expected = torch.full((60,), 0.1)
    expected[20:24] = 0.0
    torch.testing.assert_close(found @ OPENING, expected, atol=1e-6, rtol=0)
    # Nothing but the gap is changed.
    direction = OPENING / OPENING.norm()
    across = found - (found @ direction)[:, None] * direction
    flat = sideways - (sideways @ direction) * direction
    torch.testing.assert_close(across, flat.expand(60, 3), atol=1e-6, rtol=0)


def test_lips_that_are_low_throughout_are_not_held_shut() -> None:
    gap = predict_with(torch.full((60,), 0.04), 0.06, torch.zeros(3)) @ OPENING
    torch.testing.assert_close(gap, torch.full((60,), 0.05), atol=1e-6, rtol=0)


def test_a_classifier_tells_closures_from_other_low_gaps() -> None:
    gaps, heard = torch.full((60,), 0.09), torch.full((60,), 0.02)
    gaps[20:24] = gaps[40:44] = 0.015  # /w/, then /m/
    heard[40:44] = 0.6
    heard[50] = 0.9  # no closure with lips that far apart
    gap = predict_with(gaps, 0.05, torch.zeros(3), heard) @ OPENING
    expected = (gaps + 0.05) / 2
    expected[40:44] = 0
    torch.testing.assert_close(gap, expected, atol=1e-6, rtol=0)
    # A mouth at rest is closed, although nothing is heard.
    rest = predict_with(torch.full((60,), 0.005), 0.05, torch.zeros(3), heard * 0 + 0.02)
    torch.testing.assert_close(rest @ OPENING, torch.zeros(60), atol=1e-6, rtol=0)


def test_rows_depend_on_no_more_than_their_context() -> None:
    torch.manual_seed(0)
    config = SpeechNetworkConfig(components=3, members=1)
    ensemble, frames = SpeechEnsemble(config, OPENING).eval(), torch.randn(1, 400, 80)
    changed = frames.clone()
    row = 100
    changed[:, : 2 * (row - config.context_rows)] = 9.0
    changed[:, 2 * (row + config.context_rows) + 1 :] = -9.0
    with torch.no_grad():
        a, b = (ensemble(each).coefficients[0, row] for each in (frames, changed))
    torch.testing.assert_close(a, b)


def test_wide_features_are_projected_before_anything_else() -> None:
    torch.manual_seed(0)
    config = SpeechNetworkConfig(components=3, members=1, inputs=30, stride=1, projected=5)
    ensemble = SpeechEnsemble(config, OPENING).eval()
    ensemble.projection.mean.normal_()
    ensemble.projection.directions.normal_()
    frames = torch.randn(1, 60, 30)
    # What lies across the directions changes nothing.
    directions = ensemble.projection.directions
    across = torch.randn(30)
    across -= directions @ torch.linalg.lstsq(directions, across[:, None]).solution[:, 0]
    with torch.no_grad():
        a, b = (ensemble(each).coefficients for each in (frames, frames + across))
        c = ensemble(frames + directions[:, 0]).coefficients
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    assert (a - c).abs().max() > 1e-3
