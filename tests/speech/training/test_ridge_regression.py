"""The linear predictor's weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dubfew.speech.network import LinearPredictor, SpeechNetworkConfig
from dubfew.speech.training.batches import SpeechBatch
from dubfew.speech.training.ridge_regression import solve_linear_predictor

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("inputs", [80, 768, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_linear_law_is_found(inputs: int) -> None:
    config = SpeechNetworkConfig(inputs=inputs, stride=1, components=2)
    torch.manual_seed(0)
    truth, predictor = LinearPredictor(config), LinearPredictor(config)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((9, 2)))[0].T.reshape(2, 3, 3)
    basis = basis.astype(np.float32)

    def batches() -> Iterator[SpeechBatch]:
        for _ in range(10):
            frames = torch.randn(8, 60, inputs)
            target = torch.einsum("brk,kpc->brpc", truth(frames), torch.from_numpy(basis))
            yield SpeechBatch(frames, target, torch.ones(8, 60), torch.ones(8, dtype=torch.bool))

    solve_linear_predictor(predictor, batches(), basis)
    frames = torch.randn(1, 200, inputs)
    r = np.corrcoef(truth(frames).detach().ravel(), predictor(frames).detach().ravel())[0, 1]
    assert r > 0.9
