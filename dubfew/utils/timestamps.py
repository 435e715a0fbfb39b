"""Points in time as text."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_timestamp() -> str:
    """Format the current time as ISO 8601 in UTC, to the second: ``2026-11-28T08:30:00Z``."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
