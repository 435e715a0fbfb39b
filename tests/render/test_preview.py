"""Previews: a small, short part of the scene, in time with its sound, under a name of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import DubfewError
from dubfew.media import probe, read_frames
from dubfew.media.speech_span import SpeechSpan
from dubfew.render.corrections import check_corrections
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import resolve_output
from dubfew.render.preview import cut_excerpt, find_preview_part
from dubfew.render.sources import RenderSources

pytestmark = pytest.mark.slow


def sources_of(scene: Path, speech: SpeechSpan | None = None, **info) -> RenderSources:
    found = probe(scene)
    object.__setattr__(found, "duration", info.get("duration", found.duration))
    return RenderSources("audio", scene, found, scene if speech else None, speech, None)


@pytest.mark.parametrize(
    ("speech", "wish", "part"),
    [
        (SpeechSpan(9.0, 3.0, 8.0), (None, None), (2.8, 4.8)),  # a little before the first sound
        (SpeechSpan(9.0, 0.1, 8.0), (None, None), (0.0, 2.0)),
        (SpeechSpan(30.0, 25.0, 28.0), (None, None), (8.0, 10.0)),  # speech after the picture
        (SpeechSpan(9.0, 3.0, 8.0), (6.0, None), (6.0, 8.0)),
        (SpeechSpan(9.0, 3.0, 8.0), (6.0, 6.5), (6.0, 6.5)),
        (SpeechSpan(9.0, 3.0, 8.0), (9.5, None), (9.5, 10.0)),  # no longer than the picture
        (None, (None, None), (0.0, 2.0)),
    ],
)
def test_the_part_that_is_shown(clip, speech, wish, part):
    sources = sources_of(clip, speech, duration=10.0)
    assert find_preview_part(sources, *wish) == pytest.approx(part)


def test_an_excerpt_is_half_as_large_and_knows_its_time(clip):
    sources = sources_of(clip, SpeechSpan(1.2, 0.0, 1.0))
    with cut_excerpt(sources, 0.4, 0.8) as excerpt:
        path = excerpt.scene
        info, frames = probe(path), list(read_frames(path))
        assert (info.width, info.height) == (
            sources.scene_info.width // 4 * 2,
            sources.scene_info.height // 4 * 2,
        )
        assert len(frames) == excerpt.scene_info.frames == 10
        assert excerpt.start == pytest.approx(0.4)
        assert excerpt.filmed == clip
        assert excerpt.new_sound is None
        whole = next(read_frames(clip, start=10)).to_rgb().astype(float)
        height, width = info.height * 2, info.width * 2
        halves = whole[:height, :width].reshape(info.height, 2, info.width, 2, 3).mean((1, 3))
        assert np.abs(frames[0].to_rgb() - halves).mean() < 2
    assert not path.exists()
    assert sources.filmed == clip


def test_a_preview_that_begins_after_the_scene_is_refused(clip):
    with (
        pytest.raises(DubfewError, match="earlier --from"),
        cut_excerpt(sources_of(clip), 60.0, None),
    ):
        pass


def test_a_preview_is_never_named_like_the_whole():
    scene = Path("scene.mp4")
    for out, name in (
        (None, "scene-mary-preview.mp4"),
        ("x.mov", "x-preview.mov"),
        ("x-preview.mov", "x-preview.mov"),
    ):
        options = RenderOptions(preview=True, out=out)
        assert resolve_output("mary", options, scene, None, None) == Path(name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"from_seconds": 1.0}, "or --preview"),
        ({"into": "a.mp4", "from_seconds": 1.0}, "give --from and --to"),
        ({"into": "a.mp4", "preview": True}, "leave out one"),
        ({"preview": True, "from_seconds": 2.0, "to_seconds": 1.0}, "later --to"),
        ({"preview": True, "to_seconds": 1.0}, "give both"),
    ],
)
def test_parts_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(DubfewError, match=message):
        check_corrections(RenderOptions(**wrong))
