"""Errors that dubfew raises on purpose.

Each message says what was found, what was expected and what to do, on one line: the
command line prints it as it is and exits with code 1.
"""

from __future__ import annotations


class DubfewError(Exception):
    """Base of every error that dubfew raises on purpose."""


class MediaError(DubfewError):
    """A file cannot be read or written as video or audio."""


class NoFaceError(DubfewError):
    """No usable face in the footage."""


class ShapeError(DubfewError, ValueError):
    """An array has not the shape that its name promises."""


class ArtefactError(DubfewError):
    """A stored artefact (track, prior, adapter) is damaged, too new or does not belong here."""


class AssetError(DubfewError):
    """A licensed or downloaded file is missing or is not what it should be."""


class RegistryError(DubfewError):
    """The registry cannot do what was asked."""


class ActorNotFoundError(RegistryError):
    """No such actor, or no such revision."""


class TombstoneError(RegistryError):
    """What is to come in was deleted here."""


class DecryptionError(RegistryError):
    """Encrypted data was changed or cut, lies in the wrong place, or needs another key."""


class KeyMissingError(RegistryError):
    """The key of an actor, or what unlocks the keys, is not there."""


class ConsentError(DubfewError):
    """There is no consent, it is no proper record, or it does not cover what is asked for."""


class SuspendedError(ConsentError):
    """Use of the actor is suspended."""


class AuditError(DubfewError):
    """The audit log cannot be written, or is not what was written."""


class MissingDependencyError(DubfewError):
    """An optional dependency is needed; the message gives the line that installs it."""
