"""A dub in one command: learn where the actor is not known, then render the same revision."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from dubfew.dubbing import pipeline
from dubfew.dubbing.plan import plan_dub
from dubfew.errors import ActorNotFoundError, ConsentError, MediaError, OutputExistsError
from dubfew.progress import Progress
from dubfew.registry import Registry
from dubfew.utils.files import sha256_file
from tests.consents import filled_consent

SCENE, SOUND = (Path(str(files("dubfew.demo") / name)) for name in ("actor.mp4", "dub.wav"))


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    return Registry(tmp_path / "home")


@pytest.fixture
def calls(monkeypatch) -> list:
    """The calls of `adapt` and `render`, which do nothing but report their end."""
    made: list = []

    def adapt(scene, options, registry, progress):
        made.append(("adapt", options))
        progress(Progress("done", 1, 1, fraction=1.0))
        return SimpleNamespace(actor=options.actor, revision=7)

    def render(actor, options, registry, progress):
        made.append(("render", actor, options))
        for fraction in (0.5, 1.0):
            progress(Progress("render", 1, 2, fraction=fraction))
        return SimpleNamespace(output=options.out)

    monkeypatch.setattr(pipeline, "adapt", adapt)
    monkeypatch.setattr(pipeline, "render", render)
    return made


def store(registry: Registry, name: str, sha256: str, steps: int = 20) -> None:
    source = {"path": str(SCENE), "sha256": sha256, "complete": True}
    config = {"method": "lora", "source": source, "training": {"steps": steps}}
    registry.create(name, config, {"x": b"x"})


@pytest.mark.slow
def test_an_unknown_actor_is_learned_from_the_scene(registry, calls):
    plan = plan_dub(SCENE, SOUND, registry=registry, draft=True)
    assert plan.learning is not None
    assert plan.seconds == plan.learning.seconds + plan.rendering.seconds
    told = dict(plan.describe())
    assert "learned from the scene first" in told["Actor"]
    assert told["Training"] == "none"
    assert told["Time"].startswith("about")  # without training nothing can end sooner
    fractions: list[float] = []
    done = pipeline.dub(
        SCENE,
        SOUND,
        registry=registry,
        draft=True,
        open=0.7,
        progress=lambda report: fractions.append(report.fraction),
    )
    (_, learned), (_, actor, rendered) = calls
    assert (learned.actor, learned.draft) == ("actor", True)
    assert (actor, rendered.revision, rendered.open) == ("actor", 7, 0.7)
    assert (rendered.video, rendered.audio) == (SCENE, SOUND)
    assert done.learned.revision == 7
    share = plan.learning_share
    assert fractions == pytest.approx([(1 + share) / 2, 1])  # the end of a part is not the end


def test_a_preview_says_that_it_needs_no_training(registry):
    told = dict(plan_dub(SCENE, SOUND, registry=registry, preview=True).describe())
    assert "--draft" in told["Training"]
    assert told["Time"].startswith("at most")
    told = dict(plan_dub(SCENE, SOUND, registry=registry).describe())
    assert "--draft" not in told["Training"]


def test_what_the_scene_has_taught_is_rendered_again(registry, calls):
    store(registry, "actor", sha256_file(SCENE))
    store(registry, "actor", "0" * 64)  # from other footage, and used by default
    assert plan_dub(SCENE, SOUND, registry=registry).learning is None
    assert pipeline.dub(SCENE, SOUND, registry=registry).learned is None
    ((_, actor, rendered),) = calls
    assert (actor, rendered.revision) == ("actor", 1)


@pytest.mark.parametrize(("steps", "is_told"), [(0, True), (20, False)])
def test_a_draft_is_not_taken_for_the_final(registry, steps, is_told):
    store(registry, "actor", sha256_file(SCENE), steps)
    told = dict(plan_dub(SCENE, SOUND, registry=registry).describe())["Actor"]
    assert told.startswith("actor, revision 1")
    assert ("dubfew adapt" in told) is is_told


def test_a_named_actor_is_rendered_and_must_exist(registry, calls):
    store(registry, "mary", "0" * 64)
    pipeline.dub(SCENE, SOUND, actor="mary", registry=registry)
    assert calls[0][1] == "mary"
    with pytest.raises(ActorNotFoundError):
        plan_dub(SCENE, SOUND, actor="nobody", registry=registry)


def test_nothing_is_learned_for_a_render_that_would_be_refused(registry, calls, tmp_path):
    record = tmp_path / "c.json"
    record.write_text(json.dumps(filled_consent(languages=["de"])))
    with pytest.raises(ConsentError, match="language"):
        pipeline.dub(SCENE, SOUND, consent=record, language="fr", registry=registry)
    (tmp_path / "o.mp4").write_bytes(b"earlier")
    with pytest.raises(OutputExistsError):
        pipeline.dub(SCENE, SOUND, out="o.mp4", registry=registry)
    with pytest.raises(MediaError, match="none"):
        pipeline.dub(SCENE, "none.wav", registry=registry)
    assert calls == []
