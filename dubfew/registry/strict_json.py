"""JSON from anybody, read so that two readers cannot understand it differently."""

from __future__ import annotations

import json
from typing import Any

# Deeper than any file of dubfew, far from Python's own limit.
MAX_JSON_DEPTH = 20
_TOO_DEEP_MESSAGE = "it is nested too deeply"


def parse_strict_json(data: bytes) -> Any:
    """What is in ``data``: UTF-8 without a byte order mark, no key twice, no NaN or infinity, no
    number with a fraction, no half of a surrogate pair, at most `MAX_JSON_DEPTH` levels.

    Raises:
        ValueError: it is none of that; the message says what was found, on one line.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise ValueError("it begins with a byte order mark: save it as UTF-8 without one")
    try:
        found = json.loads(
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
    """See that a value, as any reader of JSON gives it, holds nothing that
    :func:`parse_strict_json` refuses.

    Raises:
        ValueError: it does.
    """
    if levels_left == 0:
        raise ValueError(_TOO_DEEP_MESSAGE)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair") from None
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
    """The one form of a value that :func:`parse_strict_json` gave, to be hashed: RFC 8785."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def _dict_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice in one object")
    return found


def _refuse_number(text: str) -> Any:
    raise ValueError(f"it has the number {text[:20]}: use whole numbers")
