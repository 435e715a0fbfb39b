"""Head models in FLAME's format and with FLAME's arithmetic, in NumPy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.errors import AssetError, ShapeError
from dubfew.reconstruction.heads.landmark_indices import (
    CHEEK_LANDMARKS,
    EYE_CORNERS,
    INNER_LIPS,
)
from dubfew.reconstruction.heads.loaders import HEAD_LOADERS
from dubfew.utils.arrays import FloatArray
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

# Newest version of stored head models that this dubfew reads, and the version that it writes.
HEAD_FORMAT_VERSION = 1
# FLAME's joints: 0 root, 1 neck, 2 jaw, 3 and 4 the subject's left and right eye. A model may stop
# after any of them.
NECK_JOINT, JAW_JOINT = 1, 2
EYE_JOINTS = (3, 4)
# Pitch of a fully open jaw, rad: enough for any speech or laugh. Crop and mask enclose it, so that
# a larger value makes both larger.
MAX_JAW_OPENING_RADIANS = 0.45
# Distance of adults' outer eye corners, m.
EYE_CORNER_DISTANCE_M = 0.09


@dataclass(frozen=True)
class HeadModel:
    """A morphable head: linear bases, then linear blend skinning.

    Head space: m, x to the image's right when the head faces the camera, y up, z towards it.

    Attributes:
        name: name of the model, which tracks and actors store.
        template: mean head, m. [V, 3]
        shape_basis: identity displacements per unit coefficient, m. [S, V, 3]
        expression_basis: expression displacements per unit coefficient, m. [E, V, 3]
        pose_basis: displacements per entry of (R - I) of every joint but the root, m, or None.
            [(J - 1) * 9, V, 3]
        joint_regressor: linear map from shaped vertices to joints. [J, V]
        skin_weights: weights of the joints per vertex; rows add up to 1. [V, J]
        parents: parent of each joint, -1 for the root. [J]
        faces: vertex indices of the triangles. [F, 3]
        uv: texture coordinates in [0, 1], origin top left. [V, 2]
        landmark_ids: MediaPipe's indices of the model's landmarks. [L]
        landmark_faces: face that carries each landmark. [L]
        landmark_barycentric: position of each landmark in that face. [L, 3]
        mouth_expressions: number of leading expression coefficients that move only the lower face.
        eyelid_basis: displacements that close the left and the right lid, m, or None. [2, V, 3]
        mouth_faces: True for faces that fill the opening between the lips. None for models like
            ``lite``, where these are the faces with vertices that carry no landmark. [F]
        expression_moves_joints: True if expression moves the joints, as in all released FLAME
            code; in FLAME's paper (eq. 2) and in ``lite`` only shape does.

    Raises:
        ShapeError: An array has the wrong shape.
    """

    name: str
    template: FloatArray
    shape_basis: FloatArray
    expression_basis: FloatArray
    pose_basis: FloatArray | None
    joint_regressor: FloatArray
    skin_weights: FloatArray
    parents: NDArray[np.int32]
    faces: NDArray[np.int32]
    uv: FloatArray
    landmark_ids: NDArray[np.int32]
    landmark_faces: NDArray[np.int32]
    landmark_barycentric: FloatArray
    mouth_expressions: int
    eyelid_basis: FloatArray | None = None
    mouth_faces: NDArray[np.bool_] | None = None
    expression_moves_joints: bool = False

    def __post_init__(self) -> None:
        # Sizes follow from template and parents; all arrays must agree with them.
        vertices, joints = len(self.template), len(self.parents)
        for name, shape in {
            "template": (vertices, 3),
            "shape_basis": (len(self.shape_basis), vertices, 3),
            "expression_basis": (len(self.expression_basis), vertices, 3),
            "joint_regressor": (joints, vertices),
            "skin_weights": (vertices, joints),
            "uv": (vertices, 2),
            "pose_basis": ((joints - 1) * 9, vertices, 3),
            "eyelid_basis": (2, vertices, 3),
            "mouth_faces": (len(self.faces),),
        }.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ShapeError(
                    f"head model {self.name}: {name} has shape {array.shape}, expected {shape}"
                )

    def rest_vertices(self, shape: NDArray) -> FloatArray:
        """Compute the head of an identity [S] at rest, m. [V, 3]"""
        return self.template + np.tensordot(shape, self.shape_basis, 1).astype(np.float32)

    def vertices(
        self,
        shape: NDArray,  # [S]
        expression: NDArray,  # [N, E]
        jaw: NDArray,  # [N, 3]
        neck: NDArray | None = None,  # [N, 3]
        eyes: NDArray | None = None,  # [N, 6]
        eyelids: NDArray | None = None,  # [N, 2]
    ) -> FloatArray:  # [N, V, 3]
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

        Source: Li et al. 2017, "Learning a model of facial shape and expression from 4D scans"
        (FLAME, SIGGRAPH Asia), eq. 1-5.
        """
        # Shape and expression are linear displacements of the template.
        rest = self.rest_vertices(shape)
        posed = rest[None] + np.tensordot(
            expression.astype(np.float32), self.expression_basis, axes=(1, 0)
        )
        joints = self.joint_regressor @ (posed if self.expression_moves_joints else rest[None])
        rotations = np.tile(np.eye(3, dtype=np.float32), (len(posed), len(self.parents), 1, 1))
        rotations[:, JAW_JOINT] = Rotation.from_rotvec(jaw).as_matrix()
        if neck is not None:
            rotations[:, NECK_JOINT] = Rotation.from_rotvec(neck).as_matrix()
        if eyes is not None:
            if len(self.parents) <= EYE_JOINTS[1]:
                raise ShapeError(f"head model {self.name} has no eyes to turn: leave them out")
            for joint, vectors in zip(EYE_JOINTS, (eyes[:, :3], eyes[:, 3:]), strict=True):
                rotations[:, joint] = Rotation.from_rotvec(vectors).as_matrix()
        if eyelids is not None:
            if self.eyelid_basis is None:
                raise ShapeError(f"head model {self.name} has no eyelids: leave them out")
            posed = posed + np.tensordot(eyelids.astype(np.float32), self.eyelid_basis, axes=(1, 0))
        # Pose correctives undo the artifacts of skinning near the joints.
        if self.pose_basis is not None:
            feature = (rotations[:, 1:] - np.eye(3, dtype=np.float32)).reshape(len(posed), -1)
            posed = posed + np.tensordot(feature, self.pose_basis, axes=(1, 0))
        matrices, offsets = self._forward_kinematics(rotations, joints)
        # Blend the joints' transforms by every vertex's weights, then apply them.
        blended = np.einsum("vj,njab->nvab", self.skin_weights, matrices, optimize=True)
        shift = np.einsum("vj,nja->nva", self.skin_weights, offsets, optimize=True)
        return (np.einsum("nvab,nvb->nva", blended, posed) + shift).astype(np.float32)

    def _forward_kinematics(
        self, rotations: FloatArray, joints: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Compute rotation and offset of every joint, from the root outwards.

        Args:
            rotations: rotation of each joint in its parent's frame. [N, J, 3, 3]
            joints: positions at rest, m; one row serves all frames. [N or 1, J, 3]

        Returns:
            Rotations [N, J, 3, 3] and offsets [N, J, 3].
        """
        joints = np.broadcast_to(joints, (len(rotations), *joints.shape[1:]))
        matrices = np.empty_like(rotations)
        offsets = np.empty((*rotations.shape[:2], 3), np.float32)
        for joint, parent in enumerate(self.parents):
            # A rotation about the joint is a rotation about the origin and an offset.
            position = joints[:, joint]
            own = position - np.einsum("nab,nb->na", rotations[:, joint], position)
            if parent < 0:
                matrices[:, joint], offsets[:, joint] = rotations[:, joint], own
            else:
                matrices[:, joint] = matrices[:, parent] @ rotations[:, joint]
                offsets[:, joint] = (
                    np.einsum("nab,nb->na", matrices[:, parent], own) + offsets[:, parent]
                )
        return matrices, offsets

    def landmark_matrix(self) -> FloatArray:
        """Return the linear map from vertices to landmarks, read-only. [L, V]"""
        return self._landmark_matrix

    @cached_property
    def _landmark_matrix(self) -> FloatArray:
        matrix = np.zeros((len(self.landmark_ids), len(self.template)), np.float32)
        rows = np.arange(len(self.landmark_ids))[:, None]
        np.add.at(matrix, (rows, self.faces[self.landmark_faces]), self.landmark_barycentric)
        matrix.flags.writeable = False
        return matrix

    def point_matrix(self, landmark_ids: tuple[int, ...]) -> FloatArray:
        """Compute the linear map from vertices to some landmarks.

        Args:
            landmark_ids: MediaPipe's indices.

        Returns:
            One row per landmark. [P, V]

        Raises:
            AssetError: The model lacks one of the landmarks.
        """
        # Rows of the landmarks by MediaPipe index.
        known = {int(i): row for row, i in enumerate(self.landmark_ids)}
        missing = [i for i in landmark_ids if i not in known]
        if missing:
            raise AssetError(f"head model {self.name} carries no landmarks {missing[:5]}")
        return self.landmark_matrix()[[known[i] for i in landmark_ids]]

    @cached_property
    def mouth_filling(self) -> tuple[NDArray[np.bool_], FloatArray]:
        """Faces that fill the opening between the lips, and each vertex's height in the opening.

        Models that leave the opening empty have no such face. These are the models without
        ``mouth_faces`` whose landmarks lie between vertices.

        Returns:
            True for the faces in the opening [F]; heights from -1 at the upper lip to 1 at the
            lower lip, 0 elsewhere [V].
        """
        # A model whose landmarks lie between vertices leaves the opening empty.
        height = np.zeros(len(self.template), np.float32)
        if self.mouth_faces is None and not np.isclose(self.landmark_matrix().max(1), 1).all():
            return np.zeros(len(self.faces), bool), height
        ring = self._mouth_opening_ring()
        half = len(ring) // 2
        height[ring[1:half]], height[ring[half + 1 :]] = -1, 1
        # FLAME lists the faces of its sheet; in lite they are those that touch the ring and have
        # only vertices of the ring or vertices without a landmark.
        if self.mouth_faces is not None:
            return self.mouth_faces, height
        # Vertices without a landmark of their own belong to the filling.
        filling = np.ones(len(self.template), bool)
        filling[self.landmark_matrix().argmax(1)] = False
        lips = np.isin(self.faces, ring)
        return (lips | filling[self.faces]).all(1) & lips.any(1), height

    @cached_property
    def inner_lip_matrix(self) -> FloatArray:
        """Return the linear map from vertices to the points of ``INNER_LIPS``. [20, V]"""
        return self.point_matrix(INNER_LIPS)

    @cached_property
    def cheek_matrix(self) -> FloatArray:
        """Return the linear map from vertices to the points of ``CHEEK_LANDMARKS``. [6, V]"""
        return self.point_matrix(CHEEK_LANDMARKS)

    def _mouth_opening_ring(self) -> NDArray[np.int64]:
        """Find the vertices around the opening, in the order of ``INNER_LIPS``. [20]

        Where landmarks are vertices, these are the lips' vertices. Otherwise the filling has a
        vertex of its own at the position of each landmark.
        """
        lips = self.point_matrix(INNER_LIPS)
        if self.mouth_faces is None:
            return lips.argmax(1)
        filling = np.unique(self.faces[self.mouth_faces])
        offset = (lips @ self.template)[:, None] - self.template[filling]
        return filling[np.linalg.norm(offset, axis=-1).argmin(1)]

    def inter_ocular_distance(self, shape: NDArray) -> float:
        """Measure the distance of the outer eye corners of an identity [S], m."""
        corners = self.point_matrix(EYE_CORNERS) @ self.rest_vertices(shape)
        return float(np.linalg.norm(corners[0] - corners[1]))

    def measure_eye_distance(self, projected: NDArray) -> float:
        """Measure the inter-ocular distance in an image as if the face looked at the camera.

        Args:
            projected: vertices in an image, x and y in px, depth in m. [V, 3]

        Returns:
            Distance, px.
        """
        right, left = (self._eye_corner_matrix @ projected).astype(float)
        across, depth = np.linalg.norm((right - left)[:2]), abs(right[2] - left[2])
        # A turned face shows the distance shortened; the part in depth is known in m.
        cosine = np.sqrt(max(1 - (depth / EYE_CORNER_DISTANCE_M) ** 2, 0.1))
        return float(across / cosine)

    @cached_property
    def _eye_corner_matrix(self) -> FloatArray:
        return self.point_matrix(EYE_CORNERS)

    def save(self, path: Path | str) -> None:
        """Write the model as safetensors with a JSON header."""
        from safetensors.numpy import save_file

        arrays = {
            name: np.ascontiguousarray(getattr(self, name))
            for name in _STORED_ARRAYS
            if getattr(self, name) is not None
        }
        header = {
            "format_version": HEAD_FORMAT_VERSION,
            "name": self.name,
            "mouth_expressions": self.mouth_expressions,
            "expression_moves_joints": self.expression_moves_joints,
        }
        save_file(arrays, str(path), metadata={"dubfew.head": json.dumps(header)})

    @classmethod
    def load(cls, path: Path | str) -> HeadModel:
        """Read a model that `save` wrote. Arrays may be stored as float16.

        Raises:
            AssetError: The file cannot be read, is not a head model, or a newer dubfew wrote it.
        """
        try:
            arrays, header = read_tensors_and_header(Path(path).read_bytes(), "dubfew.head")
            version = header["format_version"]
        except (OSError, *TENSOR_READ_ERRORS) as error:
            raise AssetError(f"{path} is not a dubfew head model") from error
        check_format_version(version, HEAD_FORMAT_VERSION, str(path), AssetError)
        # Bases may be stored as float16 to save space; arithmetic is in float32.
        floats: dict[str, Any] = {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in arrays.items()
        }
        return cls(
            name=header["name"],
            mouth_expressions=header["mouth_expressions"],
            expression_moves_joints=header.get("expression_moves_joints", False),
            pose_basis=floats.pop("pose_basis", None),
            eyelid_basis=floats.pop("eyelid_basis", None),
            mouth_faces=floats.pop("mouth_faces", None),
            **floats,
        )


# Arrays of a stored model, by field name. Those that are None are left out.
_STORED_ARRAYS = (
    "template",
    "shape_basis",
    "expression_basis",
    "pose_basis",
    "eyelid_basis",
    "mouth_faces",
    "joint_regressor",
    "skin_weights",
    "parents",
    "faces",
    "uv",
    "landmark_ids",
    "landmark_faces",
    "landmark_barycentric",
)


def load_head_model(name: str = "lite") -> HeadModel:
    """Load a head model by name.

    Args:
        name: an entry of ``HEAD_LOADERS``, such as "flame"; or the full name of one edition, such
            as "flame-1a2b3c4d", which a track or an actor stores. Coefficients of one edition
            mean nothing to another.

    Raises:
        AssetError: The name is unknown, files of the model are missing, or another edition is
            registered.
    """
    # The part before the hyphen names the loader, the rest names the edition.
    kind = name.split("-")[0]
    if kind not in HEAD_LOADERS:
        raise AssetError(f"no head model {name!r}: there are {', '.join(HEAD_LOADERS.names)}")
    head = HEAD_LOADERS[kind]()
    if name not in (kind, head.name):
        raise AssetError(
            f"this was made with head model {name}, the one registered is {head.name}: "
            f"register that file ('dubfew assets add {kind} FILE'), or track and adapt anew"
        )
    return head
