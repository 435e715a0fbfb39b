"""A person who does not exist, from one number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.synthetic.atlas import paint_atlas
from dubfew.synthetic.eyes import Balls, eye_patches, eyeballs
from dubfew.synthetic.mouth import mouth_parts
from dubfew.synthetic.parts import FACE_TILE, FACE_VERTICES, Part, join
from dubfew.synthetic.skin import face_uv
from dubfew.synthetic.skull import ears, fit_skull, hair_cap, hair_curtain, head_skin, neck, torso
from dubfew.synthetic.subdivide import refined
from dubfew.synthetic.traits import Traits, draw_traits

# Root mean square distance of a face from the mean face, m. Random coefficients combine more
# wildly than people do, so their displacement is brought to this size.
SHAPE_SPREAD = 0.0036
ASYMMETRY = 0.12  # share of the left-right difference that is kept

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """Meshes of a person.

    Attributes:
        solid: all opaque parts; the eye patches come first, the face's vertices right after.
        hair: drawn over them by its alpha; its vertices are numbered after the solid ones.
        eyes: number of vertices of one eye patch.
        balls: the eyeballs.
    """

    solid: Part
    hair: Part
    eyes: int
    balls: Balls


@dataclass(frozen=True)
class SyntheticPerson:
    """Everything about the person follows from ``seed``.

    Attributes:
        seed: any non-negative integer.
    """

    seed: int

    def random(self, purpose: int) -> np.random.Generator:
        """Random numbers of their own for each purpose, so that one does not shift another."""
        return np.random.default_rng([self.seed, purpose])

    @cached_property
    def head(self) -> HeadModel:
        """The head model that this person is an instance of."""
        return load_head("lite")

    @cached_property
    def traits(self) -> Traits:
        """Colours, hair, age, voice."""
        return draw_traits(self.random(0))

    @cached_property
    def shape(self) -> FloatArray:
        """Identity coefficients of the head model. [S]"""
        rng, basis = self.random(1), self.head.shape_basis[:, :FACE_VERTICES]
        template = self.head.template[:FACE_VERTICES]
        flip = np.array([-1, 1, 1], np.float32)
        mirror = cKDTree(template).query(template * flip)[1]
        moved = np.tensordot(rng.normal(0, 1, len(basis)), basis, 1)
        mirrored = moved[mirror] * flip
        moved = (moved + mirrored) / 2 + ASYMMETRY * (moved - mirrored) / 2
        moved *= SHAPE_SPREAD * rng.uniform(0.7, 1.2) / np.sqrt((moved**2).sum(1).mean())
        flat = basis.reshape(len(basis), -1)
        gram = flat @ flat.T
        # The ridge is far below the basis' size: it only keeps near-twins from cancelling.
        gram += 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
        return np.linalg.solve(gram, flat @ moved.ravel()).astype(np.float32)

    @cached_property
    def face(self) -> FloatArray:
        """The face at rest, head space, m. [468, 3]"""
        return self.head.shaped(self.shape)[:FACE_VERTICES]

    @cached_property
    def atlas(self) -> FloatArray:
        """Texture of everything, see ``atlas.paint_atlas``."""
        return paint_atlas(self.head, self.traits, self.random(2))

    @cached_property
    def anatomy(self) -> Anatomy:
        """The meshes."""
        face, rng = self.face.astype(np.float64), self.random(3)
        # The mouth's inside is built for closed lips.
        closed = face.copy()
        closed[list(INNER_LIPS), 1] = (face[13, 1] + face[14, 1]) / 2
        skull = fit_skull(face)
        uv = face_uv(self.head, FACE_TILE[2])
        faces = self.head.faces
        triangles = faces[(faces < FACE_VERTICES).all(1)]
        patches = eye_patches()
        solid = join(
            [
                *patches,
                refined(head_skin(face, triangles, uv, skull)),
                mouth_parts(closed, rng),
                ears(face),
                neck(),
                torso(),
            ]
        )
        hair = [hair_cap(skull, self.traits.hair_thickness, self.traits.hairline, rng)]
        if self.traits.hair_length:
            hair.append(hair_curtain(skull, self.traits.hair_length))
        return Anatomy(solid, join(hair), len(patches[0].rest), eyeballs(face))
