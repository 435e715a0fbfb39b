"""Prediction of a batch: frames that are left as they are do not go through the network."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dubfew.data.samples import make_sample
from dubfew.media import Frame
from dubfew.prior.renderers import make_renderer
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.inputs import (
    concatenate_inputs,
    select_motion_window,
    split_inputs,
    turn_inputs,
)
from dubfew.references.selection import find_nearest_references
from dubfew.references.track_geometry import compute_track_geometry
from dubfew.render.prediction import MouthPredictor, _FrameLight, _hide_beyond_frame
from dubfew.render.streaming import FilmedMouths
from dubfew.render.tasks import FrameTask, ReferenceSet
from tests.data.people import TOY, toy_footage, toy_track


def make_tasks(count):
    """Some frames of the toy head, and a predictor of it."""
    head, footage = load_head_model(), toy_footage(8)
    geometry = compute_track_geometry(toy_track(8), head)
    picture = Frame.from_rgb(np.full((256, 256, 3), 120, np.uint8))
    tasks = [
        FrameTask(
            picture,
            geometry,
            row,
            select_motion_window(footage.motion, row),
            *find_nearest_references(geometry.key[row], footage.key, TOY.references),
        )
        for row in range(count)
    ]
    torch.manual_seed(0)
    predictor = MouthPredictor(
        make_renderer("lite", vars(TOY)),
        torch.zeros(TOY.texture_channels, 16, 16),
        ReferenceSet(footage, footage),
        head,
        "cpu",
        align_meshes=False,
        match_light=False,
    )
    return predictor, tasks


@pytest.mark.parametrize("turns", [[1, 2, 3], [0, 1, 0]])
@torch.inference_mode()
def test_a_head_on_its_side_is_painted_like_the_upright_one(turns):
    predictor, tasks = make_tasks(3)
    # A fresh network adds nothing to the bare warp, which has no up and down.
    for values in predictor._renderer.parameters():
        values += 0.1 * torch.randn_like(values)
    batch = predictor.prepare_batch(tasks)
    upright = predictor._run_network(tasks, batch.windows, batch.meshes, batch.inputs)
    size = batch.windows.shape[1]
    meshes, rows = batch.meshes.copy(), split_inputs(batch.inputs)
    for row, count in enumerate(turns):
        rows[row] = turn_inputs(rows[row], -count)
        for _ in range(count):
            x, y = meshes[row, :, 0].copy(), meshes[row, :, 1].copy()
            meshes[row, :, 0], meshes[row, :, 1] = size - y, x
    inputs = concatenate_inputs(rows)
    turned = predictor._run_network(tasks, batch.windows, meshes, inputs)
    for row, count in enumerate(turns):
        expected = torch.rot90(upright[row], -count, (-2, -1))
        torch.testing.assert_close(turned[row], expected, atol=1e-5, rtol=0)
    # A network without this would paint something else.
    sideways = predictor._run_network(tasks, batch.windows, batch.meshes, inputs)
    assert float((sideways - turned).abs().max()) > 0.01


@pytest.mark.parametrize(
    ("opacities", "sizes"),
    [([1, 1, 1], [3]), ([1, 0, 0.5], [2]), ([0, 0, 0], [])],
)
def test_frames_that_are_left_take_no_prediction(monkeypatch, opacities, sizes):
    predictor, tasks = make_tasks(3)
    whole = [predicted.prediction for predicted in predictor.predict_batch(tasks)]
    monkeypatch.setattr(
        predictor,
        "_match_light",
        lambda tasks, windows, inputs: (
            inputs,
            windows,
            [_FrameLight(opacity=each) for each in opacities],
        ),
    )
    ran = []
    original = predictor._run_network
    monkeypatch.setattr(
        predictor,
        "_run_network",
        lambda tasks, *more: ran.append(len(tasks)) or original(tasks, *more),
    )
    for predicted, opacity, expected in zip(
        predictor.predict_batch(tasks), opacities, whole, strict=True
    ):
        assert predicted.opacity == opacity
        if opacity:
            torch.testing.assert_close(predicted.prediction, expected, atol=1e-5, rtol=0)
        else:
            assert not predicted.prediction.numel()
    assert ran == sizes


def test_the_mouth_that_was_filmed_tells_the_light_of_a_dub():
    """It is looked at with the mesh of the scene and not of the dub."""
    head, footage = load_head_model(), toy_footage(8)
    track = replace(toy_track(8), shot=np.array([0] * 5 + [1] * 3, np.int32))
    predictor = MouthPredictor(
        make_renderer("lite", vars(TOY)),
        torch.zeros(TOY.texture_channels, 16, 16),
        ReferenceSet(footage, footage),
        head,
        "cpu",
        align_meshes=False,
    )
    mouths = FilmedMouths(track, head, footage.key, predictor.num_references)
    filmed = mouths.find(6)
    assert filmed.reference_rows[0] in (5, 6, 7)  # the footage shows these very mouths
    # Another order of frames changes nothing, nor do blocks.
    single = FilmedMouths(track.select(slice(6, 7)), head, footage.key, predictor.num_references)
    mouths.find(2)
    for other in (single.find(0), mouths.find(6)):
        assert list(other.reference_rows) == list(filmed.reference_rows)
        one, many = (
            each.geometry.vertices_in_window(each.geometry_row, 32) for each in (other, filmed)
        )
        np.testing.assert_allclose(one, many, atol=1e-3)
    geometry = compute_track_geometry(track.select(slice(6, 7)), head)
    task = FrameTask(
        Frame.from_rgb(np.zeros((512, 512, 3), np.uint8)),
        geometry,
        0,
        select_motion_window(footage.motion, 6),
        np.array([0, 1]),
        np.zeros(2, np.float32),
        find_filmed=lambda: filmed,
    )
    inputs = predictor.make_batch([task]).inputs
    actor, scene, _ = predictor._pair_mouth(task, footage.images[6], inputs)
    assert np.abs(actor - scene).mean() < 0.015
    unknown = replace(task, find_filmed=None)
    assert predictor._pair_mouth(unknown, footage.images[6], inputs) is None


@pytest.mark.parametrize(
    ("window", "filmed"),
    [
        ((10, 20, 32), np.s_[0:32, 0:32]),
        ((-4, 20, 32), np.s_[0:32, 4:32]),
        ((10, 84, 32), np.s_[0:16, 0:32]),
        ((80, -6, 64), np.s_[3:32, 0:10]),
    ],
)
def test_the_light_is_not_learned_beyond_the_edge_of_a_frame(window, filmed):
    """The window repeats the last row there, such as a collar below a chin."""
    inputs = make_sample(toy_footage(8), 5, np.array([4, 6]), load_head_model(), 2).inputs
    mesh = torch.ones(1, 1, 32, 32)
    geometry = SimpleNamespace(regions=SimpleNamespace(window=np.array([window], np.float32)))
    task = SimpleNamespace(
        geometry=geometry, geometry_row=0, frame=SimpleNamespace(width=100, height=100)
    )
    hidden = _hide_beyond_frame(replace(inputs, mesh_mask=mesh), task).mesh_mask[0, 0]
    assert hidden.sum() == hidden[filmed].sum() == mesh[0, 0][filmed].sum()
