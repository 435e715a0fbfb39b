"""``dubfew actors``: who is in the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew.cli.console import emit, job, lines, size
from dubfew.cli.options import ActorArgument, Json

actors = typer.Typer(help="List, show, delete, export and import actors.", no_args_is_help=True)


@actors.command("list")
@job
def list_actors(as_json: Json = False) -> None:
    """List all actors with their newest revision."""
    from dubfew.registry import Registry

    registry = Registry()
    found = registry.list()
    header = ("actor", "revision", "method", "size", "created")
    rows = [
        (each.actor, str(each.number), each.method or "-", size(each.bytes), each.created)
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    table = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    emit(
        {"actors": [_summary(each) for each in found]},
        as_json=as_json,
        text="\n".join(table) if rows else f"no actors in {registry.home}",
    )


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
    details = _summary(chosen) | {
        "revisions": [each.number for each in registry.revisions(actor)],
        "config": chosen.config,
        "files": chosen.files(),
    }
    people = lines(
        {name: value for name, value in details.items() if name not in {"files", "config"}}
        | {f"config.{name}": value for name, value in chosen.config.items()}
        | {f"file {file.name}": size(file.bytes) for file in chosen.files()}
    )
    emit(details, as_json=as_json, text=people)


@actors.command("delete")
@job
def delete_actor(actor: ActorArgument, as_json: Json = False) -> None:
    """Delete an actor, all revisions, without a trace in the registry."""
    from dubfew.registry import Registry

    Registry().delete(actor)
    emit({"deleted": actor}, as_json=as_json, text=f"deleted {actor}")


@actors.command("export")
@job
def export_actor(
    actor: ActorArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A zip file to write.")],
    revision: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: the newest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write an actor into one file, for another machine."""
    from dubfew.registry import Registry

    exported = Registry().export(actor, file, revision)
    emit(
        {"actor": exported.actor, "revision": exported.number, "output": file},
        as_json=as_json,
        text=f"exported {exported.actor}, revision {exported.number}, to {file}",
    )


@actors.command("import")
@job
def import_actor(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'actors export' wrote.")],
    actor: Annotated[
        str | None, typer.Option(metavar="ID", help="Default: the id that the file names.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Store an exported actor as a new revision."""
    from dubfew.registry import Registry

    stored = Registry().import_file(file, actor)
    emit(
        _summary(stored),
        as_json=as_json,
        text=f"imported {stored.actor}, revision {stored.number}",
    )


def _summary(revision: Any) -> dict[str, Any]:
    return {
        "actor": revision.actor,
        "revision": revision.number,
        "method": revision.method,
        "created": revision.created,
        "bytes": revision.bytes,
    }
