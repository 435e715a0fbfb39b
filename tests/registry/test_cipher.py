"""The encrypted file format."""

from __future__ import annotations

import io
import os
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.errors import DecryptionError
from dubfew.registry import cipher
from dubfew.registry.cipher import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES

KEY, CONTEXT = bytes(range(32)), b"an actor\x001\x00texture.safetensors"
SEALED_CHUNK = CHUNK_BYTES + TAG_BYTES
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_sealing_and_unsealing_are_inverse(size: int) -> None:
    content = content_of(size)
    sealed = cipher.seal_bytes(KEY, CONTEXT, content)
    assert cipher.unseal_bytes(KEY, CONTEXT, sealed) == content
    assert len(sealed) == cipher.sealed_size(size)
    assert size < 100 or content[:50] not in sealed
    assert sealed != cipher.seal_bytes(KEY, CONTEXT, content)


def test_the_format_is_the_documented_one() -> None:
    """Decrypt with the primitives alone, following the description."""
    content = content_of(CHUNK_BYTES + 5)
    sealed = cipher.seal_bytes(KEY, CONTEXT, content)
    salt, rest = sealed[8:40], sealed[72:]
    derived = HKDF(SHA256(), 64, salt, b"dubfew file\x00" + CONTEXT).derive(KEY)
    assert sealed[40:72] == derived[32:]
    first = AESGCM(derived[:32]).decrypt(bytes(12), rest[:65552], None)
    nonce = bytes(10) + b"\x01\x01"
    assert first + AESGCM(derived[:32]).decrypt(nonce, rest[65552:], None) == content


@pytest.mark.parametrize(
    ("key", "context"), [(bytes(32), CONTEXT), (KEY, b"an actor\x002\x00texture.safetensors")]
)
def test_another_key_or_place_does_not_open_it(key: bytes, context: bytes) -> None:
    sealed = cipher.seal_bytes(KEY, CONTEXT, b"secret")
    with pytest.raises(DecryptionError, match="another place or another key"):
        cipher.unseal_bytes(key, context, sealed)
    with pytest.raises(DecryptionError, match="another place or another key"):
        cipher.check_sealed_header(key, context, io.BytesIO(sealed))
    cipher.check_sealed_header(KEY, CONTEXT, io.BytesIO(sealed))


def chunks_of(sealed: bytes) -> list[bytes]:
    body = sealed[HEADER_BYTES:]
    return [body[i : i + SEALED_CHUNK] for i in range(0, len(body), SEALED_CHUNK)]


@pytest.mark.parametrize(
    "order", [[0], [0, 1], [1, 0, 2], [0, 2, 1], [0, 2], [1, 2], [0, 1, 1, 2], [0, 1, 2, 2], []]
)
def test_chunks_cannot_be_dropped_moved_or_repeated(order: list[int]) -> None:
    sealed = cipher.seal_bytes(KEY, CONTEXT, content_of(2 * CHUNK_BYTES + 9))
    chunks = chunks_of(sealed)
    assert len(chunks) == 3
    altered = sealed[:HEADER_BYTES] + b"".join(chunks[i] for i in order)
    with pytest.raises(DecryptionError):
        cipher.unseal_bytes(KEY, CONTEXT, altered)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_can_be_cut_off_or_put_on(size: int) -> None:
    sealed = cipher.seal_bytes(KEY, CONTEXT, content_of(size))
    ends = {0, 7, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + TAG_BYTES - 1, len(sealed) - 1}
    ends |= {HEADER_BYTES + SEALED_CHUNK * number for number in range(3)}
    altered = [sealed[:end] for end in ends if end < len(sealed)]
    for each in [*altered, sealed + b"\x00", sealed + sealed]:
        with pytest.raises(DecryptionError):
            cipher.unseal_bytes(KEY, CONTEXT, each)


def test_a_newer_format_is_refused() -> None:
    sealed = bytearray(cipher.seal_bytes(KEY, CONTEXT, b""))
    sealed[7] = 2
    with pytest.raises(DecryptionError, match="update dubfew"):
        cipher.unseal_bytes(KEY, CONTEXT, bytes(sealed))


SOUND = cipher.seal_bytes(KEY, CONTEXT, content_of(CHUNK_BYTES + 100))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(SOUND) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_detected(place: int, flip: int) -> None:
    altered = bytearray(SOUND)
    altered[place] ^= flip
    with pytest.raises(DecryptionError) as caught:
        cipher.unseal_bytes(KEY, CONTEXT, bytes(altered))
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_does_not_open(noise: bytes) -> None:
    for each in (noise, cipher.SEALED_FILE_MAGIC + noise, SOUND[:HEADER_BYTES] + noise):
        with pytest.raises(DecryptionError):
            cipher.unseal_bytes(KEY, CONTEXT, each)


class Zeros(io.RawIOBase):
    """A stream of zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        count = min(size, self.left)
        self.left -= count
        return bytes(count)


def test_memory_does_not_grow_with_the_file() -> None:
    with open(os.devnull, "wb") as nowhere:
        tracemalloc.start()
        cipher.seal_stream(KEY, CONTEXT, Zeros(200 * CHUNK_BYTES), nowhere)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * CHUNK_BYTES
