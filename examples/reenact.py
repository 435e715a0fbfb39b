"""Measure how well an actor was learned, before their mouth is trusted with new words.

    python examples/reenact.py take1.mp4 take2.mp4

Learns from one take and renders the other with the mouth motion that the other take has itself:
the original is then the right answer, and the difference is what learning and painting cost.
Nothing is left in the registry.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import dubfew


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Re-enact one take with what another taught.")
    parser.add_argument("footage", type=Path, help="the take to learn from")
    parser.add_argument("scene", type=Path, help="another take of the same actor")
    parser.add_argument("--seconds", type=float, help="learn from the first seconds only")
    parser.add_argument("--prior", help="what to start from; default: the prior that ships")
    parser.add_argument("--steps", type=int, help="at most so many steps of training")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        registry = dubfew.Registry(Path(folder) / "actors")
        learned = dubfew.adapt(
            given.footage,
            actor="take",
            seconds=given.seconds,
            prior=given.prior,
            steps=given.steps,
            registry=registry,
        )
        made = dubfew.render(
            "take",
            video=given.scene,
            drive="self",
            lossless=True,  # the encoder's own losses are none of the actor's
            out=Path(folder) / "again.mkv",
            registry=registry,
        )
        figures = dubfew.evaluate(given.scene, made.output)
    rate = made.frames / made.seconds["total"]
    report = {"learned_from": learned.frames, "frames_per_second": rate, **figures.to_json()}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
