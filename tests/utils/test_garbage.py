"""Python's search for circular garbage: rare, off where the user has it off, none at the end."""

import subprocess
import sys

PROGRAM = """
import gc, sys
gc.set_threshold(700, 10, 10)
if sys.argv[1] == "off":
    gc.disable()
from dubfew.utils.garbage import search_garbage_rarely
before = gc.get_stats()[0]["collections"]
search_garbage_rarely()
kept = [[] for _ in range(8_000)]
print(gc.isenabled(), gc.get_stats()[0]["collections"] - before, gc.get_threshold()[0])
"""


def run(word: str) -> list[str]:
    return subprocess.check_output([sys.executable, "-c", PROGRAM, word], text=True).split()


def test_many_new_objects_are_searched_at_once() -> None:
    enabled, searches, _ = run("on")
    assert enabled == "True"
    assert int(searches) <= 1


def test_what_the_user_has_switched_off_stays_off() -> None:
    assert run("off") == ["False", "0", "700"]


END_PROGRAM = """
import sys, weakref
from dubfew.utils.garbage import skip_last_search
class Ring:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("ring freed")
if sys.argv[1] == "skip":
    skip_last_search()
kept = Ring()
weakref.finalize(sys, print, "folder removed")
"""


def run_to_end(word: str) -> list[str]:
    lines = subprocess.check_output([sys.executable, "-c", END_PROGRAM, word], text=True)
    return sorted(lines.splitlines())


def test_rings_are_not_searched_at_the_end_and_finalizers_are_called() -> None:
    assert run_to_end("plain") == ["folder removed", "ring freed"]
    assert run_to_end("skip") == ["folder removed"]
