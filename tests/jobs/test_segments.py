"""Parts of a scene: the sound of the whole, and frames that stay as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt import adapt
from dubfew.jobs.description import JobDescription, SceneSegment
from dubfew.jobs.running import check_job, run_job
from dubfew.jobs.segments import compose_segment_sound
from dubfew.media import Audio, read_audio, read_frames
from dubfew.media.in_memory import write_audio
from dubfew.progress import Progress
from dubfew.registry import Registry
from tests.footage import cut

RATE = 48000
FRAMES = 15  # of 25 a second: 0.6 s


def tone(path: Path, level: float, seconds: float) -> Path:
    write_audio(path, Audio(np.full(round(seconds * RATE), level, np.float32), RATE))
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cut(tmp_path_factory.mktemp("scene") / "actor.mp4", 0, FRAMES)


def test_each_segment_is_heard_in_its_place(scene: Path, tmp_path: Path) -> None:
    segments = [
        SceneSegment(0.1, 0.2, tone(tmp_path / "long.wav", 0.5, 3)),
        SceneSegment(0.3, 0.5, tone(tmp_path / "short.wav", -0.25, 0.1)),
    ]
    compose_segment_sound(scene, segments, tmp_path / "out.wav")
    found, own = (read_audio(each, RATE).samples for each in (tmp_path / "out.wav", scene))
    assert len(found) == 0.6 * RATE

    def at(seconds: float) -> float:
        return float(found[round(seconds * RATE)])

    assert [at(0.15), at(0.35), at(0.45)] == [0.5, -0.25, 0]
    # Between them the scene's own sound, up to a fade of 5 ms.
    for begin, end in ((0, 0.1), (0.2, 0.3), (0.5, 0.55)):
        part = slice(round(begin * RATE), round(end * RATE))
        np.testing.assert_allclose(found[part], own[part], atol=1e-4)


@pytest.mark.slow
def test_segments_are_painted_and_nothing_else(scene: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "home")
    adapt(scene, actor="mary", steps=0, prior="warp", registry=registry)
    speech = tone(tmp_path / "speech.wav", 0.1, 1)
    job = JobDescription(
        actor="mary",
        video=scene,
        segments=(SceneSegment(0.4, 0.52, speech, face="0"), SceneSegment(0.12, 0.24, speech)),
        container="mkv",
        options={"lossless": True, "drive": "audio"},
    )
    out = tmp_path / "out.mkv"
    check_job(job, out, registry)
    reports: list[Progress] = []
    found = run_job(job, out, registry, reports.append)
    # Fades at the ends of a segment are inside it.
    assert (found["output"], found["frames"], found["edited_frames"]) == ("out.mkv", FRAMES, 6)
    changed = [
        not np.array_equal(one.to_rgb(), other.to_rgb())
        for one, other in zip(read_frames(scene), read_frames(out), strict=True)
    ]
    assert changed == [number in (3, 4, 5, 10, 11, 12) for number in range(FRAMES)]
    shares = [each.fraction for each in reports if each.fraction is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert not [*tmp_path.glob(".segments-*")]
