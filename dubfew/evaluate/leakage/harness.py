"""Where mouths are painted into strangers' faces, and compared with everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.switcher import AdapterSwitcher
from dubfew.evaluate.leakage.people import EmbeddedPerson, pairwise_distances
from dubfew.evaluate.leakage.scenes import (
    LeakScene,
    MouthSource,
    RgbImage,
    make_blank_references,
    paint_mouth,
)
from dubfew.prior.checkpoint import Prior
from dubfew.reconstruction.face_embeddings import FaceEmbedding
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.render.background import BackgroundPreserver

EmbeddingArray = NDArray[np.float32]  # [F, D]
PicturesByScene = dict[str, list[RgbImage]]  # by the scene's name


@dataclass
class LeakHarness:
    """Everything that is needed to paint and to compare.

    Attributes:
        prior: painted with.
        head: its head model.
        embedding: that tells faces apart.
        people: everybody with a true face, the actors first.
        scenes: faces to paint into; each is lent the mouth of the next.
        device: "cpu" or "cuda".
        background: of the renders.
        bare_embeddings: codes of every scene's frames as they are.
    """

    prior: Prior
    head: HeadModel
    embedding: FaceEmbedding
    people: list[EmbeddedPerson]
    scenes: list[LeakScene]
    device: str
    background: BackgroundPreserver
    bare_embeddings: dict[str, EmbeddingArray] = field(default_factory=dict)

    @cached_property
    def switcher(self) -> AdapterSwitcher:
        """On which actors take turns."""
        return AdapterSwitcher(self.prior)

    def reference_lender(self, scene: LeakScene) -> LeakScene:
        """The stranger whose references are used where those of nobody in question are wanted."""
        names = [each.name for each in self.scenes]
        return self.scenes[(names.index(scene.name) + 1) % len(names)]

    def paint_with_prior(self, prior: Prior, *, blank_references: bool = False) -> PicturesByScene:
        """What a prior paints with a stranger's references, or with such as show nobody."""
        return {
            scene.name: self.paint_scene(
                scene,
                MouthSource(
                    prior.renderer, prior.texture, self._lent_references(scene, blank_references)
                ),
            )
            for scene in self.scenes
        }

    def paint_with_adapter(self, adapter: ActorAdapter) -> PicturesByScene:
        """What everything that is stored of an actor paints."""
        with self.switcher.activate(adapter) as renderer:
            whole = MouthSource(renderer, adapter.texture, adapter.references)
            return {scene.name: self.paint_scene(scene, whole) for scene in self.scenes}

    def paint_with_delta(self, adapter: ActorAdapter) -> PicturesByScene:
        """What an actor's delta paints with a stranger's references."""
        with self.switcher.activate(adapter) as renderer:
            return {
                scene.name: self.paint_scene(
                    scene,
                    MouthSource(renderer, self.prior.texture, self._lent_references(scene, False)),
                )
                for scene in self.scenes
            }

    def paint_delta_on_blank(self, adapter: ActorAdapter, scene: LeakScene) -> list[RgbImage]:
        """What an actor's delta paints with references that show nobody."""
        with self.switcher.activate(adapter) as renderer:
            empty = self._lent_references(scene, True)
            return self.paint_scene(scene, MouthSource(renderer, self.prior.texture, empty))

    def paint_scene(self, scene: LeakScene, paint: MouthSource) -> list[RgbImage]:
        """A scene's frames with another mouth."""
        return paint_mouth(scene, paint, self.head, self.device, self.background)

    def embed_pictures(self, scene: LeakScene, pictures: Sequence[RgbImage]) -> EmbeddingArray:
        """Embeddings of a scene's frames, or of painted ones: aligned alike."""
        return np.stack(
            [self.embedding(p, marks) for p, marks in zip(pictures, scene.landmarks, strict=True)]
        )

    def mean_distances(self, embeddings: EmbeddingArray) -> NDArray[np.float64]:
        """Mean distance of some pictures from everybody. [P]"""
        return np.array(
            [pairwise_distances(embeddings, p.embeddings).mean() for p in self.people], np.float64
        )

    def embed_bare_scene(self, scene: LeakScene) -> EmbeddingArray:
        """Codes of a scene as it is."""
        if scene.name not in self.bare_embeddings:
            self.bare_embeddings[scene.name] = self.embed_pictures(scene, scene.rgb_frames())
        return self.bare_embeddings[scene.name]

    def scenes_for_person(self, person: int) -> list[LeakScene]:
        """The faces of others, not painted with the person's own mouth as a stranger's."""
        name = self.people[person].name
        return [s for s in self.scenes if name not in (s.name, self.reference_lender(s).name)]

    def _lent_references(self, scene: LeakScene, blank_references: bool) -> Footage:
        references = self.reference_lender(scene).references
        return make_blank_references(references, scene) if blank_references else references


@dataclass(frozen=True)
class PictureDistances:
    """Pictures of one kind against everybody, by the scene's name. [P] each

    Attributes:
        mean_distance: mean distances.
        approach: how much nearer the paint brought them.
    """

    mean_distance: dict[str, NDArray[np.float64]]
    approach: dict[str, NDArray[np.float64]]


def measure_pictures(harness: LeakHarness, pictures: PicturesByScene) -> PictureDistances:
    """Pictures of one kind against everybody."""
    far = {
        s.name: harness.mean_distances(harness.embed_pictures(s, pictures[s.name]))
        for s in harness.scenes
    }
    bare = {s.name: harness.mean_distances(harness.embed_bare_scene(s)) for s in harness.scenes}
    return PictureDistances(far, {name: bare[name] - far[name] for name in far})


def compute_shifts(
    harness: LeakHarness, measured_pictures: PictureDistances
) -> NDArray[np.float64]:
    """Lean of pictures of one kind towards everybody, see `Lean`. [P]

    NaN for who has a part in all of the pictures.
    """
    leans = np.full((len(harness.scenes), len(harness.people)), np.nan)
    for row, scene in enumerate(harness.scenes):
        for person in range(len(harness.people)):
            if scene in harness.scenes_for_person(person):
                leans[row, person] = measured_pictures.approach[scene.name][person]
    return nan_mean(leans - nan_mean(leans.T)[:, None])


def nan_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is not NaN [N, P]; NaN where nothing is. [P]"""
    counts = np.isfinite(values).sum(0)
    return np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)


def find_lookalikes(harness: LeakHarness, person: int) -> list[int]:
    """Others whom the embedding takes for this person: they are no strangers."""
    who = harness.people[person]
    return [
        number
        for number, other in enumerate(harness.people)
        if number != person and who.mean_distance_to(other) < harness.embedding.same_person_distance
    ]
