from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.evaluate.leakage.painting import draw_on_mean_head, paint_texture
from dubfew.evaluate.leakage.scenes import (
    PAINTED_FRAMES,
    LeakScene,
    load_scene,
    make_blank_references,
)
from dubfew.evaluate.leakage.sheet import (
    SHEET_COLUMNS,
    crop_face_and_mouth,
    crop_mean_head,
    write_decoded_sheet,
)
from dubfew.reconstruction.crop import render_soft_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from tests.evaluate.leakage.conftest import FRAMES

RED = torch.tensor([1.0, 0.0, 0.0, 5.0])[:, None, None].expand(4, 32, 32)


@pytest.fixture(scope="module")
def scene(people: dict[str, Path]) -> LeakScene:
    return load_scene("plain", people["plain"], load_head_model(), 64)


@pytest.mark.slow
def test_a_scene_is_a_few_frames_and_references(scene: LeakScene) -> None:
    assert len(scene.frames) == len(scene.landmarks) == len(scene.geometry.key) == PAINTED_FRAMES
    assert [frame.index for frame in scene.frames] == [0, 2, 3]
    assert len(scene.references) == FRAMES
    assert np.isfinite(scene.landmarks).all()


def test_a_texture_on_the_mean_head_is_its_rgb_and_nothing_else() -> None:
    picture = draw_on_mean_head(RED, load_head_model(), 64)
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert colours == {(255, 0, 0), (128, 128, 128)}
    assert (picture[32, 32] == (255, 0, 0)).all()


def test_a_texture_is_painted_in_the_mask_alone(scene: LeakScene) -> None:
    before, after = scene.rgb_frames(), paint_texture(scene, RED, load_head_model())
    for row, (a, b) in enumerate(zip(before, after, strict=True)):
        hull = scene.geometry.regions.hull[row]
        inside = render_soft_mask(hull, 1.0, 0, 0, 1.0, *a.shape[:2]) > 0
        assert (a[~inside] == b[~inside]).all()
        lip = scene.landmarks[row, 0, :2].astype(int)
        assert (b[lip[1], lip[0]] == (255, 0, 0)).all()


def test_blank_references_show_nobody(scene: LeakScene) -> None:
    empty = make_blank_references(scene.references, scene)
    assert (empty.images == empty.images[0, 0, 0]).all()
    assert (empty.vertices == scene.references.vertices).all()


@pytest.mark.slow
def test_a_sheet_of_everybody(scene: LeakScene, tmp_path: Path) -> None:
    one = [crop_mean_head(draw_on_mean_head(RED, load_head_model()))]
    one += [crop_face_and_mouth(scene.rgb_frames()[0], scene)] * (len(SHEET_COLUMNS) - 1)
    write_decoded_sheet(tmp_path / "sheet.png", {"a": one, "b": one}, "title")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
