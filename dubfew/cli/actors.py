"""``dubfew actors``: who is in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import JOB_FAILED, emit, job, lines, plain, size
from dubfew.cli.options import ActorArgument, Json

actors = Commands("Who is in the registry: list, show, verify, suspend, delete, exchange.")


@actors.command("list")
@job
def list_actors(as_json: Json = False) -> None:
    """List all actors with their newest revision."""
    from dubfew.registry import Registry

    registry = Registry()
    found = registry.list()
    if as_json:
        emit({"actors": [summary(each) for each in found]}, as_json=True, text="")
        return
    header = ("actor", "revision", "method", "size", "created")
    rows = [
        (each.actor, str(each.number), each.method or "-", size(each.content_bytes), each.created)
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    table = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    text = "\n".join(table) if rows else f"no actors in {registry.home}"
    emit({}, as_json=False, text=text)


@actors.command("show")
@job
def show_actor(
    actor: ActorArgument,
    revision: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: the newest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is stored of an actor."""
    from dubfew.registry import Registry

    registry = Registry()
    chosen = registry.open(actor, revision)
    details = summary(chosen) | {
        "revisions": [each.number for each in registry.revisions(actor)],
        "suspended": plain(registry.suspension(chosen)),
        "config": chosen.config,
        "files": chosen.files(),
    }
    people = lines(
        {name: value for name, value in details.items() if name not in {"files", "config"}}
        | consent_of_revision(chosen)
        | {f"config.{key}": value for key, value in chosen.config.items() if key != "consent"}
        | {f"file {file.name}": size(file.bytes) for file in chosen.files()}
    )
    emit(details, as_json=as_json, text=people)


@actors.command("forget", hidden=True)
@actors.command("delete")
@job
def delete_actor(
    actor: ActorArgument,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", metavar="FILE", help="Write the receipt here as well."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Destroy an actor's key, then all that is stored of them ("forget" is the same).

    What was rendered, exported or pushed is beyond reach.
    """
    from dubfew.registry import Registry

    registry = Registry()
    erased = registry.delete(actor, receipt)
    kept = registry.receipt_file(erased)
    emit(
        {"deleted": actor, "receipt": kept, "revisions": len(erased.revisions)},
        as_json=as_json,
        text=f"deleted {actor}; receipt: {receipt or kept}",
    )


@actors.command("suspend")
@job
def suspend_actor(
    actor: ActorArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Kept encrypted.")] = "",
    as_json: Json = False,
) -> None:
    """Let nobody render or export an actor, as when they withdraw their consent."""
    from dubfew.registry import Registry

    suspension = Registry().suspend(actor, reason)
    emit(
        {"actor": actor, **plain(suspension)},
        as_json=as_json,
        text=f"suspended {actor}: 'dubfew actors resume {actor}' ends that",
    )


@actors.command("resume")
@job
def resume_actor(actor: ActorArgument, as_json: Json = False) -> None:
    """End a suspension."""
    from dubfew.registry import Registry

    Registry().resume(actor)
    emit({"actor": actor, "suspended": None}, as_json=as_json, text=f"resumed {actor}")


@actors.command("verify")
@job
def verify_actors(as_json: Json = False) -> None:
    """Compare index, files and keys; clear away what killed processes left."""
    from dubfew.registry import Registry

    found = Registry().verify()
    summary = (
        f"{found.actors} actors, {found.revisions} revisions, {found.files} files, "
        f"{size(found.bytes)}: {'sound' if found.ok else f'{len(found.faults)} faults'}"
    )
    text = [f"cleared away {each}" for each in found.recovered]
    text += [f"{each.actor or '-'}: {each.found}" for each in found.faults]
    emit({"ok": found.ok, **plain(found)}, as_json=as_json, text="\n".join([*text, summary]))
    if not found.ok:
        raise typer.Exit(JOB_FAILED)


@actors.command("prune")
@job
def prune_actor(
    actor: ActorArgument,
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="So many of the newest stay.")],
    as_json: Json = False,
) -> None:
    """Remove an actor's older revisions."""
    from dubfew.registry import Registry

    gone = Registry().prune(actor, keep)
    emit(
        {"actor": actor, "removed": gone},
        as_json=as_json,
        text=f"removed {len(gone)} revisions of {actor}",
    )


@actors.command("keys")
@job
def show_keys(
    wrapping: Annotated[
        str | None,
        typer.Option(
            metavar="W",
            help="Keep them this way from now on: file, passphrase, keyring, or what an installed "
            "package adds.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where the actors' keys are and how they are kept, or change that."""
    from dubfew.registry import Registry

    registry = Registry()
    if wrapping is not None:
        registry.rewrap(wrapping)
    found = {"keys": registry.keys, "wrapping": registry.wrapping()}
    emit(found, as_json=as_json, text=lines(found))


def consent_of_revision(revision: Any) -> dict[str, Any]:
    """What people are told of a revision's consent; what is no record is told as it is."""
    from dubfew.errors import ConsentError

    try:
        consent = revision.consent
    except ConsentError as error:
        return {"consent": f"not usable: {error}"}
    if consent is None:
        return {"consent": "none recorded"}
    facts = {"sha256": consent.sha256, **consent.record}
    return {f"consent.{name}": value for name, value in facts.items()}


def summary(revision: Any) -> dict[str, Any]:
    """What ``--json`` says of a revision."""
    return {
        "actor": revision.actor,
        "revision": revision.number,
        "method": revision.method,
        "created": revision.created,
        "bytes": revision.bytes,
    }
