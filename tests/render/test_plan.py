"""Plans of renders: the facts of real files, before anything is loaded."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from dubfew.errors import ActorNotFoundError, MediaError
from dubfew.registry import Registry
from dubfew.render.plan import RenderPlan, plan_render
from dubfew.utils.work_pace import WorkPace

CLIP, DUB = (Path(str(files("dubfew.demo") / name)) for name in ("actor.mp4", "dub.wav"))


@pytest.fixture
def known(tmp_path) -> Registry:
    """An actor of whom nothing is stored but where they were filmed."""
    registry = Registry(tmp_path / "home")
    source = {"path": str(CLIP), "complete": True}
    registry.create("mary", {"method": "lora", "source": source}, {"x": b"x"})
    return registry


def plan(registry: Registry, **options) -> RenderPlan:
    return plan_render("mary", registry=registry, **options)


@pytest.mark.slow
def test_the_plan_states_the_facts_of_the_files(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = plan(known, audio=DUB, out="out.mp4")
    assert (found.actor, found.revision, found.scene) == ("mary", 1, CLIP)
    assert found.fps == Fraction(25)
    assert found.scene_seconds == found.output_seconds == pytest.approx(7.44)
    assert found.sound.layout == "mono"
    assert found.sound.seconds == pytest.approx(5.16, abs=0.01)
    assert found.length_note == "the sound ends 2.3 s before the picture: the mouth rests there"
    assert found.output == tmp_path / "out.mp4"
    assert not found.is_measured


def test_the_plan_says_what_happens_to_longer_sound(known, silence):
    sound = silence(9.0)
    silent = plan(known, audio=sound)
    assert silent.length_note == "the last 1.6 s of the sound, which are silent, are cut"
    assert silent.output_seconds == pytest.approx(7.44)
    held = plan(known, audio=sound, fit="hold")
    assert held.output_seconds == pytest.approx(9.0)
    assert "holds its last frame for the last 1.6 s" in held.length_note


def test_another_scene_and_a_slow_machine_take_longer(known):
    own = plan(known)
    assert plan(known, face="0").seconds > own.seconds  # it is tracked
    WorkPace(known.home).record(1000.0, {"paint": 100})
    slow = plan(known)
    assert slow.is_measured
    assert slow.seconds > 10 * own.seconds


def test_a_passage_takes_less_time_than_the_whole(known):
    whole, passage = plan(known), plan(known, into=CLIP, from_seconds=1.0, to_seconds=2.0)
    assert passage.seconds < 0.6 * whole.seconds


@pytest.mark.slow
def test_a_mix_beyond_full_scale_is_said_before(known):
    assert plan(known, audio=DUB, mix=f"{CLIP}:-20").mix_note == ""
    loud = plan(known, audio=DUB, mix=f"{CLIP}:20")
    assert "above full scale" in loud.mix_note
    assert dict(loud.describe())["Level"] == loud.mix_note


def test_the_description_names_what_the_user_asked_for(known):
    found = dict(plan(known, audio=DUB, offset=-80, open=0.7, face="2").describe())
    assert found["Face"] == "--face 2"
    assert found["Mouth"] == "follows the sound, 80 ms earlier, opening x 0.7"
    assert str(DUB) in found["Sound"]
    assert dict(plan(known, drive="self").describe())["Mouth"] == "as in the scene"


def test_missing_files_and_actors_are_errors(known):
    with pytest.raises(MediaError, match=r"none\.wav"):
        plan(known, audio="none.wav")
    with pytest.raises(ActorNotFoundError):
        plan_render("nobody", registry=known)


@pytest.mark.slow
def test_plans_import_no_torch():
    code = (
        "import sys, dubfew.render.plan, dubfew.adapt.plan;"
        "print(sorted({'torch', 'mediapipe'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_render_imports_nothing_large_that_it_does_not_need():
    code = (
        "import sys, dubfew.render.pipeline;"
        "print(sorted({'accelerate', 'peft', 'kornia', 'scipy.signal', 'scipy.optimize',"
        "'scipy.interpolate', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
