"""Does anything of an actor stay behind when they are deleted? See bench.py."""

from dubfew.leak.bench import leak_test
from dubfew.leak.result import ActorLeak, LeakResult

__all__ = ["ActorLeak", "LeakResult", "leak_test"]
