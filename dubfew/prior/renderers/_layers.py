"""Layers that the painting networks share: convolution blocks, modulation, sound encoders.

All weights are in plain ``nn.Conv1d``, ``nn.Conv2d`` and ``nn.Linear`` layers, which adapters find.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

# Width of the hidden layer between a code or map and what it modulates: that of the published code
# of PIRenderer and of SPADE.
MODULATION_WIDTH = 128
# Slope of leaky activations for negative inputs, as in SPADE and StyleGAN.
LEAKY_RELU_SLOPE = 0.2


def convolution_block(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, dimensions: int = 2
) -> nn.Sequential:
    """Make a convolution, batch normalization and ReLU.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: edge of the kernel; the input is padded by half of it.
        stride: step of the kernel.
        dimensions: 2 for images, 1 for sound.
    """
    convolution = nn.Conv2d if dimensions == 2 else nn.Conv1d
    norm = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride, kernel // 2), norm(outputs), nn.ReLU()
    )


def upsampling_block(inputs: int, outputs: int) -> nn.Sequential:
    """Make a block that doubles the size: nearest neighbors, then a convolution block.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
    """
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution_block(inputs, outputs, 3))


def image_encoder(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Make an encoder from images [B, C, H, W] to features [B, widths[-1], H/4, W/4].

    Args:
        inputs: channels of the images.
        widths: channels at full, half and a fourth of the size, three numbers.
    """
    return nn.Sequential(
        convolution_block(inputs, widths[0], 7),
        convolution_block(widths[0], widths[1], 3, stride=2),
        convolution_block(widths[1], widths[2], 3, stride=2),
    )


class PreActivationBlock(nn.Module):
    """Residual block whose normalization and activation come before the convolutions.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv 1603.05027),
    section 3.
    """

    def __init__(self, width: int, dimensions: int = 2) -> None:
        """Make a block.

        Args:
            width: channels of input and output.
            dimensions: 2 for images, 1 for sound.
        """
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv1d
        norm = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
        self.body = nn.Sequential(
            norm(width),
            nn.ReLU(),
            convolution(width, width, 3, padding=1),
            norm(width),
            nn.ReLU(),
            convolution(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform features [B, C, ...] into features of the same shape."""
        return x + self.body(x)


class SoundEncoder(nn.Module):
    """Encoder from a window of sound features to one code.

    Source: Zhang et al. 2023, "DINet" (arXiv 2303.03988), section "Deformation Part", has the sizes
    of input and output. The layers are those of the paper's published code.
    """

    def __init__(self, features: int, width: int, outputs: int) -> None:
        """Make an encoder.

        Args:
            features: numbers per frame of the sound, such as 29 logits of letters.
            width: channels inside.
            outputs: length of the code.
        """
        super().__init__()
        self.layers = nn.Sequential(
            convolution_block(features, width, 5, dimensions=1),
            PreActivationBlock(width, dimensions=1),
            convolution_block(width, width, 3, stride=2, dimensions=1),
            PreActivationBlock(width, dimensions=1),
            convolution_block(width, width, 3, stride=2, dimensions=1),
            convolution_block(width, outputs, 3, dimensions=1),
        )

    def forward(self, sound: Tensor) -> Tensor:
        """Encode sound.

        Args:
            sound: features of the frames around the one that is painted. [B, features, frames]

        Returns:
            Codes. [B, outputs]
        """
        return self.layers(sound).mean(2)


class AdaptiveNorm(nn.Module):
    """Adaptive instance normalization (AdaIN): scale and shift of each channel from a code.

    Source: Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance
    Normalization" (arXiv 1703.06868), eq. 8; scale and shift from a code by a small network as in
    Ren et al. 2021, "PIRenderer" (arXiv 2109.08379), section 3.1.
    """

    def __init__(self, width: int, code: int, hidden: int = MODULATION_WIDTH) -> None:
        """Make a layer.

        Args:
            width: channels of the features.
            code: length of the code.
            hidden: width of the layer between the code and scale and shift.
        """
        super().__init__()
        self.shared = nn.Linear(code, hidden)
        self.scale = nn.Linear(hidden, width)
        self.shift = nn.Linear(hidden, width)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Normalize features [B, C, h, w] and modulate them by a code [B, code].

        Args:
            x: features. [B, C, h, w]
            code: one code for all places. [B, code]
        """
        hidden = F.relu(self.shared(code))
        scale, shift = self.scale(hidden), self.shift(hidden)
        return F.instance_norm(x) * (1 + scale[..., None, None]) + shift[..., None, None]


class SpatiallyAdaptiveNorm(nn.Module):
    """Spatially adaptive normalization (SPADE): scale and shift of each pixel from a map.

    Source: Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization"
    (arXiv 1903.07291), eq. 1, with instance normalization, which its published code offers.
    """

    def __init__(self, width: int, map_width: int, hidden: int = MODULATION_WIDTH) -> None:
        """Make a layer.

        Args:
            width: channels of the features.
            map_width: channels of the map.
            hidden: channels between the map and scale and shift.
        """
        super().__init__()
        self.shared = nn.Conv2d(map_width, hidden, 3, padding=1)
        self.scale = nn.Conv2d(hidden, width, 3, padding=1)
        self.shift = nn.Conv2d(hidden, width, 3, padding=1)

    def forward(self, x: Tensor, feature_map: Tensor) -> Tensor:
        """Normalize features [B, C, h, w] and modulate them by a map [B, L, any size].

        Args:
            x: features. [B, C, h, w]
            feature_map: map of any size; resized to the features by nearest neighbors. [B, L, ...]
        """
        hidden = F.relu(self.shared(F.interpolate(feature_map, size=x.shape[2:])))
        return F.instance_norm(x) * (1 + self.scale(hidden)) + self.shift(hidden)


class SpadeBlock(nn.Module):
    """Residual block with spatially adaptive normalization before each convolution.

    Source: Park et al. 2019, SPADE (arXiv 1903.07291), figure 4.
    """

    def __init__(
        self, inputs: int, outputs: int, map_width: int, hidden: int = MODULATION_WIDTH
    ) -> None:
        """Make a block.

        Args:
            inputs: channels of the input.
            outputs: channels of the output.
            map_width: channels of the map.
            hidden: channels between the map and scale and shift.
        """
        super().__init__()
        middle = min(inputs, outputs)
        self.first_norm = SpatiallyAdaptiveNorm(inputs, map_width, hidden)
        self.first = nn.Conv2d(inputs, middle, 3, padding=1)
        self.second_norm = SpatiallyAdaptiveNorm(middle, map_width, hidden)
        self.second = nn.Conv2d(middle, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, feature_map: Tensor) -> Tensor:
        """Transform features [B, inputs, h, w] by a map [B, L, any size].

        Args:
            x: features. [B, inputs, h, w]
            feature_map: map that modulates both norms, see `SpatiallyAdaptiveNorm`. [B, L, ...]
        """
        y = self.first(F.leaky_relu(self.first_norm(x, feature_map), LEAKY_RELU_SLOPE))
        y = self.second(F.leaky_relu(self.second_norm(y, feature_map), LEAKY_RELU_SLOPE))
        return self.skip(x) + y


class MultiHeadAttention(nn.Module):
    """Attention with several heads, of plain linear layers.

    ``nn.MultiheadAttention`` uses the weights of its layers without calling them, so adapters that
    wrap these layers would never act.

    Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762), section 3.2.
    """

    def __init__(self, width: int, heads: int, *, can_ignore: bool = False) -> None:
        """Make a layer.

        Args:
            width: length of queries, keys and values; divisible by ``heads``.
            heads: number of heads.
            can_ignore: add a key and a value of zeros, so that a query need not take anything. With
                one key alone a softmax would be 1 whatever the query; with the zero beside it the
                weight is a sigmoid of how well the two agree.
        """
        super().__init__()
        self.heads, self.can_ignore = heads, can_ignore
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """Let one set of tokens gather from another.

        Args:
            asking: tokens that queries are made of. [B, N, width]
            asked: tokens that keys and values are made of. [B, M, width]

        Returns:
            What each asking token gathered. [B, N, width]
        """
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, asking), (self.key, asked), (self.value, asked))
        )
        if self.can_ignore:
            key, value = (F.pad(x, (0, 0, 0, 1)) for x in (key, value))
        gathered = F.scaled_dot_product_attention(query, key, value)
        return self.out(gathered.transpose(1, 2).flatten(2))
