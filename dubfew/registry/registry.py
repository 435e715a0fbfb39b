"""The registry: actors on disk, and their exchange with other registries."""

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

# Largest export that is read, bytes. Actors take tens of megabytes; a received file of any size
# must not fill the memory.
MAX_EXPORT_BYTES = 4 << 30

# Function that checks an imported config and files, and raises if they must not be stored.
ImportCheck = Callable[[str, Mapping[str, Any], Mapping[str, bytes]], None]


class Registry(GovernedStore):
    """All actors under one home folder: stored, governed and exchanged with others.

    Several processes may use a registry at once, and a process may be killed at any point.

    Args:
        home: folder of the data; by default `default_data_dir`.
        keys: folder of the keys; by default `locations.default_keys_folder`.

    Raises:
        RegistryError: The keys would lie inside the data.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> registry = Registry(Path(tempfile.mkdtemp()) / "home")
        >>> registry.create("mary", {"method": "lora"}, {"texture": b"content"}).number
        1
        >>> [revision.actor for revision in registry.list()]
        ['mary']
        >>> registry.open("mary").read("texture")
        b'content'
        >>> len(registry.delete("mary").revisions)
        1
    """

    def export(
        self,
        actor: str,
        file: Path,
        revision: int | None = None,
        *,
        recipient: str | None = None,
        passphrase: str | None = None,
        plain: bool = False,
        overwrite: bool = False,
    ) -> Revision:
        """Export one revision of an actor into one file.

        Args:
            actor: the actor's id.
            file: the file to write.
            revision: number of the revision; by default the one that is used.
            recipient: public key to encrypt to, see `create_identity_file`; by default the export
                is encrypted to a passphrase.
            passphrase: by default from ``DUBFEW_PASSPHRASE`` or the terminal.
            plain: write a zip file that anybody can read, without encryption.
            overwrite: replace ``file`` where it exists.

        Returns:
            The exported revision.

        Raises:
            ActorNotFoundError: The actor or the revision does not exist.
            SuspendedError: The actor is suspended; an export would not carry the suspension.
            KeyMissingError: The actor's key or the passphrase is missing.
            RegistryError: A stored file is damaged.
            AuditError: The audit log cannot be written.
            OutputExistsError: ``file`` exists and ``overwrite`` is False.
            DubfewError: ``file`` cannot be written.
        """
        chosen = self.open(actor, revision)
        self.check_suspension(chosen)
        # Refuse the place before decrypting and asking for a passphrase.
        check_output_path(Path(file), overwrite=overwrite)
        # Encrypt, log, write: what cannot be logged is not exported.
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
        new_person: bool = False,
        check: ImportCheck | None = None,
    ) -> Revision:
        """Import a file that :meth:`export` wrote, as the next revision of its actor.

        Everything is checked before anything is stored.

        Args:
            file: the export; its sender is not trusted.
            actor: id to store it under; by default the id in the export.
            passphrase: by default from ``DUBFEW_PASSPHRASE`` or the terminal.
            identity: file of the private key, for exports to a public key.
            allow_deleted: also import an actor or content that was deleted here.
            new_person: whether it is another person than the actor who has the id here.
            check: function that checks id, config and files, and raises if they must not be stored.
                ``dubfew.adapt.import_check`` has the one for what `adapt` makes; by default any
                files are stored.

        Returns:
            The new revision.

        Raises:
            TombstoneError: The actor or the content was deleted here.
            ConsentError: The consent in the export is not a record, or is of a minor.
            KeyMissingError: The passphrase or private key is missing.
            RegistryError: The file cannot be read or is not a sound export.
        """
        try:
            with open(file, "rb") as opened:
                # One byte more than allowed shows that the file is too large.
                data = opened.read(MAX_EXPORT_BYTES + 1)
        except OSError as error:
            raise RegistryError(
                f"{file} cannot be read ({error.strerror}): name a file from 'actors export'"
            ) from error
        opener = DecryptionSecrets(passphrase, identity)
        return self._import_data(data, str(file), actor, opener, allow_deleted, new_person, check)

    def push(
        self,
        actor: str,
        url: str,
        revision: int | None = None,
        *,
        recipient: str | None = None,
        passphrase: str | None = None,
        overwrite: bool = False,
    ) -> Revision:
        """Export one revision of an actor to a URL, always encrypted.

        Args:
            actor: the actor's id.
            url: address that fsspec can write to.
            revision: number of the revision; by default the one that is used.
            recipient: public key to encrypt to; by default a passphrase is used.
            passphrase: by default from ``DUBFEW_PASSPHRASE`` or the terminal.
            overwrite: replace what is at the URL.

        Returns:
            The exported revision.

        Raises:
            OutputExistsError: There is something at the URL and ``overwrite`` is False.
            RegistryError: The revision cannot be exported, see :meth:`export`, or the URL cannot
                be written to.
            MissingDependencyError: The package for this kind of URL is not installed.
        """
        chosen = self.open(actor, revision)
        self.check_suspension(chosen)
        remote.check_url(url, overwrite=overwrite)
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
        new_person: bool = False,
        check: ImportCheck | None = None,
    ) -> Revision:
        """Import an export from a URL, as :meth:`import_file` does from a file.

        Args:
            url: address that fsspec can read.
            actor: id to store it under; by default the id in the export.
            passphrase: by default from ``DUBFEW_PASSPHRASE`` or the terminal.
            identity: file of the private key, for exports to a public key.
            allow_deleted: also import an actor or content that was deleted here.
            new_person: whether it is another person than the actor who has the id here.
            check: function that checks id, config and files, see :meth:`import_file`.

        Returns:
            The new revision.

        Raises:
            RegistryError: The export cannot be imported, see :meth:`import_file`, or the URL
                cannot be read.
            MissingDependencyError: The package for this kind of URL is not installed.
        """
        data = remote.read_url(url, MAX_EXPORT_BYTES)
        opener = DecryptionSecrets(passphrase, identity)
        return self._import_data(
            data, remote.redact_url(url), actor, opener, allow_deleted, new_person, check
        )

    def lend(self, actor: str, recipient: str, revision: int | None = None) -> bytes:
        """Seal one revision of an actor for a process that renders it elsewhere.

        Only the holder of the private key can read it. It is an export to the audit log.

        Args:
            actor: the actor's id.
            recipient: public key of the process, see `GuestRegistry.public_key`.
            revision: number of the revision; by default the one that is used.

        Returns:
            The encrypted export.

        Raises:
            ActorNotFoundError: The actor or the revision does not exist.
            SuspendedError: The actor is suspended.
            RegistryError: A stored file is damaged, or ``recipient`` is no public key.
            AuditError: The audit log cannot be written.
        """
        chosen = self.open(actor, revision)
        self.check_suspension(chosen)
        data = encrypt_export(
            _pack_revision(chosen), f"the loan of {chosen.actor!r}", recipient=recipient
        )
        # What cannot be logged is not lent.
        _record_export(chosen, data, plain=False, recipient=recipient)
        return data

    def _import_data(
        self,
        data: bytes,
        source: str,
        actor: str | None,
        decryption_secrets: DecryptionSecrets,
        allow_deleted: bool,
        new_person: bool,
        check: ImportCheck | None,
    ) -> Revision:
        """Check an export, encrypted or plain, and store it."""
        if len(data) > MAX_EXPORT_BYTES:
            raise RegistryError(f"{source} is larger than {MAX_EXPORT_BYTES >> 30} GiB: no export")
        sha256 = hashlib.sha256(data).hexdigest()
        # The hash in the log is that of the file as it was received.
        if is_encrypted_export(data):
            data = decrypt_export(data, source, decryption_secrets)
        content = archive.unpack_archive(data, source)
        name = content.actor if actor is None else actor
        # A record that comes along must be sound; a minor's actor is not stored at all.
        consent = consent_from_config(content.config, name)
        if consent is not None:
            consent.check_age(repr(name))
        if check is not None:
            check(name, content.config, content.files)
        return self.restore(
            name,
            content.config,
            content.files,
            allow_deleted=allow_deleted,
            new_person=new_person,
            source_sha256=sha256,
        )


def _record_export(revision: Revision, data: bytes, *, plain: bool, recipient: str | None) -> None:
    """Write an export to the audit log, before anybody gets it."""
    lock = "none" if plain else "passphrase" if recipient is None else "public key"
    revision.record_event("export", file_sha256=hashlib.sha256(data).hexdigest(), encrypted_to=lock)


def _pack_revision(revision: Revision) -> bytes:
    """Decrypt all files of a revision into an archive."""
    return archive.pack_archive(
        revision, {name: revision.read(name) for name in revision.file_names()}
    )
