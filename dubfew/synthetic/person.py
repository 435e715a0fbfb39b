"""A person who does not exist, from one number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.synthetic.atlas import paint_atlas
from dubfew.synthetic.body import build_ears, build_neck, build_torso
from dubfew.synthetic.canvas import face_uv_px
from dubfew.synthetic.eyes import EyeballPair, build_eye_patches, fit_eyeballs
from dubfew.synthetic.hair import build_hair_cap, build_hair_curtain
from dubfew.synthetic.mouth import build_mouth_interior
from dubfew.synthetic.parts import FACE_TILE, NUM_FACE_VERTICES, MeshPart, join_parts
from dubfew.synthetic.skull import build_head_skin, fit_skull
from dubfew.synthetic.subdivide import subdivide_part
from dubfew.synthetic.traits import PersonTraits, sample_traits
from dubfew.utils.arrays import FloatArray

# Root mean square distance of a face from the mean face, m. Random coefficients combine more
# wildly than people do, so their displacement is brought to this size.
SHAPE_DEVIATION_METERS = 0.0036
ASYMMETRY_FRACTION = 0.12  # share of the left-right difference that is kept


@dataclass(frozen=True)
class BodyMeshes:
    """Meshes of a person.

    Attributes:
        solid: all opaque parts; the eye patches come first, the face's vertices right after.
        hair: drawn over them by its alpha; its vertices are numbered after the solid ones.
        num_patch_vertices: number of vertices of one eye patch.
        eyeballs: the eyeballs.
    """

    solid: MeshPart
    hair: MeshPart
    num_patch_vertices: int
    eyeballs: EyeballPair


@dataclass(frozen=True)
class SyntheticPerson:
    """Everything about the person follows from ``seed``.

    Attributes:
        seed: any non-negative integer.
    """

    seed: int

    def random_generator(self, stream: int) -> np.random.Generator:
        """Random numbers of their own for each purpose, so that one does not shift another."""
        return np.random.default_rng([self.seed, stream])

    @cached_property
    def head(self) -> HeadModel:
        """The head model that this person is an instance of."""
        return load_head_model("lite")

    @cached_property
    def traits(self) -> PersonTraits:
        """Colours, hair, age, voice."""
        return sample_traits(self.random_generator(0))

    @cached_property
    def shape(self) -> FloatArray:
        """Identity coefficients of the head model. [S]"""
        rng, basis = self.random_generator(1), self.head.shape_basis[:, :NUM_FACE_VERTICES]
        template = self.head.template[:NUM_FACE_VERTICES]
        flip = np.array([-1, 1, 1], np.float32)
        mirror = cKDTree(template).query(template * flip)[1]
        moved = np.tensordot(rng.normal(0, 1, len(basis)), basis, 1)
        mirrored = moved[mirror] * flip
        moved = (moved + mirrored) / 2 + ASYMMETRY_FRACTION * (moved - mirrored) / 2
        moved *= SHAPE_DEVIATION_METERS * rng.uniform(0.7, 1.2) / np.sqrt((moved**2).sum(1).mean())
        flat = basis.reshape(len(basis), -1)
        gram = flat @ flat.T
        # The ridge is far below the basis' size: it only keeps near-twins from cancelling.
        gram += 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
        return np.linalg.solve(gram, flat @ moved.ravel()).astype(np.float32)

    @cached_property
    def rest_face(self) -> FloatArray:
        """The face at rest, head space, m. [468, 3]"""
        return self.head.rest_vertices(self.shape)[:NUM_FACE_VERTICES]

    @cached_property
    def texture_atlas(self) -> FloatArray:
        """Texture of everything, see ``atlas.paint_atlas``."""
        return paint_atlas(self.head, self.traits, self.random_generator(2))

    @cached_property
    def body_meshes(self) -> BodyMeshes:
        """The meshes."""
        face, rng = self.rest_face.astype(np.float64), self.random_generator(3)
        # The mouth's inside is built for closed lips.
        closed = face.copy()
        closed[list(INNER_LIPS), 1] = (face[13, 1] + face[14, 1]) / 2
        skull = fit_skull(face)
        uv = face_uv_px(self.head, FACE_TILE[2])
        faces = self.head.faces
        triangles = faces[(faces < NUM_FACE_VERTICES).all(1)]
        patches = build_eye_patches()
        solid = join_parts(
            [
                *patches,
                subdivide_part(build_head_skin(face, triangles, uv, skull)),
                build_mouth_interior(closed, rng),
                build_ears(face),
                build_neck(),
                build_torso(),
            ]
        )
        hair = [build_hair_cap(skull, self.traits.hair_thickness, self.traits.hairline_shift, rng)]
        if self.traits.hair_length:
            hair.append(build_hair_curtain(skull, self.traits.hair_length))
        return BodyMeshes(solid, join_parts(hair), len(patches[0].rest_offset), fit_eyeballs(face))
