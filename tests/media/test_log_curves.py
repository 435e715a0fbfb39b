"""Log footage with a stated curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt.options import INPUT_TRANSFORMS
from dubfew.media import ColorTags, Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.log_curves import LOG_CURVES, stated_input_transform
from dubfew.media.working_color import describe_working_color, find_working_color

SKIN = np.array([188, 140, 118], np.uint8)


@pytest.mark.parametrize(
    ("name", "code"),
    [("slog3", 420 / 1023), ("logc3", 0.391), ("logc4", 0.2784), ("vlog", 433 / 1023),
     ("applelog", 0.4883)],
)  # fmt: skip
def test_mid_gray_is_where_its_maker_says(name, code):
    curve = LOG_CURVES[name]
    assert float(curve.encode(np.array(0.18))) == pytest.approx(code, abs=1e-3)
    codes = np.linspace(0.1, 1, 50)
    assert curve.encode(curve.decode(codes)) == pytest.approx(codes, abs=1e-9)


def test_options_offer_every_curve():
    assert set(INPUT_TRANSFORMS) == set(LOG_CURVES)


@pytest.mark.parametrize("name", INPUT_TRANSFORMS)
@pytest.mark.parametrize("color_range", [1, 2])
def test_all_curves_give_one_picture(name, color_range):
    """Mid gray looks the same in the working color, whatever camera saw it."""
    curve = LOG_CURVES[name]
    code = float(curve.encode(np.array(0.18)))
    if curve.counts_code_values and color_range == 1:
        code = (code * 1023 - 64) / 876
    conversion = find_working_color(ColorTags(color_range, 1, 2, 2, name))
    gray = conversion.to_working(np.full((1, 3), code, np.float32))[0]
    assert gray * 255 == pytest.approx([108.2] * 3, abs=0.2)
    skin = SKIN.astype(np.float32)[None] / 255
    assert conversion.to_working(conversion.from_working(skin)) == pytest.approx(skin, abs=1e-3)


def test_a_stated_file_is_read_in_working_color(tmp_path: Path):
    path = tmp_path / "log.mkv"
    rgb = np.broadcast_to(SKIN, (64, 96, 3)).copy()
    info = VideoInfo(path, 96, 64, 25, pix_fmt="yuv422p10le", color_range=1, colorspace=1)
    tags = ColorTags(1, 1, 2, 2, "slog3")
    with VideoWriter(path, info, lossless=True) as writer:
        writer.write(Frame.from_rgb(rgb, pix_fmt=info.pix_fmt, color=tags))
    flat = next(read_frames(path)).to_rgb()
    with stated_input_transform(path, "slog3"):
        assert probe(path).log_curve == "slog3"
        frame = next(read_frames(path))
    assert np.abs(frame.to_rgb().astype(int) - rgb).max() <= 3
    assert np.ptp(flat[0, 0].astype(int)) < np.ptp(SKIN.astype(int)) / 2  # log is flat
    assert probe(path).log_curve == ""
    assert "S-Log3" in describe_working_color(tags)
    # What is painted comes back in log.
    painted = frame.with_patch(0, 0, rgb, np.ones(rgb.shape[:2], bool))
    assert np.abs(painted.planes()[0].astype(int) - frame.planes()[0]).max() <= 3
