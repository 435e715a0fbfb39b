"""Threads of numeric libraries: how OpenMP's wait for work, and how many OpenBLAS has.

Waiting threads of OpenMP are to sleep, so that they leave the processor to others.

torch computes with OpenMP. Its threads end every operation together. By default one that is done
early waits for the others in a loop that computes nothing, for about ten milliseconds. Where more
threads want to run than there are cores, the one that is waited for cannot run while the others
loop: such machines lose most of their time. `docs/performance.md` has the figures.

OpenMP reads its settings when it is loaded. So `import dubfew` makes them, before any import of
torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, MutableMapping

# Variables that say how threads wait: that of the standard, which all runtimes read, GNU's own
# (torch on Linux), and that of LLVM and Intel (torch on macOS and Windows, and conda's).
WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Variables that give OpenBLAS its number of threads.
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS")


def set_passive_waiting(
    environment: MutableMapping[str, str] = os.environ, modules: Container[str] = sys.modules
) -> bool:
    """Have OpenMP's threads sleep while they wait, unless the user has said how they wait.

    Processes that are started from here on inherit the setting.

    Args:
        environment: environment variables, which are changed.
        modules: names of the modules that are imported.

    Returns:
        Whether this process obeys: False where the user's own setting stands, or where torch was
        imported before, which is too late for this process.
    """
    if any(name in environment for name in WAITING_VARIABLES):
        return False
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    return "torch" not in modules


def use_one_blas_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have NumPy's and SciPy's OpenBLAS compute with one thread, unless the user has said how many.

    dubfew's matrices are small: for most of them waking a second thread takes longer than the
    product. Every product waits for that thread, which takes milliseconds where other programs
    work. For the command line alone: programs that import dubfew may have large matrices of
    their own.

    Processes that are started from here on inherit the setting.

    Args:
        environment: environment variables, which are changed.
    """
    if not any(name in environment for name in BLAS_VARIABLES):
        environment["OPENBLAS_NUM_THREADS"] = "1"
