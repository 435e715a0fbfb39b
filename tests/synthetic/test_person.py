"""People: alike in what people have in common, and each decided by one number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.synthetic import SyntheticPerson
from dubfew.synthetic.parts import NUM_FACE_VERTICES
from dubfew.synthetic.person import SHAPE_DEVIATION_METERS


@pytest.fixture(scope="module")
def mean_face():
    return load_head_model("lite").template[:NUM_FACE_VERTICES]


def test_people_differ_and_stay_human(mean_face):
    faces = [SyntheticPerson(seed).rest_face for seed in range(8)]
    for a, b in itertools.pairwise(faces):
        assert np.linalg.norm(a - b, axis=1).mean() > 0.001
    for face in faces:
        away = np.linalg.norm(face - mean_face, axis=1)
        assert away.max() < 0.02
        assert np.sqrt((away**2).mean()) > 0.6 * SHAPE_DEVIATION_METERS
        assert np.sqrt((away**2).mean()) < 1.3 * SHAPE_DEVIATION_METERS


def test_faces_are_nearly_symmetric(mean_face):
    flipped = mean_face * [-1, 1, 1]
    mirror = np.linalg.norm(flipped[:, None] - mean_face[None], axis=-1).argmin(1)
    for seed in range(5):
        moved = SyntheticPerson(seed).rest_face - mean_face
        odd = moved - moved[mirror] * [-1, 1, 1]
        assert np.abs(odd).mean() < 0.3 * np.abs(moved).mean()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 5])
def test_seed_decides_shape_and_meshes(seed):
    first, again = SyntheticPerson(seed), SyntheticPerson(seed)
    np.testing.assert_array_equal(first.shape, again.shape)
    for name in ("rest_offset", "uv", "tint", "gloss", "faces", "jaw_weight", "body_weight"):
        for part in ("solid", "hair"):
            np.testing.assert_array_equal(
                getattr(getattr(first.body_meshes, part), name),
                getattr(getattr(again.body_meshes, part), name),
            )


def test_random_streams_are_independent_of_each_other():
    person = SyntheticPerson(3)
    first = person.random_generator(1).random(4)
    person.random_generator(0).random(100)
    np.testing.assert_array_equal(person.random_generator(1).random(4), first)
    assert not np.array_equal(person.random_generator(2).random(4), first)
    assert not np.array_equal(SyntheticPerson(4).random_generator(1).random(4), first)


def test_shape_belongs_to_the_head_model(mean_face):
    person = SyntheticPerson(6)
    assert person.shape.shape == (len(person.head.shape_basis),)
    assert person.shape.dtype == np.float32
    expected = mean_face + np.tensordot(
        person.shape, person.head.shape_basis[:, :NUM_FACE_VERTICES], 1
    )
    np.testing.assert_allclose(person.rest_face, expected, atol=1e-6)


@pytest.mark.slow
def test_meshes_begin_with_the_eyes_and_the_face():
    person = SyntheticPerson(2)
    meshes, face = person.body_meshes, person.rest_face.astype(float)
    first = 2 * meshes.num_patch_vertices
    points = meshes.solid.face_weights @ face + meshes.solid.rest_offset
    np.testing.assert_allclose(points[first : first + NUM_FACE_VERTICES], face, atol=1e-6)
    assert meshes.solid.faces.max() == len(meshes.solid.rest_offset) - 1
    assert meshes.hair.faces.max() == len(meshes.hair.rest_offset) - 1
    # The face itself does not hang rigidly on the jaw: the head model has moved it already.
    assert not meshes.solid.jaw_weight[: first + NUM_FACE_VERTICES].any()
    assert np.isfinite(points).all()


@pytest.mark.slow
def test_only_people_with_long_hair_have_a_curtain_of_it():
    people = [SyntheticPerson(seed) for seed in range(12)]
    long = [p for p in people if p.traits.hair_length]
    short = [p for p in people if not p.traits.hair_length]
    assert long
    assert short
    counts = {len(p.body_meshes.hair.rest_offset) for p in short[:2]}
    assert len(counts) == 1
    assert len(long[0].body_meshes.hair.rest_offset) > max(counts)
