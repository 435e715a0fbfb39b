"""The contextual loss against its definition, written down with loops."""

from __future__ import annotations

import math

import pytest
import torch

from dubfew.prior.losses import Vgg19, contextual_loss, contextual_similarity


def brute_force(x: torch.Tensor, y: torch.Tensor, h: float = 0.5) -> float:
    """Equations 1 to 4 of Mechrez et al. for one picture. [C, N] and [C, M]"""
    mean = [float(row.mean()) for row in y]

    def unit(column: torch.Tensor) -> list[float]:
        centered = [float(v) - m for v, m in zip(column, mean, strict=True)]
        length = math.sqrt(sum(v * v for v in centered))
        return [v / length for v in centered]

    xs, ys = [unit(c) for c in x.T], [unit(c) for c in y.T]
    distance = [[1 - sum(a * b for a, b in zip(p, q, strict=True)) for q in ys] for p in xs]
    relative = [[d / (min(row) + 1e-5) for d in row] for row in distance]
    kernel = [[math.exp((1 - d) / h) for d in row] for row in relative]
    affinity = [[w / sum(row) for w in row] for row in kernel]
    best = [max(row[j] for row in affinity) for j in range(len(ys))]
    return sum(best) / len(best)


def make_features(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_definition() -> None:
    x, y = make_features(0, 2, 5, 3, 4), make_features(1, 2, 5, 2, 3)
    found = contextual_similarity(x, y)
    expected = [brute_force(a.flatten(1), b.flatten(1)) for a, b in zip(x, y, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_positions_do_not_count() -> None:
    y = make_features(2, 1, 6, 4, 4)
    moved = y.roll((1, 2), (2, 3))
    assert float(contextual_similarity(y, y)) == pytest.approx(1, abs=1e-4)
    assert float(contextual_similarity(moved, y)) == pytest.approx(1, abs=1e-4)
    assert float(contextual_similarity(make_features(3, 1, 6, 4, 4), y)) < 0.7


@pytest.mark.slow
def test_gradient_reaches_the_picture_and_not_the_network() -> None:
    torch.manual_seed(0)
    vgg = Vgg19().eval()
    for layer in vgg.features.values():
        # Fresh weights would shrink what they are given.
        torch.nn.init.kaiming_normal_(layer.weight)
    picture = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).clone().requires_grad_()
    loss = contextual_loss(vgg, picture, torch.rand(1, 3, 64, 64))
    loss.backward()
    assert float(loss.detach()) > 0.01
    assert torch.isfinite(picture.grad).all()
    assert picture.grad.any()
    assert all(p.grad is None for p in vgg.parameters())
    same = picture.detach()
    assert float(contextual_loss(vgg, same, same)) == pytest.approx(0, abs=1e-3)
