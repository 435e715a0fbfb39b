"""Selection of filmed clips by the lag and correlation of their mouths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from dubfew.data.array_cache import ArrayCache
from dubfew.speech.model import SpeechModel
from dubfew.speech.training.clip_sync import (
    measure_lag,
    measure_picture_lags,
    select_synced_clips,
)
from dubfew.utils.signal import LagEstimate
from tests.speech.clips import spoken_clip


def test_the_lag_of_a_clip_is_measured(model: SpeechModel) -> None:
    early, late = (measure_lag(model, spoken_clip("one", delay)) for delay in (-0.06, 0.06))
    assert late.lag_seconds - early.lag_seconds == pytest.approx(0.12, abs=0.03)
    assert min(early.r_best, late.r_best) > 0.5


@pytest.mark.slow
def test_lags_of_files_are_those_of_their_clearest_part() -> None:
    short = spoken_clip("a.mp4 (2)", 0.2)
    # Too short to tell a lag.
    cut = replace(short, samples=short.samples[:16000], motion=short.motion.select(slice(25)))
    clips = [spoken_clip("a.mp4", 0.12), cut, spoken_clip("b (1).mp4", -0.08)]
    lags = measure_picture_lags(SpeechModel.load_default(), clips)
    assert list(lags) == ["a.mp4", "b (1).mp4"]
    assert all(lag.is_clear for lag in lags.values())
    late, early = (lag.lag_seconds for lag in lags.values())
    assert late - early == pytest.approx(0.2, abs=0.03)
    # Lips part before their vowel is heard; espeak's visemes here do not.
    assert late == pytest.approx(0.12, abs=0.07)


def test_clips_in_sync_are_kept_and_shifted(tmp_path: Path) -> None:
    clips = [spoken_clip("late", 0.08), spoken_clip("unrelated"), spoken_clip("exact")]
    estimates = {
        "late": LagEstimate(lag_seconds=0.08, r_best=0.9, r_zero=0.3),
        "unrelated": LagEstimate(lag_seconds=0.1, r_best=0.1, r_zero=0.0),
        "exact": LagEstimate(lag_seconds=0.0, r_best=0.8, r_zero=0.8),
    }
    synced = select_synced_clips(clips, estimates, 0.15, ArrayCache(tmp_path))
    assert synced.names == ("late", "exact")
    assert set(synced.lag_estimates) == set(estimates)
    late, exact = (recording.displacement[10:-10] for recording in synced.recordings)
    np.testing.assert_allclose(late[: len(exact)], exact, atol=0.02)
