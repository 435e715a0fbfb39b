"""Signs that a consent record was not filled in: it would be evidence of nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Words and marks that stand for a value which is still missing, as the whole text.
_BLANK_PATTERN = re.compile(
    r"<.*>|\[.*\]|\{.*\}|[\W_]+|x{2,}|t\.?b\.?[ad]\.?|n\.?/?a\.?|none|null|unknown|"
    r"(your |first |last |full )*name|address|contact|title|text|string|example|test",
    re.I,
)
# Words that stand for a missing value wherever they are in a text.
_MARKER_PATTERN = re.compile(r"\b(todo|fixme|placeholder|fill (it )?in|change ?me)\b", re.I)
# Domains that are reserved for examples (RFC 2606), so nobody can be reached there.
_RESERVED_DOMAIN_PATTERN = re.compile(r"\bexample\.(com|net|org)\b|\.(example|invalid)\b", re.I)
# SHA-256 of an empty file: the usual result of hashing a document that was not there.
EMPTY_FILE_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# Fewest different digits of a hash. A real one of 64 digits has fewer once in 10^12 documents.
MIN_DISTINCT_DIGITS = 8


def find_placeholder(record: Mapping[str, Any], example: Mapping[str, Any]) -> str | None:
    """Find an entry of a consent record that was not filled in.

    Args:
        record: record that follows the schema.
        example: record that `dubfew consent example` prints.

    Returns:
        Key and value of the first such entry, one printable line; None if all are filled in.
    """
    for key in ("subject", "rights_holder", "contact", "projects"):
        given = record.get(key, ())
        for text in (given,) if isinstance(given, str) else given:
            if _is_placeholder(text, example[key]):
                return f"{key} is {ascii(text)[:60]}, a placeholder"
    digest = record["evidence_sha256"]
    if digest == example["evidence_sha256"] or _is_invented_hash(digest):
        return f"evidence_sha256 {digest[:16]}... is not the hash of a document"
    return None


def _is_placeholder(text: str, example: str | Sequence[str]) -> bool:
    """Tell whether a text stands for a value that is still missing."""
    text = text.strip()
    return (
        text in ((example,) if isinstance(example, str) else example)
        or _BLANK_PATTERN.fullmatch(text) is not None
        or _MARKER_PATTERN.search(text) is not None
        or _RESERVED_DOMAIN_PATTERN.search(text) is not None
    )


def _is_invented_hash(digest: str) -> bool:
    """Tell whether a hash is of an empty file, or was typed: few digits, or a pattern."""
    length = len(digest)
    return (
        digest == EMPTY_FILE_SHA256
        or len(set(digest)) < MIN_DISTINCT_DIGITS
        # A text that repeats is found in itself before its end.
        or (digest + digest).find(digest, 1) < length
    )
