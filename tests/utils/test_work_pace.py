"""Paces: guesses at first, then what was measured; a damaged file is no fault."""

from __future__ import annotations

import pytest

from dubfew.utils.work_pace import DEFAULT_PACES, PACE_FILE_NAME, WorkPace


def test_the_first_estimate_is_a_guess(tmp_path):
    pace = WorkPace(tmp_path)
    assert not pace.is_measured("train")
    expected = 150 * DEFAULT_PACES["train"] + DEFAULT_PACES["start"]
    assert pace.estimate_seconds({"start": 1, "train": 150}) == pytest.approx(expected)
    assert list(tmp_path.iterdir()) == []


def test_measurements_are_remembered_and_the_newest_weigh_most(tmp_path):
    WorkPace(tmp_path).record(20.0, {"train": 10})
    WorkPace(tmp_path).record(40.0, {"train": 10})
    WorkPace(tmp_path).record(70.0, {"train": 10})
    again = WorkPace(tmp_path)
    assert again.is_measured("train")
    assert not again.is_measured("paint")
    assert again.estimate_seconds({"train": 100}) == pytest.approx(500)  # ((2 + 4) / 2 + 7) / 2


def test_a_few_units_are_no_measurement(tmp_path):
    WorkPace(tmp_path).record(20.0, {"train": 2})
    assert not WorkPace(tmp_path).is_measured("train")


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"train": "fast"}', '{"train": -1}', '{"train": NaN}', '{"x": 1}']
)
def test_a_damaged_file_holds_no_measurements(tmp_path, content):
    (tmp_path / PACE_FILE_NAME).write_text(content)
    assert WorkPace(tmp_path).estimate_seconds({"train": 1}) == DEFAULT_PACES["train"]


def test_a_folder_that_is_a_file_is_no_error(tmp_path):
    (tmp_path / "home").write_text("")
    WorkPace(tmp_path / "home").record(20.0, {"train": 10})


def test_work_that_was_timed_as_a_whole_corrects_its_parts_alike(tmp_path):
    work = {"track": 100.0, "cut": 100.0, "align": 0.0}
    guess = WorkPace(tmp_path).estimate_seconds(work)
    WorkPace(tmp_path).record(3 * guess, work)
    slow = WorkPace(tmp_path)
    assert slow.estimate_seconds(work) == pytest.approx(3 * guess)
    assert slow.unit_seconds("cut") == pytest.approx(3 * DEFAULT_PACES["cut"])
    assert not slow.is_measured("align")  # none was done
