"""List the registry's actors with their consent, and delete those whose consent has ended.

    python examples/expired_consent.py              # lists, deletes nobody
    python examples/expired_consent.py --delete     # deletes those that have ended, wholly

A consent record is any JSON that ``adapt(..., consent="mary.json")`` was given. This script
reads one field of it, ``"until": "2027-12-31"``; a studio with other records changes `ended`.
An actor without that field is listed and kept.
"""

from __future__ import annotations

import argparse
from datetime import date

import dubfew


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Actors and how long they may be used.")
    parser.add_argument("--delete", action="store_true", help="delete those that have ended")
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())
    given = parser.parse_args(arguments)
    registry = dubfew.Registry()
    for actor in registry.list():  # the newest revision of each
        record = actor.config.get("consent")
        over = ended(record, given.today)
        if over and given.delete:
            registry.delete(actor.actor)  # every revision, every byte
        state = ("deleted" if given.delete else "ended") if over else "kept"
        print(f"{actor.actor}\t{state}\tuntil {until(record)}\t{actor.bytes} bytes")
    return 0


def until(record: object) -> str:
    """The date in a consent record, or a dash."""
    return str(record.get("until", "-")) if isinstance(record, dict) else "-"


def ended(record: object, today: date) -> bool:
    """Whether a consent record names a day that has passed. Raises ValueError if it is no day."""
    return until(record) != "-" and date.fromisoformat(until(record)) < today


if __name__ == "__main__":
    raise SystemExit(main())
