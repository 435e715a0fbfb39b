"""Imitator's network: sizes of the paper, what it hears and remembers, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.media import Audio
from dubfew.motion.retargeting import pose_mouth
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.encoders import load_encoder
from dubfew.speech.imitator import ImitatorConfig, ImitatorNetwork
from dubfew.speech.model import MotionSpace, SpeechModel
from dubfew.speech.training.imitator import compute_imitator_loss, measure_parameter_motion

TOY = ImitatorConfig(parameters=7, components=3, people=2, memory_steps=6)


def make_toy(config: ImitatorConfig = TOY) -> ImitatorNetwork:
    torch.manual_seed(0)
    network = ImitatorNetwork(config)
    network.pose.copy_(torch.randn(config.parameters, config.components))
    return network.eval()


@pytest.mark.slow
def test_it_has_the_papers_size() -> None:
    """768 features to 64, one layer of 4 heads and 128, five layers, 100 expressions and a jaw."""
    with torch.device("meta"):
        network = ImitatorNetwork(ImitatorConfig(inputs=768, stride=1))
    assert sum(p.numel() for p in network.parameters()) == 114_599
    assert len([m for m in network.decoder if isinstance(m, torch.nn.Linear)]) == 5
    frames = torch.zeros(2, 100, 768, device="meta")
    assert network.predict_parameters(frames).shape == (2, 50, 103)
    assert network(frames).coefficients.shape == (2, 100, 8)


def test_a_gradient_reaches_every_parameter() -> None:
    network = make_toy()
    found = network(torch.randn(2, 31, 80), torch.tensor([0, 1]))
    assert found.coefficients.shape == (2, 16, 3)
    assert found.voice_logits.shape == (2, 16)
    found.coefficients.square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_it_hears_its_own_time_and_remembers() -> None:
    network = make_toy()
    frames = torch.randn(1, 40, 80, generator=torch.Generator().manual_seed(1))
    before = network.predict_parameters(frames)
    louder = frames.clone()
    louder[:, 20:24] += 1  # the sound of step 5, and of the edge of its neighbors
    after = network.predict_parameters(louder)
    changed = (after - before).abs().amax((0, 2)) > 1e-6
    # Nothing of the future; what was said stays in what follows.
    assert changed.tolist() == [False] * 5 + [True] * 5
    people = network.predict_parameters(frames, torch.tensor([1])) - before
    assert people.abs().max() > 1e-4


def test_rows_between_steps_are_means() -> None:
    network = make_toy()
    frames = torch.randn(1, 24, 80)
    rows = network(frames).coefficients
    steps = network.predict_parameters(frames) @ network.pose
    torch.testing.assert_close(rows[:, ::2], steps)
    torch.testing.assert_close(rows[:, 1:-1:2], (steps[:, 1:] + steps[:, :-1]) / 2)


def test_the_loss_weighs_closed_lips_and_velocity() -> None:
    zero = torch.zeros(1, 3, 2)
    still = torch.ones(1, 3, 2)  # 2 off everywhere, no velocity
    assert compute_imitator_loss(still, zero, torch.zeros(1, 3)) == 2
    assert compute_imitator_loss(still, zero, torch.tensor([[1.0, 0, 0]])) == 2 * 7 / 3
    moving = torch.tensor([[[0.0, 0], [1, 0], [1, 0]]])
    loss = compute_imitator_loss(moving, zero, torch.zeros(1, 3))
    assert loss == pytest.approx(2 / 3 + 10 / 2)


def test_parameters_make_the_motion_of_the_head() -> None:
    head = load_head_model()
    motion = measure_parameter_motion(head)
    assert motion.shape == (3 + head.mouth_expressions, 3 * len(MOUTH_POINTS))
    rng = np.random.default_rng(0)
    jaw = np.array([[0.12, 0.01, -0.01], [0, 0, 0]])
    expression = 0.5 * rng.standard_normal((2, head.mouth_expressions))
    expression[1] = 0
    posed = pose_mouth(head, np.zeros(len(head.shape_basis)), jaw, expression)
    moved = (posed[0] - posed[1]).ravel()
    predicted = np.concatenate([jaw[0], expression[0]]) @ motion
    assert np.linalg.norm(predicted - moved) < 0.1 * np.linalg.norm(moved)


def test_a_model_of_it_is_stored_and_predicts_the_same(tmp_path: Path) -> None:
    network = make_toy()
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((189, 3)))[0].T
    space = MotionSpace(basis.reshape(3, -1, 3).astype(np.float32), np.ones(3, np.float32), 0.1)
    model = SpeechModel(network, space, load_encoder("mel"), {"steps": 0})
    t = np.arange(24000) / 16000
    audio = Audio((0.3 * np.sin(900 * t) * (1 + np.sin(20 * t))).astype(np.float32), 16000)
    times = np.arange(40) / 25
    motion = model.predict(audio, times)
    assert np.abs(motion.displacement).max() > 1e-3
    model.save(tmp_path / "m.safetensors")
    stored = SpeechModel.load(tmp_path / "m.safetensors")
    assert stored.network.config == TOY
    np.testing.assert_array_equal(stored.predict(audio, times).displacement, motion.displacement)
