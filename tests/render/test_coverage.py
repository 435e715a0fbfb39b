"""Coverage of footage: what it shows is shown, and what it lacks is missing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from dubfew.adapt.artefact import ActorAdapter
from dubfew.errors import ActorNotFoundError
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED, Track
from dubfew.references.track_geometry import compute_frame_keys
from dubfew.render.coverage import (
    EXAMPLE_WORDS,
    FootageCoverage,
    LineNeeds,
    SoundCoverage,
    measure_actor_coverage,
    measure_coverage,
)
from dubfew.speech.visemes import VISEME_BY_LETTER


@pytest.fixture(scope="module")
def adapter(registry) -> ActorAdapter:
    stored = registry.open("actor")
    return ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})


def with_frames(adapter: ActorAdapter, rows: np.ndarray) -> ActorAdapter:
    """An adapter that has learned from some of its frames alone."""
    whole = Track.from_bytes(adapter.track_bytes, "track")
    track = whole.select(rows)
    keys = compute_frame_keys(track, load_head_model(adapter.config["head"]))
    any_rows = np.resize(np.arange(len(adapter.references)), len(rows))
    references = adapter.references.select_frames(any_rows)
    references = dataclasses.replace(references, key=keys.astype(np.float32))
    return dataclasses.replace(adapter, track_bytes=track.to_bytes(), references=references)


def distance_of(coverage: FootageCoverage, sound: str) -> float:
    return next(each.distance for each in coverage.sounds if each.sound == sound)


@pytest.mark.slow
def test_what_an_actor_shows(registry, adapter):
    found = measure_actor_coverage("actor", registry=registry)
    assert (found.actor, found.revision, found.frames) == ("actor", 1, 30)
    assert found.seconds == pytest.approx(1.2)
    assert sum(found.openings.values()) == 30
    assert {each.sound for each in found.sounds} == {*EXAMPLE_WORDS}
    assert [each.distance for each in found.sounds] == sorted(
        (each.distance for each in found.sounds), reverse=True
    )
    # The bundled person looks into the camera.
    assert -15 < found.yaw[0] <= found.yaw[1] < 15
    json.dumps(dataclasses.asdict(found))


@pytest.mark.slow
def test_frames_that_are_left_out_show_nothing(adapter):
    track = Track.from_bytes(adapter.track_bytes, "track")
    flags = track.flags.copy()
    flags[10:] |= FLAG_MOUTH_COVERED
    covered = dataclasses.replace(track, flags=flags).to_bytes()
    found = measure_coverage(dataclasses.replace(adapter, track_bytes=covered), "actor", 1)
    assert found.frames == 10


@pytest.mark.slow
def test_closed_mouths_lack_open_ones(adapter):
    """The tenth of the frames with the smallest gap: /a/ is farther from them than /m/ is."""
    whole = measure_coverage(adapter, "actor", 1)
    track = Track.from_bytes(adapter.track_bytes, "track")
    jaw = np.argsort(track.jaw[:, 0])[:4]
    found = measure_coverage(with_frames(adapter, jaw), "actor", 1)
    assert found.widest_gap < whole.widest_gap
    assert distance_of(found, "a") > 1
    assert distance_of(found, "a") > 3 * distance_of(found, "m")
    assert any("open vowels" in line for line in found.advise())
    assert any("father" in line for line in found.advise())


def test_words_stand_for_sounds_that_exist():
    assert {*EXAMPLE_WORDS} <= {*VISEME_BY_LETTER}
    # None stands for what another one shows as well.
    visemes = [VISEME_BY_LETTER[letter] for letter in EXAMPLE_WORDS]
    assert len({*visemes}) == len(visemes)


def test_nothing_to_film_where_all_is_shown():
    openings = dict.fromkeys(("closed", "slightly open", "half open", "open", "wide"), 9)
    sound = SoundCoverage("m", "shown", 0.1, "mama")
    ranges = ((-1, 1), (0, 1), (0, 1))
    found = FootageCoverage("a", 1, 45, 1.8, openings, 0.2, (sound,), *ranges, 0.3, (90, 110))
    assert found.advise() == []
    assert dict(found.describe())["Sounds shown"] == "m"
    missing = dataclasses.replace(found, sounds=(dataclasses.replace(sound, verdict="missing"),))
    assert missing.advise() == ["speech with words such as mama"]
    toothless = dataclasses.replace(found, teeth=0.0)
    assert ["smile" in line for line in toothless.advise()] == [True]
    line = LineNeeds(100, 12, 0.2, 0.3)
    words = dict(dataclasses.replace(found, line=line).describe())["Line"]
    assert words.startswith("12 of 100 frames")
    assert "--reach 1.5" in words
    within = dataclasses.replace(line, wanted_gap=0.2)
    assert "--reach" not in within.describe(found)


@pytest.mark.slow
def test_teeth_that_the_pictures_show(adapter):
    """The bundled person has white teeth; painted over with the lip's red, none are left."""
    whole = measure_coverage(adapter, "actor", 1)
    assert whole.teeth > 0.2
    assert 0 < whole.light[0] <= whole.light[1] < 255
    red = np.full_like(adapter.references.images, 120)
    red[..., 1:] = 60
    references = dataclasses.replace(adapter.references, images=red)
    found = measure_coverage(dataclasses.replace(adapter, references=references), "actor", 1)
    assert found.teeth == 0
    assert found.light == pytest.approx((0.299 * 120 + 0.701 * 60,) * 2, abs=0.5)


@pytest.mark.slow
def test_a_line_that_asks_for_more(adapter, clip):
    whole = measure_coverage(adapter, "actor", 1, clip).line
    track = Track.from_bytes(adapter.track_bytes, "track")
    closed = with_frames(adapter, np.argsort(track.jaw[:, 0])[:4])
    found = measure_coverage(closed, "actor", 1, clip).line
    assert found.frames == whole.frames
    assert found.lacking > whole.lacking


def test_an_actor_who_is_not_there(registry):
    with pytest.raises(ActorNotFoundError):
        measure_actor_coverage("nobody", registry=registry)
