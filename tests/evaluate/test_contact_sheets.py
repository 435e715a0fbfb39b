"""Contact sheets: dimensions, contents, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import ShapeError
from dubfew.evaluate.contact_sheets import (
    LINE_HEIGHT_PX,
    MIN_LABEL_WIDTH_PX,
    TILE_GAP_PX,
    SheetRow,
    draw_contact_sheet,
    make_sheet_rows,
    pick_evenly_spaced,
    save_contact_sheet,
)


def row(name: str, colour: tuple[int, int, int], count: int = 3) -> SheetRow:
    face = np.full((60, 60, 3), colour, np.uint8)
    return SheetRow(name, (face,) * count, (face[:30],) * count)


def test_dimensions():
    sheet = draw_contact_sheet(
        [row("original", (255, 0, 0)), row("ours", (0, 255, 0))],
        moments=["0.0 s", "1.0 s", "2.0 s"],
        title="a clip",
        tile_px=100,
    )
    # Three columns; two rows of square faces and two of mouths half as high.
    assert sheet.width == MIN_LABEL_WIDTH_PX + 3 * (100 + TILE_GAP_PX)
    assert (
        sheet.height
        == 2 * LINE_HEIGHT_PX
        + TILE_GAP_PX
        + 2 * (100 + TILE_GAP_PX)
        + 2 * (50 + TILE_GAP_PX)
        + 2 * TILE_GAP_PX
    )


def test_pictures_stand_where_they_belong():
    sheet = np.asarray(
        draw_contact_sheet([row("original", (255, 0, 0)), row("ours", (0, 255, 0))], tile_px=100)
    )
    x = MIN_LABEL_WIDTH_PX + 150
    assert tuple(sheet[TILE_GAP_PX + 50, x]) == (255, 0, 0)
    assert tuple(sheet[TILE_GAP_PX + 154, x]) == (0, 255, 0)
    below = TILE_GAP_PX + 2 * (100 + TILE_GAP_PX) + TILE_GAP_PX
    assert tuple(sheet[below + 25, x]) == (255, 0, 0)
    assert tuple(sheet[below + 79, x]) == (0, 255, 0)


def test_long_names_are_not_cut_off():
    named = draw_contact_sheet([row("the nearest reference, warped through the mesh", (9, 9, 9))])
    assert named.width > draw_contact_sheet([row("ours", (9, 9, 9))]).width + 150


def test_saved_as_png(tmp_path: Path):
    save_contact_sheet(draw_contact_sheet([row("a", (9, 9, 9))]), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_uneven_rows_are_refused():
    with pytest.raises(ShapeError, match="moments"):
        draw_contact_sheet([row("a", (0, 0, 0), 2), row("b", (0, 0, 0), 3)])
    with pytest.raises(ShapeError, match="moments"):
        draw_contact_sheet([])
    with pytest.raises(ShapeError, match="faces"):
        SheetRow("a", (np.zeros((4, 4, 3), np.uint8),), ())


def test_evenly_spaced():
    assert pick_evenly_spaced(np.arange(100), 4) == [12, 37, 62, 87]
    assert pick_evenly_spaced(np.array([3, 5]), 6) == [3, 5]
    assert pick_evenly_spaced(np.array([], np.int64), 6) == []


@pytest.mark.slow
def test_rows_of_a_real_clip(shared: Path):
    clip = shared / "clips" / "grid_bbaf2n.mpg"
    (original, again), moments = make_sheet_rows({"original": clip, "again": clip}, count=3)
    assert len(original.faces) == len(moments) == 3
    for a, b in zip(original.mouths, again.mouths, strict=True):
        np.testing.assert_array_equal(a, b)
    assert original.faces[0].shape[0] == original.faces[0].shape[1]
