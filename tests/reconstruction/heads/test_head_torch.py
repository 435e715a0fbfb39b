from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.head_torch import TorchHeadModel, axis_angle_to_matrix
from tests.reconstruction.heads.heads import toy_head

N = 3


def random_parameters(head, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "shape": rng.normal(0, 1, len(head.shape_basis)),
        "expression": rng.normal(0, 1, (N, len(head.expression_basis))),
        "jaw": rng.normal(0, 0.4, (N, 3)),
        "neck": rng.normal(0, 0.4, (N, 3)),
        "eyes": rng.normal(0, 0.4, (N, 6)),
        "eyelids": rng.random((N, 2)),
    }


def in_torch(values: dict[str, np.ndarray], dtype=torch.float32) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, dtype=dtype) for name, value in values.items()}


@pytest.mark.parametrize("moves", [True, False])
def test_same_vertices_as_numpy(moves: bool) -> None:
    head = toy_head(expression_moves_joints=moves)
    values = random_parameters(head)
    vertices = TorchHeadModel(head)(**in_torch(values))
    assert vertices.dtype == torch.float32
    np.testing.assert_allclose(vertices.numpy(), head.vertices(**values), atol=1e-6)


@pytest.mark.parametrize("left_out", ["neck", "eyes", "eyelids"])
def test_omitted_parts_are_at_rest(left_out: str) -> None:
    head = toy_head()
    values = random_parameters(head)
    without = {name: value for name, value in values.items() if name != left_out}
    zeroed = {**values, left_out: np.zeros_like(values[left_out])}
    torch.testing.assert_close(
        TorchHeadModel(head)(**in_torch(without)), TorchHeadModel(head)(**in_torch(zeroed))
    )
    np.testing.assert_allclose(head.vertices(**without), head.vertices(**zeroed), atol=1e-6)


def test_the_embedded_head() -> None:
    head = load_head_model()
    values = {k: random_parameters(head)[k] for k in ("shape", "expression", "jaw", "neck")}
    vertices = TorchHeadModel(head)(**in_torch(values))
    np.testing.assert_allclose(vertices.numpy(), head.vertices(**values), atol=2e-6)


@pytest.mark.parametrize("missing", ["eyes", "eyelids"])
def test_a_head_without_eyes_or_lids_is_an_error(missing: str) -> None:
    head = load_head_model()
    values = random_parameters(head)
    given = {k: values[k] for k in ("shape", "expression", "jaw", missing)}
    with pytest.raises(ShapeError, match="lite"):
        head.vertices(**given)
    with pytest.raises(ShapeError, match="lite"):
        TorchHeadModel(head)(**in_torch(given))


@pytest.mark.slow
@pytest.mark.parametrize("at_rest", [False, True])
def test_gradients(at_rest: bool) -> None:
    head = toy_head(vertices=5, shapes=2, expressions=2)
    values = in_torch(random_parameters(head), torch.float64)
    if at_rest:
        values = {name: torch.zeros_like(value) for name, value in values.items()}
    names = list(values)
    model = TorchHeadModel(head).double()
    inputs = [values[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(
        lambda *given: model(**dict(zip(names, given, strict=True))), inputs
    )


def test_rotations_have_correct_derivatives_everywhere() -> None:
    angles = torch.tensor([0.0, 1e-9, 0.0099999, 0.0100001, 0.5, 3.0], dtype=torch.float64)
    axis = torch.tensor([0.6, -0.0, 0.8], dtype=torch.float64)
    vectors = (angles[:, None] * axis).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, vectors)
    rotations = axis_angle_to_matrix(vectors)
    expected = torch.linalg.matrix_exp(
        torch.stack(
            [
                torch.linalg.cross(e.expand_as(vectors), vectors)
                for e in torch.eye(3, dtype=torch.float64)
            ],
            1,
        )
    )
    torch.testing.assert_close(rotations, expected, atol=1e-12, rtol=0)


def test_arrays_are_buffers() -> None:
    model = TorchHeadModel(toy_head())
    assert not list(model.parameters())
    assert all(buffer.dtype == torch.float64 for buffer in model.double().buffers())
