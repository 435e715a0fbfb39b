"""Does anything of an actor stay behind when they are deleted? See bench.py."""

from dubfew.evaluate.leakage.leak_test import run_leak_test
from dubfew.evaluate.leakage.result import ActorLeak, LeakResult

__all__ = ["ActorLeak", "LeakResult", "run_leak_test"]
