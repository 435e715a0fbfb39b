"""`Take`: the mouth motion of one line as a file, with edits beside it.

A take is stored as safetensors with a JSON header under the key ``dubfew.take``. The motion is the
prediction or the performance as it was; edits are a list beside it and are applied anew by every
render. So they survive a new prediction, a new adaptation, and another frame rate or size.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.errors import ArtefactError, DubfewError, ShapeError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.landmark_indices import MOUTH_POINTS
from dubfew.speech.visemes import VISEME_BY_LETTER, Phone
from dubfew.takes.edits import MotionEdit, apply_edits
from dubfew.utils.files import check_input_file, write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS, read_tensors_and_header

# Version of stored takes.
TAKE_FORMAT_VERSION = 1
TAKE_METADATA_KEY = "dubfew.take"
# Ending of the name of a take's file.
TAKE_SUFFIX = ".motion"
# Rows per second of predicted motion and of edited motion. The speech model predicts 50 rows a
# second and is interpolated linearly, so that a multiple of 50 loses nothing.
TAKE_RATE_HZ = 100
# Takes inside of takes that a file may hold: a retake of a retake. A limit, because files may come
# from anybody.
MAX_TAKE_DEPTH = 4
# Longest take, s: a reel. It bounds the memory that a file can ask for.
MAX_TAKE_SECONDS = 3 * 3600.0

# Makes the motion of a take an actor's own; "audio" or "video" says where the motion comes from.
Personalize = Callable[[MouthMotion, str], MouthMotion]


@dataclass(frozen=True)
class TakeSource:
    """The recording that a take was made from.

    Attributes:
        kind: "audio" for predicted motion, "video" for filmed motion, "blendshapes" for motion that
            another program made or captured.
        name: name of the file, without its folder.
        sha256: SHA-256 of the file.
        speech_model: SHA-256 of the speech model that predicted, or "".
        language: language of the transcript, or "".
    """

    kind: str
    name: str
    sha256: str
    speech_model: str = ""
    language: str = ""


@dataclass(frozen=True)
class Take:
    """Mouth motion of one line, with its edits.

    Attributes:
        motion: predicted or filmed motion without any edit. Predicted motion is that of an average
            speaker, filmed motion that of the person in the video. Its clock is that of the source.
        confidence: confidence in each row, 0 to 1; 0 where filmed motion was interpolated. 1 in all
            predicted rows, because the speech model gives none. [N]
        source: recording that the motion was made from.
        phones: phonemes of the source with their times; empty where they are not known.
        edits: edits, the first one first.
        alternates: other takes that "replace" edits name.

    Raises:
        ShapeError: Confidence and motion have different lengths, or there is no row.
        DubfewError: An edit names a take that is not among the alternates.
    """

    motion: MouthMotion
    confidence: NDArray[np.float32]
    source: TakeSource
    phones: tuple[Phone, ...] = ()
    edits: tuple[MotionEdit, ...] = ()
    alternates: Mapping[str, Take] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.motion) or self.confidence.shape != (len(self.motion),):
            raise ShapeError(
                f"a take has {len(self.motion)} rows of motion and {self.confidence.shape} of "
                "confidence: expected one per row, and at least one row"
            )
        for edit in self.edits:
            if edit.take is not None and edit.take not in self.alternates:
                raise DubfewError(
                    f"the edit replace names the take {edit.take!r}, which is not there"
                )

    @property
    def seconds(self) -> float:
        """Time of the last row on the clock of the source, s."""
        return float(self.motion.times[-1])

    def perform(self, personalize: Personalize | None = None) -> MouthMotion:
        """Compute the edited motion.

        Args:
            personalize: makes the motion of this take and of its alternates an actor's own, before
                the edits; None leaves it as it is.

        Returns:
            Motion at `TAKE_RATE_HZ`, from the first row to the last.
        """
        first, last = float(self.motion.times[0]), self.seconds
        count = round((last - first) * TAKE_RATE_HZ) + 1
        motion = self.motion.resample(first + np.arange(count) / TAKE_RATE_HZ)
        if personalize is not None:
            motion = personalize(motion, self.source.kind)
        # Only what an edit names is computed.
        named = {edit.take for edit in self.edits if edit.take is not None}
        others = {name: self.alternates[name].perform(personalize) for name in sorted(named)}
        return apply_edits(motion, self.edits, others)

    def edit(self, edit: MotionEdit, other: Take | None = None) -> Take:
        """Add an edit behind the others.

        Args:
            edit: the edit.
            other: the take that a "replace" edit names; it is stored along, so that no other file
                is needed.

        Raises:
            DubfewError: The edit lies behind the end of the take, or names a take that is not
                there.
        """
        if edit.start is not None and edit.start > self.seconds:
            raise DubfewError(
                f"the edit {edit.operation} begins at {edit.start:g} s, and the take ends at "
                f"{self.seconds:.2f} s"
            )
        alternates = dict(self.alternates)
        if edit.take is not None and other is not None:
            alternates[edit.take] = other
        return dataclasses.replace(self, edits=(*self.edits, edit), alternates=alternates)

    def without_edits(self, keep: int = 0) -> Take:
        """Remove all edits but the first few; takes that no edit names any more go with them.

        Args:
            keep: number of edits that stay.
        """
        edits = self.edits[:keep]
        named = {edit.take for edit in edits}
        alternates = {name: take for name, take in self.alternates.items() if name in named}
        return dataclasses.replace(self, edits=edits, alternates=alternates)

    def with_edits_of(self, other: Take) -> Take:
        """Give this motion the edits of another take, as after a new prediction."""
        return dataclasses.replace(self, edits=other.edits, alternates=other.alternates)

    def to_bytes(self) -> bytes:
        """Serialize as safetensors with a JSON header."""
        tensors: dict[str, NDArray] = {}
        header = {"format_version": TAKE_FORMAT_VERSION, **self._store("", tensors)}
        header["crc32"] = _checksum(tensors)
        return save(tensors, metadata={TAKE_METADATA_KEY: json.dumps(header, ensure_ascii=False)})

    def save(self, path: Path | str) -> None:
        """Write the take to a file, atomically."""
        write_atomic(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> Take:
        """Read a file that `save` wrote.

        Raises:
            MediaError: There is no file.
            ArtefactError: The file is no take, is damaged or was written by a newer dubfew.
        """
        path = Path(path)
        check_input_file(path)
        return cls.from_bytes(path.read_bytes(), str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "this take") -> Take:
        """Read the output of `to_bytes`, which may come from anybody.

        Args:
            data: the whole file.
            name: what the error message calls it.

        Raises:
            ArtefactError: The data is no take, is damaged or was written by a newer dubfew.
        """
        try:
            tensors, header = read_tensors_and_header(data, TAKE_METADATA_KEY)
            check_format_version(header["format_version"], TAKE_FORMAT_VERSION, name)
            if header["crc32"] != _checksum(tensors):
                raise ArtefactError(f"{name} is damaged: its checksum differs; copy it again")
            return cls._restore(header, "", tensors, MAX_TAKE_DEPTH)
        except (*TENSOR_READ_ERRORS, AttributeError, RecursionError, ShapeError) as error:
            found = ascii(str(error))[1:-1][:120]
            raise ArtefactError(
                f"{name} is no mouth motion of dubfew, or damaged ({found}): make one with "
                "'dubfew motion'"
            ) from error

    def _store(self, prefix: str, tensors: dict[str, NDArray]) -> dict[str, Any]:
        """Put the arrays into ``tensors``, and return the rest in JSON's types."""
        tensors[f"{prefix}displacement"] = np.ascontiguousarray(
            self.motion.displacement, np.float32
        )
        tensors[f"{prefix}times"] = np.ascontiguousarray(self.motion.times, np.float64)
        tensors[f"{prefix}confidence"] = np.ascontiguousarray(self.confidence, np.float32)
        return {
            "points": list(MOUTH_POINTS),
            "source": dataclasses.asdict(self.source),
            "phones": [[phone.symbol, phone.start, phone.end] for phone in self.phones],
            "edits": [edit.to_json() for edit in self.edits],
            "alternates": {
                name: take._store(f"{prefix}{number}.", tensors)
                for number, (name, take) in enumerate(self.alternates.items())
            },
        }

    @classmethod
    def _restore(
        cls, header: dict[str, Any], prefix: str, tensors: Mapping[str, NDArray], depth: int
    ) -> Take:
        """Read what `_store` gave."""
        # A file may nest takes without end.
        if depth == 0:
            raise ArtefactError(f"a take holds more than {MAX_TAKE_DEPTH} takes in each other")
        # Rows mean points of the face: in another order the mouth would be torn.
        if tuple(header["points"]) != MOUTH_POINTS:
            raise ArtefactError("a take describes other mouth points: make it anew")
        displacement, times = tensors[f"{prefix}displacement"], tensors[f"{prefix}times"]
        confidence = tensors[f"{prefix}confidence"]
        _check_arrays(displacement, times, confidence)
        phones = tuple(Phone(str(p[0]), float(p[1]), float(p[2])) for p in header["phones"])
        if any(phone.symbol not in VISEME_BY_LETTER for phone in phones):
            raise ValueError("unknown phoneme")
        return cls(
            MouthMotion(displacement.astype(np.float32), times.astype(np.float64)),
            confidence.astype(np.float32),
            TakeSource(**{str(key): str(value) for key, value in header["source"].items()}),
            phones,
            tuple(MotionEdit.from_json(each) for each in header["edits"]),
            {
                str(name): cls._restore(each, f"{prefix}{number}.", tensors, depth - 1)
                for number, (name, each) in enumerate(header["alternates"].items())
            },
        )


def _check_arrays(displacement: NDArray, times: NDArray, confidence: NDArray) -> None:
    """Check arrays that may come from anybody.

    Raises:
        ValueError: They have a wrong type, are not finite, or the times do not rise.
    """
    if any(array.dtype.kind != "f" for array in (displacement, times, confidence)):
        raise ValueError("expected floating point numbers")
    if not all(np.isfinite(array).all() for array in (displacement, times, confidence)):
        raise ValueError("expected finite numbers")
    if times.ndim != 1 or (np.diff(times) <= 0).any():
        raise ValueError("expected rising times")
    if len(times) and not 0 <= times[0] <= times[-1] <= MAX_TAKE_SECONDS:
        raise ValueError(f"expected times from 0 to {MAX_TAKE_SECONDS:g} s")


def _checksum(tensors: Mapping[str, NDArray]) -> int:
    """Compute the CRC-32 of all tensors, one behind another in the order of their names."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(np.ascontiguousarray(tensors[name]).tobytes(), value)
    return value
