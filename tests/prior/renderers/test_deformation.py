"""Moving features: affine maps of channels, flows, attention."""

from __future__ import annotations

import math

import pytest
import torch

from dubfew.prior.renderers._deformation import (
    AdaptiveAffineTransform,
    ChannelTransforms,
    FeatureAttention,
    FlowNetwork,
    transform_channels,
    warp_features,
)
from dubfew.prior.renderers._layers import MultiHeadAttention


def transforms(channels: int, *, scale=1.0, angle=0.0, shift=(0.0, 0.0)) -> ChannelTransforms:
    return ChannelTransforms(
        torch.full((1, channels), scale),
        torch.full((1, channels), angle),
        torch.tensor(shift).expand(1, channels, 2),
    )


@pytest.fixture
def features() -> torch.Tensor:
    return torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_identity(features):
    torch.testing.assert_close(transform_channels(features, transforms(3)), features)


def test_shift_by_whole_pixels(features):
    # The center looks 2 px to the right and 1 px up: the picture moves left and down.
    moved = transform_channels(features, transforms(3, shift=(2 * 2 / 12, -1 * 2 / 8)))
    torch.testing.assert_close(moved[..., 1:, :-2], features[..., :-1, 2:])
    # What comes from beside the map is zero.
    assert moved[..., 0, :].abs().max() < 1e-6
    assert moved[..., -2:].abs().max() < 1e-6


def test_a_quarter_turn_of_a_square_map(features):
    square = features[..., :8]
    turned = transform_channels(square, transforms(3, angle=math.pi / 2))
    # Output (x, y) looks at (-y, x) from the center.
    torch.testing.assert_close(turned, square.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    turned = transform_channels(square, transforms(3, angle=-math.pi / 2))
    torch.testing.assert_close(turned, square.rot90(-1, (2, 3)), atol=1e-5, rtol=0)


def test_a_quarter_turn_of_a_wide_map_does_not_shear(features):
    turned = transform_channels(features, transforms(3, angle=math.pi / 2))
    middle = features[..., 2:10]
    torch.testing.assert_close(turned[..., 2:10], middle.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_a_scale_of_two_shrinks_the_picture():
    # A linear ramp stays linear under bilinear sampling: twice the slope.
    ramp = torch.arange(16.0).expand(1, 1, 16, 16) - 7.5
    shrunk = transform_channels(ramp, transforms(1, scale=2.0))
    torch.testing.assert_close(shrunk[..., 5:11, 5:11], 2 * ramp[..., 5:11, 5:11])


def test_each_channel_has_its_own_map(features):
    each = transforms(3)
    shift = each.shift.clone()
    shift[0, 1, 0] = 2 / 12
    moved = transform_channels(features, ChannelTransforms(each.scale, each.angle, shift))
    torch.testing.assert_close(moved[:, ::2], features[:, ::2])
    torch.testing.assert_close(moved[:, 1, :, :-1], features[:, 1, :, 1:])


def test_gradients_of_the_transforms_are_those_of_differences():
    torch.manual_seed(0)
    features = torch.rand(1, 2, 5, 6, dtype=torch.float64)
    values = [torch.rand(1, 2, dtype=torch.float64) * 0.3 + 0.1 for _ in range(2)]
    shift = torch.rand(1, 2, 2, dtype=torch.float64) * 0.2
    inputs = [x.requires_grad_() for x in (features, *values, shift)]
    assert torch.autograd.gradcheck(
        lambda f, s, a, t: transform_channels(f, ChannelTransforms(s, a, t)), inputs
    )


def test_predicted_maps_stay_in_bounds():
    torch.manual_seed(0)
    layer = AdaptiveAffineTransform(4, 6)
    found = layer.predict_transforms(torch.randn(3, 6) * 1e4)
    assert found.scale.shape == found.angle.shape == (3, 4)
    assert found.shift.shape == (3, 4, 2)
    assert 0 <= found.scale.min() <= found.scale.max() <= 2
    assert found.angle.abs().max() <= math.pi
    assert found.shift.abs().max() <= 1


def test_a_flow_counts_pixels_and_clamps_at_the_border(features):
    flow = torch.zeros(1, 2, 8, 12)
    torch.testing.assert_close(warp_features(features, flow), features)
    flow[:, 0] = 3
    warped = warp_features(features, flow)
    torch.testing.assert_close(warped[..., :-3], features[..., 3:])
    torch.testing.assert_close(warped[..., -3:], features[..., -1:].expand(-1, -1, -1, 3))
    flow = torch.zeros(1, 2, 8, 12)
    flow[:, 1] = -1
    torch.testing.assert_close(warp_features(features, flow)[..., 1:, :], features[..., :-1, :])


def test_the_flow_network_starts_at_zero_and_takes_odd_sizes():
    torch.manual_seed(0)
    network = FlowNetwork((8, 8, 8, 8), 4, flows=2)
    features, code = torch.rand(2, 8, 26, 20), torch.randn(2, 4)
    assert network(features, code).shape == (2, 4, 26, 20)
    assert not network(features, code).any()
    torch.nn.init.normal_(network.flow.weight, std=0.1)
    # The code decides the flow.
    assert not torch.allclose(network(features, code), network(features, -code))


def test_attention_can_gather_from_a_place_that_it_names():
    torch.manual_seed(0)
    layer = FeatureAttention(4, 4)
    # Values pass unchanged, and keys are positions alone, which differ from cell to cell.
    torch.nn.init.dirac_(layer.value.weight)
    torch.nn.init.zeros_(layer.value.bias)
    with torch.no_grad():
        layer.query.weight.zero_()
        layer.query.weight[:, 4:8] = 100.0 * torch.eye(4)[..., None, None]
        layer.key.weight.copy_(layer.query.weight)
    asked = torch.rand(1, 4, 8, 6)
    gathered = layer(torch.zeros(1, 4, 8, 6), asked, torch.zeros(1, 4))
    torch.testing.assert_close(gathered, asked, atol=1e-4, rtol=0)


def test_attention_to_a_single_key_can_ignore_it():
    torch.manual_seed(0)
    asking, asked = torch.randn(1, 3, 8), torch.randn(1, 1, 8)
    plain, free = MultiHeadAttention(8, 2), MultiHeadAttention(8, 2, can_ignore=True)
    free.load_state_dict(plain.state_dict())
    # A softmax over one key is 1 whatever is asked.
    assert torch.allclose(plain(asking, asked)[:, 0], plain(asking, asked)[:, 1])
    assert not torch.allclose(free(asking, asked)[:, 0], free(asking, asked)[:, 1])
    free(asking, asked).square().sum().backward()
    assert free.query.weight.grad.abs().sum() > 0


def test_attention_is_that_of_torch():
    torch.manual_seed(0)
    mine, reference = MultiHeadAttention(8, 2), torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        layers = (mine.query, mine.key, mine.value)
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
    reference.out_proj.load_state_dict(mine.out.state_dict())
    asking, asked = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    expected, _ = reference(asking, asked, asked)
    torch.testing.assert_close(mine(asking, asked), expected)
