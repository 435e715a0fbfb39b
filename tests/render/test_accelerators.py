"""Other runtimes of the network, and what is said where they cannot be had."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from weakref import ref

import pytest
import torch

from dubfew.prior import openvino_layers
from dubfew.prior.renderers import BlendingUNet
from dubfew.render import accelerators
from dubfew.render.load import LoadedActor
from tests.data.people import TOY


class StandIn(torch.nn.Module):
    """Takes the place of a network that OpenVINO computes."""

    def __init__(self, unet, precision, threads):
        super().__init__()
        self.precision = "f32"
        self.made = (precision, threads)


@pytest.fixture
def actor():
    torch.manual_seed(0)
    return LoadedActor(None, None, None, BlendingUNet(TOY), None, "")


@pytest.fixture
def openvino(monkeypatch):
    monkeypatch.setattr(openvino_layers, "OpenVinoUNet", StandIn)


def test_torch_stays_torch(actor):
    assert accelerators.accelerate_actor(actor, "torch", "cpu") == (actor, "")


def test_a_network_is_compiled_once_and_goes_with_its_actor(actor, openvino):
    first, note = accelerators.accelerate_actor(actor, "openvino", "cpu")
    again, _ = accelerators.accelerate_actor(actor, "openvino", "cpu")
    assert note == ""
    assert first.renderer is again.renderer
    assert first.renderer.made == ("f32", accelerators.count_shared_threads())
    renderer = BlendingUNet(TOY)
    accelerators.accelerate_actor(replace(actor, renderer=renderer), "openvino", "cpu")
    known = ref(renderer)
    del renderer
    gc.collect()
    assert known() is None  # what was compiled does not keep it


def test_what_cannot_be_had_is_said_and_torch_computes(actor, openvino, monkeypatch):
    same, note = accelerators.accelerate_actor(actor, "openvino", "cuda")
    assert same is actor
    assert note == "openvino computes on CPUs alone: torch computed on cuda"
    painting = replace(actor, renderer=torch.nn.Identity())
    assert "does not know" in accelerators.accelerate_actor(painting, "openvino", "cpu")[1]
    _, note = accelerators.accelerate_actor(actor, "openvino-bf16", "cpu")
    assert note == "this processor has no bf16: OpenVINO computed in f32"


def test_without_the_package_torch_computes(actor, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # its import fails
    same, note = accelerators.accelerate_actor(actor, "openvino", "cpu")
    assert same is actor
    assert note.startswith("torch computed the network: openvino cannot be imported")
    assert "pip install 'dubfew[openvino]'" in note
