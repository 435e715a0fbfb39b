from __future__ import annotations

from dataclasses import fields

import pytest

from dubfew.errors import ShapeError
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES, Footage
from tests.data.people import toy_footage


def test_the_array_names_are_the_fields():
    assert tuple(field.name for field in fields(Footage)) == FOOTAGE_ARRAY_NAMES


def test_selected_footage_keeps_its_frame_numbers():
    assert toy_footage(6).select_frames([4, 1]).frames.tolist() == [4, 1]


def test_windows_that_are_not_square_are_an_error():
    whole = toy_footage(2)
    with pytest.raises(ShapeError, match="expected"):
        Footage(
            whole.images[:, :-1],
            whole.vertices,
            whole.hulls,
            whole.key,
            whole.motion,
            whole.frames,
        )
