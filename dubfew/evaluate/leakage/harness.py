"""Where mouths are painted into strangers' faces, and compared with everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.switcher import Stage
from dubfew.evaluate.leakage.people import Person, distances
from dubfew.evaluate.leakage.scenes import Paint, Picture, Scene, blank, painted
from dubfew.prior.checkpoint import Prior
from dubfew.reconstruction.detection.recognition import FaceEmbedding
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.references.footage import Footage
from dubfew.render.background import BackgroundKeeper

Codes = NDArray[np.float32]  # [F, D]
Painted = dict[str, list[Picture]]  # by the scene's name


@dataclass
class Studio:
    """Everything that is needed to paint and to compare.

    Attributes:
        prior: painted with.
        head: its head model.
        embedding: that tells faces apart.
        people: everybody with a true face, the actors first.
        scenes: faces to paint into; each is lent the mouth of the next.
        device: "cpu" or "cuda".
        background: of the renders.
        bare: codes of every scene's frames as they are.
    """

    prior: Prior
    head: HeadModel
    embedding: FaceEmbedding
    people: list[Person]
    scenes: list[Scene]
    device: str
    background: BackgroundKeeper
    bare: dict[str, Codes] = field(default_factory=dict)

    @cached_property
    def stage(self) -> Stage:
        """On which actors take turns."""
        return Stage(self.prior)

    def lender(self, scene: Scene) -> Scene:
        """The stranger whose references are used where those of nobody in question are wanted."""
        names = [each.name for each in self.scenes]
        return self.scenes[(names.index(scene.name) + 1) % len(names)]

    def alone(self, prior: Prior, *, empty: bool = False) -> Painted:
        """What a prior paints with a stranger's references, or with such as show nobody."""
        return {
            scene.name: self.paint(
                scene, Paint(prior.renderer, prior.texture, self._lent(scene, empty))
            )
            for scene in self.scenes
        }

    def all_of(self, adapter: ActorAdapter) -> Painted:
        """What everything that is stored of an actor paints."""
        with self.stage.playing(adapter) as renderer:
            whole = Paint(renderer, adapter.texture, adapter.references)
            return {scene.name: self.paint(scene, whole) for scene in self.scenes}

    def delta_of(self, adapter: ActorAdapter) -> Painted:
        """What an actor's delta paints with a stranger's references."""
        with self.stage.playing(adapter) as renderer:
            return {
                scene.name: self.paint(
                    scene, Paint(renderer, self.prior.texture, self._lent(scene, False))
                )
                for scene in self.scenes
            }

    def hidden_in(self, adapter: ActorAdapter, scene: Scene) -> list[Picture]:
        """What an actor's delta paints with references that show nobody."""
        with self.stage.playing(adapter) as renderer:
            empty = self._lent(scene, True)
            return self.paint(scene, Paint(renderer, self.prior.texture, empty))

    def paint(self, scene: Scene, paint: Paint) -> list[Picture]:
        """A scene's frames with another mouth."""
        return painted(scene, paint, self.head, self.device, self.background)

    def codes(self, scene: Scene, pictures: Sequence[Picture]) -> Codes:
        """Embeddings of a scene's frames, or of painted ones: aligned alike."""
        return np.stack(
            [self.embedding(p, marks) for p, marks in zip(pictures, scene.landmarks, strict=True)]
        )

    def far(self, codes: Codes) -> NDArray[np.float64]:
        """Mean distance of some pictures from everybody. [P]"""
        return np.array([distances(codes, p.embeddings).mean() for p in self.people], np.float64)

    def bare_codes(self, scene: Scene) -> Codes:
        """Codes of a scene as it is."""
        if scene.name not in self.bare:
            self.bare[scene.name] = self.codes(scene, scene.pictures())
        return self.bare[scene.name]

    def scenes_for(self, person: int) -> list[Scene]:
        """The faces of others, not painted with the person's own mouth as a stranger's."""
        name = self.people[person].name
        return [s for s in self.scenes if name not in (s.name, self.lender(s).name)]

    def _lent(self, scene: Scene, empty: bool) -> Footage:
        references = self.lender(scene).references
        return blank(references, scene) if empty else references


@dataclass(frozen=True)
class Measured:
    """Pictures of one kind against everybody, by the scene's name. [P] each

    Attributes:
        far: mean distances.
        approach: how much nearer the paint brought them.
    """

    far: dict[str, NDArray[np.float64]]
    approach: dict[str, NDArray[np.float64]]


def measured(studio: Studio, pictures: Painted) -> Measured:
    """Pictures of one kind against everybody."""
    far = {s.name: studio.far(studio.codes(s, pictures[s.name])) for s in studio.scenes}
    bare = {s.name: studio.far(studio.bare_codes(s)) for s in studio.scenes}
    return Measured(far, {name: bare[name] - far[name] for name in far})


def leans_of(studio: Studio, found: Measured) -> NDArray[np.float64]:
    """Lean of pictures of one kind towards everybody, see `Lean`. [P]

    NaN for who has a part in all of the pictures.
    """
    leans = np.full((len(studio.scenes), len(studio.people)), np.nan)
    for row, scene in enumerate(studio.scenes):
        for person in range(len(studio.people)):
            if scene in studio.scenes_for(person):
                leans[row, person] = found.approach[scene.name][person]
    return mean_known(leans - mean_known(leans.T)[:, None])


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is not NaN [N, P]; NaN where nothing is. [P]"""
    counts = np.isfinite(values).sum(0)
    return np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)


def look_alikes(studio: Studio, person: int) -> list[int]:
    """Others whom the embedding takes for this person: they are no strangers."""
    who = studio.people[person]
    return [
        number
        for number, other in enumerate(studio.people)
        if number != person and who.distance(other) < studio.embedding.same
    ]
