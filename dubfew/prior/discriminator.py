"""Who tells painted mouths from real ones while a prior is trained.

Patches of the window at two scales, judged with least squares. Outside the mask every picture is
the truth, so nothing but painted pixels can give a picture away.

    discriminator = Discriminator()
    # the renderer's step
    terms = generator_terms(discriminator, sample, picture)
    # the discriminator's own step
    discriminator_loss(discriminator, sample, picture).backward()

Source: paper 003, eq. 1 and sec. 3.4. It departs in what is seen: the paper shows its
discriminator all frames of a window in time, dubfew's samples are single frames of a window in
space. Layers are those of Isola et al. 2017, pix2pix, sec. 3.2.2, and Wang et al. 2018,
pix2pixHD, sec. 3.2 (scales), with spectral normalisation (Miyato et al. 2018).
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

# RGB of the picture, its fine detail, RGB of the target outside the mask, opacity of the paint.
DISCRIMINATOR_INPUT_CHANNELS = 3 + 3 + 3 + 1
LEAKY_RELU_SLOPE = 0.2
# Painted mouths are nearly right: what gives them away is detail of a few hundredths, which a
# discriminator of bounded slope would have to learn to see first.
DETAIL_INPUT_GAIN, DETAIL_KERNEL_PX = 10.0, 5


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of a `Discriminator`.

    Attributes:
        widths: channels at 1/2, 1/4 and so on of the window's resolution; with three of them a
            patch is 46 px of its scale wide.
        scales: how many, each half the one before.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    scales: int = 2


class PatchDiscriminator(nn.Module):
    """Logits of every patch at one scale, and what was found on the way."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        ends = zip((DISCRIMINATOR_INPUT_CHANNELS, *widths), widths, strict=False)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1))
            for before, after in ends
        )
        self.logits = spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAKY_RELU_SLOPE)
            found.append(x)
        return [*found, self.logits(x)]


class Discriminator(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or DiscriminatorConfig()
        widths = tuple(self.config.widths)  # JSON gives lists back
        self.scales = nn.ModuleList(PatchDiscriminator(widths) for _ in range(self.config.scales))

    def forward(self, image: Tensor, condition: Tensor) -> list[list[Tensor]]:
        """Judge pictures.

        Args:
            image: RGB. [B, 3, S, S]
            condition: see `discriminator_condition`. [B, 4, S, S]

        Returns:
            For every scale the features of each layer [B, C, s, s], then the logits
            [B, 1, s, s]: towards 1 for real, towards 0 for painted.
        """
        smooth = F.avg_pool2d(
            image, DETAIL_KERNEL_PX, 1, DETAIL_KERNEL_PX // 2, count_include_pad=False
        )
        x = torch.cat([image * 2 - 1, (image - smooth) * DETAIL_INPUT_GAIN, condition], 1)
        judged = []
        for scale in self.scales:
            judged.append(scale(x))
            x = F.avg_pool2d(x, 2)
        return judged


def discriminator_condition(sample: TrainingSample) -> Tensor:
    """What the discriminator knows beside the picture: the target outside the mask in [-1, 1],
    and alpha. [B, 4, S, S]"""
    inputs = sample.inputs
    return torch.cat([(inputs.scene * 2 - 1) * (inputs.alpha <= 0), inputs.alpha], 1)


def composite_prediction(sample: TrainingSample, prediction: Tensor) -> Tensor:
    """The picture inside the mask, the truth outside it. [B, 3, S, S]"""
    return torch.lerp(sample.target, prediction, sample.inputs.alpha)


def generator_losses(
    discriminator: Discriminator, sample: TrainingSample, prediction: Tensor
) -> dict[str, Tensor]:
    """What the renderer is told; the discriminator gets no gradient from it.

    Args:
        discriminator: itself, not wrapped for several processes: it does not learn here.
        sample: the batch.
        prediction: as the renderer drew it. [B, 3, S, S]

    Returns:
        "adversarial": least-squares loss of the generator, and "matching": l1 between features
        of picture and truth, relative to the size of the latter.
    """
    condition, alpha = discriminator_condition(sample), sample.inputs.alpha
    with _frozen_parameters(discriminator):
        fake = discriminator(composite_prediction(sample, prediction), condition)
        with torch.no_grad():
            real = discriminator(sample.target, condition)
    adversarial = [_mask_weighted_mean((f[-1] - 1) ** 2, alpha) for f in fake]
    matching = [
        _mask_weighted_mean((a - b).abs(), alpha)
        / _mask_weighted_mean(b.abs(), alpha).clamp(min=1e-4)
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
    """Least-squares loss of the discriminator; the renderer gets no gradient from it. []

    Args:
        discriminator: may be wrapped for several processes: it is called once.
        sample: the batch.
        prediction: as the renderer drew it. [B, 3, S, S]
    """
    condition, alpha = discriminator_condition(sample), sample.inputs.alpha
    pictures = torch.cat([sample.target, composite_prediction(sample, prediction.detach())])
    judged = discriminator(pictures, torch.cat([condition, condition]))
    losses = []
    for *_, logits in judged:
        real, fake = logits.chunk(2)
        losses.append(
            (_mask_weighted_mean((real - 1) ** 2, alpha) + _mask_weighted_mean(fake**2, alpha)) / 2
        )
    return torch.stack(losses).mean()


def _mask_weighted_mean(values: Tensor, alpha: Tensor) -> Tensor:
    """Mean over the patches that look at paint: elsewhere both pictures are the same. []"""
    weights = F.adaptive_avg_pool2d(alpha, (values.shape[-2], values.shape[-1]))
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp(min=1)


@contextmanager
def _frozen_parameters(module: nn.Module) -> Iterator[None]:
    """No gradient reaches the parameters that learn."""
    learning = [p for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
