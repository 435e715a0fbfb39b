"""Actors on disk, and on their way: export, import, push, pull."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dubfew.errors import RegistryError
from dubfew.registry import archive, remote
from dubfew.registry.consent import consent_from_config
from dubfew.registry.envelope import (
    DecryptionSecrets,
    decrypt_export,
    encrypt_export,
    is_encrypted_export,
)
from dubfew.registry.governance import GovernedStore
from dubfew.registry.revision import Revision
from dubfew.utils.files import check_output_path, write_atomic

# Actors take some tens of megabytes. What is read of anybody's file must end somewhere.
MAX_EXPORT_BYTES = 4 << 30

# Looks at a config and files that come from elsewhere.
ImportCheck = Callable[[Mapping[str, Any], Mapping[str, bytes]], None]


class Registry(GovernedStore):
    """The actors under one home folder, and their exchange with others. See `GovernedStore`."""

    def export(
        self,
        actor: str,
        file: Path,
        revision: int | None = None,
        *,
        recipient: str | None = None,
        passphrase: str | None = None,
        plain: bool = False,
    ) -> Revision:
        """Write one revision, by default the newest, into one file and return it.

        Args:
            recipient: encrypt it to this public key, see `create_identity_file`, and not to a
                passphrase.
            passphrase: by default from ``DUBFEW_EXPORT_PASSPHRASE`` or the terminal.
            plain: do not encrypt it: a zip file that anybody can read.

        Raises:
            ActorNotFoundError: no such actor or revision.
            SuspendedError: the actor is suspended; elsewhere nobody would know.
            KeyMissingError: the actor's key or the passphrase is missing.
            RegistryError: a stored file is damaged.
            AuditError: the audit log cannot be written.
            DubfewError: ``file`` cannot be written.
        """
        chosen = self.open(actor, revision)
        self.check_suspension(chosen)
        check_output_path(Path(file))
        data = _pack_revision(chosen)
        if not plain:
            purpose = f"the export of {chosen.actor!r}"
            data = encrypt_export(data, purpose, recipient=recipient, secret=passphrase)
        _record_export(chosen, data, plain=plain, recipient=recipient)
        write_atomic(Path(file), data)
        return chosen

    def import_file(
        self,
        file: Path,
        actor: str | None = None,
        *,
        passphrase: str | None = None,
        identity: Path | None = None,
        allow_deleted: bool = False,
        check: ImportCheck | None = None,
    ) -> Revision:
        """Store what :meth:`export` wrote, as the next revision of its actor or of ``actor``.

        Everything is checked before anything is stored.

        Args:
            passphrase: by default from ``DUBFEW_EXPORT_PASSPHRASE`` or the terminal.
            identity: file of the private key, for what is encrypted to a public one.
            allow_deleted: let in what was deleted here.
            check: looks at config and files and raises when they are not to be stored; for what
                `adapt` makes, see ``dubfew.adapt.import_check``.

        Raises:
            TombstoneError: actor or content was deleted here.
            ConsentError: the consent that comes along is no record, or is of a minor.
            KeyMissingError: the passphrase or private key is missing.
            RegistryError: the file cannot be read or is not a sound export.
        """
        try:
            with open(file, "rb") as opened:
                data = opened.read(MAX_EXPORT_BYTES + 1)
        except OSError as error:
            raise RegistryError(
                f"{file} cannot be read ({error.strerror}): name a file from 'actors export'"
            ) from error
        opener = DecryptionSecrets(passphrase, identity)
        return self._import_data(data, str(file), actor, opener, allow_deleted, check)

    def push(
        self,
        actor: str,
        url: str,
        revision: int | None = None,
        *,
        recipient: str | None = None,
        passphrase: str | None = None,
    ) -> Revision:
        """Like :meth:`export`, to any file that fsspec can write; always encrypted.

        Raises:
            RegistryError: as in :meth:`export`, or ``url`` cannot be written.
            MissingDependencyError: a package for this kind of place is missing.
        """
        chosen = self.open(actor, revision)
        self.check_suspension(chosen)
        purpose = f"the export of {chosen.actor!r}"
        data = encrypt_export(
            _pack_revision(chosen), purpose, recipient=recipient, secret=passphrase
        )
        _record_export(chosen, data, plain=False, recipient=recipient)
        remote.write_url(url, data)
        return chosen

    def pull(
        self,
        url: str,
        actor: str | None = None,
        *,
        passphrase: str | None = None,
        identity: Path | None = None,
        allow_deleted: bool = False,
        check: ImportCheck | None = None,
    ) -> Revision:
        """Like :meth:`import_file`, from any file that fsspec can read.

        Raises:
            RegistryError: as in :meth:`import_file`, or ``url`` cannot be read.
            MissingDependencyError: a package for this kind of place is missing.
        """
        data = remote.read_url(url, MAX_EXPORT_BYTES)
        opener = DecryptionSecrets(passphrase, identity)
        return self._import_data(data, remote.redact_url(url), actor, opener, allow_deleted, check)

    def _import_data(
        self,
        data: bytes,
        source: str,
        actor: str | None,
        decryption_secrets: DecryptionSecrets,
        allow_deleted: bool,
        check: ImportCheck | None,
    ) -> Revision:
        if len(data) > MAX_EXPORT_BYTES:
            raise RegistryError(f"{source} is larger than {MAX_EXPORT_BYTES >> 30} GiB: no export")
        sha256 = hashlib.sha256(data).hexdigest()
        if is_encrypted_export(data):
            data = decrypt_export(data, source, decryption_secrets)
        content = archive.unpack_archive(data, source)
        name = content.actor if actor is None else actor
        consent = consent_from_config(content.config, name)
        if consent is not None:
            consent.check_age(repr(name))
        if check is not None:
            check(content.config, content.files)
        return self.restore(
            name,
            content.config,
            content.files,
            allow_deleted=allow_deleted,
            source_sha256=sha256,
        )


def _record_export(revision: Revision, data: bytes, *, plain: bool, recipient: str | None) -> None:
    lock = "none" if plain else "passphrase" if recipient is None else "public key"
    revision.record_event("export", file_sha256=hashlib.sha256(data).hexdigest(), encrypted_to=lock)


def _pack_revision(revision: Revision) -> bytes:
    return archive.pack_archive(
        revision, {name: revision.read(name) for name in revision.file_names()}
    )
