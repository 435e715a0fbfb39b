"""Memory of the process: blocks that are freed stay with it, and what a stage leaves is returned.

By default glibc asks the system for every block of some megabytes, and gives it back when it is
freed. The next one comes as empty pages, each of which costs a fault and is filled with zeros. A
network that makes hundreds of such blocks for every frame spends a fifth of its time on that
(`docs/performance.md`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

# Parameters of mallopt(3), from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
# Smallest block that comes from the system directly, bytes: the largest value that all versions of
# glibc take. A batch of a network's largest features has 20 MB.
_LARGE_BLOCK_BYTES = 32 * 2**20
# Freed memory at the end of an arena that is kept, bytes: all that one batch takes.
_KEPT_BYTES = 256 * 2**20
# Advice of madvise(2), from mman.h.
_DONTNEED = 4
# A mapping of a library's code of which the file has all: no page of it is the process's own, as
# one into which a debugger or the library itself has written. Other parts of a library are changed
# as it is loaded. From smaps, see proc(5).
_CODE_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \d+ +/.*\.so[.0-9]*\n(?:[A-Z].*\n)*?Anonymous: +0 kB$",
    re.MULTILINE,
)
# Arenas that threads share. Each keeps what it has, so that one for each thread takes more memory.
_NUM_ARENAS = 1


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Have glibc keep the memory that is freed, unless the user has set its allocator up.

    For the command line alone: the setting holds for the whole process, and programs that import
    dubfew may want their memory back. To be called before threads are started.

    Args:
        environment: environment variables.

    Returns:
        Whether the setting was made: False where the C library is another one, or where a variable
        of glibc's allocator is set.
    """
    if not sys.platform.startswith("linux"):
        return False
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in environment):
        return False
    import ctypes  # for a few milliseconds, by commands that need it alone

    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    pairs = (
        (_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES),
        (_TRIM_THRESHOLD, _KEPT_BYTES),
        (_ARENA_MAX, _NUM_ARENAS),
    )
    taken = [set_option(option, value) == 1 for option, value in pairs]  # each, whatever one says
    return all(taken)


def share_product_buffers(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have torch's matrix products take their buffers from the C library each time.

    MKL, which torch has on Intel's processors, keeps buffers of some megabytes for every thread
    that ever multiplied matrices. Freed ones are of use to what comes next. To be called before
    torch is imported.

    Args:
        environment: environment variables; a value that the user has set stands.
    """
    environment.setdefault("MKL_DISABLE_FAST_MM", "1")


def return_freed_memory() -> None:
    """Give what is free at the end of a stage back to the system, whatever is kept otherwise.

    The stages of a render need blocks of other sizes: what tracking leaves behind is of little use
    to painting. Does nothing where the C library is another one.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(AttributeError, OSError):  # musl has none
        ctypes.CDLL(None).malloc_trim(0)


def return_library_code() -> None:
    """Give the machine code of libraries back to their files, from which it comes as it is called.

    LLVM is there to load compiled loops, and MediaPipe to track: of 150 MB that a process has read
    of its libraries a render needs a third from then on. What runs next costs a page fault for
    every 64 kB, from the system's cache of files. Code that was changed in memory stays. Does
    nothing on other systems than Linux.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError):
        libc = ctypes.CDLL(None)
        mappings = Path("/proc/self/smaps").read_text("utf-8", "replace")
        for mapping in _CODE_MAPPING.finditer(mappings):
            start, stop = (int(edge, 16) for edge in mapping.groups())
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), _DONTNEED)
