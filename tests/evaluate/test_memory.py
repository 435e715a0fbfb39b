"""What measuring a clip takes beside its landmarks must not grow as they do."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dubfew.evaluate.face_geometry import clip_mouth_box, face_boxes, has_face
from dubfew.evaluate.metrics import _theval
from dubfew.evaluate.metrics.jitter import lip_tremble
from dubfew.evaluate.metrics.lmd import lip_distances
from dubfew.evaluate.same_line import is_same_line

# Frames of the shorter and the longer clip; work in blocks of frames takes the same in both.
SHORT, LONG = 900, 2700


def _measure_peaks(frames: int) -> dict[str, int]:
    """Measure the memory that each measure takes for a clip of some length, bytes."""
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(100, 400, (frames, 478, 3)).astype(np.float32)
    landmarks[::7] = np.nan
    silent = np.arange(frames) % 50 < 5
    clip = _theval.MeasuredClip(Path("none.wav"), landmarks, np.arange(frames) / 25, silent)
    peaks = {}
    for name, measure in {
        "faces": lambda: has_face(landmarks),
        "mouth box": lambda: clip_mouth_box(landmarks, 500, 500),
        "boxes": lambda: face_boxes(landmarks, 500, 500),
        "distances": lambda: lip_distances(landmarks, landmarks),
        "tremble": lambda: lip_tremble(landmarks),
        "dynamics": lambda: _theval.measure_lip_dynamics(clip),
        "deviation": lambda: _theval.measure_silent_deviation(clip),
    }.items():
        tracemalloc.start()
        measure()
        peaks[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peaks


@pytest.mark.slow
def test_no_measure_grows_as_the_faces_of_a_clip_do() -> None:
    short, long = _measure_peaks(SHORT), _measure_peaks(LONG)
    more = (LONG - SHORT) * 478 * 3 * 4
    for name in short:
        # Some numbers of each frame, of the 1434 that the faces have.
        assert long[name] - short[name] < 0.05 * more, name


def test_sound_is_compared_in_blocks(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "long.wav"
    noise = np.random.default_rng(0).normal(0, 3000, 16000 * 60).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    with pytest.MonkeyPatch.context() as patch:
        from dubfew.evaluate import same_line

        patch.setattr(same_line, "probe", lambda path: type("Info", (), {"has_audio": True}))
        tracemalloc.start()
        assert is_same_line(path, path) is True
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # Both sounds at once would take 7.7 MB, and as much again for each of them in float64.
    assert peak < noise.nbytes
