"""``dubfew consent``: records of what an actor allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import emit, job, lines
from dubfew.cli.options import ActorArgument, Json

consent = Commands("Check, show and attach consent records.")

RecordFile = Annotated[Path, typer.Argument(metavar="FILE", help="A consent record.")]


@consent.command("check")
@job
def check_consent(file: RecordFile, as_json: Json = False) -> None:
    """Check a consent record, and print the hash that outputs carry."""
    from dubfew.registry.consent import read_consent, today

    found = read_consent(file)
    found.check_valid(today(), str(file))
    facts = {"sha256": found.sha256, **found.record}
    emit(facts, as_json=as_json, text=lines(facts))


@consent.command("example")
@job
def show_example() -> None:
    """Print a consent record to start from."""
    from dubfew.registry.consent import example

    emit(None, as_json=False, text=json.dumps(example(), indent=2, ensure_ascii=False))


@consent.command("schema")
@job
def show_schema() -> None:
    """Print the JSON Schema of consent records."""
    from dubfew.registry.consent import schema

    emit(None, as_json=False, text=json.dumps(schema(), indent=2, ensure_ascii=False))


@consent.command("attach")
@job
def attach_consent(actor: ActorArgument, file: RecordFile, as_json: Json = False) -> None:
    """Put an actor under a new consent record; makes a new revision."""
    from dubfew.registry import Registry
    from dubfew.registry.consent import read_consent

    record = read_consent(file)
    stored = Registry().attach_consent(actor, record)
    emit(
        {"actor": stored.actor, "revision": stored.number, "consent_sha256": record.sha256},
        as_json=as_json,
        text=f"{stored.actor}, revision {stored.number}, is under consent {record.sha256[:16]}",
    )
