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
from dubfew.evaluate.leakage.harness import (
    LeakHarness,
    PictureDistances,
    PicturesByScene,
    compute_shifts,
    find_lookalikes,
    measure_pictures,
    nan_mean,
)
from dubfew.evaluate.leakage.people import EmbeddedPerson, embed_person
from dubfew.evaluate.leakage.recovery import RecoveredActor, recover_actor
from dubfew.evaluate.leakage.result import ActorLeak, LeakResult, decide_verdict
from dubfew.evaluate.leakage.scenes import (
    MouthSource,
    RgbImage,
    draw_on_mean_head,
    load_scene,
    paint_texture,
)
from dubfew.evaluate.leakage.sheet import crop_face_and_mouth, crop_mean_head, write_decoded_sheet
from dubfew.evaluate.leakage.statistics import (
    IdentityShift,
    PriorShift,
    measure_identity_shift,
    measure_prior_shift,
)
from dubfew.evaluate.leakage.subjects import (
    LeakSubject,
    collect_people_videos,
    collect_subjects,
    enroll_subjects,
    load_adapter_track,
    temporary_registry,
)
from dubfew.prior.checkpoint import UNTRAINED_PRIOR, Prior, prior_info
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.face_embeddings import (
    DEFAULT_EMBEDDING,
    FaceEmbedding,
    load_face_embedding,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.registry import Registry
from dubfew.render.background import BackgroundPreserver
from dubfew.utils.device import resolve_device
from dubfew.utils.files import check_output_path

MAX_PAINTED_SCENES = 4  # painted into at most, the bundled synthetic person's among them
BUNDLED_SCENE_NAME = "synthetic"

MeasurementsByKind = dict[str, list[PictureDistances]]  # pictures of every kind, actor by actor


def run_leak_test(
    videos: Sequence[Path | str] = (),
    *,
    actors: Sequence[str] = (),
    strangers: Sequence[Path | str] = (),
    steps: int | None = None,
    prior: str | Path | None = None,
    embedding: str | FaceEmbedding = DEFAULT_EMBEDDING,
    sheet: Path | None = None,
    overwrite: bool = False,
    registry: Registry | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: ProgressCallback = no_progress,
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
        overwrite: replace ``sheet`` where it exists.
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
        OutputExistsError: ``sheet`` exists and ``overwrite`` is False.
        DubfewError: too few people, or two of one name.
    """
    began = time.monotonic()
    device = resolve_device(device)
    subjects = collect_subjects([Path(video) for video in videos], actors, registry)
    crowd = collect_people_videos(subjects, [Path(video) for video in strangers])
    if sheet is not None:
        check_output_path(sheet, *crowd.values(), overwrite=overwrite)
    telling = load_face_embedding(embedding) if isinstance(embedding, str) else embedding
    base = Prior.load(prior)
    with ExitStack() as stack:
        bundled = stack.enter_context(as_file(files("dubfew.demo") / "actor.mp4"))
        store, copy = stack.enter_context(temporary_registry())
        studio = LeakHarness(
            base,
            load_head_model(base.head),
            telling,
            _embed_people(crowd, telling, _training_file_hashes(prior), progress),
            [],
            device,
            stack.enter_context(BackgroundPreserver()),
        )
        unknown = dict(list(crowd.items())[len(subjects) :]) or crowd
        for name, video in [
            (BUNDLED_SCENE_NAME, bundled),
            *list(unknown.items())[: MAX_PAINTED_SCENES - 1],
        ]:
            window = base.renderer.config.window
            scene = load_scene(name, video, studio.head, window, progress=progress)
            studio.scenes.append(scene)
        before, empty = (
            studio.paint_with_prior(base),
            studio.paint_with_prior(base, blank_references=True),
        )
        kinds = {
            "before": measure_pictures(studio, before),
            "blank": measure_pictures(studio, empty),
        }
        adapters = enroll_subjects(
            subjects, store, steps=steps, prior=prior, device=device, seed=seed, progress=progress
        )
        adapted = time.monotonic()
        found: MeasurementsByKind = defaultdict(list)
        own, decoded = [], {}
        for number, subject in enumerate(subjects, 1):
            adapter = adapters.pop(subject.name)
            decoded[subject.name] = _measure_adapter(subject, adapter, studio, found)
            own.append(_measure_own_scene(subject, adapter, studio, decoded[subject.name]))
            progress(Progress("paint", number, len(subjects)))
        del adapter
        left = _delete_and_recover(subjects, store, copy)
        nothing = studio.paint_with_prior(Prior.load(prior))
        same = _are_identical(before, nothing)
        for subject in subjects:
            adapter_left = left[subject.name]["store"].adapter or left[subject.name]["copy"].adapter
            pictures = nothing if adapter_left is None else studio.paint_with_adapter(adapter_left)
            found["after"].append(measure_pictures(studio, pictures))
            found["before"].append(kinds["before"])
            shown = studio.scenes[0]
            for each in (pictures, empty):
                decoded[subject.name].append(crop_face_and_mouth(each[shown.name][0], shown))
        if sheet is not None:
            write_decoded_sheet(sheet, decoded, f"painted into: {shown.name}; prior: {base.name}")
        leans = _measure_shifts(studio, found, seed)
        towards = {kind: _measure_prior_shift(studio, each, seed) for kind, each in kinds.items()}
        opened = [name for name, each in left.items() if any(r.num_files for r in each.values())]
        verdict, line = decide_verdict(leans, opened, same)
        one_by_one = tuple(
            _summarize_actor(studio, number, found, own[number], left[subject.name])
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


def _embed_people(
    videos: Mapping[str, Path],
    embedding: FaceEmbedding,
    training_hashes: frozenset[str],
    progress: ProgressCallback,
) -> list[EmbeddedPerson]:
    people = []
    for name, video in videos.items():
        people.append(embed_person(name, video, embedding, training_hashes))
        progress(Progress("faces", len(people), len(videos)))
    return people


def _training_file_hashes(prior: str | Path | None) -> frozenset[str]:
    """SHA-256 of the files that a prior learned from, as its configuration names them."""
    config = {} if str(prior) == UNTRAINED_PRIOR else prior_info(prior).config
    return frozenset(str(person.get("sha256", "")) for person in config.get("people", []))


def _measure_adapter(
    subject: LeakSubject,
    adapter: ActorAdapter,
    harness: LeakHarness,
    measurements: MeasurementsByKind,
) -> list[tuple[RgbImage, RgbImage]]:
    """Paint and measure what is stored of an actor, as a whole and in parts; decoded pictures."""
    texture = {s.name: paint_texture(s, adapter.texture, harness.head) for s in harness.scenes}
    delta, whole = harness.paint_with_delta(adapter), harness.paint_with_adapter(adapter)
    for kind, pictures in (("texture", texture), ("delta", delta), ("adapter", whole)):
        measurements[kind].append(measure_pictures(harness, pictures))
    shown = harness.scenes[0]
    return [
        crop_mean_head(draw_on_mean_head(adapter.texture, harness.head)),
        crop_face_and_mouth(harness.paint_delta_on_blank(adapter, shown)[0], shown),
        crop_face_and_mouth(delta[shown.name][0], shown),
        crop_face_and_mouth(whole[shown.name][0], shown),
    ]


def _measure_own_scene(
    subject: LeakSubject,
    adapter: ActorAdapter,
    harness: LeakHarness,
    decoded: list[tuple[RgbImage, RgbImage]],
) -> dict[str, float]:
    """Frames of the actor's own footage against the same frames painted; puts one first among
    what is decoded."""
    track, first = load_adapter_track(adapter)
    window = harness.prior.renderer.config.window
    scene = load_scene(subject.name, subject.video, harness.head, window, track=track, first=first)
    decoded.insert(0, crop_face_and_mouth(scene.rgb_frames()[0], scene))
    stranger = next(s for s in harness.scenes if s.name != subject.name).references
    alone = MouthSource(harness.prior.renderer, harness.prior.texture, stranger)
    true = harness.embed_pictures(scene, scene.rgb_frames())

    def mean_distance(pictures: list[RgbImage]) -> float:
        return float(np.linalg.norm(harness.embed_pictures(scene, pictures) - true, axis=1).mean())

    with harness.switcher.activate(adapter) as renderer:
        whole = harness.paint_scene(
            scene, MouthSource(renderer, adapter.texture, adapter.references)
        )
    return {
        "before": mean_distance(harness.paint_scene(scene, alone)),
        "adapter": mean_distance(whole),
    }


def _delete_and_recover(
    subjects: Sequence[LeakSubject], store: Registry, copy_path: Path
) -> dict[str, dict[str, RecoveredActor]]:
    """Copy the store, delete everybody in it, and try to open them in both."""
    shutil.copytree(store.home, copy_path)
    for subject in subjects:
        store.delete(subject.name)
    old = Registry(copy_path, keys=store.keys)
    return {
        subject.name: {
            "store": recover_actor(subject.name, store),
            "copy": recover_actor(subject.name, old),
        }
        for subject in subjects
    }


def _are_identical(before: PicturesByScene, after: PicturesByScene) -> bool:
    return all(
        np.array_equal(a, b)
        for name in before
        for a, b in zip(before[name], after[name], strict=True)
    )


def _measure_shifts(
    harness: LeakHarness, measurements: MeasurementsByKind, seed: int
) -> dict[str, IdentityShift]:
    rows = {
        kind: np.stack([compute_shifts(harness, each) for each in per_actor])
        for kind, per_actor in measurements.items()
    }
    stored = rows["adapter"]
    count = len(stored)
    if count > 1:
        painted = stored.copy()
        painted[np.arange(count), np.arange(count)] = np.nan  # of their own pictures
        rows["others"] = np.stack(
            [nan_mean(np.delete(painted, row, axis=0)) for row in range(count)]
        )
    for each in rows.values():
        for row in range(count):
            each[row, find_lookalikes(harness, row)] = np.nan
    return {
        kind: measure_identity_shift(each, np.arange(count), seed) for kind, each in rows.items()
    }


def _measure_prior_shift(
    harness: LeakHarness, measured_pictures: PictureDistances, seed: int
) -> PriorShift:
    learned = np.array([person.in_training_set for person in harness.people])
    return measure_prior_shift(compute_shifts(harness, measured_pictures), learned, seed)


def _summarize_actor(
    harness: LeakHarness,
    number: int,
    measurements: MeasurementsByKind,
    scene: dict[str, float],
    recovered: Mapping[str, RecoveredActor],
) -> ActorLeak:
    person = harness.people[number]
    scenes = harness.scenes_for_person(number)
    bare = [harness.mean_distances(harness.embed_bare_scene(each))[number] for each in scenes]
    others = [p for p in harness.people if p is not person]
    return ActorLeak(
        name=person.name,
        trained=person.in_training_set,
        own=person.mean_self_distance,
        strangers=float(np.mean([person.mean_distance_to(other) for other in others])),
        distance={"unpainted": float(np.mean(bare))}
        | {
            kind: float(
                np.mean([each[number].mean_distance[scene.name][number] for scene in scenes])
            )
            for kind, each in measurements.items()
        },
        lean={
            kind: float(compute_shifts(harness, each[number])[number])
            for kind, each in measurements.items()
        },
        scene=scene,
        files_read={place: each.num_files for place, each in recovered.items()},
        refused={place: each.refused for place, each in recovered.items()},
    )
