from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubfew.evaluate.leakage.painting import (
    MouthSource,
    draw_on_mean_head,
    paint_mouth,
    paint_texture,
)
from dubfew.evaluate.leakage.scenes import (
    PAINTED_FRAMES,
    LeakScene,
    load_scene,
    make_blank_pictures,
)
from dubfew.evaluate.leakage.sheet import (
    SHEET_COLUMNS,
    crop_face_and_mouth,
    crop_mean_head,
    write_decoded_sheet,
)
from dubfew.prior.renderers import make_renderer
from dubfew.reconstruction.crop import render_soft_mask
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.render.background import BackgroundPreserver
from tests.evaluate.leakage.conftest import FRAMES

RED = torch.tensor([1.0, 0.0, 0.0, 5.0])[:, None, None].expand(4, 32, 32)


@pytest.fixture(scope="module")
def scene(people: dict[str, Path]) -> LeakScene:
    return load_scene("plain", people["plain"], load_head_model(), 64)


@pytest.mark.slow
def test_a_scene_is_a_few_frames_and_references(scene: LeakScene) -> None:
    assert len(scene.frames) == len(scene.landmarks) == len(scene.geometry.key) == PAINTED_FRAMES
    assert [frame.index for frame in scene.frames] == [0, 2, 3]
    assert len(scene.pictures.references) == FRAMES
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
    empty = make_blank_pictures(scene.pictures, scene).references
    assert (empty.images == empty.images[0, 0, 0]).all()
    assert (empty.vertices == scene.pictures.references.vertices).all()


@pytest.mark.slow
def test_renderers_that_paint(people: dict[str, Path]) -> None:
    torch.manual_seed(0)
    network = make_renderer(
        "dinet", {"shrink": 8, "narrow": 8, "sound": "mel16", "references": 1}
    ).eval()
    head = load_head_model()
    scene = load_scene("red", people["red"], head, 64, layout=network.config.layout)
    assert scene.pictures.crops is not None
    nobody = make_blank_pictures(scene.pictures, scene)
    assert nobody.crops is not None
    assert (nobody.crops.images == nobody.crops.images[0, 0, 0]).all()
    without_texture = torch.zeros(0, 256, 256)
    with BackgroundPreserver() as background:
        own, blank = (
            paint_mouth(
                scene,
                MouthSource(network, without_texture, lambda _, given=given: given),
                head,
                "cpu",
                background,
            )
            for given in (scene.pictures, nobody)
        )
    untouched = scene.rgb_frames()
    for row, picture in enumerate(untouched):
        lip = scene.landmarks[row, 0, :2].astype(int)
        assert (own[row][lip[1], lip[0]] != picture[lip[1], lip[0]]).any()
        assert (own[row][:20] == picture[:20]).all()
    assert any((a != b).any() for a, b in zip(own, blank, strict=True))
    # There is no texture to paint.
    for a, b in zip(paint_texture(scene, without_texture, head), untouched, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (draw_on_mean_head(without_texture, head, 32) == 128).all()


@pytest.mark.slow
def test_a_sheet_of_everybody(scene: LeakScene, tmp_path: Path) -> None:
    one = [crop_mean_head(draw_on_mean_head(RED, load_head_model()))]
    one += [crop_face_and_mouth(scene.rgb_frames()[0], scene)] * (len(SHEET_COLUMNS) - 1)
    write_decoded_sheet(tmp_path / "sheet.png", {"a": one, "b": one}, "title")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
