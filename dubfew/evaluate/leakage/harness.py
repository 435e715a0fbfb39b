"""The test harness: people, scenes and a prior, to paint mouths and to compare faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.switcher import AdapterSwitcher
from dubfew.evaluate.leakage.painting import MouthSource, paint_mouth
from dubfew.evaluate.leakage.people import EmbeddedPerson, pairwise_distances
from dubfew.evaluate.leakage.scenes import (
    LeakScene,
    LentPictures,
    RgbImage,
    load_scene,
    make_blank_pictures,
)
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import PaintingRendererConfig, RendererConfig
from dubfew.reconstruction.face_embeddings import FaceEmbedding
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.render.background import BackgroundPreserver

EmbeddingArray = NDArray[np.float32]  # [F, D]
PicturesByScene = dict[str, list[RgbImage]]  # painted frames by the scene's name


@dataclass
class LeakHarness:
    """Everything that is needed to paint mouths and to compare faces.

    Attributes:
        prior: prior that all actors were adapted on.
        head: head model of the prior.
        embedding: network that maps faces to vectors.
        people: everyone whose face is compared with, the actors first.
        scenes: scenes to paint into, at least two; each borrows the references of the next.
        device: "cpu" or "cuda".
        background: keeps background pixels as they are, as in a render.
    """

    prior: Prior
    head: HeadModel
    embedding: FaceEmbedding
    people: list[EmbeddedPerson]
    scenes: list[LeakScene]
    device: str
    background: BackgroundPreserver
    _bare_embeddings: dict[str, EmbeddingArray] = field(default_factory=dict)

    @cached_property
    def switcher(self) -> AdapterSwitcher:
        """Renderer that the actors use in turn."""
        return AdapterSwitcher(self.prior)

    def reference_lender(self, scene: LeakScene) -> LeakScene:
        """Return the scene whose person lends references to this one, as a neutral control."""
        # The next scene in the list, and the first after the last.
        names = [each.name for each in self.scenes]
        return self.scenes[(names.index(scene.name) + 1) % len(names)]

    def lent_pictures(self, scene: LeakScene) -> LentPictures:
        """Return pictures of a stranger, for a `MouthSource` without an actor's pictures."""
        return self.reference_lender(scene).pictures

    def blank_pictures(self, scene: LeakScene) -> LentPictures:
        """Return pictures that show no person, for a `MouthSource` without any picture."""
        return make_blank_pictures(self.lent_pictures(scene), scene)

    def load_scene(self, name: str, video: Path, **known: Any) -> LeakScene:
        """Load a scene as the prior's renderer takes it; arguments as in `scenes.load_scene`."""
        config = self.prior.renderer.config
        layout = config.layout if isinstance(config, PaintingRendererConfig) else None
        # Mouth windows of painting renderers only compare mouths, as in an adaptation.
        window = RendererConfig().window if layout else config.window
        return load_scene(name, video, self.head, window, layout=layout, **known)

    def paint(
        self, source: MouthSource, scenes: Sequence[LeakScene] | None = None
    ) -> PicturesByScene:
        """Paint a mouth into scenes.

        Args:
            source: renderer, texture and references.
            scenes: scenes to paint into; all of the harness by default.

        Returns:
            The painted frames of every scene, by its name.
        """
        return {
            scene.name: paint_mouth(scene, source, self.head, self.device, self.background)
            for scene in (self.scenes if scenes is None else scenes)
        }

    def embed_pictures(self, scene: LeakScene, pictures: Sequence[RgbImage]) -> EmbeddingArray:
        """Embed the face in a scene's frames, untouched or painted; all are aligned alike.

        Args:
            scene: scene whose landmarks say where the face is.
            pictures: the scene's frames. [H, W, 3] each

        Returns:
            One vector per picture. [F, D]
        """
        return np.stack(
            [
                self.embedding(picture, landmarks)
                for picture, landmarks in zip(pictures, scene.landmarks, strict=True)
            ]
        )

    def mean_distances(self, embeddings: EmbeddingArray) -> NDArray[np.float64]:
        """Compute the mean distance of embeddings [F, D] from each person. [P]"""
        return np.array(
            [pairwise_distances(embeddings, p.embeddings).mean() for p in self.people], np.float64
        )

    def bare_distances(self, scene: LeakScene) -> NDArray[np.float64]:
        """Compute the mean distance of a scene's untouched frames from each person. [P]"""
        if scene.name not in self._bare_embeddings:
            self._bare_embeddings[scene.name] = self.embed_pictures(scene, scene.rgb_frames())
        return self.mean_distances(self._bare_embeddings[scene.name])

    def scenes_for_person(self, person: int) -> list[LeakScene]:
        """Return the scenes that neither show a person nor borrow that person's references.

        Args:
            person: row of the person in ``people``.
        """
        name = self.people[person].name
        return [s for s in self.scenes if name not in (s.name, self.reference_lender(s).name)]
