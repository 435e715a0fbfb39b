"""Discriminator: a network that tells rendered mouths from real ones while a prior is trained.

It classifies patches of the window at two scales and is trained with least squares (LSGAN).
Predictions are composited with the target, so that they differ inside the mask alone:

    discriminator = Discriminator()
    # step of the renderer
    terms = generator_losses(discriminator, sample, prediction)
    # step of the discriminator
    discriminator_loss(discriminator, sample, prediction).backward()

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), section 3.4, L_adv. That discriminator is StyleSync's
and sees a window of frames in time; this one sees single frames. Losses: Mao et al. 2017, "Least
Squares Generative Adversarial Networks" (arXiv 1611.04076). Patches: Isola et al. 2017,
"Image-to-Image Translation with Conditional Adversarial Networks" (arXiv 1611.07004), section
3.2.2. Scales and feature matching: Wang et al. 2018, "High-Resolution Image Synthesis and Semantic
Manipulation with Conditional GANs" (arXiv 1711.11585), section 3.2. Spectral normalization: Miyato
et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (arXiv 1802.05957).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dubfew.data.samples import TrainingSample

# Input channels: RGB of the image, its fine detail, RGB of the target outside the mask, and alpha.
DISCRIMINATOR_INPUT_CHANNELS = 3 + 3 + 3 + 1
# Slope of the activations for negative inputs. As in pix2pix; 0 would stop their gradients.
LEAKY_RELU_SLOPE = 0.2
# Gain on the detail that is given as an input of its own, and edge of the mean filter that it is
# the difference to, px. Rendered mouths are nearly right and differ in detail of a few hundredths;
# spectral normalization bounds the network's slope, so that it could not amplify them by itself.
DETAIL_INPUT_GAIN, DETAIL_KERNEL_PX = 10.0, 5


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a `Discriminator`.

    Attributes:
        widths: channels at 1/2, 1/4 and so on of the window's resolution. With three of them a
            patch is 46 px wide, in px of its scale.
        scales: number of scales, each half the size of the one before.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    scales: int = 2


class PatchDiscriminator(nn.Module):
    """Classifier of the patches at one scale."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        """Make one strided layer for each width, and a layer of logits."""
        super().__init__()
        channels = zip((DISCRIMINATOR_INPUT_CHANNELS, *widths), widths, strict=False)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in channels
        )
        self.logits = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the features of every layer and the logits from an input [B, 10, S, S]."""
        outputs = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAKY_RELU_SLOPE)
            outputs.append(x)
        return [*outputs, self.logits(x)]


class Discriminator(nn.Module):
    """Classifier of patches at several scales; see the module's docstring."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        """Make a network with fresh weights; priors are trained with the default sizes."""
        super().__init__()
        self.config = config or DiscriminatorConfig()
        widths = tuple(self.config.widths)  # lists, if the configuration was read from JSON
        self.scales = nn.ModuleList(PatchDiscriminator(widths) for _ in range(self.config.scales))

    def forward(self, image: Tensor, condition: Tensor) -> list[list[Tensor]]:
        """Classify the patches of images.

        Args:
            image: RGB in [0, 1]. [B, 3, S, S]
            condition: what is known beside the image, see `discriminator_condition`. [B, 4, S, S]

        Returns:
            For every scale the features of each layer [B, C, s, s], then the logits
            [B, 1, s, s]: near 1 for a real patch, near 0 for a rendered one.
        """
        # The difference to a local mean shows detail, amplified to about 1.
        smooth = F.avg_pool2d(
            image, DETAIL_KERNEL_PX, 1, DETAIL_KERNEL_PX // 2, count_include_pad=False
        )
        x = torch.cat([image * 2 - 1, (image - smooth) * DETAIL_INPUT_GAIN, condition], 1)
        outputs = []
        for scale in self.scales:
            outputs.append(scale(x))
            x = F.avg_pool2d(x, 2)
        return outputs


def discriminator_condition(sample: TrainingSample) -> Tensor:
    """Compute what the discriminator sees beside an image.

    Returns:
        The scene outside the mask, in [-1, 1] and 0 inside, and alpha. [B, 4, S, S]
    """
    inputs = sample.inputs
    return torch.cat([(inputs.scene * 2 - 1) * (inputs.alpha <= 0), inputs.alpha], 1)


def composite_prediction(sample: TrainingSample, prediction: Tensor) -> Tensor:
    """Mix a prediction inside the mask with the target outside it.

    Args:
        sample: batch with targets and masks.
        prediction: RGB. [B, 3, S, S]

    Returns:
        RGB. [B, 3, S, S]
    """
    return torch.lerp(sample.target, prediction, sample.inputs.alpha)


def generator_losses(
    discriminator: Discriminator, sample: TrainingSample, prediction: Tensor
) -> dict[str, Tensor]:
    """Compute the renderer's adversarial losses; the discriminator gets no gradients.

    Args:
        discriminator: bare network, not wrapped for several processes: it is not trained here.
        sample: batch with targets and masks.
        prediction: RGB from the renderer. [B, 3, S, S]

    Returns:
        ``adversarial``, the least-squares loss of the generator, and ``matching``, the l1 distance
        of the discriminator's features for prediction and target, relative to the latter's size.

    Source: Mao et al. 2017, Least Squares GANs (arXiv 1611.04076), eq. 9 (adversarial); Wang et al.
    2018, pix2pixHD (arXiv 1711.11585), section 3.2, L_FM (matching, there not relative).
    """
    condition, alpha = discriminator_condition(sample), sample.inputs.alpha
    # Gradients flow through the frozen network into the prediction, not for the target.
    with _frozen_parameters(discriminator):
        fake = discriminator(composite_prediction(sample, prediction), condition)
        with torch.no_grad():
            real = discriminator(sample.target, condition)
    adversarial = [_mask_weighted_mean((f[-1] - 1) ** 2, alpha) for f in fake]
    matching = [
        _mask_weighted_mean((a - b).abs(), alpha)
        / _mask_weighted_mean(b.abs(), alpha).clamp(min=1e-4)  # features may all be 0
        for f, r in zip(fake, real, strict=True)
        for a, b in zip(f[:-1], r[:-1], strict=True)
    ]
    return {
        "adversarial": torch.stack(adversarial).mean(),
        "matching": torch.stack(matching).mean(),
    }


def discriminator_loss(
    discriminator: nn.Module, sample: TrainingSample, prediction: Tensor
) -> Tensor:
    """Compute the discriminator's least-squares loss; the renderer gets no gradients.

    Args:
        discriminator: network to train, which may be wrapped for several processes.
        sample: batch with targets and masks.
        prediction: RGB from the renderer. [B, 3, S, S]

    Returns:
        Mean over the scales. []

    Source: Mao et al. 2017, Least Squares GANs (arXiv 1611.04076), eq. 9.
    """
    condition, alpha = discriminator_condition(sample), sample.inputs.alpha
    images = torch.cat([sample.target, composite_prediction(sample, prediction.detach())])
    # One call for both halves: a wrapped network may be called once before its backward pass.
    outputs = discriminator(images, torch.cat([condition, condition]))
    losses = []
    for *_, logits in outputs:
        # The batch holds all targets, then all predictions.
        real, fake = logits.chunk(2)
        losses.append(
            (_mask_weighted_mean((real - 1) ** 2, alpha) + _mask_weighted_mean(fake**2, alpha)) / 2
        )
    return torch.stack(losses).mean()


def _mask_weighted_mean(values: Tensor, alpha: Tensor) -> Tensor:
    """Average over patches inside the mask; outside of it both images are the same. []"""
    weights = F.adaptive_avg_pool2d(alpha, (values.shape[-2], values.shape[-1]))
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp(min=1)


@contextmanager
def _frozen_parameters(module: nn.Module) -> Iterator[None]:
    """Exclude a module's trainable parameters from the graphs that are built meanwhile."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
