"""numba, set up once: compiled without the GIL, cached on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def njit_cached(function: Function) -> Function:
    """Compile with numba; releases the GIL, so threads run it side by side.

    The machine code is cached beside the source file or in the user's cache folder. Where
    neither can be written (a read-only install with no home) numba refuses to decorate; the
    function is then compiled anew in each process.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(Function, njit(nogil=True)(function))
