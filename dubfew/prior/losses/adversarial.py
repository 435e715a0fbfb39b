"""Least-squares adversarial losses on a critic's outputs, whatever the critic is.

The factors are those that the papers of DINet, SIDGAN and IPTalker print: one half for each side of
the critic, 1 for the generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Outputs of a critic: one tensor, or one for each scale or level. [B, 1, h, w] or [B, 1]
CriticOutputs = Tensor | Sequence[Tensor]


def least_squares_generator_loss(fake: CriticOutputs) -> Tensor:
    """Compute the generator's loss: how far the critic is from calling its images real.

    Args:
        fake: the critic's outputs for generated images, whose gradient is kept.

    Returns:
        Mean of (D(fake) - 1)^2, over the outputs of a sequence too. []

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks" (arXiv 1611.04076),
    eq. 9, with the factor of Zhang et al. 2023, "DINet" (arXiv 2303.03988), eq. 5.
    """
    return torch.stack([(each - 1).square().mean() for each in _as_sequence(fake)]).mean()


def least_squares_critic_loss(real: CriticOutputs, fake: CriticOutputs) -> Tensor:
    """Compute the critic's loss: real images are to be 1, generated ones 0.

    Args:
        real: outputs for real images.
        fake: outputs for generated images, which were detached from the generator.

    Returns:
        Half the mean of (D(real) - 1)^2 plus half the mean of D(fake)^2. []

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks" (arXiv 1611.04076),
    eq. 9; Zhang et al. 2023, "DINet" (arXiv 2303.03988), eq. 4.
    """
    pairs = zip(_as_sequence(real), _as_sequence(fake), strict=True)
    losses = [((r - 1).square().mean() + f.square().mean()) / 2 for r, f in pairs]
    return torch.stack(losses).mean()


def _as_sequence(outputs: CriticOutputs) -> Sequence[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else outputs
