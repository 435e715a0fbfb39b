"""DINet: sizes of the paper, gradients, what each switch of its ablations does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dubfew.errors import ArtefactError
from dubfew.prior.renderers._dinet import DINet, DINetConfig
from tests.prior.renderers.painting import (
    HEIGHT,
    REFERENCES,
    WIDTH,
    check_lora,
    learn_from_sound,
    make_inputs,
    parameters_without_gradient,
    shaken,
)

TOY = DINetConfig(
    shrink=2, references=REFERENCES, sound="mel16", narrow=16, flow_widths=(128, 128, 128)
)
SWITCHES = [
    {},
    {"deform": "adain"},
    {"deform": "attention"},
    {"deform": "flow"},
    {"inpaint": False},
]


def make_toy(**switches) -> DINet:
    torch.manual_seed(0)
    return DINet(dataclasses.replace(TOY, **switches))


@pytest.mark.slow
def test_the_papers_size():
    network = DINet()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(19.2, abs=0.05)
    network.eval()
    with torch.no_grad():
        features = network.encode(
            torch.rand(1, 3, 64, 48), torch.rand(1, 5, 3, 64, 48), torch.randn(1, 29, 5)
        )
    # 256 channels at a fourth of the size, as in section "Deformation Part".
    for each in (features.source, features.references, features.deformed):
        assert each.shape == (1, 256, 16, 12)


@pytest.mark.parametrize("switches", SWITCHES)
def test_paintings_are_pictures_of_the_crops_size(switches):
    painted = make_toy(**switches).paint_frames(*make_inputs())
    assert painted.shape == (2, 3, HEIGHT, WIDTH)
    assert 0 <= painted.min() <= painted.max() <= 1


@pytest.mark.parametrize("switches", SWITCHES)
def test_gradient_reaches_every_weight(switches):
    assert parameters_without_gradient(shaken(make_toy(**switches))) == []


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
def test_sound_source_and_references_change_the_painting(switches):
    # In training mode: batch normalization keeps the untrained layers from shrinking a change.
    network = shaken(make_toy(**switches))
    inputs, others = make_inputs(), make_inputs(1)
    with torch.no_grad():
        before = network.paint_frames(*inputs)
        for place in range(3):
            given = list(inputs)
            given[place] = others[place]
            assert (network.paint_frames(*given) - before).abs().max() > 1e-3


def test_each_switch_makes_another_network():
    layers = [set(make_toy(**switches).state_dict()) for switches in SWITCHES[:4]]
    assert len({frozenset(names) for names in layers}) == 4
    # Without inpainting the decoder sees half of the channels.
    whole, half = make_toy().decoder[0][0], make_toy(inpaint=False).decoder[0][0]
    assert (whole.in_channels, half.in_channels) == (32, 16)


def test_without_inpainting_the_source_is_seen_by_the_code_alone():
    network = shaken(make_toy(inpaint=False)).eval()
    features = network.encode(*make_inputs())
    other = dataclasses.replace(features, source=torch.zeros_like(features.source))
    torch.testing.assert_close(network.decode(other), network.decode(features))


def test_without_deformation_the_references_stay_where_they_are():
    network = shaken(make_toy(deform="adain")).eval()
    source, references, sound = make_inputs()
    features = network.encode(source, references, sound)
    again = network.encode(source, references, -sound)
    torch.testing.assert_close(again.deformed, features.deformed)
    assert not torch.allclose(again.source, features.source)


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
def test_lora(switches):
    check_lora(make_toy(**switches))


@pytest.mark.slow
def test_it_learns_what_the_sound_alone_tells():
    error, deaf = learn_from_sound(make_toy(), 30)
    assert error < 0.8 * deaf


@pytest.mark.parametrize("switches", [{"deform": "warp"}, {"deform": "adain", "inpaint": False}])
def test_switches_that_do_not_fit(switches):
    with pytest.raises(ArtefactError, match="deform"):
        make_toy(**switches)
