"""Learning on: a training goes on from what is stored, and new footage joins it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import dubfew
from dubfew.adapt import ActorAdapter, AdaptOptions
from dubfew.adapt.learning_on import CLIP_GAP_FRAMES, AdapterStart, join_footage, join_styles
from dubfew.adapt.methods import METHODS
from dubfew.errors import ActorNotFoundError, DubfewError
from dubfew.registry import Registry
from dubfew.render.coverage import SoundCoverage, describe_gain, measure_actor_coverage
from dubfew.speech.style import SpeakingStyle
from tests.actors import mary_folder
from tests.adapt.toys import train_toy_adapter
from tests.footage import cut


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS.names)
def test_a_training_goes_on_from_what_is_stored(method, prior, footage, trained):
    stored = trained[1][method]
    start = AdapterStart(stored.weights, stored.texture)
    again = train_toy_adapter(prior, footage, method, 0, start=start)
    assert again.weights.keys() == stored.weights.keys()
    for name, value in stored.weights.items():
        torch.testing.assert_close(again.weights[name], value, rtol=0, atol=1e-6)
    torch.testing.assert_close(again.texture, stored.texture)
    # And not from the prior, which has another texture.
    fresh = train_toy_adapter(prior, footage, method, 0)
    assert not torch.equal(fresh.texture, stored.texture)


def test_frames_of_two_clips_are_far_from_each_other(footage):
    joined = join_footage(footage, footage, 2 * footage.window_size, same_clip=False)
    count = len(footage)
    assert joined.window_size == 2 * footage.window_size
    assert np.array_equal(joined.frames[:count], footage.frames)
    assert joined.frames[count:].min() >= footage.frames.max() + CLIP_GAP_FRAMES
    np.testing.assert_allclose(joined.vertices[count:, :, :2], 2 * footage.vertices[:, :, :2])
    same = join_footage(footage, footage, footage.window_size, same_clip=True)
    assert np.array_equal(same.frames[count:], footage.frames)


def test_styles_are_averaged_by_their_footage():
    base = SpeakingStyle.neutral()
    new = replace(base, gain=2 * base.gain, offset=base.offset + 1, max_aperture=0.2)
    joined = join_styles(replace(base, max_aperture=0.1), new, (30, 10))
    np.testing.assert_allclose(joined.gain, 1.25 * base.gain)
    np.testing.assert_allclose(joined.offset, 0.25)
    assert joined.max_aperture == 0.2
    other = replace(new, basis=new.basis[::-1])
    assert join_styles(base, other, (30, 10)) is other


def test_options_that_contradict_it():
    for given in ({"new_person": True}, {"texture": "random"}):
        with pytest.raises(DubfewError, match="--add goes on"):
            AdaptOptions(add=True, **given)


@pytest.mark.slow
def test_footage_is_added_as_a_new_revision(tmp_path):
    registry = Registry(tmp_path / "home")
    Registry(mary_folder() / "home").export("mary", tmp_path / "mary.zip", plain=True)
    registry.import_file(tmp_path / "mary.zip")
    more = cut(tmp_path / "more.mp4", 30, 33)
    with pytest.raises(ActorNotFoundError, match="nobody"):
        dubfew.adapt(more, actor="nobody", add=True, registry=registry)
    result = dubfew.adapt(more, actor="mary", add=True, steps=0, registry=registry)
    assert (result.revision, result.frames) == (2, 3)
    titles = [title for title, _ in result.gained if title != "Sounds lost"]
    assert titles == ["Sounds gained", "Still missing", "Frames", "Poses"]
    assert registry.open("mary").number == 2
    stored = [registry.open("mary", number) for number in (1, 2)]
    before, after = (
        ActorAdapter.from_files({n: s.read(n) for n in s.file_names()}) for s in stored
    )
    assert (len(before.references), len(after.references)) == (3, 6)
    assert after.track_bytes == before.track_bytes
    assert len(after.added_tracks) == 1
    source = after.config["source"]
    assert source["path"] == before.config["source"]["path"]
    assert [each["path"] for each in source["added"]] == [str(more)]
    assert torch.equal(after.texture, before.texture)
    assert measure_actor_coverage("mary", registry=registry).frames == 6
    # It goes with the actor to another registry.
    registry.export("mary", tmp_path / "two.zip", plain=True)
    other = Registry(tmp_path / "other")
    other.import_file(tmp_path / "two.zip")
    assert "track-2.safetensors" in other.open("mary").file_names()


@pytest.mark.slow
def test_a_gain_is_told_in_words():
    before = measure_actor_coverage("mary", registry=Registry(mary_folder() / "home"))
    sounds = (SoundCoverage("u", "missing", 1.4, "who"), SoundCoverage("m", "shown", 0.1, "mama"))
    sounds += (SoundCoverage("w", "missing", 1.5, "we, away"),)
    before = replace(before, sounds=sounds, openings={"closed": 1, "wide": 0}, yaw=(-2.0, 3.0))
    after = replace(
        before,
        sounds=(replace(sounds[0], verdict="near"), *sounds[1:]),
        openings={"closed": 1, "wide": 5},
        yaw=(-12.0, 3.0),
    )
    assert describe_gain(before, after) == (
        ("Sounds gained", "u (missing, now near)"),
        ("Still missing", "w (we, away)"),
        ("Frames", "wide 0 to 5"),
        ("Poses", "turned -2 to 3, now -12 to 3 degrees"),
    )
    # What is no longer shown was not missing before.
    assert describe_gain(after, replace(after, sounds=sounds))[:3] == (
        ("Sounds gained", "none"),
        ("Sounds lost", "u (near, now missing)"),
        ("Still missing", "w (we, away)"),
    )
