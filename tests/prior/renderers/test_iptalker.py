"""IPTalker: sizes, gradients, what each switch of its ablations does."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dubfew.errors import ArtefactError
from dubfew.prior.renderers._deformation import warp_features
from dubfew.prior.renderers._iptalker import IPTalker, IPTalkerConfig
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

TOY = IPTalkerConfig(
    shrink=2,
    references=REFERENCES,
    sound="mel16",
    narrow=8,
    code=64,
    units=2,
    heads=2,
    flow_widths=(64, 64),
    decoder_widths=(64, 48, 32),
)
SWITCHES = [{}, {"align": False}, {"cross": False}, {"spade": False}, {"flows": "each"}]


def make_toy(**switches) -> IPTalker:
    torch.manual_seed(0)
    return IPTalker(dataclasses.replace(TOY, **switches))


@pytest.mark.slow
def test_the_default_size():
    network = IPTalker()
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(22.2, abs=0.05)
    network.eval()
    with torch.no_grad():
        features = network.encode(
            torch.rand(1, 3, 64, 64), torch.rand(1, 5, 3, 64, 64), torch.randn(1, 29, 5)
        )
    # C channels at a fourth of the size for each picture (eq. 4), one flow for all (eq. 7).
    assert features.source.shape == (1, 64, 16, 16)
    assert features.warped.shape == features.references.shape == (1, 5 * 64, 16, 16)
    assert features.flow.shape == (1, 2, 16, 16)


@pytest.mark.parametrize("switches", SWITCHES)
def test_paintings_are_pictures_of_the_crops_size(switches):
    painted = make_toy(**switches).paint_frames(*make_inputs())
    assert painted.shape == (2, 3, HEIGHT, WIDTH)
    assert 0 <= painted.min() <= painted.max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
def test_gradient_reaches_every_weight(switches):
    assert parameters_without_gradient(shaken(make_toy(**switches))) == []


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


def test_untrained_it_does_not_move_the_references():
    features = make_toy().eval().encode(*make_inputs())
    assert not features.flow.any()
    torch.testing.assert_close(features.warped, features.references)


def test_one_flow_moves_all_references_and_each_has_its_own_on_request():
    one, each = (shaken(make_toy(flows=flows)).eval() for flows in ("one", "each"))
    inputs = make_inputs()
    assert one.encode(*inputs).flow.shape[1] == 2
    features = each.encode(*inputs)
    assert features.flow.shape[1] == 2 * REFERENCES
    # A reference's features follow its own flow.
    for number in range(REFERENCES):
        own = slice(number * 8, (number + 1) * 8)
        expected = warp_features(
            features.references[:, own], features.flow[:, 2 * number : 2 * number + 2]
        )
        torch.testing.assert_close(features.warped[:, own], expected)


def test_references_take_part_in_the_code_unless_alignment_is_off():
    _, references, sound = make_inputs()
    for align, changes in ((True, True), (False, False)):
        network = shaken(make_toy(align=align)).eval()
        before, after = (
            network.alignment(network.alignment.see(given) if align else None, sound)
            for given in (references, 1 - references)
        )
        assert torch.allclose(before, after) != changes
        assert len(network.encode_references(references)) == (2 if align else 1)


def test_without_the_cross_encoder_all_tokens_are_injected():
    module = make_toy(cross=False).alignment.eval()
    _, references, sound = make_inputs()
    code = module(module.see(references), sound)
    assert code.shape == (2, (REFERENCES + 1) * 8) == (2, module.code_length)


def test_only_the_lower_halves_decide_the_code():
    network = shaken(make_toy()).eval()
    source, references, sound = make_inputs()
    codes = []
    network.alignment.register_forward_hook(lambda _, __, out: codes.append(out))
    upper = references.clone()
    upper[:, :, :, : HEIGHT // 2] = 0
    network.paint_frames(source, references, sound)
    network.paint_frames(source, upper, sound)
    torch.testing.assert_close(codes[0], codes[1])


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES)
def test_lora(switches):
    check_lora(make_toy(**switches))


@pytest.mark.slow
def test_it_learns_what_the_sound_alone_tells():
    error, deaf = learn_from_sound(make_toy(), 30)
    assert error < 0.8 * deaf


@pytest.mark.parametrize("switches", [{"heads": 3}, {"flows": "two"}, {"narrow": 0}])
def test_values_that_do_not_fit(switches):
    with pytest.raises(ArtefactError, match=r"heads|flows|narrow"):
        make_toy(**switches)
