"""Consent records for tests: the example, filled in."""

from __future__ import annotations

import hashlib
from typing import Any

from dubfew.registry.consent import example_consent


def filled_consent(**changes: Any) -> dict[str, Any]:
    """Return a record that passes all checks until it is withdrawn, with some entries changed."""
    filled = {
        "subject": "The person in the footage of the test",
        "rights_holder": "The same person",
        "projects": ["The test"],
        "valid_to": None,
        "contact": "The desk beside the test",
        "evidence_sha256": hashlib.sha256(b"A document of the test").hexdigest(),
    }
    return example_consent() | filled | changes
