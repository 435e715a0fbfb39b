"""The stored track against the picture itself: the texture tells which point a pixel shows.

The face is painted with its own texture coordinates, red for u and green for v, in even light. So
the color at a projected vertex says where on the face the picture really is.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.reconstruction.heads.vertex_normals import compute_vertex_normals
from dubfew.reconstruction.projection import rotvecs_to_matrices
from dubfew.reconstruction.shading_model import srgb_to_linear
from dubfew.synthetic import clip as clip_module
from dubfew.synthetic import render_clip
from dubfew.synthetic.canvas import face_uv_px
from dubfew.synthetic.eyes import EYE_RINGS, compute_iris_landmarks
from dubfew.synthetic.parts import EYE_TILE, FACE_TILE, MOUTH_TILE, NUM_FACE_VERTICES
from dubfew.synthetic.scene import PersonRenderer
from tests.synthetic.toys import (
    BRIGHT,
    DARK,
    EVEN_LIGHT,
    camera_for,
    flat_atlas,
    project,
    still_motion,
    with_atlas,
)

pytestmark = pytest.mark.slow

SIZE = 256
EDGE = FACE_TILE[2]
BACKGROUND = np.full((SIZE, SIZE, 3), 0.02, np.float32)
# The lips' inner edges and the lids border on other textures.
BORDERS = [*INNER_LIPS, *EYE_RINGS[0], *EYE_RINGS[1]]


@pytest.fixture(scope="module")
def coded():
    """A person whose face has its texture coordinates for colors."""
    atlas = flat_atlas()
    v, u = (np.mgrid[:EDGE, :EDGE] + 0.5) / EDGE
    atlas[:EDGE, :EDGE, 0], atlas[:EDGE, :EDGE, 1] = u * BRIGHT, v * BRIGHT
    return with_atlas(14, atlas)


def displacement(picture, points, person, motion):
    """How far from a vertex' place the picture shows it, px in x and y, where it faces the camera.

    Args:
        picture: sRGB in [0, 1]. [SIZE, SIZE, 3]
        points: where the vertices should be, px. [468, 2]
        person: the person in it.
        motion: one frame.
    """
    linear = srgb_to_linear(np.asarray(picture, np.float64)) / BRIGHT * EDGE
    places = points[:, ::-1].T - 0.5
    seen = np.stack([map_coordinates(linear[..., c], places, order=1) for c in (0, 1)], 1)
    faces = person.head.faces[(person.head.faces < NUM_FACE_VERTICES).all(1)]
    normals = compute_vertex_normals(motion.face_vertices[0], faces)
    frontal = (normals @ rotvecs_to_matrices(motion.rotation)[0].T)[:, 2] > 0.7
    frontal[BORDERS] = False
    # px of the picture per px of the texture, from the slopes of a plane through all vertices.
    uv = face_uv_px(person.head, EDGE)
    plane = np.linalg.lstsq(np.column_stack([uv, np.ones(len(uv))]), points, rcond=None)[0]
    return ((seen - uv) @ plane[:2])[frontal]


@pytest.mark.parametrize(
    "pose", [{}, {"rotation": (0.1, -0.25, 0.05)}, {"jaw": 0.2}, {"rotation": (0, 0, 0.3)}]
)
def test_rendered_vertices_lie_where_they_project(coded, pose):
    camera = camera_for(SIZE)
    motion = still_motion(coded, **pose)
    picture = PersonRenderer(coded, camera, EVEN_LIGHT, BACKGROUND).render_frame(motion.select(0))
    away = displacement(picture, project(motion, camera)[0], coded, motion)
    assert len(away) > 150
    assert np.abs(np.median(away, 0)).max() < 0.05
    assert np.percentile(np.linalg.norm(away, axis=1), 90) < 0.25


def test_landmarks_of_a_clip_are_where_its_frames_show_them(coded, monkeypatch):
    monkeypatch.setattr(clip_module, "sample_light", lambda rng: EVEN_LIGHT)
    monkeypatch.setattr(clip_module, "SENSOR_NOISE_STD", 0.0)
    made = render_clip(coded, seconds=0.12, size=SIZE, seed=3)
    still = still_motion(coded)
    for frame, marks in zip(made.frames, made.track.landmarks, strict=True):
        away = displacement(frame / 255, marks[:NUM_FACE_VERTICES, :2], coded, still)
        # A level of 8 bits is up to 1 px here; hundreds of vertices average it out.
        assert np.abs(np.median(away, 0)).max() < 0.2
        assert np.median(np.linalg.norm(away, axis=1)) < 0.7


def red_rows(picture, column):
    """First row of a column's red pixels and the row behind the last one; (0, 0) without any."""
    red = srgb_to_linear(picture[:, column].astype(np.float64))
    rows = np.nonzero(red[:, 0] > 2 * red[:, 1])[0]
    return (rows[0], rows[-1] + 1) if len(rows) else (0, 0)


@pytest.mark.parametrize("jaw", [0.15, 0.3])
def test_inner_lips_are_the_edges_of_the_mouth_in_the_picture(jaw):
    atlas = flat_atlas(mouth=(MOUTH_TILE, (BRIGHT, 0, 0)))
    atlas[:EDGE, :EDGE, :3] = DARK
    person, camera = with_atlas(14, atlas), camera_for(SIZE)
    motion = still_motion(person, jaw=jaw)
    picture = PersonRenderer(person, camera, EVEN_LIGHT, BACKGROUND).render_frame(motion.select(0))
    marks = project(motion, camera)[0]
    top, bottom = red_rows(picture, int(marks[13, 0]))
    assert top == pytest.approx(marks[13, 1], abs=1)
    assert bottom == pytest.approx(marks[14, 1], abs=1)


@pytest.mark.slow
def test_a_closed_mouth_shows_nothing_of_its_inside():
    atlas = flat_atlas(mouth=(MOUTH_TILE, (BRIGHT, 0, 0)))
    for seed in (0, 14):
        person = with_atlas(seed, atlas)
        made = render_clip(person, seconds=0.04, size=SIZE, seed=0)
        frame = next(made.frames).astype(float)
        # A clip begins with silence.
        assert ((frame[..., 0] > 2 * frame[..., 1] + 20).sum()) < 6


@pytest.mark.parametrize("gaze", [(0.0, 0.0), (0.25, -0.1)])
def test_irises_are_where_their_landmarks_are(gaze):
    # A green dot in the pupil's place on both eyes; the rest of the ball is dark.
    atlas = flat_atlas()
    left, top, width, height = EYE_TILE
    rows, columns = (np.mgrid[:height, :width] + 0.5) / height - 0.5
    atlas[top : top + height, left : left + width][np.hypot(rows, columns) < 0.06, 1] = BRIGHT
    person, camera = with_atlas(14, atlas), camera_for(SIZE)
    motion = still_motion(person, gaze=gaze)
    picture = PersonRenderer(person, camera, EVEN_LIGHT, BACKGROUND).render_frame(motion.select(0))
    irises = compute_iris_landmarks(person.body_meshes.eyeballs, np.array(gaze), 0.006)
    marks = camera.project(irises[[0, 5]] * [1, -1, -1] + motion.translation)
    green = np.clip(picture[..., 1] - picture[..., 0] - 0.05, 0, None)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    for mark, side in zip(marks, (columns < SIZE / 2, columns > SIZE / 2), strict=True):
        center = [(green * axis)[side].sum() / green[side].sum() for axis in (columns, rows)]
        np.testing.assert_allclose(center, mark, atol=0.8)
