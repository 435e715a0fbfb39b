"""What is asked of the C library's allocator, and when it is left alone."""

import subprocess
import sys

import pytest

from dubfew.utils import allocator
from dubfew.utils.allocator import keep_freed_memory, share_product_buffers

# Counts the pages that come anew when a block of 24 MB is made and filled ten times.
PROGRAM = """
import resource, sys
from dubfew.utils.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory({})
blocks = [bytearray(24 * 2**20) for _ in range(2)]
del blocks
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block = bytearray(b"1") * (24 * 2**20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_user_stand(name: str) -> None:
    assert not keep_freed_memory({name: "1"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator alone")
@pytest.mark.slow
def test_blocks_come_back_without_new_pages() -> None:
    new, kept = (
        int(subprocess.check_output([sys.executable, "-c", PROGRAM, word], text=True))
        for word in ("plain", "keep")
    )
    # A block of 24 MB has 6,144 pages.
    assert kept < 6144
    assert kept < new


# What the process still has of 120 MB that it made and gave back, before and after it returns them.
RETURNING_PROGRAM = """
from pathlib import Path
from dubfew.utils.allocator import keep_freed_memory, return_freed_memory

def measure():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

assert keep_freed_memory({})
before = measure()
blocks = [bytearray(b"1") * (12 * 2**20) for _ in range(10)]
del blocks
kept = measure() - before
return_freed_memory()
print(kept, measure() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator alone")
def test_kept_memory_can_be_returned() -> None:
    text = subprocess.check_output([sys.executable, "-c", RETURNING_PROGRAM], text=True)
    kept, returned = map(float, text.split())
    assert kept > 100
    assert returned < 20


# Megabytes of torch's and NumPy's code in memory, before and after it is given back, and the sum of
# a product of matrices that both compute after it.
CODE_PROGRAM = """
import re
import numpy, torch
from dubfew.utils.allocator import return_library_code

def measure():
    code, total = False, 0
    for line in open("/proc/self/smaps"):
        if re.match("[0-9a-f]+-", line):
            code = " r-xp " in line and ".so" in line
        elif code and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total / 1024

torch.ones(64, 64) @ torch.ones(64, 64)
before = measure()
return_library_code()
after = measure()
print(before, after, float((torch.ones(8, 8) @ torch.ones(8, 8)).sum() + numpy.ones(8).sum()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone")
@pytest.mark.slow
def test_code_of_libraries_is_given_back_and_comes_again() -> None:
    text = subprocess.check_output([sys.executable, "-c", CODE_PROGRAM], text=True)
    before, after, total = map(float, text.split())
    assert before > 15
    assert after < 0.5 * before
    assert total == 8**3 + 8


def test_code_that_was_changed_in_memory_is_not_given_back() -> None:
    header = "7f00-7f10 r-xp 00000000 08:01 77   /usr/lib/libx.so.3\nSize:  4 kB\n"
    whole = header + "Rss:  4 kB\nAnonymous:  0 kB\nVmFlags: rd ex\n"
    changed = header + "Rss:  4 kB\nAnonymous:  4 kB\nVmFlags: rd ex\n"
    found = allocator._CODE_MAPPING.findall(changed + whole.replace("7f00", "7f01") + changed)
    assert found == [("7f01", "7f10")]


def test_buffers_of_products_are_shared_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {}
    share_product_buffers(environment)
    assert environment == {"MKL_DISABLE_FAST_MM": "1"}
    environment = {"MKL_DISABLE_FAST_MM": "0"}
    share_product_buffers(environment)
    assert environment == {"MKL_DISABLE_FAST_MM": "0"}
