"""Sound of the output: what --mix means, and which tracks of the scene stay."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from dubfew.errors import DubfewError, MediaError
from dubfew.media import AudioSource, VideoWriter, probe, read_frames
from dubfew.media.audio import MixedSound
from dubfew.render.sound import list_output_sounds, parse_mix
from dubfew.render.sources import RenderSources


@pytest.fixture
def scene(tmp_path, clip, silence) -> Path:
    """Three frames with three sound tracks."""
    path, sound = tmp_path / "scene.mp4", silence(0.2)
    info = replace(probe(clip), fps=Fraction(25))
    with VideoWriter(path, info, audio=[AudioSource(sound)] * 3, preset="ultrafast") as writer:
        for frame in read_frames(clip, stop=3):
            writer.write(frame)
    return path


def sources_of(scene: Path, audio: Path | None) -> RenderSources:
    return RenderSources("audio", scene, probe(scene), audio, None, None)


@pytest.mark.slow
def test_a_mix_is_a_track_or_a_file_with_a_gain(scene, silence):
    bed = silence(0.5)
    assert parse_mix("2", scene) == MixedSound(scene, 2, 0.0)
    assert parse_mix("3:-4.5", scene) == MixedSound(scene, 3, -4.5)
    assert parse_mix(str(bed), scene) == MixedSound(bed, None, 0.0)
    assert parse_mix(f"{bed}:+3dB", scene) == MixedSound(bed, None, 3.0)


def test_a_file_whose_name_ends_like_a_gain(scene, silence, tmp_path):
    odd = silence(0.5).rename(tmp_path / "take:2")
    assert parse_mix(str(odd), scene) == MixedSound(odd, None, 0.0)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("4", MediaError, "no sound track 4: it has 3"),
        ("0", MediaError, "no sound track 0"),
        ("none.wav", MediaError, "none.wav"),
        ("2:90", DubfewError, "gain of 90 dB"),
    ],
)
def test_mixes_that_do_not_exist_are_refused(scene, text, error, message):
    with pytest.raises(error, match=message):
        parse_mix(text, scene)


def test_other_tracks_of_the_scene_stay(scene, silence):
    dub = silence(0.3)
    main, *kept = list_output_sounds(sources_of(scene, dub), None, 0.12)
    assert (main.path, main.track, main.mix) == (dub, None, None)
    assert [(each.path, each.track) for each in kept] == [(scene, 2), (scene, 3)]
    assert {each.duration for each in (main, *kept)} == {0.12}
    assert [each.rate for each in (main, *kept)] == [48000, None, None]
    # The scene's own sound stays as it is.
    own, *_ = list_output_sounds(sources_of(scene, scene), None, 0.12)
    assert own.rate is None


def test_a_track_that_is_mixed_in_is_no_track_of_its_own(scene, silence):
    mix = parse_mix("2:-3", scene)
    main, *kept = list_output_sounds(sources_of(scene, silence(0.3)), mix, 0.12)
    assert main.mix == mix
    assert [each.track for each in kept] == [3]


def test_a_scene_without_sound_stays_silent(scene):
    assert list_output_sounds(sources_of(scene, None), None, 0.12) == []
