"""List the registry's actors with their consent, and delete those whose consent has ended.

    python examples/expired_consent.py              # lists, deletes nobody
    python examples/expired_consent.py --delete     # deletes those that have ended, wholly

Consent records are described in docs/consent.md. An actor without one, or whose consent has no
end, is listed and kept.
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
        end = actor.consent.valid_to if actor.consent else None
        over = end is not None and end < given.today
        if over and given.delete:
            registry.delete(actor.actor)  # every revision, every byte
        state = ("deleted" if given.delete else "ended") if over else "kept"
        print(f"{actor.actor}\t{state}\tuntil {end or '-'}\t{actor.stored_bytes} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
