"""Every renderer of the table can be trained, adapted and rendered with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.adapt import adapt
from dubfew.adapt.actor_footage import MAX_REFERENCE_SIZE_PX, choose_reference_size
from dubfew.data.footage_io import save_footage
from dubfew.errors import ArtefactError
from dubfew.media import read_frames
from dubfew.prior import Prior
from dubfew.prior.renderers import (
    RENDERERS,
    BlendingUNetConfig,
    PaintingRenderer,
    make_renderer,
)
from dubfew.prior.training.trainer import PriorTrainConfig, train_renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Camera
from dubfew.references.alignment import align_vertices
from dubfew.references.inputs import make_footage_inputs
from dubfew.registry import Registry
from dubfew.render import render
from tests.data.people import toy_footage, toy_track
from tests.footage import cut

# `base` with all its levels and references, but narrow, and its window small.
NARROW = {"window": 96, "widths": [8, 8, 8, 8, 8], "style": 8, "texture_channels": 5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sizes")
    for seed in range(2):
        save_footage(folder / "data" / f"{seed}.safetensors", toy_footage(26, seed, 96), {})
    return train_renderer(
        PriorTrainConfig(
            data=str(folder / "data"),
            out=str(folder / "run"),
            renderer="base",
            renderer_config=NARROW,
            steps=2,
            batch=2,
        )
    )


@pytest.mark.slow
def test_a_larger_size_is_trained_and_stored(trained):
    prior = Prior.load(trained)
    assert prior.renderer_name == "base"
    assert prior.renderer.config == BlendingUNetConfig(
        window=96, references=4, widths=(8, 8, 8, 8, 8), style=8, texture_channels=5
    )


@pytest.mark.slow
def test_a_larger_size_is_adapted_and_rendered(trained, tmp_path):
    clip = cut(tmp_path / "someone.mp4", 0, 16)
    registry = Registry(tmp_path / "home")
    result = adapt(clip, prior=trained, steps=2, registry=registry)
    assert result.frames == 16
    out = tmp_path / "out.mkv"
    done = render("someone", drive="self", out=out, lossless=True, registry=registry)
    assert done.edited_frames == 16
    before, after = (
        np.stack([f.to_rgb() for f in read_frames(path)]).astype(float) for path in (clip, out)
    )
    assert before.shape == after.shape
    assert 0 < np.abs(before - after).mean() < 2


def test_stored_references_are_at_least_as_large_as_the_window():
    head = load_head_model()
    near = toy_track(4)
    near = dataclasses.replace(near, camera=Camera(4000.0, 1280.0, 1280.0), width=2560, height=2560)
    assert choose_reference_size(near, head, 160) == MAX_REFERENCE_SIZE_PX
    assert choose_reference_size(near, head, 512) == 512
    assert choose_reference_size(toy_track(4), head, 512) < 200


@pytest.mark.slow
@pytest.mark.parametrize("name", RENDERERS.names)
def test_sizes_can_be_built_and_are_small(name):
    renderer = make_renderer(name, {})
    assert renderer.config == RENDERERS[name].config
    if isinstance(renderer, PaintingRenderer):
        return  # of the paper's size
    # Half precision, with a texture beside it.
    assert sum(p.numel() for p in renderer.parameters()) * 2 < 13.5e6


def test_a_size_can_be_changed():
    config = make_renderer("large", {"references": 2, "widths": [8, 8, 8]}).config
    assert config == dataclasses.replace(RENDERERS["large"].config, references=2, widths=(8, 8, 8))


@pytest.mark.parametrize("config", [{"window": 100}, {"widths": [8, 8]}, {"widths": 8}, {"x": 1}])
def test_sizes_that_do_not_fit(config):
    with pytest.raises(ArtefactError):
        make_renderer("base", config)


@pytest.mark.slow
def test_alignment_finds_the_same_in_a_larger_window():
    head = load_head_model()
    corrections = []
    for size in (160, 320):
        footage = toy_footage(24, 0, size)
        right = footage.vertices[0, :, :2]
        beside = footage.vertices.copy()
        beside[0, :, :2] += np.array([0.01, -0.006], np.float32) * size
        footage = dataclasses.replace(footage, vertices=beside)
        inputs = make_footage_inputs(footage, 0, beside[0], np.arange(8, 24), 3, head)
        seen = torch.from_numpy(footage.images[:1]).permute(0, 3, 1, 2) / 255
        moves = align_vertices(inputs, seen, beside[:1])[0] - beside[0]
        visible = ((right > 0) & (right < size)).all(1)
        corrections.append(np.median(moves[visible, :2], 0) / size)
    np.testing.assert_allclose(corrections[0], (-0.006, 0.004), atol=0.001)
    np.testing.assert_allclose(corrections[1], corrections[0], atol=0.001)
