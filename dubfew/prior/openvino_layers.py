"""The layers of a `BlendingUNet` in OpenVINO, which fuses them for the processor at hand.

The graph is put together from the layers' weights, operator by operator, as
`BlendingUNet.run_layers` applies them. OpenVINO's own conversion of a torch module takes 8 s, this
a few milliseconds.

Runtime: OpenVINO, https://docs.openvino.ai (Apache 2.0), an optional package.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dubfew.prior.renderers._unet import (
    MOTION_INPUT_GAIN,
    PIXEL_NORM_EPSILON,
    SILU_GAIN,
    STYLE_NORM_EPSILON,
    BlendingUNet,
    ModulatedResidualBlock,
    ResidualBlock,
    UNetRenderer,
)
from dubfew.references.inputs import MOTION_WINDOW_FRAMES
from dubfew.utils.import_utils import import_optional

# OpenVINO's names of precisions, and of what a processor must be able to do for them.
PRECISIONS = {"f32": "FP32", "bf16": "BF16"}

Node = Any  # OpenVINO is an optional package, whose types are not known here


class OpenVinoUNet(UNetRenderer):
    """A `BlendingUNet` whose layers OpenVINO computes, on the CPU and without gradients.

    Attributes:
        precision: "f32" or "bf16", that of the layers.
    """

    def __init__(self, unet: BlendingUNet, precision: str = "f32", threads: int = 1) -> None:
        """Compile the layers of a network with the weights that it has now.

        Args:
            unet: the network.
            precision: one of `PRECISIONS`. A processor that lacks bfloat16 takes f32.
            threads: threads that compute.

        Raises:
            MissingDependencyError: OpenVINO is not installed.
        """
        super().__init__()
        self.config = unet.config
        openvino = import_optional("openvino")
        core = openvino.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = precision if PRECISIONS[precision] in able else "f32"
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        graph = build_graph(unet)
        self._request = core.compile_model(graph, "CPU", settings).create_infer_request()

    def run_layers(self, network_input: Tensor, motion: Tensor) -> Tensor:
        """Run the layers, frame by frame, see `UNetRenderer.run_layers`."""
        # A graph of one frame: batches are no faster, and would each need a graph of their own.
        outputs = [
            torch.from_numpy(
                self._request.infer(
                    [_to_array(network_input[row]), _to_array(motion[row].flatten())],
                    share_inputs=True,
                )[0]
            )
            for row in range(len(network_input))
        ]
        return torch.cat(outputs)


def _to_array(values: Tensor) -> NDArray[np.float32]:
    """Return one frame's values as an array with a batch of one."""
    return values[None].contiguous().numpy()


def build_graph(unet: BlendingUNet) -> Any:
    """Build the graph of a network's layers for one frame.

    Args:
        unet: the network; adapters are merged into its layers.

    Returns:
        An ``openvino.Model`` from the stacked input [1, C, S, S] and the mouth motion [1, T * P *
        3] to the output [1, 4 (3 K + 4), S / 2, S / 2] of `BlendingUNet.run_layers`.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    openvino = import_optional("openvino")
    build = _GraphBuilder(importlib.import_module("openvino.opset13"))
    size, depth = unet.config.window, unet.depth
    style_layer = unet.style[0]
    assert isinstance(style_layer, nn.Linear)
    motion_numbers = style_layer.in_features - unet.config.widths[-1]
    assert motion_numbers % MOTION_WINDOW_FRAMES == 0
    picture = build.ops.parameter([1, unet.stem.in_channels, size, size], np.float32)
    motion = build.ops.parameter([1, motion_numbers], np.float32)

    def get_layer(name: str, level: int) -> Any:
        return unet.get_submodule(f"{name}{level}")

    # The same steps as in `BlendingUNet.run_layers`.
    x = build.activate(build.convolve(picture, unet.stem))
    x = build.activate(build.convolve(x, unet.enter))
    skips = [x]
    for level in range(1, depth):
        x = build.activate(build.convolve(x, get_layer("down", level)))
        x = build.run_block(x, get_layer("encode", level))
        skips.append(x)
    x = build.activate(build.convolve(x, get_layer("down", depth)))
    deepest = build.ops.reduce_mean(x, build.axes(2, 3), keep_dims=False)
    scaled = build.multiply(motion, MOTION_INPUT_GAIN)
    joined = build.ops.concat([scaled, deepest], 1)
    style = build.ops.swish(build.project(joined, style_layer))
    x = build.run_block(x, unet.deepest, style)
    for level in range(depth - 1, 0, -1):
        x = build.convolve(build.join(x, skips[level]), get_layer("join", level))
        x = build.run_block(x, get_layer("decode", level), style)
    x = build.activate(build.convolve(build.join(x, skips[0]), unet.join0))
    x = build.activate(build.convolve(x, unet.decode0))
    return openvino.Model([build.convolve(x, unet.leave)], [picture, motion], "blending_unet")


class _GraphBuilder:
    """Adds the operators of layers to a graph."""

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def axes(self, *numbers: int) -> Node:
        """A constant of axes."""
        return self.ops.constant(np.array(numbers, np.int64))

    def multiply(self, x: Node, factor: float) -> Node:
        """Multiply by a number."""
        return self.ops.multiply(x, self._number(factor))

    def convolve(self, x: Node, layer: nn.Conv2d) -> Node:
        """Apply a convolution with its bias."""
        padding = [int(side) for side in layer.padding]
        y = self.ops.convolution(
            x,
            self.ops.constant(layer.weight.detach().numpy()),
            strides=list(layer.stride),
            pads_begin=padding,
            pads_end=padding,
            dilations=list(layer.dilation),
        )
        assert layer.bias is not None
        bias = layer.bias.detach().numpy().reshape(1, -1, 1, 1)
        return self.ops.add(y, self.ops.constant(bias))

    def project(self, x: Node, layer: nn.Linear) -> Node:
        """Apply a linear layer with its bias."""
        weight = self.ops.constant(layer.weight.detach().numpy())
        y = self.ops.matmul(x, weight, transpose_a=False, transpose_b=True)
        return self.ops.add(y, self.ops.constant(layer.bias.detach().numpy()[None]))

    def normalize(self, x: Node) -> Node:
        """Scale each pixel's channels to a root mean square of 1."""
        return self.ops.multiply(x, self._inverse_level(x, PIXEL_NORM_EPSILON))

    def activate(self, x: Node) -> Node:
        """Normalize pixels, then apply a SiLU that keeps their variance."""
        return self.multiply(self.ops.swish(self.normalize(x)), SILU_GAIN)

    def run_block(
        self, x: Node, block: ModulatedResidualBlock | ResidualBlock, style: Node | None = None
    ) -> Node:
        """Apply a residual block, modulated by a style where it has one."""
        hidden = self.normalize(x)
        if isinstance(block, ModulatedResidualBlock):
            scale = self.ops.add(self.project(style, block.scale), self._number(1))
            scale = self.ops.multiply(scale, self._inverse_level(scale, STYLE_NORM_EPSILON))
            hidden = self.ops.multiply(hidden, self.ops.unsqueeze(scale, self.axes(2, 3)))
        hidden = self.ops.swish(self.convolve(hidden, block.first))
        return self.ops.add(x, self.convolve(hidden, block.second))

    def join(self, x: Node, skip: Node) -> Node:
        """Double the size of features and append those of the same level from the way down."""
        enlarged = self.ops.interpolate(
            x,
            self.ops.constant(np.array([2, 2], np.float32)),
            "nearest",
            "scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=self.axes(2, 3),
        )
        return self.ops.concat([enlarged, skip], 1)

    def _inverse_level(self, x: Node, epsilon: float) -> Node:
        """One over the root mean square over the channels."""
        level = self.ops.reduce_mean(self.ops.multiply(x, x), self.axes(1), keep_dims=True)
        return self.ops.power(self.ops.add(level, self._number(epsilon)), self._number(-0.5))

    def _number(self, value: float) -> Node:
        return self.ops.constant(np.float32(value))
