"""Actors on disk: an index, one encrypted folder per actor and revision, complete deletion."""

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports
from dubfew.utils.paths import default_data_dir

if TYPE_CHECKING:
    from dubfew.registry.envelope import create_identity_file
    from dubfew.registry.index import FileRow
    from dubfew.registry.receipt import ErasureReceipt
    from dubfew.registry.registry import Registry
    from dubfew.registry.revision import Revision
    from dubfew.registry.verification import IntegrityFault, IntegrityReport

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

# The list of actors (listing.py) must not import the cipher.
__getattr__ = lazy_exports(
    __name__,
    {
        "ErasureReceipt": "receipt",
        "FileRow": "index",
        "IntegrityFault": "verification",
        "IntegrityReport": "verification",
        "Registry": "registry",
        "Revision": "revision",
        "create_identity_file": "envelope",
    },
)
