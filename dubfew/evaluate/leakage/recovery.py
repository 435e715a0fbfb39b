"""Recovery of a deleted actor: everything of them that can still be opened."""

from __future__ import annotations

from dataclasses import dataclass

from dubfew.adapt.artefact import ActorAdapter
from dubfew.errors import DubfewError
from dubfew.registry import Registry


@dataclass(frozen=True)
class RecoveredActor:
    """Everything of one actor that a holder of a registry, or of a copy of it, can open.

    Attributes:
        num_files: number of files that could be read, over all revisions.
        refused: class names of the errors that the other attempts raised, each once.
        adapter: the actor's adapter, if the files are enough for one.
    """

    num_files: int
    refused: tuple[str, ...]
    adapter: ActorAdapter | None


def recover_actor(actor: str, registry: Registry) -> RecoveredActor:
    """Try to open every file of every revision of an actor.

    Args:
        actor: id of the actor.
        registry: registry, or a copy of one, that held the actor.

    Returns:
        Files, errors and adapter; never raises for what cannot be opened.
    """
    # Errors are results here: each is collected by its class.
    refused: list[str] = []
    adapter = None
    num_files = 0
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
        num_files += len(files)
        try:
            # The last revision that is complete counts.
            adapter = ActorAdapter.from_files(files)
        except DubfewError:
            continue  # the files are not enough for an adapter
    return RecoveredActor(num_files, tuple(dict.fromkeys(refused)), adapter)
