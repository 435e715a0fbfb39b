"""The figures of papers: bins of turns, points of tables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import painting_steps, scatter, turns
from dubfew.evaluate.papers.protocols import load_published
from dubfew.media import Frame


class ToyTrack(SimpleNamespace):
    """What is read of a track."""

    def __len__(self) -> int:
        return len(self.valid)


def test_a_turn_is_the_angle_to_the_camera() -> None:
    track = SimpleNamespace(rotation=np.radians([[0, 0, 0], [0, 30, 0], [20, 0, 0], [0, 0, 25]]))
    # A head that leans to the side still faces the camera.
    np.testing.assert_allclose(turns.measure_turns(track), [0, 30, 20, 0], atol=1e-5)


def test_frames_are_binned_by_their_turn() -> None:
    rows = turns.bin_by_turn(
        np.array([1.0, 9.0, 15.0, 50.0, 60.0]), np.array([30.0, 40.0, 33.0, np.nan, np.nan])
    )
    assert rows == [
        ("0 to 10", 2, 0, 35.0),
        ("10 to 20", 1, 0, 33.0),
        ("40 and more", 2, 2, None),
    ]


def test_pairs_are_measured_at_the_mouth(monkeypatch) -> None:
    landmarks = np.zeros((2, 478, 3), np.float32)
    landmarks[..., :2] = np.random.default_rng(0).uniform(8, 24, (2, 478, 2))
    track = ToyTrack(landmarks=landmarks, rotation=np.zeros((2, 3)), valid=np.ones(2, bool))
    black, gray = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 10, np.uint8)
    films = {"film": [black, black], "output": [black, gray]}
    monkeypatch.setattr(turns, "track_video", lambda path: track)
    monkeypatch.setattr(
        turns,
        "read_frames",
        lambda name: [Frame.from_rgb(rgb, number, 25) for number, rgb in enumerate(films[name])],
    )
    angles, values = turns.measure_pair("film", "output")
    assert angles.tolist() == [0, 0]
    # The first frame was left as it is; the second is off by 10 levels.
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(28.13, abs=0.5)


def test_marks_are_the_first_step_above_them() -> None:
    marks = painting_steps.find_marks([(0, 13.0), (50, 18.5), (100, 18.0)])
    assert dict(zip(painting_steps.PSNR_MARKS, marks, strict=True)) == {
        **dict.fromkeys(painting_steps.PSNR_MARKS), 14: 50, 16: 50, 18: 50,
    }  # fmt: skip


@pytest.mark.slow
def test_points_of_published_and_measured_systems(tmp_path) -> None:
    points = scatter.published_points(load_published()["002.1"], "lse_d", "fid", "HDTF")
    assert points["SIDGAN"] == (6.8, 12.15)
    assert "Truth" not in points  # it has no FID
    file = tmp_path / "peers.csv"
    file.write_text("system,clip,fid,lse_d\na,1,10,7\na,2,20,8\nb,1,,7\n")
    pytest.importorskip("matplotlib")
    measured = scatter.measured_points(file, "own", "lse_d", "fid")
    assert measured == {"own: a": (7.5, 15.0)}
    assert (
        scatter.main(["002.1", "--measured", f"own={file}", "--out", str(tmp_path / "a.png")]) == 0
    )
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        scatter.main(["009.9"])
