"""``dubfew audit``: the log of everything that was done with actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import EXIT_FAILURE, format_value, print_result, report_errors
from dubfew.cli.options import JsonOption

if TYPE_CHECKING:
    from dubfew.registry.audit import AuditEntry

audit_app = CommandGroup("Show and verify the log of everything that was done with actors.")


@audit_app.command("verify")
@report_errors
def verify_log(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="N:HASH",
            help="Newest entry that an earlier 'audit verify' printed; it must still exist.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find lines of the audit log that were changed, removed, added or moved."""
    from dubfew.registry import Registry
    from dubfew.registry.audit import AuditReport

    # A registry that does not exist yet has an empty log without faults.
    log = Registry().audit()
    report = AuditReport(0, "") if log is None else log.verify(head)
    text = [each for each in (report.restored, *report.faults) if each]
    state = "sound" if report.ok else f"{len(report.faults)} faults"
    text.append(f"{report.entries} entries: {state}; newest: {report.head or '-'}")
    result = {
        "ok": report.ok,
        "entries": report.entries,
        "head": report.head,
        "restored": report.restored,
        "faults": report.faults,
    }
    print_result(result, as_json=as_json, text="\n".join(text))
    if not report.ok:
        raise typer.Exit(EXIT_FAILURE)


@audit_app.command("show")
@report_errors
def show_log(as_json: JsonOption = False) -> None:
    """Print the audit log. Deleted actors appear without a name."""
    from dubfew.registry import Registry
    from dubfew.registry.audit import DamagedEntry

    registry = Registry()
    log = registry.audit()
    found = [] if log is None else list(log.iter_entries())
    # The log has pseudonyms only; names come from the actors that still exist.
    names = registry.pseudonyms()
    entries = [
        {"damaged": each.problem} if isinstance(each, DamagedEntry) else _entry_to_json(each, names)
        for each in found
    ]
    print_result(
        {"entries": entries},
        as_json=as_json,
        text="\n".join(map(_format_entry, entries)) or "no entries",
    )


@audit_app.command("find")
@report_errors
def find_watermark(
    watermark: Annotated[
        str,
        typer.Argument(
            metavar="WATERMARK_ID", help="Id of a watermark, as 'dubfew verify' prints it."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Print the renders that wrote a watermark; exit code 1 if no render wrote it."""
    from dubfew.registry import Registry

    registry = Registry()
    log = registry.audit()
    found = [] if log is None else log.find_by_watermark(watermark)
    # Computing pseudonyms needs every actor's key, so it is done only if there is an entry.
    names = registry.pseudonyms() if found else {}
    entries = [_entry_to_json(each, names) for each in found]
    print_result(
        {"entries": entries},
        as_json=as_json,
        text="\n".join(map(_format_entry, entries))
        or f"no entry of {watermark} in {registry.home}",
    )
    if not found:
        raise typer.Exit(EXIT_FAILURE)


@audit_app.command("restart")
@report_errors
def restart_log(as_json: JsonOption = False) -> None:
    """Rename a damaged log and begin a new one, which contains the hash of the old one."""
    from dubfew.errors import AuditError
    from dubfew.registry import Registry

    registry = Registry()
    log = registry.audit()
    # Restarting must not create a registry.
    if log is None:
        raise AuditError(f"there is no registry in {registry.home}, so there is no audit log")
    aside = log.restart()
    print_result(
        {"aside": aside, "log": log.path},
        as_json=as_json,
        text=f"began {log.path}; the old one is {aside or 'not there'}",
    )


def _entry_to_json(entry: AuditEntry, actor_ids: dict[str, str]) -> dict[str, Any]:
    """Convert an entry for ``--json``; ``id`` becomes None after the actor was deleted."""
    pseudonym = entry.fields.get("actor")
    return {
        "seq": entry.seq,
        "time": entry.time,
        "event": entry.event,
        "id": actor_ids.get(pseudonym) if isinstance(pseudonym, str) else None,
        "fields": entry.fields,
        "hash": entry.hash,
    }


def _format_entry(facts: dict[str, Any]) -> str:
    """Format an entry for readers, without empty fields and with shortened hashes."""
    # A damaged line cannot be parsed, so there is nothing else to show.
    if "damaged" in facts:
        return f"a line {facts['damaged']}"
    fields = dict(facts["fields"])
    pseudonym = fields.pop("actor", None)
    name = facts["id"] or (f"deleted actor {str(pseudonym)[:8]}" if pseudonym else "-")
    details = (
        f"{key} {value[:16] if isinstance(value, str) else format_value(value)}"
        for key, value in fields.items()
        if value not in (None, [], "")
    )
    line = "  ".join([str(facts["seq"]), facts["time"], facts["event"], name, ", ".join(details)])
    # Escape control characters: a forged entry must not control the terminal.
    return line if line.isprintable() else ascii(line)
