"""OpenVINO computes the layers that torch computes."""

from __future__ import annotations

import pytest
import torch

from dubfew.references.warping import warp_references
from tests.data.people import SIZE, TOY

pytest.importorskip("openvino")

from dubfew.prior.openvino_layers import OpenVinoUNet


@pytest.fixture
def shaken(renderer):
    """Weights as after some training: a fresh network's last layer is zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in renderer.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return renderer.eval()


def test_fields_are_those_of_torch(shaken, sample):
    texture = torch.rand(
        2, TOY.texture_channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0)
    )
    warped = warp_references(sample.inputs)
    with torch.inference_mode():
        expected = vars(shaken.predict_fields(sample.inputs, texture, warped))
        found = vars(OpenVinoUNet(shaken).predict_fields(sample.inputs, texture, warped))
    assert expected["offsets"].abs().max() > 0.01  # the network does something
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, atol=1e-4, rtol=0)


def test_a_precision_that_the_processor_lacks_is_not_claimed(shaken):
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert OpenVinoUNet(shaken, "bf16").precision == ("bf16" if "BF16" in able else "f32")
