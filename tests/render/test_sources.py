"""How far the files of a render are read before it begins."""

from __future__ import annotations

import pytest

from dubfew.media import probe
from dubfew.render.sources import SOUND_AFTER_SECONDS, resolve_sources


def read(scene, audio, fit):
    return resolve_sources({"source": {"path": str(scene)}}, "audio", scene, audio, None, fit=fit)


@pytest.mark.parametrize("fit", [None, "loop", "hold", "trim"])
def test_only_sound_that_is_cut_is_left_unread(clip, silence, fit):
    found = read(clip, silence(60), fit)
    assert found.new_sound is not None
    assert found.new_sound.seconds == pytest.approx(60)
    # Any other fit makes the output as long as the sound.
    assert found.new_sound.is_whole == (fit != "trim")
    needed = probe(clip).duration + SOUND_AFTER_SECONDS if fit == "trim" else None
    assert found.needed_seconds == needed


def test_sound_that_is_little_longer_is_read_whole(clip, silence):
    found = read(clip, silence(10), "trim")
    assert found.new_sound is not None
    assert found.new_sound.is_whole
    assert found.needed_seconds is None
