"""``dubfew actors``: list, show and delete the actors of the registry."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import (
    EXIT_FAILURE,
    ask_line,
    format_byte_count,
    format_fields,
    is_interactive,
    print_fields,
    print_result,
    report_errors,
    to_jsonable,
)
from dubfew.cli.options import ActorArgument, JsonOption, OverwriteOption

actors_app = CommandGroup(
    "List, show, choose, rename, suspend, delete, verify and exchange the actors of the registry."
)


@actors_app.command("list")
@report_errors
def list_actors(as_json: JsonOption = False) -> None:
    """List all actors with the revision that is used."""
    from dubfew.registry.listing import list_default_revisions
    from dubfew.utils.paths import default_data_dir

    home = default_data_dir().absolute()
    found = list_default_revisions(home)
    if as_json:
        print_result(
            {"actors": [summarize_revision(each) for each in found]}, as_json=True, text=""
        )
        return
    # A table whose columns are as wide as their longest entry.
    header = ("actor", "revision", "method", "size", "created")
    rows = [
        (
            each.actor,
            str(each.number),
            each.method or "-",
            format_byte_count(each.content_bytes),
            each.created,
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    table = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    text = "\n".join(table) if rows else f"no actors in {home}"
    print_result({}, as_json=False, text=text)


@actors_app.command("show")
@report_errors
def show_actor(
    actor: ActorArgument,
    revision: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: the one that is used.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show an actor: revisions, configuration, consent and files."""
    from dubfew.registry import Registry

    registry = Registry()
    chosen = registry.open(actor, revision)
    # JSON has configuration and files as objects; the text has one line for each of their entries.
    details = summarize_revision(chosen) | {
        "revisions": [each.number for each in registry.revisions(actor)],
        "default_revision": registry.open(actor).number,
        "suspended": to_jsonable(registry.suspension(chosen)),
        "config": chosen.config,
        "files": chosen.files(),
    }
    text = format_fields(
        {name: value for name, value in details.items() if name not in {"files", "config"}}
        | describe_consent(registry, actor)
        | {f"config.{key}": value for key, value in chosen.config.items() if key != "consent"}
        | {f"file {file.name}": format_byte_count(file.bytes) for file in chosen.files()}
        # Measured from the pictures, which takes seconds: not here.
        | {"what it lacks": f"see: dubfew actors coverage {shlex.quote(chosen.actor)}"}
    )
    print_result(details, as_json=as_json, text=text)


@actors_app.command("coverage")
@report_errors
def show_coverage(
    actor: ActorArgument,
    revision: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Revision; default: the one in use.")
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sound of a line: how far does it need more?"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which mouths, teeth, sounds, poses and light an actor's footage shows, and what to film.

    With --audio, also how far that line asks for mouths that the footage lacks.
    """
    from dubfew.render.coverage import measure_actor_coverage

    found = measure_actor_coverage(actor, revision, audio=audio)
    lines = found.describe()
    width = max(len(title) for title, _ in lines)
    text = "\n".join(f"{title:<{width}}  {line}" for title, line in lines)
    print_result(found, as_json=as_json, text=text)


@actors_app.command("use")
@report_errors
def use_revision(
    actor: ActorArgument,
    revision: Annotated[int, typer.Argument(metavar="REVISION", min=1, help="Its number.")],
    as_json: JsonOption = False,
) -> None:
    """Choose the revision that is used wherever no --revision is given."""
    from dubfew.registry import Registry

    chosen = Registry().use_revision(actor, revision)
    print_result(
        summarize_revision(chosen),
        as_json=as_json,
        text=f"{chosen.actor} is revision {chosen.number} of {chosen.created} from now on",
    )


@actors_app.command("rename")
@report_errors
def rename_actor(
    actor: ActorArgument,
    new_actor: Annotated[str, typer.Argument(metavar="NEW", help="The new id.")],
    allow_deleted: Annotated[
        bool, typer.Option("--allow-deleted", help="Take the id of an actor that was deleted here.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Give an actor another id; revisions, consent and suspension stay."""
    from dubfew.registry import Registry

    renamed = Registry().rename(actor, new_actor, allow_deleted=allow_deleted)
    print_result(
        {**summarize_revision(renamed), "former_actor": actor},
        as_json=as_json,
        text=f"{actor} is {renamed.actor} from now on",
    )


@actors_app.command("forget", hidden=True)
@actors_app.command("delete")
@report_errors
def delete_actor(
    actor: ActorArgument,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", metavar="FILE", help="Write a copy of the receipt to this file."),
    ] = None,
    overwrite: OverwriteOption = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask. Needed where there is no terminal.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy an actor's key, then delete all stored files ("forget" is the same command).

    Rendered videos, exported files and pushed copies are not deleted. In a terminal the id has to
    be typed again.
    """
    from dubfew.registry import Registry

    # A script must not wait for an answer, and must not delete by a slip: it says --yes.
    if not yes and not is_interactive():
        raise typer.BadParameter(
            f"deleting cannot be undone: add --yes where no terminal can ask about {actor!r}"
        )
    registry = Registry()
    if not yes:
        _confirm_deletion(actor, len(registry.revisions(actor)))
    erased = registry.delete(actor, receipt, overwrite=overwrite)
    # The registry stores a receipt in any case; the user's file is a copy.
    kept = registry.receipt_file(erased)
    print_result(
        {"deleted": actor, "receipt": kept, "revisions": len(erased.revisions)},
        as_json=as_json,
        text=f"deleted {actor}; receipt: {receipt or kept}",
    )


def _confirm_deletion(actor: str, num_revisions: int) -> None:
    """Ask for the id of the actor who is to be deleted.

    Raises:
        DubfewError: Another text, or nothing, was entered.
    """
    from dubfew.errors import DubfewError

    answer = ask_line(
        f"This destroys the key of {actor!r} and {num_revisions} revisions. It cannot be undone; "
        f"'dubfew actors suspend' can.\nType the id to delete: "
    )
    if answer != actor:
        raise DubfewError(f"{answer[:40]!a} is not {actor!r}: nothing was deleted")


@actors_app.command("suspend")
@report_errors
def suspend_actor(
    actor: ActorArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason, which is stored encrypted.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Refuse to render and export an actor, as when they withdraw their consent."""
    from dubfew.registry import Registry

    suspension = Registry().suspend(actor, reason)
    print_result(
        {"actor": actor, **to_jsonable(suspension)},
        as_json=as_json,
        text=f"suspended {actor}: 'dubfew actors resume {actor}' ends that",
    )


@actors_app.command("resume")
@report_errors
def resume_actor(actor: ActorArgument, as_json: JsonOption = False) -> None:
    """End a suspension."""
    from dubfew.registry import Registry

    Registry().resume(actor)
    print_result({"actor": actor, "suspended": None}, as_json=as_json, text=f"resumed {actor}")


@actors_app.command("verify")
@report_errors
def verify_actors(as_json: JsonOption = False) -> None:
    """Compare index, files and keys, and remove leftovers of killed processes."""
    from dubfew.registry import Registry

    found = Registry().verify()
    summary = (
        f"{found.actors} actors, {found.revisions} revisions, {found.files} files, "
        f"{format_byte_count(found.bytes)}: "
        f"{'sound' if found.ok else f'{len(found.faults)} faults'}"
    )
    # Recovered leftovers first, then faults, then one line with the totals.
    text = [f"cleared away {each}" for each in found.recovered]
    text += [f"{each.actor or '-'}: {each.found}" for each in found.faults]
    print_result(
        {"ok": found.ok, **to_jsonable(found)}, as_json=as_json, text="\n".join([*text, summary])
    )
    # Scripts can rely on the exit code.
    if not found.ok:
        raise typer.Exit(EXIT_FAILURE)


@actors_app.command("prune")
@report_errors
def prune_actor(
    actor: ActorArgument,
    keep: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of newest revisions that stay.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Remove an actor's older revisions, but never the one that is used."""
    from dubfew.registry import Registry

    removed = Registry().prune(actor, keep)
    print_result(
        {"actor": actor, "removed": removed},
        as_json=as_json,
        text=f"removed {len(removed)} revisions of {actor}",
    )


@actors_app.command("keys")
@report_errors
def show_keys(
    wrapping: Annotated[
        str | None,
        typer.Option(
            metavar="W",
            help="Protect the master key in another way from now on: file, passphrase, keyring, or "
            "a way that an installed package adds.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where the actors' keys are and how they are protected, or change the protection."""
    from dubfew.registry import Registry

    registry = Registry()
    # Encrypts the master key anew; the actors' own keys stay as they are.
    if wrapping is not None:
        registry.rewrap(wrapping)
    found = {"keys": registry.keys, "wrapping": registry.wrapping()}
    print_fields(found, as_json=as_json)


def describe_consent(registry: Any, actor: str) -> dict[str, Any]:
    """Describe an actor's consent for readers.

    Args:
        registry: a ``dubfew.registry.Registry``.
        actor: the actor's id.

    Returns:
        The fields of the record; or one entry which tells that no record is stored, or why the
        stored record cannot be used.
    """
    from dubfew.errors import ConsentError

    # A damaged record must not hide the rest of the actor.
    try:
        consent = registry.consent(actor)
    except ConsentError as error:
        return {"consent": f"not usable: {error}"}
    if consent is None:
        return {"consent": "none recorded"}
    facts = {"sha256": consent.sha256, **consent.record}
    return {f"consent.{name}": value for name, value in facts.items()}


def summarize_revision(revision: Any) -> dict[str, Any]:
    """Collect the facts on a revision that ``--json`` prints.

    Args:
        revision: a ``dubfew.registry.Revision``.
    """
    return {
        "actor": revision.actor,
        "revision": revision.number,
        "method": revision.method,
        "created": revision.created,
        "bytes": revision.stored_bytes,
    }
