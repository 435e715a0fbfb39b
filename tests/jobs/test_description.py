"""Descriptions of jobs: what is refused, and what they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription, SceneSegment
from dubfew.render.options import RenderOptions

DUB, SCENE = Path("dub.wav"), Path("scene.mp4")


def segment(start: float, end: float, **more: Any) -> SceneSegment:
    return SceneSegment(start, end, DUB, **more)


def test_json_keeps_everything() -> None:
    job = JobDescription(
        actor="mary",
        video=SCENE,
        segments=(segment(1, 2.5, face="2", actor="ann"), segment(3, 4)),
        container="mov",
        options={"open": 0.8, "language": "de", "transcript": "text.srt"},
    )
    assert JobDescription.from_json(job.to_json()) == job
    assert job.list_actors() == ["ann", "mary"]
    assert job.list_files() == [SCENE, DUB, Path("text.srt")]


def test_options_of_a_render() -> None:
    job = JobDescription(actor="mary", audio=DUB, sync_mode="cut_off", options={"crf": 20})
    assert job.make_options(out=Path("o.mp4")) == RenderOptions(
        audio=DUB, fit="trim", crf=20, out=Path("o.mp4")
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "sing"}, "no kind of job 'sing'"),
        ({"actor": None}, "needs the id of an actor"),
        ({"sync_mode": "remap"}, "does not change the speed"),
        ({"sync_mode": "fast"}, "there are cut_off"),
        ({"container": "exe"}, "no container 'exe'"),
        ({"options": {"colour": 1}}, "render has no option 'colour'"),
        ({"options": {"open": 40}}, "--open is 40"),
        ({"options": {"video": "a.mp4"}}, "no option 'video'"),
        ({"kind": "adapt"}, "adapt needs a video"),
        ({"kind": "adapt", "video": SCENE, "audio": DUB}, "from a video alone"),
        ({"kind": "dub", "video": SCENE}, "needs one sound"),
        ({"segments": (segment(0, 1),)}, "give the video"),
        ({"segments": (segment(0, 1),), "video": SCENE, "audio": DUB}, "give one"),
        ({"segments": (segment(0, 2), segment(1, 3)), "video": SCENE}, "segments overlap"),
        ({"segments": (segment(0, 1),) * 33, "video": SCENE}, "32 at most"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(DubfewError, match=words):
        JobDescription(**{"actor": "mary", **fields})


@pytest.mark.parametrize("times", [(-1, 2), (2, 2), (3, 1), (0, float("nan")), (0, float("inf"))])
def test_a_segment_needs_a_length(times: tuple[float, float]) -> None:
    with pytest.raises(DubfewError, match="segment"):
        segment(*times)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "render", "nonsense": 1}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DubfewError, match="no description of a job"):
        JobDescription.from_json(text)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("needs a video", {"outputs": {"a": Path("a.mp4")}}),
        ("give 1 to 5", {"video": Path("o.mp4")}),
        ("give 1 to 5", {"video": Path("o.mp4"), "outputs": {str(n): Path("a") for n in range(6)}}),
        ("leave out", {"video": Path("o.mp4"), "outputs": {"a": Path("a.mp4")}, "actor": "mary"}),
    ],
)
def test_a_comparison_has_an_original_and_outputs(words: str, fields: dict[str, Any]) -> None:
    with pytest.raises(DubfewError, match=words):
        JobDescription(kind="compare", **fields)


def test_other_jobs_have_no_outputs_to_compare() -> None:
    with pytest.raises(DubfewError, match="leave out"):
        JobDescription(actor="mary", outputs={"a": Path("a.mp4")})
    assert "outputs" not in JobDescription(actor="mary").to_json()
