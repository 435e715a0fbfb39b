"""Names of rendered files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.errors import DubfewError, OutputExistsError
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import check_outputs, default_output, resolve_output

SCENE = Path("scenes/scene.mov")


@pytest.mark.parametrize(
    ("actor", "sound", "driver", "name"),
    [
        ("mary", Path("german1.wav"), None, "scene-mary-german1.mp4"),
        ("mary", SCENE, None, "scene-mary.mp4"),
        ("mary", None, None, "scene-mary.mp4"),
        ("mary", SCENE, Path("take2.mp4"), "scene-mary-take2.mp4"),
        ("scene", Path("german1.wav"), None, "scene-german1.mp4"),
        ("scene", SCENE, None, "scene-dubbed.mp4"),
    ],
)
def test_the_name_tells_scene_actor_and_sound(
    actor: str, sound: Path | None, driver: Path | None, name: str
) -> None:
    assert default_output(actor, SCENE, sound, driver) == Path(name)


@pytest.mark.parametrize("taken", ["out.mkv", "out.c2pa", "plot.png"])
def test_each_file_of_a_render_is_checked(tmp_path: Path, taken: str) -> None:
    output, plot = tmp_path / "out.mkv", tmp_path / "plot.png"
    check_outputs(output, plot, RenderOptions())
    (tmp_path / taken).touch()
    with pytest.raises(OutputExistsError, match=taken):
        check_outputs(output, plot, RenderOptions())
    check_outputs(output, plot, RenderOptions(overwrite=True))
    with pytest.raises(DubfewError, match="input file"):
        check_outputs(output, plot, RenderOptions(overwrite=True), tmp_path / taken)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"preview": True}, ["scene-mary-preview", "scene-mary-preview-2", "scene-mary-preview-3"]),
        ({"preview": True, "out": "x.mp4"}, ["x-preview", "x-preview-2"]),
        ({"into": "old/x.mp4"}, ["x-redo", "x-redo-2"]),
        ({"into": "x-redo.mp4"}, ["x-redo", "x-redo-2"]),
        ({"into": "x-redo-2.mp4"}, ["x-redo", "x-redo-2"]),
    ],
)
def test_another_try_gets_a_number_and_replaces_nothing(tmp_path, monkeypatch, options, names):
    monkeypatch.chdir(tmp_path)
    for name in names:
        assert resolve_output("mary", RenderOptions(**options), SCENE, None, None).stem == name
        (tmp_path / f"{name}.mp4").touch()
    replacing = RenderOptions(**options, overwrite=True)
    written = resolve_output("mary", replacing, SCENE, None, None)
    assert written.name != options.get("into")  # an input is not replaced
    assert written.stem in (names[0], f"{names[0]}-3")


def test_a_whole_render_never_gets_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene-mary.mp4").touch()
    assert resolve_output("mary", RenderOptions(), SCENE, None, None) == Path("scene-mary.mp4")
