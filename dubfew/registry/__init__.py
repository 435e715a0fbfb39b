"""Actors on disk: an index, one encrypted folder per actor and revision, complete deletion."""

from dubfew.registry.envelope import create_identity_file
from dubfew.registry.index import FileRow
from dubfew.registry.receipt import ErasureReceipt
from dubfew.registry.registry import Registry
from dubfew.registry.revision import Revision
from dubfew.registry.verification import IntegrityFault, IntegrityReport
from dubfew.utils.paths import default_data_dir

__all__ = [
    "ErasureReceipt",
    "FileRow",
    "IntegrityFault",
    "IntegrityReport",
    "Registry",
    "Revision",
    "create_identity_file",
    "default_data_dir",
]
