"""The Track: everything that the rest of dubfew needs to know about a clip."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.errors import ArtefactError, ShapeError
from dubfew.files import write_atomic
from dubfew.tensors import UNREADABLE, read_tensors

FORMAT_VERSION = 1

FloatArray = NDArray[np.float32]


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

    def __post_init__(self) -> None:
        n = len(self.valid)
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
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ShapeError(f"Track.{name} has shape {found}, expected {shape}")

    def __len__(self) -> int:
        return len(self.valid)

    def select(self, rows: slice | Iterable[int] | NDArray) -> Track:
        """The same clip with only these frames, in this order."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, dtype=np.int64)
        return dataclasses.replace(
            self, **{name: getattr(self, name)[index] for name in _PER_FRAME}
        )

    def to_bytes(self) -> bytes:
        """Serialise as safetensors with a JSON header."""
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in _PER_FRAME}
        tensors["shape"] = self.shape
        header = {
            "format_version": FORMAT_VERSION,
            "camera": dataclasses.asdict(self.camera),
            "fps": str(self.fps),
            "width": self.width,
            "height": self.height,
            "head": self.head,
            "source_sha256": self.source_sha256,
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
            tensors, header = read_tensors(data, "dubfew.track")
            if header["format_version"] > FORMAT_VERSION:
                raise ArtefactError(
                    f"{name} has track format {header['format_version']}, this dubfew reads up "
                    f"to {FORMAT_VERSION}: update dubfew"
                )
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
            )
        except UNREADABLE as error:
            raise ArtefactError(
                f"{name} is not a dubfew track: make one with `dubfew track`"
            ) from error


_PER_FRAME = (
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
)
