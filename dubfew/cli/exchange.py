"""``dubfew actors export|import|push|pull|keygen``: actors on their way, encrypted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.actors import actors, summary
from dubfew.cli.console import emit, job
from dubfew.cli.options import ActorArgument, Json

WhichRevision = Annotated[
    int | None, typer.Option("--revision", metavar="N", min=1, help="Default: the newest.")
]
Recipient = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Encrypt to this public key instead of a passphrase."),
]
Identity = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Private key, for what is encrypted to a public one."),
]
ImportAs = Annotated[
    str | None, typer.Option("--actor", metavar="ID", help="Default: the id that the file names.")
]
ImportPrior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="P",
        help="Name or folder of the prior that the actor needs, if it is not one that ships; "
        "it is remembered.",
    ),
]
AllowDeleted = Annotated[
    bool, typer.Option("--allow-deleted", help="Let in what was deleted here.")
]


@actors.command("export")
@job
def export_actor(
    actor: ActorArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file to write.")],
    revision: WhichRevision = None,
    recipient: Recipient = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt it: a zip that anybody can read.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write an actor into one file, for another machine.

    It is encrypted to a passphrase, from DUBFEW_EXPORT_PASSPHRASE or the terminal.
    """
    from dubfew.registry import Registry

    if plain and recipient is not None:
        raise typer.BadParameter("--plain and --recipient exclude each other")
    exported = Registry().export(actor, file, revision, recipient=recipient, plain=plain)
    emit(
        {"actor": exported.actor, "revision": exported.number, "output": file, "plain": plain},
        as_json=as_json,
        text=f"exported {exported.actor}, revision {exported.number}, to {file}"
        f"{', not encrypted' if plain else ''}",
    )


@actors.command("import")
@job
def import_actor(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What 'actors export' wrote.")],
    actor: ImportAs = None,
    identity: Identity = None,
    allow_deleted: AllowDeleted = False,
    prior: ImportPrior = None,
    as_json: Json = False,
) -> None:
    """Store an exported actor as a new revision, if it can be rendered here."""
    from dubfew.adapt.import_check import admit
    from dubfew.registry import Registry

    registry = Registry()
    stored = registry.import_file(
        file,
        actor,
        identity=identity,
        allow_deleted=allow_deleted,
        check=partial(admit, home=registry.home, prior=prior),
    )
    emit(
        summary(stored),
        as_json=as_json,
        text=f"imported {stored.actor}, revision {stored.number}",
    )


@actors.command("push")
@job
def push_actor(
    actor: ActorArgument,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="A file's, such as s3://bucket/mary.dubfew.")
    ],
    revision: WhichRevision = None,
    recipient: Recipient = None,
    as_json: Json = False,
) -> None:
    """Write an actor to a URL that fsspec knows; it is encrypted before it leaves."""
    from dubfew.registry import Registry
    from dubfew.registry.remote import shown

    pushed = Registry().push(actor, url, revision, recipient=recipient)
    emit(
        {"actor": pushed.actor, "revision": pushed.number, "output": shown(url)},
        as_json=as_json,
        text=f"pushed {pushed.actor}, revision {pushed.number}, to {shown(url)}",
    )


@actors.command("pull")
@job
def pull_actor(
    url: Annotated[str, typer.Argument(metavar="URL", help="What 'actors push' wrote.")],
    actor: ImportAs = None,
    identity: Identity = None,
    allow_deleted: AllowDeleted = False,
    prior: ImportPrior = None,
    as_json: Json = False,
) -> None:
    """Store a pushed actor as a new revision, if it can be rendered here."""
    from dubfew.adapt.import_check import admit
    from dubfew.registry import Registry

    registry = Registry()
    stored = registry.pull(
        url,
        actor,
        identity=identity,
        allow_deleted=allow_deleted,
        check=partial(admit, home=registry.home, prior=prior),
    )
    emit(summary(stored), as_json=as_json, text=f"pulled {stored.actor}, revision {stored.number}")


@actors.command("keygen")
@job
def make_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
    as_json: Json = False,
) -> None:
    """Make a pair of keys, and print the public one: who has it can send you actors."""
    from dubfew.registry import write_identity

    public = write_identity(file)
    emit({"public": public, "output": file}, as_json=as_json, text=public)
