"""Frames and tasks keep their order on their way through the network."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dubfew.render.stage_timer import StageTimer
from dubfew.render.streaming import (
    MAX_PENDING_BATCHES,
    NETWORK_BATCH_FRAMES,
    composite_frames,
    match_frames,
    predict_frames,
    prepare_frames,
)
from dubfew.render.tasks import FrameTask, PredictedFrame


class NumberPredictor:
    """Predicts the number of a task; remembers the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def make_batch(self, tasks):
        self.batches.append(len(tasks))
        return tasks

    def match_batch(self, tasks):
        return [replace(task, shot=-1) for task in tasks]

    def predict_prepared(self, tasks):
        assert all(task.shot == -1 for task in tasks)  # their light was matched
        return [PredictedFrame(task, task.frame) for task in tasks]


def predict(items, predictor):
    """All stages up to the network."""
    return predict_frames(match_frames(prepare_frames(items, predictor), predictor), predictor)


class NumberedFrame(int):
    """A frame that is its own number."""

    width, height = 1920, 1080


class NumberedFrame4k(NumberedFrame):
    width, height = 3840, 2160


class NumberedFrame8k(NumberedFrame):
    width, height = 7680, 4320


def task(number: int, shot: int = 0) -> FrameTask:
    return FrameTask(NumberedFrame(number), None, 0, None, None, None, shot=shot)


@pytest.mark.parametrize(
    ("faces", "batches"),
    [
        ("", []),
        ("....", []),
        ("xxxxxxxxx", [4, 4, 1]),
        ("x.x..x.x.x", [4, 1]),
        ("x" + "." * 40 + "xx", [1, 2]),
    ],
)
def test_items_keep_their_order(faces: str, batches: list[int]) -> None:
    predictor = NumberPredictor()
    items = [
        task(number) if face == "x" else NumberedFrame(number) for number, face in enumerate(faces)
    ]
    predicted = list(predict(items, predictor))
    assert predictor.batches == batches
    assert [isinstance(item, PredictedFrame) for item in predicted] == [f == "x" for f in faces]
    for number, item in enumerate(predicted):
        found = item.prediction if isinstance(item, PredictedFrame) else item
        assert found == number
    compositor = SimpleNamespace(composite=lambda item: item.task.frame)
    assert list(composite_frames(predicted, compositor)) == list(range(len(faces)))


def test_a_batch_begins_with_a_shot() -> None:
    """Its first frames tell the light of a shot before any of them is painted."""
    predictor = NumberPredictor()
    shots = "aaaaaabbbbbc"
    tasks = [task(number, ord(shot)) for number, shot in enumerate(shots)]
    predicted = list(predict(tasks, predictor))
    assert predictor.batches == [4, 2, 4, 1, 1]
    assert [item.prediction for item in predicted] == list(range(len(shots)))


def test_frames_without_a_face_do_not_pile_up() -> None:
    taken = []

    def frames():
        for number in range(3 * MAX_PENDING_BATCHES * NETWORK_BATCH_FRAMES):
            taken.append(number)
            yield NumberedFrame(number)

    predictor = NumberPredictor()
    first = next(predict(frames(), predictor))
    assert first == 0
    assert len(taken) == MAX_PENDING_BATCHES * NETWORK_BATCH_FRAMES


@pytest.mark.parametrize(
    ("kind", "batches"), [(NumberedFrame4k, [2, 2, 1]), (NumberedFrame8k, 5 * [1])]
)
def test_large_frames_go_through_the_network_in_smaller_batches(kind, batches) -> None:
    predictor = NumberPredictor()
    tasks = [replace(task(0), frame=kind(number)) for number in range(5)]
    assert [item.prediction for item in predict(tasks, predictor)] == list(range(5))
    assert predictor.batches == batches


def test_seconds_add_up_by_stage() -> None:
    timer = StageTimer()
    for stage in ("a", "b", "a"):
        with timer.measure(stage):
            pass
    assert set(timer.seconds) == {"a", "b"}
    assert all(value >= 0 for value in timer.seconds.values())
