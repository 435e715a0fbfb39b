"""Exceptions that dubfew raises on purpose.

Each message is one line that states what was found, what was expected and what to do. The command
line prints it unchanged and exits with code 1.
"""

from __future__ import annotations


class DubfewError(Exception):
    """Base class of every error that dubfew raises on purpose."""


class OutputExistsError(DubfewError):
    """An output file exists already and may not be replaced."""


class MediaError(DubfewError):
    """A file cannot be read or written as video or audio."""


class NoFaceError(DubfewError):
    """The footage shows no face that can be used."""


class WrongPersonError(DubfewError):
    """A face is not that of the actor."""


class ShapeError(DubfewError, ValueError):
    """An array has another shape than the function expects."""


class ArtefactError(DubfewError):
    """A stored artefact (track, prior, adapter) is damaged, too new, or of another kind."""


class AssetError(DubfewError):
    """A licensed or downloaded file is missing, damaged, or not the expected file."""


class RegistryError(DubfewError):
    """The registry cannot be read or written, or refuses an operation."""


class ActorNotFoundError(RegistryError):
    """The registry has no actor of this id, or the actor has no such revision."""


class TombstoneError(RegistryError):
    """An actor that is to be imported was deleted from this registry before."""


class DecryptionError(RegistryError):
    """Encrypted data was changed, cut off or moved, or belongs to another key."""


class KeyMissingError(RegistryError):
    """An actor's key is missing, or the passphrase or master key that unlocks it."""


class ConsentError(DubfewError):
    """A consent record is missing or malformed, or does not cover the intended use."""


class SuspendedError(ConsentError):
    """The actor is suspended: rendering and export are refused until they are resumed."""


class AuditError(DubfewError):
    """The audit log cannot be written, or was changed after it was written."""


class MissingDependencyError(DubfewError):
    """An optional package is needed and missing. The message tells how to install it."""
