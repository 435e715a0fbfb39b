"""The picture of the lips' opening over the sound."""

from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import DubfewError
from dubfew.media import Audio
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MouthMotion, mouth_point_rows
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.render import plot
from dubfew.render.plot import plot_motion

pytestmark = pytest.mark.slow

RED = np.array([214, 39, 40])


def opening(gap: np.ndarray) -> MouthMotion:
    """A mouth whose lips are so far apart, at 25 fps."""
    displacement = np.zeros((len(gap), len(MOUTH_POINTS), 3), np.float32)
    displacement[:, mouth_point_rows(tuple(pair[1] for pair in INNER_LIP_PAIRS)), 1] = -gap[:, None]
    return MouthMotion(displacement, np.arange(len(gap)) / 25)


def line(path: Path) -> np.ndarray:
    """Row and column of every pixel of the lips' line."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.argwhere(np.abs(picture - RED).max(axis=-1) < 40)


def test_the_line_rises_when_the_lips_part(tmp_path):
    gap = np.where(np.arange(250) < 125, 0.02, 0.15)
    sound = Audio(0.1 * np.sin(np.arange(160000) / 5).astype(np.float32), 16000)
    plot_motion(tmp_path / "a.png", opening(gap), sound)
    found = line(tmp_path / "a.png")
    middle = (found[:, 1].min() + found[:, 1].max()) / 2
    closed, open_ = found[found[:, 1] < middle - 20], found[found[:, 1] > middle + 20]
    assert closed[:, 0].min() > open_[:, 0].max() + 50


@pytest.mark.slow
def test_ten_seconds_a_row(tmp_path, monkeypatch):
    heights = []
    for seconds in (9, 19, 40):
        plot_motion(tmp_path / "a.png", opening(np.full(25 * seconds, 0.1)), None)
        heights.append(Image.open(tmp_path / "a.png").height)
    assert heights == [260, 460, 860]
    monkeypatch.setattr(plot, "MAX_PLOT_ROWS", 2)
    plot_motion(tmp_path / "a.png", opening(np.full(25 * 40, 0.1)), None)
    assert Image.open(tmp_path / "a.png").height == 460


@pytest.mark.parametrize("samples", [0, 1, 500, 16000, 400000])
def test_silence_and_sound_of_another_length(tmp_path, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silence = Audio(np.zeros(samples, np.float32), 16000)
        plot_motion(tmp_path / "a.png", opening(np.linspace(0, 0.1, 300)), silence)
    assert len(line(tmp_path / "a.png")) > 500


def test_other_formats(tmp_path):
    plot_motion(tmp_path / "a.SVG", opening(np.linspace(0, 0.1, 30)), None, "a & b")
    assert ElementTree.parse(tmp_path / "a.SVG").getroot().tag.endswith("svg")
    plot_motion(tmp_path / "a.pdf", opening(np.linspace(0, 0.1, 30)), None)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(DubfewError, match=r"a\.mp4 is no picture .* \.png"):
        plot_motion(tmp_path / "a.mp4", opening(np.zeros(3)), None)
