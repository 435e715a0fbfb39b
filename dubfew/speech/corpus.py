"""Training material of the speech model: sound with the mouth motion that belongs to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from dubfew.errors import ArtefactError
from dubfew.files import write_atomic
from dubfew.speech.motion import MouthMotion

FORMAT_VERSION = 1
# Pictures later or earlier than this against their sound are not looked for, s.
LARGEST_LAG = 0.4


@dataclass(frozen=True)
class Clip:
    """A filmed speaker: sound and what the mouth did.

    Attributes:
        name: of the clip.
        samples: mono at 16 kHz. [n]
        motion: tracked, on the clock of the file.
    """

    name: str
    samples: NDArray[np.float32]
    motion: MouthMotion

    def save(self, path: Path | str) -> None:
        """Write to ``path``, atomically."""
        tensors: dict[str, np.ndarray] = {
            "samples": (np.clip(self.samples, -1, 1) * 32767).astype(np.int16),
            "displacement": self.motion.displacement.astype(np.float16),
            "times": self.motion.times,
        }
        header = {"format_version": FORMAT_VERSION, "name": self.name}
        write_atomic(Path(path), save(tensors, metadata={"dubfew.clip": json.dumps(header)}))

    @classmethod
    def load(cls, path: Path | str) -> Clip:
        """Read what ``save`` wrote.

        Raises:
            ArtefactError: not a prepared clip.
        """
        try:
            with safe_open(str(path), framework="numpy") as file:
                header = json.loads((file.metadata() or {})["dubfew.clip"])
                motion = MouthMotion(
                    file.get_tensor("displacement").astype(np.float32), file.get_tensor("times")
                )
                samples = file.get_tensor("samples").astype(np.float32) / 32767
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise ArtefactError(
                f"{path} is not a prepared clip: make it with `python -m dubfew.speech.prepare`"
            ) from error
        return cls(header["name"], samples, motion)


def load_corpus(folder: Path | str) -> list[Clip]:
    """Every prepared clip of a folder, by name.

    Raises:
        ArtefactError: there is none, or one is damaged.
    """
    paths = sorted(Path(folder).glob("*.safetensors"))
    if not paths:
        raise ArtefactError(
            f"no prepared clip in {folder}: make some with `python -m dubfew.speech.prepare`"
        )
    return [Clip.load(path) for path in paths]


@dataclass(frozen=True)
class Sync:
    """How sound and picture lie to each other.

    Attributes:
        lag: how much later the picture shows what is heard, s (negative: earlier).
        r: Pearson correlation of the apertures at that lag.
        r_zero: the same with no lag.
    """

    lag: float
    r: float
    r_zero: float


def correlation(a: NDArray, b: NDArray) -> float:
    """Pearson correlation; 0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def find_lag(
    predicted: MouthMotion, observed: MouthMotion, *, largest: float = LARGEST_LAG
) -> Sync:
    """Lag of a picture against its sound, by cross-correlation of lip apertures.

    Args:
        predicted: from the sound, on a grid at least as fine as the video's frames.
        observed: from the picture.
        largest: lag to look for in either direction, s.

    Returns:
        The lag of highest correlation, in steps of 10 ms; 0 where only the end of the range
        would do, which is no peak.
    """
    heard, seen = predicted.aperture(), observed.aperture()
    lags = np.arange(-round(largest * 100), round(largest * 100) + 1) / 100
    r = [correlation(np.interp(observed.times - lag, predicted.times, heard), seen) for lag in lags]
    best = int(np.argmax(r))
    if best in (0, len(lags) - 1):
        best = len(lags) // 2
    return Sync(float(lags[best]), r[best], r[len(lags) // 2])


def trusted_lag(sync: Sync) -> float:
    """The lag to correct, s: that of the highest correlation where it clearly beats none.

    The larger the lag, the clearer it must be.
    """
    return sync.lag if sync.r > sync.r_zero + 0.05 + 0.4 * abs(sync.lag) else 0.0
