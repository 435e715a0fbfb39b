"""The NumPy reference and the torch twin of the shading model give the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubfew.reconstruction import shading_model, shading_torch

CURVES = ["srgb_to_linear", "linear_to_srgb"]


def unit_vectors(count: int) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_sh_basis_values_agree():
    normals = unit_vectors(50)
    twin = shading_torch.sh_basis(torch.from_numpy(normals)).numpy()
    np.testing.assert_allclose(shading_model.sh_basis(normals), twin, rtol=0, atol=1e-12)


def test_sh_basis_gradients_agree_with_differences():
    normals = torch.from_numpy(unit_vectors(4)).requires_grad_()
    assert torch.autograd.gradcheck(shading_torch.sh_basis, (normals,))


def test_sh_basis_is_orthonormal():
    basis = shading_model.sh_basis(unit_vectors(200_000))
    gram = 4 * np.pi * basis.T @ basis / len(basis)
    assert np.abs(gram - np.eye(9)).max() < 0.02


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_srgb_values_agree(name: str, dtype: type):
    values = np.linspace(0, 1.5, 301, dtype=dtype)
    reference = getattr(shading_model, name)(values)
    twin = getattr(shading_torch, name)(torch.from_numpy(values)).numpy()
    assert reference.dtype == dtype
    np.testing.assert_allclose(reference, twin, rtol=10 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", CURVES)
def test_srgb_gradients_agree_with_differences(name: str):
    values = torch.linspace(0.1, 1.5, 20, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(getattr(shading_torch, name), (values,))


@pytest.mark.parametrize("name", CURVES)
def test_srgb_gradients_are_finite_at_zero(name: str):
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(getattr(shading_torch, name)(zero).sum(), zero)
    assert torch.isfinite(slope).all()


def test_linear_to_srgb_derivative_is_its_gradient():
    values = torch.linspace(0.0001, 1.5, 60, dtype=torch.float64).requires_grad_()
    (expected,) = torch.autograd.grad(shading_torch.linear_to_srgb(values).sum(), values)
    torch.testing.assert_close(shading_torch.linear_to_srgb_derivative(values), expected)


def test_srgb_round_trip():
    values = np.linspace(0, 1, 101)
    there_and_back = shading_model.linear_to_srgb(shading_model.srgb_to_linear(values))
    # The standard's two thresholds are rounded: the curve has a gap of about 1e-8 there.
    np.testing.assert_allclose(there_and_back, values, atol=1e-6)
