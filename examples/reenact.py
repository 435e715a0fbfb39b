"""Measure how well an actor was learned, before new speech is rendered.

    python examples/reenact.py take1.mp4 take2.mp4

Adapts to one take and renders the other take with that take's own mouth motion. The other take
itself is then the correct result, and the difference measures adaptation and rendering. The actor
is stored in a temporary registry.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import dubfew


def main(arguments: list[str] | None = None) -> int:
    """Run the example; returns its exit code."""
    parser = argparse.ArgumentParser(description="Re-enact one take after learning from another.")
    parser.add_argument("footage", type=Path, help="take to learn from")
    parser.add_argument("scene", type=Path, help="another take of the same actor")
    parser.add_argument(
        "--seconds", type=float, help="seconds of footage to use; the best part is chosen"
    )
    parser.add_argument("--prior", help="name or folder of a prior; default: the one that ships")
    parser.add_argument("--steps", type=int, help="training steps at most")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        registry = dubfew.Registry(Path(folder) / "actors")
        adapted = dubfew.adapt(
            parsed.footage,
            actor="take",
            seconds=parsed.seconds,
            prior=parsed.prior,
            steps=parsed.steps,
            registry=registry,
        )
        rendered = dubfew.render(
            "take",
            video=parsed.scene,
            drive="self",
            lossless=True,  # so that losses of the encoder are not measured as well
            out=Path(folder) / "again.mkv",
            registry=registry,
        )
        measures = dubfew.evaluate(parsed.scene, rendered.output)
    rate = rendered.frames / rendered.seconds["total"]
    report = {"learned_from": adapted.frames, "frames_per_second": rate, **measures.to_json()}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
