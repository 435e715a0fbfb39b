"""What the network is shown of a recording: log-mel bands, or another encoder's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ArtefactError
from dubfew.media.mel import BANDS, HOP, RATE, Channel, log_mel

FloatArray = NDArray[np.float32]

MEL = "mel"
# Samples between two rows of the network.
ROW_SAMPLES = 2 * HOP
ROW_SECONDS = ROW_SAMPLES / RATE


class Hearing(Protocol):
    """One recording, as an encoder hears it."""

    def frames(self, start: int, stop: int) -> FloatArray:
        """Frames [start, stop), some of which may lie outside the recording. [T, width]"""
        ...


class Encoder(Protocol):
    """Turns sound into frames, ``stride`` of them for every row of the network.

    Frame k is centred on sample ``k * ROW_SAMPLES / stride``, whatever the encoder's own clock.
    """

    @property
    def width(self) -> int:
        """Numbers per frame."""
        ...

    @property
    def stride(self) -> int:
        """Frames per row of the network (20 ms)."""
        ...

    def listen(self, samples: FloatArray, channel: Channel) -> Hearing:
        """Hear a recording (16 kHz, mono) whose channel is known; computed when asked for."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a stored model has to say of its encoder."""
        ...


@dataclass(frozen=True)
class MelEncoder:
    """The default: `log_mel`, every 10 ms."""

    width: int = BANDS
    stride: int = ROW_SAMPLES // HOP

    def listen(self, samples: FloatArray, channel: Channel) -> Hearing:
        """See ``Encoder``."""
        return _Mel(samples, channel)

    def facts(self) -> dict[str, Any]:
        """See ``Encoder``."""
        return {"name": MEL}


@dataclass(frozen=True)
class _Mel:
    samples: FloatArray
    channel: Channel

    def frames(self, start: int, stop: int) -> FloatArray:
        return log_mel(self.samples, channel=self.channel, start=start, stop=stop)


def find_encoder(name: str = MEL) -> Encoder:
    """The encoder of this name.

    Args:
        name: ``mel``, or what `encoders.TransformersEncoder` takes.

    Raises:
        ArtefactError: there is none.
        MissingDependencyError: it needs transformers, which is not installed.
    """
    if name == MEL:
        return MelEncoder()
    from dubfew.speech.encoders.transformers import TransformersEncoder

    return TransformersEncoder(name)


def stored_encoder(facts: dict[str, Any], other: str | None = None) -> Encoder:
    """The encoder that a stored model was trained with.

    Args:
        facts: what ``Encoder.facts`` gave.
        other: where it is now, if not where it was.

    Raises:
        ArtefactError: it is gone, or another one is in its place.
        MissingDependencyError: it needs transformers, which is not installed.
    """
    name = other or str(facts["name"])
    encoder = find_encoder(name)
    found = encoder.facts()
    if {**facts, "name": ""} != {**found, "name": ""}:
        raise ArtefactError(
            f"the encoder {name} is not the one that the model was trained with "
            f"({facts['name']}): name the folder where that is"
        )
    return encoder
