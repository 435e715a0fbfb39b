"""Does anything of an actor stay behind when they are deleted? See bench.py."""

from dubfew.evaluate.leakage.leak_test import leak_test
from dubfew.evaluate.leakage.result import ActorLeak, LeakResult

__all__ = ["ActorLeak", "LeakResult", "leak_test"]
