"""Color spaces of OpenColorIO configurations, stated for footage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubfew.adapt.options import INPUT_TRANSFORMS, AdaptOptions
from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media import ColorTags, Frame, VideoInfo, VideoWriter, read_frames
from dubfew.media.log_curves import stated_input_transform
from dubfew.media.working_color import describe_working_color, find_working_color
from dubfew.utils import import_utils

STUDIO = "ocio://studio-config-latest#"
SPACES = {
    "slog3": "S-Log3 S-Gamut3.Cine",
    "logc3": "ARRI LogC3 (EI800)",
    "logc4": "ARRI LogC4",
    "vlog": "V-Log V-Gamut",
    "applelog": "Apple Log",
}
SKIN = np.array([[188, 140, 118], [230, 200, 190], [30, 20, 15]], np.float32) / 255


@pytest.fixture(scope="module")
def _ocio():
    return pytest.importorskip("PyOpenColorIO")


@pytest.mark.usefixtures("_ocio")
@pytest.mark.parametrize("name", INPUT_TRANSFORMS)
def test_the_library_and_the_makers_formula_agree(name):
    """Both are independent: formulas of white papers, and the transforms of ACES."""
    stated = find_working_color(ColorTags(2, 1, 2, 2, STUDIO + SPACES[name]))
    code = stated.from_working(SKIN)
    assert stated.to_working(code) == pytest.approx(SKIN, abs=1e-4)
    own = find_working_color(ColorTags(2, 1, 2, 2, name))
    # The contrast of a display is added in the gamut of the camera or in that of BT.709.
    assert own.to_working(code) == pytest.approx(SKIN, abs=1.5 / 255)


@pytest.mark.usefixtures("_ocio")
def test_color_of_a_display_gets_no_contrast():
    """BT.1886 is the working color itself."""
    space = "ocio://default#Rec.1886 Rec.709 - Display"
    conversion = find_working_color(ColorTags(1, 1, 2, 2, space))
    assert conversion.to_working(SKIN) == pytest.approx(SKIN, abs=1e-4)
    assert "Rec.1886 Rec.709" in describe_working_color(ColorTags(1, 1, 2, 2, space))


@pytest.mark.usefixtures("_ocio")
def test_footage_is_read_and_painted_by_a_config_file(tmp_path: Path, monkeypatch):
    """A studio's own file, named by the environment: here scene light, its square root stored."""
    config = tmp_path / "show.ocio"
    config.write_text(
        "ocio_profile_version: 2\n"
        "roles: {scene_linear: lin, default: lin, aces_interchange: aces}\n"
        "file_rules:\n  - !<Rule> {name: Default, colorspace: default}\n"
        "displays: {d: [!<View> {name: v, colorspace: lin}]}\n"
        "colorspaces:\n"
        "  - !<ColorSpace> {name: aces}\n"
        "  - !<ColorSpace>\n    name: lin\n"
        '    to_scene_reference: !<BuiltinTransform> {style: "ACEScg_to_ACES2065-1"}\n'
        "  - !<ColorSpace>\n    name: root\n    to_scene_reference: !<GroupTransform>\n"
        "      children:\n"
        "        - !<ExponentTransform> {value: [2, 2, 2, 1]}\n"
        '        - !<BuiltinTransform> {style: "ACEScg_to_ACES2065-1"}\n'
    )
    path = tmp_path / "scene.mkv"
    monkeypatch.setenv("OCIO", str(config))
    info = VideoInfo(path, 96, 64, 25, pix_fmt="yuv444p10le", color_range=1, colorspace=1)
    stored = np.full((64, 96, 3), round(255 * 0.18**0.5), np.uint8)  # mid gray
    with VideoWriter(path, info, lossless=True) as writer:
        tags = ColorTags(1, 1, 2, 2)
        writer.write(Frame.from_rgb(stored, pix_fmt=info.pix_fmt, color=tags))
    with stated_input_transform(path, "#root"):
        frame = next(read_frames(path))
    # Where mid gray of every log curve lies, too.
    assert frame.to_rgb().reshape(-1, 3).mean(0) == pytest.approx([108.2] * 3, abs=0.8)
    rgb = np.full((64, 96, 3), 108, np.uint8)
    painted = frame.with_patch(0, 0, rgb, np.ones((64, 96), bool))
    assert np.abs(painted.planes()[0].astype(int) - frame.planes()[0]).max() <= 4  # of 1023


@pytest.mark.usefixtures("_ocio")
@pytest.mark.parametrize(
    ("stated", "word"),
    [
        ("ocio://default#S-Log3", "Display P3"),  # lists what is there
        ("ocio://default#Raw", "of pictures"),
        ("ocio://no-such#x", "no-such"),
        ("no_such.ocio#x", "config.ocio"),
        ("#x", "OCIO is not set"),
    ],
)
def test_what_cannot_be_found_is_refused_before_any_work(stated, word, monkeypatch):
    monkeypatch.delenv("OCIO", raising=False)
    with pytest.raises(DubfewError, match=word):
        AdaptOptions(input_transform=stated)


def test_names_without_a_space_are_refused():
    with pytest.raises(DubfewError, match=r"slog3.*CONFIG#SPACE"):
        AdaptOptions(input_transform="slog4")


def test_a_missing_library_names_its_extra(monkeypatch):
    missing = import_utils.OptionalPackage(
        "no_such_module", "opencolorio", "colors", "pip install 'dubfew[ocio]'", "dubbing"
    )
    monkeypatch.setitem(import_utils.OPTIONAL_PACKAGES, "PyOpenColorIO", missing)
    with pytest.raises(MissingDependencyError, match=r"dubfew\[ocio\]"):
        AdaptOptions(input_transform="missing.ocio#x")
