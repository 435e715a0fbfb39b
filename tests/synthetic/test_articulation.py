"""Mouth controls to coefficients: the head model shows what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS
from dubfew.speech.visemes import MOUTH_CONTROLS
from dubfew.synthetic import SyntheticPerson
from dubfew.synthetic.articulation import MouthArticulator


@pytest.fixture(scope="module", params=[0, 1, 2])
def someone(request):
    return SyntheticPerson(request.param)


@pytest.fixture(scope="module")
def articulator(someone):
    return MouthArticulator(someone.head, someone.shape)


def articulate(someone, articulator, *rows):
    """Faces [N, V, 3] in inter-ocular distances, for rows of upper, lower, width, purse, chin."""
    controls = np.array(rows, float)
    assert controls.shape[1] == len(MOUTH_CONTROLS)
    expression, jaw = articulator(controls)
    face = someone.head.vertices(someone.shape, expression, jaw)
    return face / someone.head.inter_ocular_distance(someone.shape), jaw


REST = (0, 0, 0, 0, 0)


def test_gaps_and_widths_are_those_asked_for(someone, articulator):
    face, _ = articulate(
        someone,
        articulator,
        REST,
        (0.03, -0.10, 0.0, 0.0, -0.05),
        (0.01, -0.03, -0.09, 0.03, -0.02),
        (0.01, -0.04, 0.05, 0.0, -0.02),
        (0.05, -0.16, 0.0, 0.0, -0.10),
    )
    gap = face[:, 13, 1] - face[:, 14, 1]
    np.testing.assert_allclose(gap, [0, 0.13, 0.04, 0.05, 0.21], atol=0.02)
    width = np.linalg.norm(face[:, 61] - face[:, 291], axis=1)
    np.testing.assert_allclose(width[2:4] - width[0], [-0.09, 0.05], atol=0.02)


def test_resting_lips_are_closed_all_along(someone, articulator):
    face, jaw = articulate(someone, articulator, REST)
    upper, lower = list(INNER_LIPS[1:10]), list(INNER_LIPS[:10:-1])
    gap = face[0, upper, 1] - face[0, lower, 1]
    # About 90 mm are 1: no more than half a millimeter anywhere.
    assert np.abs(gap).max() < 0.006
    np.testing.assert_array_equal(jaw, 0)


def test_pursed_lips_come_forward(someone, articulator):
    face, _ = articulate(someone, articulator, REST, (0.01, -0.03, -0.09, 0.04, -0.02))
    forward = face[1, [0, 13, 14, 17], 2] - face[0, [0, 13, 14, 17], 2]
    assert forward.mean() == pytest.approx(0.04, abs=0.015)


def test_the_chin_goes_down_with_the_jaw(someone, articulator):
    face, jaw = articulate(someone, articulator, REST, (0.02, -0.1, 0, 0, -0.08))
    assert face[0, 152, 1] - face[1, 152, 1] == pytest.approx(0.08, abs=0.02)
    assert jaw[1, 0] > 0
    np.testing.assert_array_equal(jaw[:, 1:], 0)


def test_upper_face_and_nose_stay(someone, articulator):
    face, _ = articulate(someone, articulator, REST, (0.05, -0.16, 0.05, 0.02, -0.1))
    still = [10, 151, 9, 168, 33, 263, 133, 362]
    assert np.abs(face[1, still] - face[0, still]).max() < 1e-3
    assert np.abs(face[1, 4] - face[0, 4]).max() < 0.02  # the tip of the nose


def test_frames_do_not_depend_on_each_other(articulator):
    controls = np.random.default_rng(0).normal(0, 0.03, (4, 5))
    together, jaws = articulator(controls)
    for row in range(4):
        alone, jaw = articulator(controls[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], atol=1e-4)
        np.testing.assert_array_equal(jaw[0], jaws[row])


def test_only_mouth_expressions_are_used(someone, articulator):
    expression, _ = articulator(np.random.default_rng(0).normal(0, 0.05, (3, 5)))
    assert expression.shape == (3, len(someone.head.expression_basis))
    assert not expression[:, someone.head.mouth_expressions :].any()
