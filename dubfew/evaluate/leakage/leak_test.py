"""The leak test: does anything of an actor stay behind when they are deleted?

A dubbed frame shows the scene's own face around the mouth, so how like the actor it is says little
about what is stored. Here the mouths are painted into strangers' faces, and what counts is how
much nearer that brings those to the actor than to others.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.pipeline import pick_device
from dubfew.evaluate.leakage.harness import (
    Measured,
    Painted,
    Studio,
    leans_of,
    look_alikes,
    mean_known,
    measured,
)
from dubfew.evaluate.leakage.people import Person, look_at
from dubfew.evaluate.leakage.recovery import Remains, remains_of
from dubfew.evaluate.leakage.result import ActorLeak, LeakResult, judge
from dubfew.evaluate.leakage.scenes import Paint, Picture, film_scene, on_mean_head, with_texture
from dubfew.evaluate.leakage.sheet import face_of, head_of, write_decoded
from dubfew.evaluate.leakage.statistics import Lean, PriorLean, lean_of, prior_lean
from dubfew.evaluate.leakage.subjects import (
    Subject,
    crowd_of,
    enrol,
    own_registry,
    subjects_of,
    track_of,
)
from dubfew.prior.checkpoint import WARP, Prior, prior_info
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.detection.recognition import DEFAULT, FaceEmbedding, load_embedding
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.registry import Registry
from dubfew.render.background import BackgroundKeeper
from dubfew.utils.files import check_output

FACES = 4  # painted into at most, the bundled synthetic person's among them
BUNDLED = "synthetic"

Found = dict[str, list[Measured]]  # pictures of every kind, actor by actor


def leak_test(
    videos: Sequence[Path | str] = (),
    *,
    actors: Sequence[str] = (),
    strangers: Sequence[Path | str] = (),
    steps: int | None = None,
    prior: str | Path | None = None,
    embedding: str | FaceEmbedding = DEFAULT,
    sheet: Path | None = None,
    registry: Registry | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> LeakResult:
    """Adapt, look at what is stored, delete, and look at what is left.

    All of it happens in a temporary registry; actors of the user's are copied there, and theirs
    stays as it is.

    Args:
        videos: of one person each, adapted for the test.
        actors: of the user's registry; their footage has to be where it was.
        strangers: videos of other people, to compare with, or folders of such.
        steps: of each adaptation at most; those of `adapt` by default.
        prior: name or folder; the shipped one by default.
        embedding: entry of `EMBEDDINGS`, or one itself.
        sheet: a PNG for what was decoded.
        registry: where ``actors`` are; the user's own by default.
        device: "auto", "cpu" or "cuda".
        seed: of the adaptations.
        progress: told of every stage.

    Raises:
        ActorNotFoundError: no such actor.
        SuspendedError: use of an actor is suspended.
        AuditError: the audit log of the user's registry cannot be written.
        MediaError: a video cannot be read.
        NoFaceError: a video shows no face.
        ArtefactError: no such prior, or an actor was adapted on another.
        MissingDependencyError: the embedding is not installed.
        DubfewError: too few people, or two of one name.
    """
    began = time.monotonic()
    device = pick_device(device)
    subjects = subjects_of([Path(video) for video in videos], actors, registry)
    crowd = crowd_of(subjects, [Path(video) for video in strangers])
    if sheet is not None:
        check_output(sheet, *crowd.values())
    telling = load_embedding(embedding) if isinstance(embedding, str) else embedding
    base = Prior.load(prior)
    with ExitStack() as stack:
        bundled = stack.enter_context(as_file(files("dubfew.demo") / "actor.mp4"))
        store, copy = stack.enter_context(own_registry())
        studio = Studio(
            base,
            load_head(base.head),
            telling,
            _people(crowd, telling, _learned_from(prior), progress),
            [],
            device,
            stack.enter_context(BackgroundKeeper()),
        )
        unknown = dict(list(crowd.items())[len(subjects) :]) or crowd
        for name, video in [(BUNDLED, bundled), *list(unknown.items())[: FACES - 1]]:
            window = base.renderer.config.window
            scene = film_scene(name, video, studio.head, window, progress=progress)
            studio.scenes.append(scene)
        before, empty = studio.alone(base), studio.alone(base, empty=True)
        kinds = {"before": measured(studio, before), "blank": measured(studio, empty)}
        adapters = enrol(
            subjects, store, steps=steps, prior=prior, device=device, seed=seed, progress=progress
        )
        adapted = time.monotonic()
        found: Found = defaultdict(list)
        own, decoded = [], {}
        for number, subject in enumerate(subjects, 1):
            adapter = adapters.pop(subject.name)
            decoded[subject.name] = _paint_all(subject, adapter, studio, found)
            own.append(_in_own_scene(subject, adapter, studio, decoded[subject.name]))
            progress(Progress("paint", number, len(subjects)))
        del adapter
        left = _delete(subjects, store, copy)
        nothing = studio.alone(Prior.load(prior))
        same = _same(before, nothing)
        for subject in subjects:
            adapter_left = left[subject.name]["store"].adapter or left[subject.name]["copy"].adapter
            pictures = nothing if adapter_left is None else studio.all_of(adapter_left)
            found["after"].append(measured(studio, pictures))
            found["before"].append(kinds["before"])
            shown = studio.scenes[0]
            for each in (pictures, empty):
                decoded[subject.name].append(face_of(each[shown.name][0], shown))
        if sheet is not None:
            write_decoded(sheet, decoded, f"painted into: {shown.name}; prior: {base.name}")
        leans = _leans(studio, found, seed)
        towards = {kind: _prior_lean(studio, each, seed) for kind, each in kinds.items()}
        opened = [name for name, each in left.items() if any(r.files for r in each.values())]
        verdict, line = judge(leans, opened, same)
        one_by_one = tuple(
            _actor(studio, number, found, own[number], left[subject.name])
            for number, subject in enumerate(subjects)
        )
    done = time.monotonic()
    return LeakResult(
        verdict=verdict,
        line=line,
        actors=one_by_one,
        leans=leans,
        same_pictures=same,
        prior={kind: each for kind, each in towards.items() if each.learned and each.others},
        people=len(crowd),
        faces=tuple(scene.name for scene in studio.scenes),
        embedding=telling.name,
        sheet=sheet,
        seconds={"adapt": adapted - began, "paint": done - adapted, "total": done - began},
    )


def _people(
    crowd: Mapping[str, Path],
    embedding: FaceEmbedding,
    learned_from: frozenset[str],
    progress: ProgressCallback,
) -> list[Person]:
    people = []
    for name, video in crowd.items():
        people.append(look_at(name, video, embedding, learned_from))
        progress(Progress("faces", len(people), len(crowd)))
    return people


def _learned_from(prior: str | Path | None) -> frozenset[str]:
    """SHA-256 of the files that a prior learned from, as its configuration names them."""
    config = {} if str(prior) == WARP else prior_info(prior).config
    return frozenset(str(person.get("sha256", "")) for person in config.get("people", []))


def _paint_all(
    subject: Subject, adapter: ActorAdapter, studio: Studio, found: Found
) -> list[tuple[Picture, Picture]]:
    """Paint and measure what is stored of an actor, as a whole and in parts; decoded pictures."""
    texture = {s.name: with_texture(s, adapter.texture, studio.head) for s in studio.scenes}
    delta, whole = studio.delta_of(adapter), studio.all_of(adapter)
    for kind, pictures in (("texture", texture), ("delta", delta), ("adapter", whole)):
        found[kind].append(measured(studio, pictures))
    shown = studio.scenes[0]
    return [
        head_of(on_mean_head(adapter.texture, studio.head)),
        face_of(studio.hidden_in(adapter, shown)[0], shown),
        face_of(delta[shown.name][0], shown),
        face_of(whole[shown.name][0], shown),
    ]


def _in_own_scene(
    subject: Subject,
    adapter: ActorAdapter,
    studio: Studio,
    decoded: list[tuple[Picture, Picture]],
) -> dict[str, float]:
    """Frames of the actor's own footage against the same frames painted; puts one first among
    what is decoded."""
    track, first = track_of(adapter)
    window = studio.prior.renderer.config.window
    scene = film_scene(subject.name, subject.video, studio.head, window, track=track, first=first)
    decoded.insert(0, face_of(scene.pictures()[0], scene))
    stranger = next(s for s in studio.scenes if s.name != subject.name).references
    alone = Paint(studio.prior.renderer, studio.prior.texture, stranger)
    true = studio.codes(scene, scene.pictures())

    def apart(pictures: list[Picture]) -> float:
        return float(np.linalg.norm(studio.codes(scene, pictures) - true, axis=1).mean())

    with studio.stage.playing(adapter) as renderer:
        whole = studio.paint(scene, Paint(renderer, adapter.texture, adapter.references))
    return {"before": apart(studio.paint(scene, alone)), "adapter": apart(whole)}


def _delete(
    subjects: Sequence[Subject], store: Registry, copy: Path
) -> dict[str, dict[str, Remains]]:
    """Copy the store, delete everybody in it, and try to open them in both."""
    shutil.copytree(store.home, copy)
    for subject in subjects:
        store.delete(subject.name)
    old = Registry(copy, keys=store.keys)
    return {
        subject.name: {
            "store": remains_of(subject.name, store),
            "copy": remains_of(subject.name, old),
        }
        for subject in subjects
    }


def _same(before: Painted, after: Painted) -> bool:
    return all(
        np.array_equal(a, b)
        for name in before
        for a, b in zip(before[name], after[name], strict=True)
    )


def _leans(studio: Studio, found: Found, seed: int) -> dict[str, Lean]:
    rows = {
        kind: np.stack([leans_of(studio, each) for each in per_actor])
        for kind, per_actor in found.items()
    }
    stored = rows["adapter"]
    count = len(stored)
    if count > 1:
        painted = stored.copy()
        painted[np.arange(count), np.arange(count)] = np.nan  # of their own pictures
        rows["others"] = np.stack(
            [mean_known(np.delete(painted, row, axis=0)) for row in range(count)]
        )
    for each in rows.values():
        for row in range(count):
            each[row, look_alikes(studio, row)] = np.nan
    return {kind: lean_of(each, np.arange(count), seed) for kind, each in rows.items()}


def _prior_lean(studio: Studio, found: Measured, seed: int) -> PriorLean:
    learned = np.array([person.trained for person in studio.people])
    return prior_lean(leans_of(studio, found), learned, seed)


def _actor(
    studio: Studio,
    number: int,
    found: Found,
    scene: dict[str, float],
    left: Mapping[str, Remains],
) -> ActorLeak:
    person = studio.people[number]
    scenes = studio.scenes_for(number)
    bare = [studio.far(studio.bare_codes(each))[number] for each in scenes]
    others = [p for p in studio.people if p is not person]
    return ActorLeak(
        name=person.name,
        trained=person.trained,
        own=person.spread,
        strangers=float(np.mean([person.distance(other) for other in others])),
        distance={"unpainted": float(np.mean(bare))}
        | {
            kind: float(np.mean([each[number].far[scene.name][number] for scene in scenes]))
            for kind, each in found.items()
        },
        lean={kind: float(leans_of(studio, each[number])[number]) for kind, each in found.items()},
        scene=scene,
        files_read={place: each.files for place, each in left.items()},
        refused={place: each.refused for place, each in left.items()},
    )
