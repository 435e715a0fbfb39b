"""What the seconds never showed: learn an actor from footage that lacks something, render the rest.

    python -m benchmarks.mouth_inside [CLIP ...] [--restrict NAME,NAME] [--rows NAME,NAME]

The protocol is `dubfew.evaluate.restricted_footage`, which ``dubfew bench mouths`` runs as well.
Here are more rows: ``carried``, in which the mesh carries the inside at every opening, as it did
before teeth were rigid; ``carried-adapted``, the same after training; and ``texture`` and ``full``,
trained as these methods do, where ``adapted`` is LoRA.

The benchmark writes ``mouths.md``, ``mouths.json`` and a sheet of the widest mouths of each clip:
film above, then the rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.common import FOOTAGE, RESULTS, clips_of, machine_line, show
from dubfew.evaluate.restricted_footage import (
    RESTRICTIONS,
    VARIANTS,
    Variant,
    format_restricted,
    run_restricted_clips,
)
from dubfew.references import mouth_interior


def carry_all() -> AbstractContextManager[Any]:
    """Let the mesh carry the inside at every opening."""
    return patch.multiple(mouth_interior, CARRIED_UP_TO=1e6, RIGID_FROM=2e6)


ROWS: Mapping[str, Variant] = {
    "carried": Variant(around=carry_all),
    **VARIANTS,
    "carried-adapted": Variant(steps=None, around=carry_all),
    **{name: Variant(steps=None, options={"method": name}) for name in ("texture", "full")},
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 1 if a clip failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="default: the validate clips")
    parser.add_argument("--footage", type=Path, default=FOOTAGE, help="folder with manifest.json")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    parser.add_argument("--prior", help="name or folder; default: the shipped one")
    parser.add_argument("--steps", type=int, default=None, help="training steps of adapted rows")
    parser.add_argument("--seconds", type=float, help="length of each clip; default: all")
    parser.add_argument("--restrict", default="smallest", help=f"of {', '.join(RESTRICTIONS)}")
    parser.add_argument("--rows", default=",".join(ROWS), help="of %(default)s")
    options = parser.parse_args(arguments)
    rows = {name: ROWS[name] for name in options.rows.split(",")}
    results, failed = run_restricted_clips(
        options.clips or clips_of("validate", options.footage),
        options.restrict.split(","),
        options.out,
        variants=rows,
        prior=options.prior,
        steps=options.steps,
        seconds=options.seconds,
        progress=show,
    )
    print(machine_line(), format_restricted(results), sep="\n\n")
    for name, reason in failed.items():
        print(f"Failed: {name}: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
