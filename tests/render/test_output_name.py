"""Names of rendered files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubfew.errors import DubfewError, OutputExistsError
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import check_outputs, default_output

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
