"""The watermark's bits: a short random id and a checksum that tells it from chance."""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError

WATERMARK_ID_BYTES = 5
CHECKSUM_BYTES = 4
PAYLOAD_BITS = 8 * (WATERMARK_ID_BYTES + CHECKSUM_BYTES)
# The least certain bits of a reading are tried both ways. Each doubles what reading costs and the
# chance that noise passes the checksum.
NUM_DOUBTFUL_BITS = 12


@dataclass(frozen=True)
class DecodedPayload:
    """A word that passed its checksum.

    Attributes:
        watermark_id: the watermark's id, ten hexadecimal digits.
        num_corrected: bits that had to be turned over.
    """

    watermark_id: str
    num_corrected: int


def generate_watermark_id() -> str:
    """A random id: ten hexadecimal digits."""
    return secrets.token_hex(WATERMARK_ID_BYTES)


def encode_payload(watermark_id: str) -> NDArray[np.uint8]:
    """The bits that carry an id, each 0 or 1. [BITS]

    Raises:
        DubfewError: ``watermark_id`` is not ten hexadecimal digits.
    """
    try:
        data = bytes.fromhex(watermark_id)
    except ValueError:
        data = b""
    if len(data) != WATERMARK_ID_BYTES or watermark_id != data.hex():
        raise DubfewError(
            f"the watermark id {watermark_id!r:.40} is not {2 * WATERMARK_ID_BYTES} hex digits"
        )
    return np.unpackbits(np.frombuffer(data + _checksum(data), np.uint8))


def decode_payload(bit_certainty: NDArray) -> DecodedPayload | None:
    """The id in a soft reading, or None where the checksum never fits.

    Args:
        bit_certainty: of each bit, positive for 0 and negative for 1. [BITS]

    Returns:
        The fitting word whose turned bits were the least certain. Noise gives one with a
        probability of at most ``2 ** (DOUBTFUL - 8 * CHECK_BYTES)``, about 1e-6.

    Source: Chase 1972, algorithm 2, with the checksum as the judge.
    """
    hard = (bit_certainty < 0).astype(np.uint8)
    doubtful = np.argsort(np.abs(bit_certainty), kind="stable")[:NUM_DOUBTFUL_BITS]
    # What is wrong with the checksum of a word with turned bits is what each turn adds, together:
    # CRCs are linear.
    sums, costs = np.array([_checksum_error(hard)], np.uint32), np.zeros(1)
    still = _checksum_error(np.zeros(PAYLOAD_BITS, np.uint8))
    for bit in doubtful:
        one = np.zeros(PAYLOAD_BITS, np.uint8)
        one[bit] = 1
        sums = np.concatenate([sums, sums ^ np.uint32(_checksum_error(one) ^ still)])
        costs = np.concatenate([costs, costs + abs(bit_certainty[bit])])
    fitting = np.flatnonzero(sums == 0)
    if not fitting.size:
        return None
    best = int(fitting[np.argmin(costs[fitting])])
    turned = doubtful[(best >> np.arange(NUM_DOUBTFUL_BITS) & 1) == 1]
    hard[turned] ^= 1
    return DecodedPayload(np.packbits(hard).tobytes()[:WATERMARK_ID_BYTES].hex(), len(turned))


def _checksum_error(bits: NDArray[np.uint8]) -> int:
    """The checksum of a word less the one that it should have: 0 where it fits."""
    data = np.packbits(bits).tobytes()
    return zlib.crc32(data[:WATERMARK_ID_BYTES]) ^ int.from_bytes(data[WATERMARK_ID_BYTES:], "big")


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
