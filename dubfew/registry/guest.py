"""A registry of lent actors: for one process, and for as long as one job takes.

Another machine renders with it an actor whose keys stay where they are. The process makes a pair of
keys and shows the public one; the owner seals the actor to it (`Registry.lend`). On the disk of the
process everything is encrypted, as in every registry, under a key that is in its memory alone: when
it ends, even by ``kill -9``, its files are worth nothing. The next guest on the machine removes
them.
"""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dubfew.registry import sealing
from dubfew.registry.envelope import DecryptionSecrets, format_public_key
from dubfew.registry.keys import forget_master_keys
from dubfew.registry.registry import Registry
from dubfew.registry.revision import Revision
from dubfew.registry.wrapping import PROCESS_WRAPPING, ProcessWrapping

# Age from which a guest may count as dead, s: one that is just being made has no lock yet.
MIN_DEAD_SECONDS = 60.0
# Names of the folders of guests in the system's temporary folder, and of the lock in each, which
# a living guest holds.
GUEST_FOLDER_PREFIX, GUEST_LOCK_NAME = "dubfew-guest-", "guest.lock"


class GuestRegistry(Registry):
    """A registry whose actors are lent for a job, and erased when it is closed.

    Use as a context manager. What is rendered with it is not signed and not logged here: whoever
    lent the actors does so (`postponed`).

    Args:
        parent: folder to lie in; default: the system's temporary folder.

    Attributes:
        postponed: facts about finished renders that are still to be signed and logged.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> owner = Registry(folder / "home")
        >>> _ = owner.create("mary", {"method": "lora"}, {"texture": b"content"})
        >>> with GuestRegistry(folder) as guest:
        ...     guest.receive(owner.lend("mary", guest.public_key)).read("texture")
        b'content'
        >>> [*folder.glob("dubfew-guest-*")]
        []
    """

    _new_wrapping = PROCESS_WRAPPING

    def __init__(self, parent: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if parent is None else parent
        # One prefix for each user: nobody can remove the folders of others.
        user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
        prefix = f"{GUEST_FOLDER_PREFIX}{user}-"
        _remove_dead_guests(place, prefix)
        self._folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))  # for its owner alone
        self._lock = FileLock(self._folder / GUEST_LOCK_NAME)
        self._lock.acquire()
        self._private_key = sealing.generate_x25519_key()
        self.postponed: list[Any] = []
        super().__init__(self._folder / "home", self._folder / "keys")

    def __enter__(self) -> GuestRegistry:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def public_key(self) -> str:
        """Public key that actors are lent to, as `Registry.lend` takes it."""
        return format_public_key(sealing.derive_public_key(self._private_key))

    def receive(self, sealed: bytes) -> Revision:
        """Store an actor that was lent to this registry.

        Args:
            sealed: what `Registry.lend` returned.

        Raises:
            RegistryError: It was sealed for another, or is damaged.
        """
        secrets = DecryptionSecrets(private_key=self._private_key)
        return self._import_data(sealed, "a lent actor", None, secrets, False, False, None)

    def close(self) -> None:
        """Forget the keys, and remove all files."""
        self._private_key = bytes(32)
        known = self._prepare_reading()
        if known is not None:
            ProcessWrapping.forget(known[0].id)
            forget_master_keys()
        self._lock.release()
        shutil.rmtree(self._folder, ignore_errors=True)


def _remove_dead_guests(place: Path, prefix: str) -> None:
    """Remove the folders of guests whose processes were killed."""
    for folder in place.glob(f"{prefix}*"):
        with suppress(Timeout, OSError):
            if time.time() - folder.stat().st_mtime < MIN_DEAD_SECONDS:
                continue
            with FileLock(folder / GUEST_LOCK_NAME, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
