"""The Track: everything that the rest of dubfew needs to know about a clip."""

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
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

TRACK_FORMAT_VERSION = 2

# Why a frame is not to be learned from or painted: bits of ``Track.flags``.
FLAG_NO_FACE = 1
FLAG_TURNED_AWAY = 2
FLAG_MOUTH_COVERED = 4
FLAG_CUT_BY_EDGE = 8
FLAG_OTHER_PERSON = 16
FLAG_DESCRIPTIONS = {
    FLAG_NO_FACE: "no face",
    FLAG_TURNED_AWAY: "turned away",
    FLAG_MOUTH_COVERED: "mouth covered",
    FLAG_CUT_BY_EDGE: "cut by the frame's edge",
    FLAG_OTHER_PERSON: "only somebody else",
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
        """Camera-space points [..., 3] (m) to image points [..., 2] (px)."""
        return points[..., :2] / points[..., 2:] * self.focal + np.array(
            [self.cx, self.cy], points.dtype
        )


@dataclass(frozen=True)
class Track:
    """One face through one clip of N frames.

    Rows of frames without a face hold the nearest fitted values and ``valid`` False.

    Attributes:
        valid: a face was found and fitted. [N] bool
        times: presentation time of each frame, s. [N] float64
        expression: coefficients of the head model's expression basis. [N, E]
        jaw: jaw rotation, axis-angle, rad. [N, 3]
        neck: neck rotation, axis-angle, rad. [N, 3]
        rotation: head rotation, axis-angle, rad, zero when facing the camera. [N, 3]
        translation: head origin in camera space, m. [N, 3]
        lighting: second-order spherical harmonics, RGB. [N, 9, 3]
        box: stable square crop, jaw-independent: left, top, right, bottom, px. [N, 4]
        landmarks: detector's landmarks, px (z in px too, smaller is nearer). [N, 478, 3]
        confidence: 0 to 1. [N]
        shape: identity coefficients of the head model. [S]
        camera: intrinsics of the clip.
        fps: nominal frame rate.
        width: frame width, px, after rotation metadata.
        height: frame height, px, after rotation metadata.
        head: id of the head model that the coefficients belong to.
        source_sha256: hash of the file that was tracked.
        flags: why the frame is to be left as it is, bits of ``FLAG_DESCRIPTIONS``; without any,
            only frames
            without a face are. [N] uint8
        shot: number of the shot, from 0 on. [N] int32
        method: what the head was fitted to: "landmarks" or "photometric".
        shape_from: where ``shape`` came from: "landmarks" or "mica".
        face: number of the person among those of the clip, the most seen one first.
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
        # What is left out, as in format 1: one shot, whose only flaw may be to show no face.
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
        """Frames whose mouth may be learned from and painted. [N]"""
        return self.valid & (self.flags == 0)

    def reasons(self) -> dict[str, int]:
        """How many frames are left as they are, by reason; a frame may have several."""
        counts = {
            word: int((self.flags & bit > 0).sum()) for bit, word in FLAG_DESCRIPTIONS.items()
        }
        return {word: count for word, count in counts.items() if count}

    def select(self, rows: slice | Iterable[int] | NDArray) -> Track:
        """The same clip with only these frames, in this order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        return dataclasses.replace(
            self, **{name: getattr(self, name)[index] for name in _PER_FRAME_FIELDS}
        )

    def to_bytes(self) -> bytes:
        """Serialise as safetensors with a JSON header."""
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
        """Write to ``path``, atomically."""
        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> Track:
        """Read a track.

        Raises:
            ArtefactError: not a track, damaged, or written by a newer dubfew.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ArtefactError(f"no track at {path}: make one with `dubfew track`") from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Track:
        """Read what ``to_bytes`` gave; ``name`` is what an error calls it.

        Raises:
            ArtefactError: not a track, damaged, or written by a newer dubfew.
        """
        try:
            tensors, header = read_tensors_and_header(data, "dubfew.track")
            check_format_version(header["format_version"], TRACK_FORMAT_VERSION, name)
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
                # Format 1 has none of these.
                method=header.get("method", "landmarks"),
                shape_from=header.get("shape_from", "landmarks"),
                face=header.get("face", 0),
            )
        except TENSOR_READ_ERRORS as error:
            raise ArtefactError(
                f"{name} is not a dubfew track: make one with `dubfew track`"
            ) from error


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
