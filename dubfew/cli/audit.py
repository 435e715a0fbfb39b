"""``dubfew audit``: what was done with actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import JOB_FAILED, emit, job, shown
from dubfew.cli.options import Json

if TYPE_CHECKING:
    from dubfew.registry.audit import Entry

audit = Commands("What was done with actors, in a log that shows any change.")


@audit.command("verify")
@job
def verify_log(
    head: Annotated[
        str | None,
        typer.Option(
            metavar="N:HASH",
            help="The newest entry of an earlier 'audit verify': it must still be there.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find any line of the audit log that was changed, removed, added or moved."""
    from dubfew.registry import Registry
    from dubfew.registry.audit import AuditReport

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
    emit(result, as_json=as_json, text="\n".join(text))
    if not report.ok:
        raise typer.Exit(JOB_FAILED)


@audit.command("show")
@job
def show_log(as_json: Json = False) -> None:
    """Print the audit log; who is deleted has no name in it any more."""
    from dubfew.registry import Registry
    from dubfew.registry.audit import Damaged

    registry = Registry()
    log = registry.audit()
    found = [] if log is None else list(log.entries())
    names = registry.pseudonyms()
    entries = [
        {"damaged": each.found} if isinstance(each, Damaged) else _facts(each, names)
        for each in found
    ]
    emit({"entries": entries}, as_json=as_json, text="\n".join(map(_line, entries)) or "no entries")


@audit.command("find")
@job
def find_watermark(
    watermark: Annotated[
        str, typer.Argument(metavar="WATERMARK_ID", help="As 'dubfew verify' reads it.")
    ],
    as_json: Json = False,
) -> None:
    """Print the renders that put a watermark into their output; exit code 1 when there is none."""
    from dubfew.registry import Registry

    registry = Registry()
    log = registry.audit()
    found = [] if log is None else log.find(watermark)
    names = registry.pseudonyms() if found else {}
    entries = [_facts(each, names) for each in found]
    emit(
        {"entries": entries},
        as_json=as_json,
        text="\n".join(map(_line, entries)) or f"no entry of {watermark} in {registry.home}",
    )
    if not found:
        raise typer.Exit(JOB_FAILED)


@audit.command("restart")
@job
def restart_log(as_json: Json = False) -> None:
    """Put a damaged log aside and begin a new one, which names the old one's hash."""
    from dubfew.errors import AuditError
    from dubfew.registry import Registry

    registry = Registry()
    log = registry.audit()
    if log is None:
        raise AuditError(f"there is no registry in {registry.home}, so there is no audit log")
    aside = log.restart()
    emit(
        {"aside": aside, "log": log.path},
        as_json=as_json,
        text=f"began {log.path}; the old one is {aside or 'not there'}",
    )


def _facts(entry: Entry, names: dict[str, str]) -> dict[str, Any]:
    """An entry for ``--json``: its fields, and the actor's id where there is one still."""
    who = entry.fields.get("actor")
    return {
        "seq": entry.seq,
        "time": entry.time,
        "event": entry.event,
        "id": names.get(who) if isinstance(who, str) else None,
        "fields": entry.fields,
        "hash": entry.hash,
    }


def _line(facts: dict[str, Any]) -> str:
    """An entry for people: what is null or empty is left out, hashes are short."""
    if "damaged" in facts:
        return f"a line {facts['damaged']}"
    fields = dict(facts["fields"])
    who = fields.pop("actor", None)
    name = facts["id"] or (f"deleted actor {str(who)[:8]}" if who else "-")
    told = (
        f"{key} {value[:16] if isinstance(value, str) else shown(value)}"
        for key, value in fields.items()
        if value not in (None, [], "")
    )
    line = "  ".join([str(facts["seq"]), facts["time"], facts["event"], name, ", ".join(told)])
    # What somebody forged shall not steer the terminal.
    return line if line.isprintable() else ascii(line)
