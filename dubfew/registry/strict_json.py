"""Strict JSON: every accepted document has one meaning for all readers, and one canonical form."""

from __future__ import annotations

import json
from typing import Any

# Deepest nesting that is accepted. dubfew's own files have less than half of it; Python's parser
# fails near 1000.
MAX_JSON_DEPTH = 20
_TOO_DEEP_MESSAGE = "it is nested too deeply"


def parse_strict_json(data: bytes) -> Any:
    """Parse JSON and refuse everything that readers could interpret differently.

    Accepted is UTF-8 without a byte order mark, without duplicate keys, NaN, infinity, numbers with
    a fraction or lone surrogates, with at most `MAX_JSON_DEPTH` levels.

    Raises:
        ValueError: The data breaks one of these rules; the message is one line.

    Example:
        >>> parse_strict_json(b'{"minor": false}')
        {'minor': False}
        >>> parse_strict_json(b'{"minor": false, "minor": true}')
        Traceback (most recent call last):
        ...
        ValueError: it has a key twice in one object
    """
    # Python would skip the mark; other readers fail on it.
    if data.startswith(b"\xef\xbb\xbf"):
        raise ValueError("it begins with a byte order mark: save it as UTF-8 without one")
    try:
        found = json.loads(
            # json.loads would guess UTF-16 and UTF-32.
            data.decode("utf-8"),
            object_pairs_hook=_dict_without_duplicates,
            parse_constant=_refuse_number,
            parse_float=_refuse_number,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP_MESSAGE) from None
    check_strict_json(found)
    return found


def check_strict_json(value: Any, levels_left: int = MAX_JSON_DEPTH) -> None:
    """Check a parsed value by the rules of :func:`parse_strict_json`.

    Args:
        value: a value that any JSON parser returned.
        levels_left: number of nested levels that are still allowed.

    Raises:
        ValueError: The value breaks one of the rules; the message is one line.
    """
    if levels_left == 0:
        raise ValueError(_TOO_DEEP_MESSAGE)
    if isinstance(value, str):
        try:
            # "\ud800" is allowed in JSON, but cannot be written as UTF-8.
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair") from None
    # Floats have several forms for one value; nan and inf are not JSON.
    elif isinstance(value, float):
        _refuse_number(str(value))
    elif isinstance(value, dict):
        for key, item in value.items():
            check_strict_json(key, levels_left)
            check_strict_json(item, levels_left - 1)
    elif isinstance(value, list):
        for item in value:
            check_strict_json(item, levels_left - 1)


def canonical_json(value: Any) -> bytes:
    """Write a value of :func:`parse_strict_json` in its canonical form (RFC 8785), for hashing.

    Example:
        >>> canonical_json({"b": 1, "a": [True, None]})
        b'{"a":[true,null],"b":1}'
    """
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def _dict_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from its pairs and refuse duplicate keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice in one object")
    return found


def _refuse_number(text: str) -> Any:
    """Refuse a number that is not whole."""
    raise ValueError(f"it has the number {text[:20]}: use whole numbers")
