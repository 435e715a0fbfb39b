"""The `Track`: a clip's head, pose, expression and camera, for all later steps.

A track is stored as safetensors with a JSON header under the key ``dubfew.track``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.errors import ArtefactError, ShapeError
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.growable_array import take_rows
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

# Version of stored tracks. Format 1 lacks flags, shots, method, shape_from and face.
TRACK_FORMAT_VERSION = 2

# Reasons to leave a frame unchanged and not to learn from it: bits of ``Track.flags``. Stored, so
# that numbers must never change.
FLAG_NO_FACE = 1
FLAG_TURNED_AWAY = 2
FLAG_MOUTH_COVERED = 4
FLAG_CUT_BY_EDGE = 8
FLAG_OTHER_PERSON = 16
FLAG_NO_LINE = 32
# Words for reports and for JSON output.
FLAG_DESCRIPTIONS = {
    FLAG_NO_FACE: "no face",
    FLAG_TURNED_AWAY: "turned away",
    FLAG_MOUTH_COVERED: "mouth covered",
    FLAG_CUT_BY_EDGE: "cut by the frame's edge",
    FLAG_OTHER_PERSON: "only somebody else",
    FLAG_NO_LINE: "no line to speak",
}


@dataclass(frozen=True)
class Camera:
    """Pinhole camera, OpenCV axes (x right, y down, z into the scene), pixel centres at +0.5.

    Attributes:
        focal: focal length, px.
        cx: principal point, px from the left edge.
        cy: principal point, px from the top edge.
    """

    focal: float
    cx: float
    cy: float

    def project(self, points: NDArray) -> NDArray:
        """Project camera-space points [..., 3] (m) to image points [..., 2] (px).

        Example:
            >>> Camera(focal=500.0, cx=320.0, cy=240.0).project(np.array([0.1, 0.0, 1.0])).tolist()
            [370.0, 240.0]
        """
        return points[..., :2] / points[..., 2:] * self.focal + np.array(
            [self.cx, self.cy], points.dtype
        )


@dataclass(frozen=True)
class Track:
    """One face through one clip of N frames.

    Rows of frames without a face have ``valid`` False and the values of the nearest valid frame.

    Attributes:
        valid: True where a face was found and fitted. [N] bool
        times: presentation time of each frame, s. [N] float64
        expression: coefficients of the head model's expression basis. [N, E]
        jaw: jaw rotation, axis-angle, rad. [N, 3]
        neck: neck rotation, axis-angle, rad. [N, 3]
        rotation: head rotation, axis-angle, rad, zero when facing the camera. [N, 3]
        translation: head origin in camera space, m. [N, 3]
        lighting: second-order spherical harmonics, RGB. [N, 9, 3]
        box: steady square crop of the head, independent of the jaw: left, top, right, bottom, px.
            [N, 4]
        landmarks: detected landmarks, px (z in px as well, smaller is nearer). [N, 478, 3]
        confidence: confidence of the fit, 0 to 1. [N]
        shape: identity coefficients of the head model. [S]
        camera: intrinsics of the clip.
        fps: nominal frame rate.
        width: frame width, px, after rotation metadata.
        height: frame height, px, after rotation metadata.
        head: id of the head model that the coefficients belong to.
        source_sha256: hash of the file that was tracked.
        flags: reasons to leave a frame unchanged, bits of ``FLAG_DESCRIPTIONS``; if empty, all
            frames without a face get ``FLAG_NO_FACE``. [N] uint8
        shot: number of the shot, from 0 on; if empty, all frames are one shot. [N] int32
        method: data that the head was fitted to: "landmarks" or "photometric".
        shape_from: source of ``shape``: "landmarks" or "mica".
        face: number of the person in the clip, 0 for the most seen person.

    Raises:
        ShapeError: A field has the wrong shape.
    """

    valid: NDArray[np.bool_]
    times: NDArray[np.float64]
    expression: FloatArray
    jaw: FloatArray
    neck: FloatArray
    rotation: FloatArray
    translation: FloatArray
    lighting: FloatArray
    box: FloatArray
    landmarks: FloatArray
    confidence: FloatArray
    shape: FloatArray
    camera: Camera
    fps: Fraction
    width: int
    height: int
    head: str
    source_sha256: str
    flags: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    shot: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    method: str = "landmarks"
    shape_from: str = "landmarks"
    face: int = 0

    def __post_init__(self) -> None:
        n = len(self.valid)
        # Defaults for fields that format 1 lacks.
        if not len(self.flags):
            object.__setattr__(
                self, "flags", np.where(self.valid, 0, FLAG_NO_FACE).astype(np.uint8)
            )
        if not len(self.shot):
            object.__setattr__(self, "shot", np.zeros(n, np.int32))
        expected: dict[str, tuple[int, ...]] = {
            "times": (n,),
            "expression": (n, self.expression.shape[-1]),
            "jaw": (n, 3),
            "neck": (n, 3),
            "rotation": (n, 3),
            "translation": (n, 3),
            "lighting": (n, 9, 3),
            "box": (n, 4),
            "landmarks": (n, 478, 3),
            "confidence": (n,),
            "flags": (n,),
            "shot": (n,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ShapeError(f"Track.{name} has shape {found}, expected {shape}")

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """True for frames whose mouth may be learned from and rendered. [N]"""
        return self.valid & (self.flags == 0)

    def reasons(self) -> dict[str, int]:
        """Count the frames that are left unchanged, by reason. A frame may have several reasons."""
        # Who is not seen in a frame of somebody else is told once.
        shows_other = self.flags & FLAG_OTHER_PERSON > 0
        flags = np.where(shows_other, self.flags & ~np.uint8(FLAG_NO_FACE), self.flags)
        counts = {word: int((flags & bit > 0).sum()) for bit, word in FLAG_DESCRIPTIONS.items()}
        return {word: count for word, count in counts.items() if count}

    def select(self, rows: slice | Iterable[int] | NDArray) -> Track:
        """Make a track of some of the frames.

        Args:
            rows: indices of the frames, in the new order.

        Returns:
            The track; fields of consecutive frames are views.
        """
        if isinstance(rows, slice):
            fields = {name: getattr(self, name)[rows] for name in _PER_FRAME_FIELDS}
        else:
            index = np.asarray(rows, dtype=np.int64)
            # Landmarks of long tracks lie in a file, and copies of them do, too.
            fields = {name: take_rows(getattr(self, name), index) for name in _PER_FRAME_FIELDS}
        return dataclasses.replace(self, **fields)

    def to_bytes(self) -> bytes:
        """Serialize as safetensors with a JSON header."""
        # Arrays are tensors; everything else is in the JSON header.
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _PER_FRAME_FIELDS}
        tensors["shape"] = self.shape
        header = {
            "format_version": TRACK_FORMAT_VERSION,
            "camera": dataclasses.asdict(self.camera),
            "fps": str(self.fps),
            "width": self.width,
            "height": self.height,
            "head": self.head,
            "source_sha256": self.source_sha256,
            "method": self.method,
            "shape_from": self.shape_from,
            "face": self.face,
        }
        return save(tensors, metadata={"dubfew.track": json.dumps(header)})

    def save(self, path: Path | str) -> None:
        """Write the track to a file, which appears as a whole or not at all."""
        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> Track:
        """Read a stored track.

        Raises:
            ArtefactError: The file does not exist, is damaged or not a track, or a newer dubfew
                wrote it.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ArtefactError(f"no track at {path}: make one with `dubfew track`") from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Track:
        """Read a track from the bytes that `to_bytes` made.

        Args:
            data: the bytes.
            name: name of the track in error messages.

        Raises:
            ArtefactError: The bytes are damaged or not a track, or a newer dubfew wrote them.
        """
        try:
            tensors, header = read_tensors_and_header(data, "dubfew.track")
            check_format_version(header["format_version"], TRACK_FORMAT_VERSION, name)
            # Not a number in any field would spread through all later computations.
            if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
                raise ValueError("not all numbers are finite")
            return cls(
                **tensors,
                camera=Camera(**header["camera"]),
                fps=Fraction(header["fps"]),
                width=header["width"],
                height=header["height"],
                head=header["head"],
                source_sha256=header["source_sha256"],
                # Format 1 lacks these.
                method=header.get("method", "landmarks"),
                shape_from=header.get("shape_from", "landmarks"),
                face=header.get("face", 0),
            )
        except TENSOR_READ_ERRORS as error:
            raise ArtefactError(
                f"{name} is not a dubfew track: make one with `dubfew track`"
            ) from error


# Fields with one row per frame, which `Track.select` cuts, and which are stored as tensors.
_PER_FRAME_FIELDS = (
    "valid",
    "times",
    "expression",
    "jaw",
    "neck",
    "rotation",
    "translation",
    "lighting",
    "box",
    "landmarks",
    "confidence",
    "flags",
    "shot",
)
