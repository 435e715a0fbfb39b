"""``dubfew actors export|import|push|pull|keygen``: encrypted exchange of actors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubfew.cli.actors import actors_app, summarize_revision
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import (
    ActorArgument,
    JsonOption,
    OutputOption,
    OverwriteOption,
    choose_output,
)

if TYPE_CHECKING:
    from dubfew.registry import Registry, Revision

RevisionOption = Annotated[
    int | None,
    typer.Option(
        "--revision",
        metavar="N",
        min=1,
        help="Revision of the actor; default: the one that is used.",
    ),
]
RecipientOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Encrypt to this public key instead of a passphrase."),
]
IdentityOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Private key, for actors that were encrypted to a public key."
    ),
]
ImportAsOption = Annotated[
    str | None,
    typer.Option("--actor", metavar="ID", help="Id of the new actor; default: the id in the file."),
]
ImportPriorOption = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="P",
        help="Name or folder of the prior that the actor needs, if it is not one that ships. "
        "Later renders find it as well.",
    ),
]
AllowDeletedOption = Annotated[
    bool, typer.Option("--allow-deleted", help="Accept an actor that was deleted here.")
]
NewPersonOption = Annotated[
    bool,
    typer.Option(
        "--new-person",
        help="Accept another person than the actor who has this id here. The audit log records it.",
    ),
]


@actors_app.command("export")
@report_errors
def export_actor(
    actor: ActorArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="File to write; default: ID.dubfew, or ID.zip with --plain."
        ),
    ] = None,
    out: OutputOption = None,
    revision: RevisionOption = None,
    recipient: RecipientOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt: write a zip that everybody can read.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write an actor into one file, for another machine.

    The file is encrypted to a passphrase, from DUBFEW_PASSPHRASE or the terminal.
    """
    from dubfew.registry import Registry

    if plain and recipient is not None:
        raise typer.BadParameter("--plain and --recipient exclude each other")
    registry = Registry()
    ending = "zip" if plain else "dubfew"
    file = choose_output(file, out) or Path(f"{registry.open(actor, revision).actor}.{ending}")
    exported = registry.export(
        actor, file, revision, recipient=recipient, plain=plain, overwrite=overwrite
    )
    print_result(
        {"actor": exported.actor, "revision": exported.number, "output": file, "plain": plain},
        as_json=as_json,
        text=f"exported {exported.actor}, revision {exported.number}, to {file}"
        f"{', not encrypted' if plain else ''}",
    )


@actors_app.command("import")
@report_errors
def import_actor(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that 'actors export' wrote.")],
    actor: ImportAsOption = None,
    identity: IdentityOption = None,
    allow_deleted: AllowDeletedOption = False,
    new_person: NewPersonOption = False,
    prior: ImportPriorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store an exported actor as a new revision, if it can be rendered here."""
    from dubfew.registry import Registry

    registry = Registry()
    stored = registry.import_file(
        file,
        actor,
        identity=identity,
        allow_deleted=allow_deleted,
        new_person=new_person,
        check=_make_import_check(registry, prior, new_person),
    )
    _print_stored("imported", stored, as_json=as_json)


@actors_app.command("push")
@report_errors
def push_actor(
    actor: ActorArgument,
    url: Annotated[
        str, typer.Argument(metavar="URL", help="URL of a file, such as s3://bucket/mary.dubfew.")
    ],
    revision: RevisionOption = None,
    recipient: RecipientOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Encrypt an actor and write it to a URL that fsspec supports."""
    from dubfew.registry import Registry
    from dubfew.registry.remote import redact_url

    # URLs may contain credentials, which are not printed.
    pushed = Registry().push(actor, url, revision, recipient=recipient, overwrite=overwrite)
    print_result(
        {"actor": pushed.actor, "revision": pushed.number, "output": redact_url(url)},
        as_json=as_json,
        text=f"pushed {pushed.actor}, revision {pushed.number}, to {redact_url(url)}",
    )


@actors_app.command("pull")
@report_errors
def pull_actor(
    url: Annotated[str, typer.Argument(metavar="URL", help="URL that 'actors push' wrote to.")],
    actor: ImportAsOption = None,
    identity: IdentityOption = None,
    allow_deleted: AllowDeletedOption = False,
    new_person: NewPersonOption = False,
    prior: ImportPriorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a pushed actor as a new revision, if it can be rendered here."""
    from dubfew.registry import Registry

    registry = Registry()
    stored = registry.pull(
        url,
        actor,
        identity=identity,
        allow_deleted=allow_deleted,
        new_person=new_person,
        check=_make_import_check(registry, prior, new_person),
    )
    _print_stored("pulled", stored, as_json=as_json)


@actors_app.command("keygen")
@report_errors
def generate_key_pair(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="File for the private key.")
    ] = None,
    out: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a pair of keys and print the public one, with which others can send you actors."""
    from dubfew.registry import create_identity_file

    file = choose_output(file, out)
    if file is None:
        raise typer.BadParameter("name the file for the private key: 'actors keygen FILE'")
    public = create_identity_file(file)
    print_result({"public": public, "output": file}, as_json=as_json, text=public)


def _make_import_check(
    registry: Registry, prior: str | None, new_person: bool
) -> Callable[..., None]:
    """Make the check of an actor's files that runs before they are stored.

    Without it an actor could be imported that no render accepts, or another person under an id that
    exists.
    """

    def check(actor: str, config: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        # Imported here, which takes seconds: files that cannot be read do not come so far.
        from dubfew.adapt.import_check import check_imported_actor

        check_imported_actor(
            actor, config, files, registry=registry, prior=prior, new_person=new_person
        )

    return check


def _print_stored(action: str, revision: Revision, *, as_json: bool) -> None:
    """Print which revision was stored."""
    text = f"{action} {revision.actor}, revision {revision.number}"
    print_result(summarize_revision(revision), as_json=as_json, text=text)
