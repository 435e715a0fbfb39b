"""Hue of skin: walls and hair are told from it, light and shadow are not."""

from __future__ import annotations

import pytest
import torch

from dubfew.references.skin_cells import SkinComparison
from dubfew.references.skin_hue import find_skin

SKIN, WALL = torch.tensor([0.70, 0.52, 0.47]), torch.tensor([0.53, 0.46, 0.45])


def skin_cells(count: int) -> torch.Tensor:
    """Skin from shadow to light, with some noise of color. [3, count]"""
    noise = torch.randn(3, count, generator=torch.Generator().manual_seed(1)) * 0.005
    return SKIN[:, None] * torch.linspace(0.4, 1.3, count) + noise


def test_a_wall_is_no_skin_and_a_shadow_is() -> None:
    colors = skin_cells(300)
    colors[:, :80] = WALL[:, None]
    found = find_skin(colors, torch.ones(300, dtype=torch.bool))
    assert not found[:80].any()
    assert found[80:].all()


def test_a_gray_picture_is_all_of_one_hue() -> None:
    gray = torch.linspace(0.05, 0.9, 50).expand(3, 50)
    assert find_skin(gray, torch.ones(50, dtype=torch.bool)).all()


def test_only_known_places_say_what_skin_is() -> None:
    colors = torch.cat([skin_cells(60), WALL[:, None].expand(3, 200)], 1)
    known = torch.arange(260) < 60
    assert find_skin(colors, known)[:60].all()
    assert not find_skin(colors, torch.zeros(260, dtype=torch.bool)).any()


@pytest.mark.parametrize("count", [2, 3])
def test_references_that_show_a_wall_have_no_say_there(count: int) -> None:
    """All but one reference show a wall in some cells."""
    references = skin_cells(100).expand(count, 3, 100).clone()
    references[1:, :, 20:40] = WALL[:, None]
    known = torch.ones(10, 10, dtype=torch.bool).numpy()
    scene = references[0].reshape(3, 10, 10).numpy()
    images = references.reshape(count, 3, 10, 10).numpy()
    actor, seen, _ = SkinComparison(images, scene, known, known).pair_with_typical()
    assert actor.shape == (100, 3)
    assert abs(actor - seen).max() < 1e-6
