"""The watermark's payload: a random id with a checksum, as an error-correcting code."""

from __future__ import annotations

import secrets
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError

# Length of an id, bytes. 40 random bits: among a million renders two share an id with
# a probability of about 0.4.
WATERMARK_ID_BYTES = 5
# Length of the CRC-32, bytes. It detects wrong readings: one in 2^32 passes.
CHECKSUM_BYTES = 4
PAYLOAD_BITS = 8 * (WATERMARK_ID_BYTES + CHECKSUM_BYTES)
# Number of the least certain bits that are tried both ways. Each one doubles the time of decoding
# and the probability that noise passes the checksum.
NUM_DOUBTFUL_BITS = 12


@dataclass(frozen=True)
class DecodedPayload:
    """A payload that passed its checksum.

    Attributes:
        watermark_id: the watermark's id, ten hexadecimal digits.
        num_corrected: number of bits that were flipped.
    """

    watermark_id: str
    num_corrected: int


def generate_watermark_id() -> str:
    """Return a random id: ten hexadecimal digits."""
    return secrets.token_hex(WATERMARK_ID_BYTES)


def encode_payload(watermark_id: str) -> NDArray[np.uint8]:  # [PAYLOAD_BITS]
    """Return the bits of an id and its checksum, each 0 or 1.

    Raises:
        DubfewError: ``watermark_id`` is not ten hexadecimal digits.

    Example:
        >>> encode_payload("8000000000")[:4]
        array([1, 0, 0, 0], dtype=uint8)
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
    """Decode soft bits: find the most probable word that passes the checksum.

    Args:
        bit_certainty: certainty of each bit, positive for 0 and negative for 1. [PAYLOAD_BITS]

    Returns:
        Among the words that pass, the one whose flipped bits were the least certain; None if no
        word passes. Noise passes with a probability of at most
        ``2 ** (NUM_DOUBTFUL_BITS - 8 * CHECKSUM_BYTES)``, about 1e-6.

    Example:
        >>> soft = 1 - 2.0 * encode_payload("00c0ffee11")
        >>> soft[3] *= -0.1  # wrong, but with little certainty
        >>> decode_payload(soft)
        DecodedPayload(watermark_id='00c0ffee11', num_corrected=1)

    Source: Chase 1972, A Class of Algorithms for Decoding Block Codes with Channel Measurement
    Information (IEEE Transactions on Information Theory 18), algorithm 2, with the checksum in
    place of an algebraic decoder.
    """
    hard = (bit_certainty < 0).astype(np.uint8)
    doubtful = np.argsort(np.abs(bit_certainty), kind="stable")[:NUM_DOUBTFUL_BITS]
    # CRCs are linear: the checksum error of a word with flipped bits is the XOR of the word's own
    # error and of one term for each flip. So all 2^12 words take 12 checksums.
    errors, costs = np.array([_checksum_error(hard)], np.uint32), np.zeros(1)
    zero_error = _checksum_error(np.zeros(PAYLOAD_BITS, np.uint8))
    for bit in doubtful:
        flip = np.zeros(PAYLOAD_BITS, np.uint8)
        flip[bit] = 1
        # The second half of the words is the first half with this bit flipped, too.
        errors = np.concatenate([errors, errors ^ np.uint32(_checksum_error(flip) ^ zero_error)])
        costs = np.concatenate([costs, costs + abs(bit_certainty[bit])])
    passing = np.flatnonzero(errors == 0)
    if not passing.size:
        return None
    best = int(passing[np.argmin(costs[passing])])
    # The number of a word has a 1 for each flipped bit.
    flipped = doubtful[(best >> np.arange(NUM_DOUBTFUL_BITS) & 1) == 1]
    hard[flipped] ^= 1
    return DecodedPayload(np.packbits(hard).tobytes()[:WATERMARK_ID_BYTES].hex(), len(flipped))


def _checksum_error(bits: NDArray[np.uint8]) -> int:
    """Return the XOR of a word's checksum and the correct one: 0 if the word passes."""
    data = np.packbits(bits).tobytes()
    return zlib.crc32(data[:WATERMARK_ID_BYTES]) ^ int.from_bytes(data[WATERMARK_ID_BYTES:], "big")


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32 of an id's bytes, big endian."""
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
