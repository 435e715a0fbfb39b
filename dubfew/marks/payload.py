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
DOUBTFUL = 12


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
        probability of at most ``2 ** (DOUBTFUL - 8 * CHECK_BYTES)``, about 1e-6.

    Source: Chase 1972, algorithm 2, with the checksum as the judge.
    """
    hard = (certainty < 0).astype(np.uint8)
    doubtful = np.argsort(np.abs(certainty), kind="stable")[:DOUBTFUL]
    # What is wrong with the checksum of a word with turned bits is what each turn adds, together:
    # CRCs are linear.
    sums, costs = np.array([_error(hard)], np.uint32), np.zeros(1)
    still = _error(np.zeros(BITS, np.uint8))
    for bit in doubtful:
        one = np.zeros(BITS, np.uint8)
        one[bit] = 1
        sums = np.concatenate([sums, sums ^ np.uint32(_error(one) ^ still)])
        costs = np.concatenate([costs, costs + abs(certainty[bit])])
    fitting = np.flatnonzero(sums == 0)
    if not fitting.size:
        return None
    best = int(fitting[np.argmin(costs[fitting])])
    turned = doubtful[(best >> np.arange(DOUBTFUL) & 1) == 1]
    hard[turned] ^= 1
    return Reading(np.packbits(hard).tobytes()[:ID_BYTES].hex(), len(turned))


def _error(bits: NDArray[np.uint8]) -> int:
    """The checksum of a word less the one that it should have: 0 where it fits."""
    data = np.packbits(bits).tobytes()
    return zlib.crc32(data[:ID_BYTES]) ^ int.from_bytes(data[ID_BYTES:], "big")


def _check(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECK_BYTES, "big")
