"""The same sample as other cameras, lights and encoders would have shown it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dubfew.prior.samples import Sample
from dubfew.reconstruction.points import (
    CHEEKS,
    CHIN,
    INNER_LIPS,
    JAW_LINE,
    MOUTH_POINTS,
    OUTER_LIPS,
)


def _mirrored_points() -> list[int]:
    """Row of each mouth point's mirror image. [P]"""
    ring = [*range(10, -1, -1), *range(19, 10, -1)]
    order = ring + [20 + i for i in ring]
    start = len(OUTER_LIPS) + len(INNER_LIPS)
    order += [start + i for i in reversed(range(len(JAW_LINE)))]
    start += len(JAW_LINE)
    order += [start + i for i in range(len(CHIN))]
    start += len(CHIN)
    order += [start + (i ^ 1) for i in range(len(CHEEKS))]
    return order


_MIRROR = torch.tensor(_mirrored_points())


def mirrored(sample: Sample) -> Sample:
    """The sample seen in a mirror; the neural texture is looked up where it was."""
    i = sample.inputs
    flip = torch.tensor([-1.0, 1.0])
    motion = i.motion.view(*i.motion.shape[:2], len(MOUTH_POINTS), 3)[:, :, _MIRROR]
    inputs = replace(
        i,
        target=i.target.flip(-1),
        alpha=i.alpha.flip(-1),
        covered=i.covered.flip(-1),
        uv=i.uv.flip(2),
        references=i.references.flip(-1),
        places=i.places.flip(3) * flip,
        motion=(motion * torch.tensor([-1.0, 1.0, 1.0])).flatten(2),
    )
    size = i.target.shape[-1]
    box = sample.mouth
    mouth = torch.stack([size - box[:, 2], box[:, 1], size - box[:, 0], box[:, 3]], 1)
    return replace(sample, inputs=inputs, truth=sample.truth.flip(-1), mouth=mouth)


def tinted(sample: Sample, rng: np.random.Generator) -> Sample:
    """Another camera's colours for the whole sample, slightly other light on the references."""

    def tint(spread: float) -> tuple[Tensor, Tensor]:
        gain = 1 + spread * rng.standard_normal(3) + spread * rng.standard_normal()
        shift = 0.5 * spread * rng.standard_normal(3)
        return (
            torch.tensor(gain, dtype=torch.float32).view(3, 1, 1),
            torch.tensor(shift, dtype=torch.float32).view(3, 1, 1),
        )

    i = sample.inputs
    gain, shift = tint(0.08)
    own_gain, own_shift = tint(0.02)
    outside = (i.alpha <= 0).float()
    return replace(
        sample,
        inputs=replace(
            i,
            target=(i.target * gain + shift).clamp(0, 1) * outside,
            references=(i.references * gain * own_gain + shift + own_shift).clamp(0, 1),
        ),
        truth=(sample.truth * gain + shift).clamp(0, 1),
    )
