"""List the actors of the registry with their consent, and delete those whose consent has ended.

    python examples/expired_consent.py              # list, and delete nothing
    python examples/expired_consent.py --delete     # delete actors whose consent has ended

docs/consent.md describes consent records. Actors without a record, or with a record without an
end, are listed and kept.
"""

from __future__ import annotations

import argparse
from datetime import date

import dubfew


def main(arguments: list[str] | None = None) -> int:
    """Run the example; returns its exit code."""
    parser = argparse.ArgumentParser(description="List actors and the ends of their consent.")
    parser.add_argument(
        "--delete", action="store_true", help="delete actors whose consent has ended"
    )
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())
    parsed = parser.parse_args(arguments)
    registry = dubfew.Registry()
    for actor in registry.list():  # the newest revision of each
        end = actor.consent.valid_to if actor.consent else None
        over = end is not None and end < parsed.today
        if over and parsed.delete:
            registry.delete(actor.actor)  # all revisions
        state = ("deleted" if parsed.delete else "ended") if over else "kept"
        print(f"{actor.actor}\t{state}\tuntil {end or '-'}\t{actor.stored_bytes} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
