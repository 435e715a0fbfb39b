"""What can still be opened of an actor after a deletion."""

from __future__ import annotations

from dataclasses import dataclass

from dubfew.adapt.artefact import ActorAdapter
from dubfew.errors import DubfewError
from dubfew.registry import Registry


@dataclass(frozen=True)
class RecoveredActor:
    """What somebody with the store, or with a copy of it, gets of one actor.

    Attributes:
        num_files: that could be read, of all revisions.
        refused: what the attempts were answered, each once.
        adapter: the actor, if that was enough to put them together again.
    """

    num_files: int
    refused: tuple[str, ...]
    adapter: ActorAdapter | None


def recover_actor(actor: str, registry: Registry) -> RecoveredActor:
    """Try to open every file of every revision of an actor."""
    refused: list[str] = []
    adapter = None
    read = 0
    try:
        revisions = registry.revisions(actor)
    except DubfewError as error:
        return RecoveredActor(0, (type(error).__name__,), None)
    for revision in revisions:
        files = {}
        try:
            names = revision.file_names()
        except DubfewError as error:
            refused.append(type(error).__name__)
            continue
        for name in names:
            try:
                files[name] = revision.read(name)
            except DubfewError as error:
                refused.append(type(error).__name__)
        read += len(files)
        try:
            adapter = ActorAdapter.from_files(files)
        except DubfewError:
            continue  # not enough of them
    return RecoveredActor(read, tuple(dict.fromkeys(refused)), adapter)
