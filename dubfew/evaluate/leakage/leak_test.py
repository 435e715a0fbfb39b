"""The leak test: does anything of an actor's face remain when they are deleted?

A dubbed frame shows the scene's own face around the mouth, so its similarity to the actor depends
little on what is stored. The test paints the mouths into strangers' faces instead, and measures how
much nearer that brings those faces to the actor than to other people.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from dubfew.adapt.artefact import ActorAdapter
from dubfew.evaluate.leakage.harness import LeakHarness, PicturesByScene
from dubfew.evaluate.leakage.measurement import (
    DistancesByCondition,
    PictureDistances,
    compute_shifts,
    measure_all_shifts,
    measure_pictures,
    measure_training_shift,
)
from dubfew.evaluate.leakage.painting import MouthSource, draw_on_mean_head, paint_texture
from dubfew.evaluate.leakage.people import EmbeddedPerson, embed_person
from dubfew.evaluate.leakage.recovery import RecoveredActor, recover_actor
from dubfew.evaluate.leakage.result import ActorLeak, LeakResult, decide_verdict
from dubfew.evaluate.leakage.scenes import LeakScene, LentPictures
from dubfew.evaluate.leakage.sheet import (
    FaceAndMouth,
    crop_face_and_mouth,
    crop_mean_head,
    write_decoded_sheet,
)
from dubfew.evaluate.leakage.subjects import (
    LeakSubject,
    collect_people_videos,
    collect_subjects,
    enroll_subjects,
    load_adapter_track,
    temporary_registry,
)
from dubfew.media.fields import stated_fields
from dubfew.prior.checkpoint import UNTRAINED_PRIOR, Prior, prior_info
from dubfew.prior.renderers import PaintingRenderer, Renderer
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

# Scenes to paint into at most, with the bundled synthetic person's. Each takes a quarter of the
# time of the test; more make the mean over strangers steadier.
MAX_PAINTED_SCENES = 4
# Name of the bundled synthetic person in results.
BUNDLED_SCENE_NAME = "synthetic"


@dataclass(frozen=True)
class _Baseline:
    """Pictures by the prior alone, before any actor is adapted."""

    lent: PicturesByScene  # with a stranger's references
    blank: PicturesByScene  # with references that show no person
    lent_distances: PictureDistances
    blank_distances: PictureDistances


@dataclass(frozen=True)
class _StoredActor:
    """Measurements of what is stored of one actor."""

    distances: dict[str, PictureDistances]  # by condition: texture, delta, adapter
    own_scene: dict[str, float]
    decoded: list[FaceAndMouth]  # the first columns of the sheet


@dataclass(frozen=True)
class _DeletedActor:
    """Measurements of what is left of one actor."""

    recovered: dict[str, RecoveredActor]  # from the registry ("store") and a copy of it ("copy")
    pictures: PicturesByScene
    distances: PictureDistances

    @property
    def is_recovered(self) -> bool:
        """Whether any file could be opened."""
        return any(each.num_files for each in self.recovered.values())


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
    """Adapt actors, measure what is stored, delete them, and measure what is left.

    Everything happens in a temporary registry. The user's actors are copied there, and the user's
    registry stays as it is.

    Args:
        videos: videos of one person each, who are adapted for the test.
        actors: ids of actors in the user's registry; their footage has to be where it was.
        strangers: videos of other people to compare with, or folders of such videos.
        steps: training steps of each adaptation at most; by default as many as `adapt` makes.
        prior: name or folder of the prior; by default the shipped one.
        embedding: name of a face embedding, or the embedding itself.
        sheet: PNG file to write with everything that was decoded; None for no sheet.
        overwrite: replace ``sheet`` where it exists.
        registry: registry that holds ``actors``; by default the user's own.
        device: "auto", "cpu" or "cuda".
        seed: seed of the adaptations and of the permutation tests.
        progress: function that is called with the state of every stage.

    Returns:
        The verdict and all measurements.

    Raises:
        ActorNotFoundError: One of the actors does not exist.
        SuspendedError: Use of an actor is suspended.
        AuditError: The audit log of the user's registry cannot be written.
        MediaError: A video cannot be read.
        NoFaceError: A video shows no face.
        ArtefactError: The prior does not exist, or an actor was adapted on another one.
        MissingDependencyError: A package that the embedding needs is not installed.
        OutputExistsError: ``sheet`` exists and ``overwrite`` is False.
        DubfewError: There are too few people, or two of the same name.
    """
    began = time.monotonic()
    device = resolve_device(device)
    subjects = collect_subjects([Path(video) for video in videos], actors, registry)
    # Everything that can be wrong is found before the first adaptation.
    crowd = collect_people_videos(subjects, [Path(video) for video in strangers])
    if sheet is not None:
        check_output_path(sheet, *crowd.values(), overwrite=overwrite)
    if isinstance(embedding, str):
        embedding = load_face_embedding(embedding)
    base = Prior.load(prior)
    with temporary_registry() as (store, copy), BackgroundPreserver() as background:
        # True faces, scenes to paint into, and the prior's pictures before anyone is adapted.
        head = load_head_model(base.head)
        people = _embed_people(crowd, embedding, _training_file_hashes(prior), progress)
        harness = LeakHarness(base, head, embedding, people, [], device, background)
        _load_scenes(harness, crowd, len(subjects), progress)
        baseline = _measure_baseline(harness)
        adapters = enroll_subjects(
            subjects, store, steps=steps, prior=prior, device=device, seed=seed, progress=progress
        )
        adapted = time.monotonic()
        stored = []
        for number, subject in enumerate(subjects, 1):
            # Taken out of the dictionary, so that memory holds no adapter after the deletion.
            stored.append(_measure_stored(harness, subject, adapters.pop(subject.name)))
            progress(Progress("paint", number, len(subjects)))
        # The deletion itself, and everything that can still be opened after it.
        recovered = _delete_and_recover(subjects, store, copy)
        # Loaded anew: nothing that the adaptations did in memory may count.
        prior_alone = harness.paint(_prior_source(Prior.load(prior), harness.lent_pictures))
        deleted = [_measure_deleted(harness, recovered[s.name], prior_alone) for s in subjects]
    if sheet is not None:
        _write_sheet(sheet, harness, subjects, baseline, stored, deleted)
    result = _summarize(harness, baseline, stored, deleted, prior_alone, sheet, seed)
    done = time.monotonic()
    seconds = {"adapt": adapted - began, "paint": done - adapted, "total": done - began}
    return dataclasses.replace(result, seconds=seconds)


def _embed_people(
    videos: Mapping[str, Path],
    embedding: FaceEmbedding,
    training_hashes: frozenset[str],
    progress: ProgressCallback,
) -> list[EmbeddedPerson]:
    """Embed everyone's true face, in the order of the videos."""
    people = []
    for name, video in videos.items():
        people.append(embed_person(name, video, embedding, training_hashes))
        progress(Progress("faces", len(people), len(videos)))
    return people


def _training_file_hashes(prior: str | Path | None) -> frozenset[str]:
    """SHA-256 of the files that a prior was trained on, as its configuration names them."""
    config = {} if str(prior) == UNTRAINED_PRIOR else prior_info(prior).config
    return frozenset(str(person.get("sha256", "")) for person in config.get("people", []))


def _load_scenes(
    harness: LeakHarness,
    videos: Mapping[str, Path],
    num_subjects: int,
    progress: ProgressCallback,
) -> None:
    """Add the bundled scene and those of some strangers; of the subjects if there are no others."""
    strangers = dict(list(videos.items())[num_subjects:]) or videos
    with as_file(files("dubfew.demo") / "actor.mp4") as bundled:
        for name, video in [
            (BUNDLED_SCENE_NAME, bundled),
            *list(strangers.items())[: MAX_PAINTED_SCENES - 1],
        ]:
            harness.scenes.append(harness.load_scene(name, video, progress=progress))


def _prior_source(
    prior: Prior, choose_pictures: Callable[[LeakScene], LentPictures]
) -> MouthSource:
    """A prior without any adapter, with some pictures."""
    return MouthSource(prior.renderer, prior.texture, choose_pictures)


def _adapter_source(renderer: Renderer | PaintingRenderer, adapter: ActorAdapter) -> MouthSource:
    """Everything that is stored of an actor, whose delta is merged into the renderer."""
    pictures = LentPictures(adapter.references, adapter.crops)
    return MouthSource(renderer, adapter.texture, lambda scene: pictures)


def _measure_baseline(harness: LeakHarness) -> _Baseline:
    """Paint with the prior alone, with a stranger's references and with blank ones."""
    lent = harness.paint(_prior_source(harness.prior, harness.lent_pictures))
    blank = harness.paint(_prior_source(harness.prior, harness.blank_pictures))
    return _Baseline(lent, blank, measure_pictures(harness, lent), measure_pictures(harness, blank))


def _measure_stored(
    harness: LeakHarness, subject: LeakSubject, adapter: ActorAdapter
) -> _StoredActor:
    """Paint and measure what is stored of an actor, as a whole and in parts."""
    shown = harness.scenes[0]
    texture = {s.name: paint_texture(s, adapter.texture, harness.head) for s in harness.scenes}
    with harness.switcher.activate(adapter) as renderer:
        lent = MouthSource(renderer, harness.prior.texture, harness.lent_pictures)
        blank = MouthSource(renderer, harness.prior.texture, harness.blank_pictures)
        # The delta with a stranger's references, all together, and the delta without any picture.
        delta = harness.paint(lent)
        whole = harness.paint(_adapter_source(renderer, adapter))
        without_picture = harness.paint(blank, [shown])
    pictures = {"texture": texture, "delta": delta, "adapter": whole}
    own_scene, own_face = _measure_own_scene(harness, subject, adapter)
    return _StoredActor(
        {condition: measure_pictures(harness, each) for condition, each in pictures.items()},
        own_scene,
        [
            own_face,
            crop_mean_head(draw_on_mean_head(adapter.texture, harness.head)),
            *(
                crop_face_and_mouth(each[shown.name][0], shown)
                for each in (without_picture, delta, whole)
            ),
        ],
    )


def _measure_own_scene(
    harness: LeakHarness, subject: LeakSubject, adapter: ActorAdapter
) -> tuple[dict[str, float], FaceAndMouth]:
    """Distances of frames of the actor's own footage, painted, from the same frames untouched.

    Returns the distances with the prior ("before") and with the adapter, and the actor's face.
    """
    # Frames that the actor was adapted on, the easiest to recognize.
    track, first = load_adapter_track(adapter)
    with stated_fields(subject.video, int(adapter.config["source"].get("fields", 0))):
        scene = harness.load_scene(subject.name, subject.video, track=track, first=first)
    stranger = next(s for s in harness.scenes if s.name != subject.name).pictures
    untouched = harness.embed_pictures(scene, scene.rgb_frames())

    def mean_distance(source: MouthSource) -> float:
        embeddings = harness.embed_pictures(scene, harness.paint(source, [scene])[scene.name])
        return float(np.linalg.norm(embeddings - untouched, axis=1).mean())

    before = mean_distance(_prior_source(harness.prior, lambda _: stranger))
    with harness.switcher.activate(adapter) as renderer:
        after = mean_distance(_adapter_source(renderer, adapter))
    face = crop_face_and_mouth(scene.rgb_frames()[0], scene)
    return {"before": before, "adapter": after}, face


def _delete_and_recover(
    subjects: Sequence[LeakSubject], store: Registry, copy_path: Path
) -> dict[str, dict[str, RecoveredActor]]:
    """Copy the registry, delete all subjects in it, and try to open them in both."""
    # The copy stands for a backup, which a deletion cannot reach.
    shutil.copytree(store.home, copy_path)
    for subject in subjects:
        store.delete(subject.name)
    # Opened with the keys that are left: the deletion destroys them first.
    old = Registry(copy_path, keys=store.keys)
    return {
        subject.name: {
            "store": recover_actor(subject.name, store),
            "copy": recover_actor(subject.name, old),
        }
        for subject in subjects
    }


def _measure_deleted(
    harness: LeakHarness, recovered: dict[str, RecoveredActor], prior_alone: PicturesByScene
) -> _DeletedActor:
    """Paint with what is left of an actor: an adapter that could be opened, or the prior alone."""
    # Either place is enough for a leak.
    adapter = recovered["store"].adapter or recovered["copy"].adapter
    pictures = prior_alone
    if adapter is not None:
        with harness.switcher.activate(adapter) as renderer:
            pictures = harness.paint(_adapter_source(renderer, adapter))
    return _DeletedActor(recovered, pictures, measure_pictures(harness, pictures))


def _write_sheet(
    path: Path,
    harness: LeakHarness,
    subjects: Sequence[LeakSubject],
    baseline: _Baseline,
    stored: Sequence[_StoredActor],
    deleted: Sequence[_DeletedActor],
) -> None:
    """Write the pictures that were decoded of each actor."""
    shown = harness.scenes[0]
    decoded = {
        subject.name: [
            *before.decoded,
            crop_face_and_mouth(after.pictures[shown.name][0], shown),
            crop_face_and_mouth(baseline.blank[shown.name][0], shown),
        ]
        for subject, before, after in zip(subjects, stored, deleted, strict=True)
    }
    title = f"painted into: {shown.name}; prior: {harness.prior.name}"
    write_decoded_sheet(path, decoded, title)


def _summarize(
    harness: LeakHarness,
    baseline: _Baseline,
    stored: Sequence[_StoredActor],
    deleted: Sequence[_DeletedActor],
    prior_alone: PicturesByScene,
    sheet: Path | None,
    seed: int,
) -> LeakResult:
    """Test all measurements for shifts, and decide the verdict; seconds are still missing."""
    measured: dict[str, list[PictureDistances]] = {
        condition: [actor.distances[condition] for actor in stored]
        for condition in ("texture", "delta", "adapter")
    }
    measured["after"] = [actor.distances for actor in deleted]
    measured["before"] = [baseline.lent_distances] * len(deleted)
    shifts = measure_all_shifts(harness, measured, seed)
    # Two kinds of references: a prior that remembers people may need none.
    prior_shifts = {
        "before": measure_training_shift(harness, baseline.lent_distances, seed),
        "blank": measure_training_shift(harness, baseline.blank_distances, seed),
    }
    same = _are_identical(baseline.lent, prior_alone)
    # The actors come first among the people.
    opened = [
        person.name
        for person, actor in zip(harness.people, deleted, strict=False)
        if actor.is_recovered
    ]
    verdict, line = decide_verdict(shifts, opened, same)
    return LeakResult(
        verdict=verdict,
        line=line,
        actors=tuple(
            _summarize_actor(harness, row, measured, stored[row].own_scene, deleted[row].recovered)
            for row in range(len(deleted))
        ),
        identity_shifts=shifts,
        same_pictures=same,
        # Without people in both groups there is nothing to compare.
        prior_shifts={name: s for name, s in prior_shifts.items() if s.learned and s.others},
        num_people=len(harness.people),
        scenes=tuple(scene.name for scene in harness.scenes),
        embedding=harness.embedding.name,
        sheet=sheet,
        seconds={},
    )


def _summarize_actor(
    harness: LeakHarness,
    row: int,
    measured: DistancesByCondition,
    own_scene: dict[str, float],
    recovered: Mapping[str, RecoveredActor],
) -> ActorLeak:
    """Collect the measurements of one actor, who is ``harness.people[row]``."""
    person = harness.people[row]
    # Scenes that take part in the actor's own face or references would measure those.
    scenes = harness.scenes_for_person(row)
    others = [other for other in harness.people if other is not person]
    distance = {"unpainted": float(np.mean([harness.bare_distances(s)[row] for s in scenes]))}
    shift = {}
    for condition, per_actor in measured.items():
        distances = [per_actor[row].mean_distance[scene.name][row] for scene in scenes]
        distance[condition] = float(np.mean(distances))
        shift[condition] = float(compute_shifts(harness, per_actor[row])[row])
    return ActorLeak(
        name=person.name,
        in_training_set=person.in_training_set,
        self_distance=person.mean_self_distance,
        stranger_distance=float(np.mean([person.mean_distance_to(other) for other in others])),
        distance=distance,
        identity_shift=shift,
        own_scene_distance=own_scene,
        files_read={place: each.num_files for place, each in recovered.items()},
        refused={place: each.refused for place, each in recovered.items()},
    )


def _are_identical(before: PicturesByScene, after: PicturesByScene) -> bool:
    """Whether all pictures are equal, bit for bit."""
    return all(
        np.array_equal(a, b)
        for name in before
        for a, b in zip(before[name], after[name], strict=True)
    )
