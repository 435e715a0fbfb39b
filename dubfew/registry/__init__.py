"""Actors on disk: an index, one encrypted folder per actor and revision, complete deletion."""

from dubfew.registry.envelope import write_identity
from dubfew.registry.index import FileRow
from dubfew.registry.receipt import Receipt
from dubfew.registry.registry import Registry
from dubfew.registry.revision import Revision
from dubfew.registry.verification import Fault, Verification
from dubfew.utils.paths import default_home

__all__ = [
    "Fault",
    "FileRow",
    "Receipt",
    "Registry",
    "Revision",
    "Verification",
    "default_home",
    "write_identity",
]
