"""Where mouths are painted into strangers' faces, and compared with everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.stage import Stage
from dubfew.errors import DubfewError
from dubfew.leak.people import Person, distances
from dubfew.leak.scenes import Paint, Picture, Scene, blank, painted
from dubfew.leak.statistics import lean_of
from dubfew.prior.checkpoint import Prior
from dubfew.prior.footage import Footage
from dubfew.reconstruction.head import HeadModel
from dubfew.reconstruction.recognition import FaceEmbedding
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
        return self._with_delta(adapter, whole=True)

    def delta_of(self, adapter: ActorAdapter, *, empty: bool = False) -> Painted:
        """What an actor's delta alone paints."""
        return self._with_delta(adapter, whole=False, empty=empty)

    def _with_delta(self, adapter: ActorAdapter, *, whole: bool, empty: bool = False) -> Painted:
        with self.stage.playing(adapter) as renderer:
            return {
                scene.name: self.paint(
                    scene,
                    Paint(renderer, adapter.texture, adapter.references)
                    if whole
                    else Paint(renderer, self.prior.texture, self._lent(scene, empty)),
                )
                for scene in self.scenes
            }

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

    def strangers(self, person: int, scene: Scene) -> list[int]:
        """Who is no party to a picture, nor taken for the person themself by the embedding."""
        parties = {scene.name, self.lender(scene).name}
        who = self.people[person]
        return [
            number
            for number, other in enumerate(self.people)
            if number != person
            and other.name not in parties
            and who.distance(other) >= self.embedding.same
        ]

    def scenes_for(self, person: int) -> list[Scene]:
        """The faces of others, painted with others' mouths or the person's own."""
        name = self.people[person].name
        return [
            scene
            for scene in self.scenes
            if name not in (scene.name, self.lender(scene).name) and self.strangers(person, scene)
        ]

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


def leans_to(
    studio: Studio, person: int, found: Measured, without: int | None = None
) -> tuple[float, float, float]:
    """How pictures of one kind lean towards a person.

    Args:
        studio: where they were painted.
        person: towards whom.
        found: the pictures.
        without: somebody who is no stranger to these pictures.

    Returns:
        Mean lean, share of the faces painted into in which the person is approached more than
        every stranger, and that share for paint that knows nobody.

    Raises:
        DubfewError: there is nobody to compare the person with.
    """
    leans, named, chances = [], [], []
    for scene in studio.scenes_for(person):
        strangers = [s for s in studio.strangers(person, scene) if s != without]
        if strangers:
            lean, first = lean_of(found.approach[scene.name], person, strangers)
            leans.append(lean)
            named.append(first)
            chances.append(1 / (1 + len(strangers)))
    if not leans:
        raise DubfewError(
            f"nobody to compare {studio.people[person].name!r} with: the others are too few, or "
            "look alike to the embedding; give more with --stranger"
        )
    return float(np.mean(leans)), float(np.mean(named)), float(np.mean(chances))
