"""A person who does not exist: shape, traits, texture and meshes, all from one number."""

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

# Root mean square distance of a face from the mean face, m, and how much of it people have. Random
# coefficients combine more wildly than people do, so their displacement is brought to this size.
SHAPE_DEVIATION_METERS, SHAPE_SCALE_RANGE = 0.0036, (0.7, 1.2)
# Part of the left-right difference that is kept. All of it looks crooked, none looks like a mask.
ASYMMETRY_FRACTION = 0.12
# Ridge over the basis' mean size: far below it, it only keeps near-twins from canceling.
SHAPE_RIDGE = 1e-4
# Random streams of a person, one for each purpose, so that a change in one leaves the others.
_TRAIT_STREAM, _SHAPE_STREAM, _TEXTURE_STREAM, _MESH_STREAM = 0, 1, 2, 3


@dataclass(frozen=True)
class BodyMeshes:
    """Meshes of a person.

    Attributes:
        solid: all opaque parts; the eye patches come first, the face's vertices right after.
        hair: hair, which is blended over them by its alpha.
        num_patch_vertices: number of vertices of one eye patch.
        eyeballs: balls on which the eye patches lie.
    """

    solid: MeshPart
    hair: MeshPart
    num_patch_vertices: int
    eyeballs: EyeballPair


@dataclass(frozen=True)
class SyntheticPerson:
    """A person who follows from one number.

    All properties are computed on first use and kept. The texture takes seconds, the rest does not.

    Attributes:
        seed: any non-negative integer.

    Example:
        >>> SyntheticPerson(3).rest_face.shape
        (468, 3)
    """

    seed: int

    def random_generator(self, stream: int) -> np.random.Generator:
        """Make the random numbers of one purpose: always the same, independent of the others."""
        return np.random.default_rng([self.seed, stream])

    @cached_property
    def head(self) -> HeadModel:
        """The head model that this person is an instance of."""
        return load_head_model("lite")

    @cached_property
    def traits(self) -> PersonTraits:
        """Colors, hair, age and voice."""
        return sample_traits(self.random_generator(_TRAIT_STREAM))

    @cached_property
    def shape(self) -> FloatArray:
        """Identity coefficients of the head model. [S]"""
        rng = self.random_generator(_SHAPE_STREAM)
        basis = self.head.shape_basis[:, :NUM_FACE_VERTICES]
        template = self.head.template[:NUM_FACE_VERTICES]
        # Draw coefficients, then make the displacement nearly symmetric and of a person's size.
        flip = np.array([-1, 1, 1], np.float32)
        mirror = cKDTree(template).query(template * flip)[1]
        moved = np.tensordot(rng.normal(0, 1, len(basis)), basis, 1)
        mirrored = moved[mirror] * flip
        moved = (moved + mirrored) / 2 + ASYMMETRY_FRACTION * (moved - mirrored) / 2
        moved *= (
            SHAPE_DEVIATION_METERS
            * rng.uniform(*SHAPE_SCALE_RANGE)
            / np.sqrt((moved**2).sum(1).mean())
        )
        # Least squares: the coefficients that come nearest to that displacement.
        flat = basis.reshape(len(basis), -1)
        gram = flat @ flat.T
        gram += SHAPE_RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        return np.linalg.solve(gram, flat @ moved.ravel()).astype(np.float32)

    @cached_property
    def rest_face(self) -> FloatArray:
        """Vertices of the face at rest, head space, m. [468, 3]"""
        return self.head.rest_vertices(self.shape)[:NUM_FACE_VERTICES]

    @cached_property
    def texture_atlas(self) -> FloatArray:
        """Texture of everything, as ``atlas.paint_atlas`` makes it. [1024, 1536, 5]"""
        return paint_atlas(self.head, self.traits, self.random_generator(_TEXTURE_STREAM))

    @cached_property
    def body_meshes(self) -> BodyMeshes:
        """Meshes of head, hair and shoulders."""
        face = self.rest_face.astype(np.float64)
        rng = self.random_generator(_MESH_STREAM)
        # The mouth's inside is built for closed lips.
        closed = face.copy()
        closed[list(INNER_LIPS), 1] = (face[13, 1] + face[14, 1]) / 2
        # The order matters: `BodyMeshes.solid` says what comes first, and random numbers are drawn.
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
