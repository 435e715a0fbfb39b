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
# Number of error patterns that the decoder tries, the most probable first. Each doubling reads
# slightly weaker watermarks and doubles the probability that noise passes the checksum.
NUM_ERROR_PATTERNS = 2**13


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
        Among the words that pass, the one whose flipped bits are the least certain; None if none of
        the `NUM_ERROR_PATTERNS` most probable words passes. Noise passes with a probability of
        ``NUM_ERROR_PATTERNS / 2 ** (8 * CHECKSUM_BYTES)``, about 2e-6.

    Example:
        >>> soft = 1 - 2.0 * encode_payload("00c0ffee11")
        >>> soft[3] *= -0.1  # wrong, but with little certainty
        >>> decode_payload(soft)
        DecodedPayload(watermark_id='00c0ffee11', num_corrected=1)

    Source: Solomon, Duffy and Medard 2020, Soft Maximum Likelihood Decoding using GRAND (IEEE
    International Conference on Communications), with a bounded number of guesses.
    """
    certainty = np.abs(bit_certainty)
    hard = (bit_certainty < 0).astype(np.uint8)
    zero_error = _checksum_error(np.zeros(PAYLOAD_BITS, np.uint8))
    # CRCs are linear: the checksum error of a word with flipped bits is the XOR of the word's own
    # error and of one term for each flip.
    costs, errors = np.zeros(1), np.array([_checksum_error(hard)], np.uint32)
    flips = np.zeros((1, PAYLOAD_BITS), bool)
    for bit in np.argsort(certainty, kind="stable"):
        # Every pattern that flips this bit or one after it costs more than all that are kept.
        if len(costs) == NUM_ERROR_PATTERNS and certainty[bit] > costs[-1]:
            break
        flip = np.zeros(PAYLOAD_BITS, np.uint8)
        flip[bit] = 1
        flipped = flips.copy()
        flipped[:, bit] = True
        costs = np.concatenate([costs, costs + certainty[bit]])
        errors = np.concatenate([errors, errors ^ np.uint32(_checksum_error(flip) ^ zero_error)])
        # A pattern is among the most probable only if it is so without its last flip, so the others
        # can be dropped at once.
        kept = np.argsort(costs, kind="stable")[:NUM_ERROR_PATTERNS]
        costs, errors = costs[kept], errors[kept]
        flips = np.concatenate([flips, flipped])[kept]
    passing = np.flatnonzero(errors == 0)
    if not passing.size:
        return None
    corrected = flips[passing[0]]
    word = np.packbits(hard ^ corrected).tobytes()
    return DecodedPayload(word[:WATERMARK_ID_BYTES].hex(), int(corrected.sum()))


def _checksum_error(bits: NDArray[np.uint8]) -> int:
    """Return the XOR of a word's checksum and the correct one: 0 if the word passes."""
    data = np.packbits(bits).tobytes()
    return zlib.crc32(data[:WATERMARK_ID_BYTES]) ^ int.from_bytes(data[WATERMARK_ID_BYTES:], "big")


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32 of an id's bytes, big endian."""
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
