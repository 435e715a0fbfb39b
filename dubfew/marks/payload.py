"""The watermark's bits: a short random id and a checksum that tells it from chance."""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError

ID_BYTES = 5
CHECK_BYTES = 4
BITS = 8 * (ID_BYTES + CHECK_BYTES)
# The least certain bits of a reading are tried both ways. Each doubles what reading costs and the
# chance that noise passes the checksum.
DOUBTFUL = 8


@dataclass(frozen=True)
class Reading:
    """A word that passed its checksum.

    Attributes:
        id: the watermark's id, ten hexadecimal digits.
        corrected: bits that had to be turned over.
    """

    id: str
    corrected: int


def new_id() -> str:
    """A random id: ten hexadecimal digits."""
    return secrets.token_hex(ID_BYTES)


def word(identifier: str) -> NDArray[np.uint8]:
    """The bits that carry an id, each 0 or 1. [BITS]

    Raises:
        DubfewError: ``identifier`` is not ten hexadecimal digits.
    """
    try:
        data = bytes.fromhex(identifier)
    except ValueError:
        data = b""
    if len(data) != ID_BYTES or identifier != data.hex():
        raise DubfewError(f"the watermark id {identifier!r:.40} is not {2 * ID_BYTES} hex digits")
    return np.unpackbits(np.frombuffer(data + _check(data), np.uint8))


def read(certainty: NDArray) -> Reading | None:
    """The id in a soft reading, or None where the checksum never fits.

    Args:
        certainty: of each bit, positive for 0 and negative for 1. [BITS]

    Returns:
        The fitting word whose turned bits were the least certain. Noise gives one with a
        probability of at most ``2 ** (DOUBTFUL - 8 * CHECK_BYTES)``, about 6e-8.

    Source: Chase 1972, algorithm 2, with the checksum as the judge.
    """
    hard = (certainty < 0).astype(np.uint8)
    doubtful = np.argsort(np.abs(certainty), kind="stable")[:DOUBTFUL]
    turns = np.arange(1 << DOUBTFUL)[:, None] >> np.arange(DOUBTFUL) & 1
    cost = turns @ np.abs(certainty[doubtful])
    for turn in turns[np.argsort(cost, kind="stable")]:
        bits = hard.copy()
        bits[doubtful] ^= turn.astype(np.uint8)
        data = np.packbits(bits).tobytes()
        if _check(data[:ID_BYTES]) == data[ID_BYTES:]:
            return Reading(data[:ID_BYTES].hex(), int(turn.sum()))
    return None


def _check(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECK_BYTES, "big")
