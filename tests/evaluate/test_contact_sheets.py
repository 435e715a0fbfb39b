"""Contact sheets: dimensions, contents, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import ShapeError
from dubfew.evaluate.contact_sheets import (
    GAP,
    LABEL_WIDTH,
    LINE,
    SheetRow,
    contact_sheet,
    evenly_spaced,
    save_sheet,
    sheet_rows,
)


def row(name: str, colour: tuple[int, int, int], count: int = 3) -> SheetRow:
    face = np.full((60, 60, 3), colour, np.uint8)
    return SheetRow(name, (face,) * count, (face[:30],) * count)


def test_dimensions():
    sheet = contact_sheet(
        [row("original", (255, 0, 0)), row("ours", (0, 255, 0))],
        moments=["0.0 s", "1.0 s", "2.0 s"],
        title="a clip",
        tile=100,
    )
    # Three columns; two rows of square faces and two of mouths half as high.
    assert sheet.width == LABEL_WIDTH + 3 * (100 + GAP)
    assert sheet.height == 2 * LINE + GAP + 2 * (100 + GAP) + 2 * (50 + GAP) + 2 * GAP


def test_pictures_stand_where_they_belong():
    sheet = np.asarray(
        contact_sheet([row("original", (255, 0, 0)), row("ours", (0, 255, 0))], tile=100)
    )
    x = LABEL_WIDTH + 150
    assert tuple(sheet[GAP + 50, x]) == (255, 0, 0)
    assert tuple(sheet[GAP + 154, x]) == (0, 255, 0)
    below = GAP + 2 * (100 + GAP) + GAP
    assert tuple(sheet[below + 25, x]) == (255, 0, 0)
    assert tuple(sheet[below + 79, x]) == (0, 255, 0)


def test_long_names_are_not_cut_off():
    named = contact_sheet([row("the nearest reference, warped through the mesh", (9, 9, 9))])
    assert named.width > contact_sheet([row("ours", (9, 9, 9))]).width + 150


def test_saved_as_png(tmp_path: Path):
    save_sheet(contact_sheet([row("a", (9, 9, 9))]), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_uneven_rows_are_refused():
    with pytest.raises(ShapeError, match="moments"):
        contact_sheet([row("a", (0, 0, 0), 2), row("b", (0, 0, 0), 3)])
    with pytest.raises(ShapeError, match="moments"):
        contact_sheet([])
    with pytest.raises(ShapeError, match="faces"):
        SheetRow("a", (np.zeros((4, 4, 3), np.uint8),), ())


def test_evenly_spaced():
    assert evenly_spaced(np.arange(100), 4) == [12, 37, 62, 87]
    assert evenly_spaced(np.array([3, 5]), 6) == [3, 5]
    assert evenly_spaced(np.array([], np.int64), 6) == []


def test_rows_of_a_real_clip(shared: Path):
    clip = shared / "clips" / "grid_bbaf2n.mpg"
    (original, again), moments = sheet_rows({"original": clip, "again": clip}, count=3)
    assert len(original.faces) == len(moments) == 3
    for a, b in zip(original.mouths, again.mouths, strict=True):
        np.testing.assert_array_equal(a, b)
    assert original.faces[0].shape[0] == original.faces[0].shape[1]
