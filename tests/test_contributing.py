"""The recipes of CONTRIBUTING.md work as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from dubfew.adapt.methods import METHODS
from dubfew.evaluate.metrics import METRICS
from dubfew.prior.renderers import RENDERERS, make_renderer
from dubfew.reconstruction.segmenters import SEGMENTERS, load_segmenter
from tests.adapt.toys import toy_prior, train_toy_adapter
from tests.data.people import toy_footage
from tests.evaluate.metrics.examples import pair_clips, pair_frames, run_metric, talking_head

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


@pytest.fixture
def recipe() -> Iterator:
    """Make a module of the code that the page gives for a file."""
    made = []

    def load(file: str) -> ModuleType:
        text = PAGE.read_text(encoding="utf-8")
        code = re.search(rf"`{re.escape(file)}`[^`]*:\n\n```python\n(.*?)```", text, re.DOTALL)
        assert code is not None, f"no code for {file}"
        module = ModuleType(Path(file).stem)
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        exec(compile(code[1], file, "exec"), module.__dict__)
        return module

    yield load
    for name in made:
        del sys.modules[name]


@pytest.mark.slow
def test_adaptation_method(recipe):
    method = recipe("dubfew/adapt/methods/bias.py").METHOD
    METHODS.register("bias", method)
    try:
        prior = toy_prior()
        before = {name: value.clone() for name, value in prior.renderer.state_dict().items()}
        training = train_toy_adapter(prior, toy_footage(), "bias", 2)
    finally:
        METHODS.unregister("bias")
    assert training.weights
    assert all(name.endswith("bias") for name in training.weights)
    merged = method.apply_delta(prior.renderer, training.weights, {})
    for name, value in merged.state_dict().items():
        expected = before[name] + training.weights.get(name, 0)
        torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_metric(recipe):
    METRICS.register("mae_mouth", recipe("dubfew/evaluate/metrics/mae_mouth.py").METRIC)
    try:
        dark, light = (np.full((48, 64, 3), level, np.uint8) for level in (100, 110))
        landmarks = talking_head(2)
        value = run_metric(
            METRICS["mae_mouth"],
            pair_frames([dark, dark], [light, dark]),
            pair_clips(landmarks, landmarks),
        )
    finally:
        METRICS.unregister("mae_mouth")
    assert value == 5


def test_segmenter(recipe):
    SEGMENTERS.register("ellipse", recipe("dubfew/reconstruction/segmenters/ellipse.py").SEGMENTER)
    try:
        segmenter = load_segmenter("ellipse")
    finally:
        SEGMENTERS.unregister("ellipse")
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:2, :2] = (10, 20), (30, 40)
    landmarks[2:] = landmarks[:1]
    found = segmenter(np.zeros((50, 60, 3), np.uint8), landmarks)
    assert found.background.shape == (50, 60)
    assert found.background[30, 20] == 0
    assert found.background[22, 11] == 1  # inside the bounding box, outside the ellipse
    assert (found.parts["person"] + found.background == 1).all()


def test_renderer(recipe):
    RENDERERS.register("small", recipe("dubfew/prior/renderers/small.py").RENDERER)
    try:
        renderer = make_renderer("small", {})
    finally:
        RENDERERS.unregister("small")
    assert renderer.config.window == 192
    assert renderer.config.references == 4
