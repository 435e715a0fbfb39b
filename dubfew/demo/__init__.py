"""``dubfew demo``: the whole way on a bundled clip of a person who does not exist."""

from dubfew.demo.run import ACTOR, DUB, DemoResult, run_demo

__all__ = ["ACTOR", "DUB", "DemoResult", "run_demo"]
