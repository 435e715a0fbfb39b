from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import visibility
from benchmarks.common import DEMO_CLIP
from benchmarks.footage import split_clip
from benchmarks.occluders import OCCLUDERS, draw_occluder

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_an_occluder_covers_the_mouth_and_nothing_above_it(kind: str):
    rgb = np.full((200, 200, 3), (190, 150, 130), np.uint8)
    landmarks = np.random.default_rng(0).uniform(70, 130, (478, 3)).astype(np.float32)
    landmarks[[61, 291, 0, 17, 13, 14], :2] = (100, 120)
    drawn = draw_occluder(rgb, landmarks, kind, np.random.default_rng(0))
    changed = (drawn != rgb).any(-1)
    assert changed[115:125, 95:105].mean() > 0.3
    assert not changed[:95].any()
    again = draw_occluder(rgb, landmarks, kind, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)


def test_tables_of_a_clip(tmp_path):
    clip = tmp_path / "clip.mp4"
    assert split_clip(DEMO_CLIP, clip, tmp_path / "rest.mp4", seconds=2.4) == 60
    assert visibility.main([str(clip), "--drawn", "--out", str(tmp_path)]) == 0
    data = json.loads((tmp_path / "visibility.json").read_text())
    (row,) = data["clips"]
    assert (row["frames"], row["people"], row["shots"], row["usable"]) == (60, 1, 1, 60)
    assert 0 < row["turn"] < 30
    paper = data["drawn"][0]
    assert (paper["kind"], paper["frames"]) == ("paper", 20)
    # The clip is so short that some frames cannot be compared with others.
    assert paper["found"] + paper["lost"] >= 10
    text = (tmp_path / "visibility.md").read_text()
    assert "| **all** | - | 60 | 1 | 1 | 100.0 | 100.0 |" in text
    assert "| other | paper | 1 | 20 |" in text


def test_a_folder_without_a_manifest_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="manifest"):
        visibility.main(["--footage", str(tmp_path)])
