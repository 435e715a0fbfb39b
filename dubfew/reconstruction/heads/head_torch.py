"""A head model in torch: the arithmetic of `HeadModel.vertices`, with derivatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dubfew.errors import ShapeError
from dubfew.reconstruction.heads.head_model import EYE_JOINTS, JAW_JOINT, NECK_JOINT, HeadModel

# Squared angle, rad², below which the Taylor series replaces the closed form of a rotation. Both
# agree to float32 there.
SMALL_SQUARED_ANGLE = 1e-4


class TorchHeadModel(nn.Module):
    """A `HeadModel` whose vertices can be differentiated by everything that moves them.

    The model's arrays are float32 buffers: ``.to(device)`` and ``.double()`` work as usual.

    Args:
        head: head model.

    Source: Li et al. 2017, "Learning a model of facial shape and expression from 4D scans" (FLAME,
    SIGGRAPH Asia), eq. 1-5; the same numbers as ``smplx.lbs``.
    """

    template: Tensor  # [V, 3]
    shape_basis: Tensor  # [S, V, 3]
    expression_basis: Tensor  # [E, V, 3]
    pose_basis: Tensor | None  # [(J - 1) * 9, V, 3]
    eyelid_basis: Tensor | None  # [2, V, 3]
    joint_regressor: Tensor  # [J, V]
    skin_weights: Tensor  # [V, J]

    def __init__(self, head: HeadModel) -> None:
        super().__init__()
        self.name = head.name
        self.parents = [int(parent) for parent in head.parents]
        self.expression_moves_joints = head.expression_moves_joints
        # Buffers move with the module and are not trained.
        for name in (
            "template",
            "shape_basis",
            "expression_basis",
            "pose_basis",
            "eyelid_basis",
            "joint_regressor",
            "skin_weights",
        ):
            array = getattr(head, name)
            self.register_buffer(name, None if array is None else torch.tensor(array))

    def forward(
        self,
        shape: Tensor,  # [S]
        expression: Tensor,  # [N, E]
        jaw: Tensor,  # [N, 3]
        neck: Tensor | None = None,  # [N, 3]
        eyes: Tensor | None = None,  # [N, 6]
        eyelids: Tensor | None = None,  # [N, 2]
    ) -> Tensor:  # [N, V, 3]
        """Compute the vertices in head space for N frames of one identity.

        Args:
            shape: identity coefficients. [S]
            expression: expression coefficients. [N, E]
            jaw: jaw rotations, axis-angle, rad. [N, 3]
            neck: neck rotations, axis-angle, rad; None for a straight neck. [N, 3]
            eyes: rotations of the subject's left and right eye, axis-angle, rad; None for eyes
                that look straight ahead. [N, 6]
            eyelids: closure of the left and the right lid, 0 to 1; None for open lids. [N, 2]

        Returns:
            Vertex positions, m. [N, V, 3]

        Raises:
            ShapeError: Eyes or eyelids are given, and the model has none.
        """
        # Shape and expression are linear displacements of the template.
        rest = self.template + torch.einsum("s,svd->vd", shape, self.shape_basis)
        expressed = rest + torch.einsum("ne,evd->nvd", expression, self.expression_basis)
        joints = self.joint_regressor @ (expressed if self.expression_moves_joints else rest)
        joints = joints.expand(len(expression), -1, -1)
        # Joints that move; all others keep the identity.
        rotvecs = {JAW_JOINT: jaw}
        if neck is not None:
            rotvecs[NECK_JOINT] = neck
        if eyes is not None:
            if len(self.parents) <= EYE_JOINTS[1]:
                raise ShapeError(f"head model {self.name} has no eyes to turn: leave them out")
            rotvecs.update(zip(EYE_JOINTS, (eyes[:, :3], eyes[:, 3:]), strict=True))
        posed = expressed
        if eyelids is not None:
            if self.eyelid_basis is None:
                raise ShapeError(f"head model {self.name} has no eyelids: leave them out")
            posed = posed + torch.einsum("nl,lvd->nvd", eyelids, self.eyelid_basis)
        identity = torch.eye(3, dtype=rest.dtype, device=rest.device).expand(len(jaw), 3, 3)
        rotations = [
            axis_angle_to_matrix(rotvecs[joint]) if joint in rotvecs else identity
            for joint in range(len(self.parents))
        ]
        # Pose correctives undo the artifacts of skinning near the joints.
        if self.pose_basis is not None:
            feature = (torch.stack(rotations[1:], 1) - identity[:, None]).flatten(1)
            posed = posed + torch.einsum("np,pvd->nvd", feature, self.pose_basis)
        matrices, offsets = self._forward_kinematics(rotations, joints)
        # Blend the joints' transforms by every vertex's weights, then apply them.
        blended = torch.einsum("vj,njab->nvab", self.skin_weights, matrices)
        shift = torch.einsum("vj,nja->nva", self.skin_weights, offsets)
        return (blended @ posed[..., None])[..., 0] + shift

    def _forward_kinematics(self, rotations: list[Tensor], joints: Tensor) -> tuple[Tensor, Tensor]:
        """Compute rotation [N, J, 3, 3] and offset [N, J, 3] of every joint, root outwards."""
        matrices: list[Tensor] = []
        offsets: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            # A rotation about the joint is a rotation about the origin and an offset.
            rotation = rotations[joint]
            own = joints[:, joint] - (rotation @ joints[:, joint, :, None])[..., 0]
            if parent < 0:
                matrices.append(rotation)
                offsets.append(own)
            else:
                matrices.append(matrices[parent] @ rotation)
                offsets.append((matrices[parent] @ own[..., None])[..., 0] + offsets[parent])
        return torch.stack(matrices, 1), torch.stack(offsets, 1)


def axis_angle_to_matrix(
    axis_angle: Tensor,  # [N, 3]
) -> Tensor:  # [N, 3, 3]
    """Convert axis-angle rotations to matrices, with correct derivatives at zero as well.

    Args:
        axis_angle: axis times angle, rad. [N, 3]

    Returns:
        Rotation matrices. [N, 3, 3]

    Source: Rodrigues' rotation formula; Taylor series in the angle where it is below 0.01 rad.
    """
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = square < SMALL_SQUARED_ANGLE
    # Where the series applies, the closed form gets an angle of 1: 0 / 0 would put NaN into the
    # derivatives although its value is not used.
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    sine = torch.where(small, 1 - square / 6 * (1 - square / 20), angle.sin() / angle)
    versine = torch.where(
        small, 0.5 - square / 24 * (1 - square / 30), (1 - angle.cos()) / angle**2
    )
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sine * cross + versine * (cross @ cross)


def compute_vertex_normals(
    vertices: Tensor,  # [..., V, 3]
    faces: Tensor,  # [F, 3]
) -> Tensor:  # [..., V, 3]
    """Compute area-weighted unit normals of vertices; differentiable in ``vertices``.

    The twin of ``vertex_normals.compute_vertex_normals``.

    Args:
        vertices: positions, in any unit. [..., V, 3]
        faces: corner indices. [F, 3]

    Returns:
        Unit vectors, zero where all faces of a vertex have no area. [..., V, 3]
    """
    a, b, c = (vertices[..., faces[:, corner], :] for corner in range(3))
    (ux, uy, uz), (vx, vy, vz) = (b - a).unbind(-1), (c - a).unbind(-1)
    # Written out: torch's own cross is several times slower under forward-mode derivatives.
    normal = torch.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], -1)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(-2, faces[:, corner], normal)
    return F.normalize(total, dim=-1, eps=1e-12)
