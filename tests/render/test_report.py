"""The page about a render: what stands out is found, and the verdict says what it rests on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.references.track_geometry import compute_frame_keys
from dubfew.render.report import (
    UNSEEN_MOUTH_FACTOR,
    OutputMeasures,
    describe_verdict,
    measure_unseen_mouths,
)
from tests.data.people import toy_track


def test_the_worst_moments_come_first_and_apart() -> None:
    times = np.arange(50) / 25
    unseen, softness = np.full(50, 0.9), np.full(50, np.nan)
    unseen[10:13] = 1.2, 1.5, 1.1  # one syllable
    softness[40] = 1.3
    found = OutputMeasures(unseen, softness).find_moments(times)
    assert [row for row, _ in found] == [11, 40]
    assert "footage" in found[0][1]
    assert "soft" in found[1][1]


def test_the_mouths_of_the_footage_are_not_unseen() -> None:
    head, footage = load_head_model(), toy_track(12)

    class References:
        key = compute_frame_keys(footage, head)[::3]

    own = measure_unseen_mouths(footage, footage, head, References(), mouth_in_scene=True)
    assert own.max() == pytest.approx(1 / UNSEEN_MOUTH_FACTOR, abs=1e-5)
    jaw = footage.jaw.copy()
    jaw[4:8, 0] += 0.4  # wider than the footage ever is
    wide = measure_unseen_mouths(
        dataclasses.replace(footage, jaw=jaw), footage, head, References(), mouth_in_scene=True
    )
    assert wide[5] > 1


def test_the_verdict_says_what_it_rests_on() -> None:
    assert describe_verdict(0, 100, 100).startswith("Nothing stands out. 100 of 100 frames")
    assert describe_verdict(1, 90, 100).startswith("1 moment to look at. 90 of 100 frames")
    assert "first 60 s" in describe_verdict(2, 90, 100, is_whole=False)
    assert describe_verdict(0, 0, 5) == "Nothing was painted: see the warnings."
