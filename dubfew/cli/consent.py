"""``dubfew consent``: records of the uses that an actor agreed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import print_fields, print_result, report_errors
from dubfew.cli.options import ActorArgument, JsonOption

consent_app = CommandGroup("Check, show and attach consent records.")

RecordArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A consent record.")]


@consent_app.command("check")
@report_errors
def check_consent(file: RecordArgument, as_json: JsonOption = False) -> None:
    """Check a consent record, and print its hash, which outputs contain."""
    from dubfew.registry.consent import read_consent, today_utc

    found = read_consent(file)
    found.check_new(today_utc(), str(file))
    found.check_valid(today_utc(), str(file))
    facts = {"sha256": found.sha256, **found.record}
    print_fields(facts, as_json=as_json)


@consent_app.command("example")
@report_errors
def show_example() -> None:
    """Print an example of a consent record, to be edited."""
    from dubfew.registry.consent import example_consent

    print_result(
        None, as_json=False, text=json.dumps(example_consent(), indent=2, ensure_ascii=False)
    )


@consent_app.command("schema")
@report_errors
def show_schema() -> None:
    """Print the JSON Schema of consent records."""
    from dubfew.registry.consent import load_consent_schema

    print_result(
        None, as_json=False, text=json.dumps(load_consent_schema(), indent=2, ensure_ascii=False)
    )


@consent_app.command("attach")
@report_errors
def attach_consent(actor: ActorArgument, file: RecordArgument, as_json: JsonOption = False) -> None:
    """Attach a new consent record to an actor, which binds all their revisions."""
    from dubfew.registry import Registry
    from dubfew.registry.consent import read_consent, today_utc

    record = read_consent(file)
    record.check_new(today_utc(), str(file))
    stored = Registry().attach_consent(actor, record)
    print_result(
        {"actor": stored.actor, "revision": stored.number, "consent_sha256": record.sha256},
        as_json=as_json,
        text=f"{stored.actor} is under consent {record.sha256[:16]} with all revisions (the record "
        f"is stored as revision {stored.number})",
    )
