"""Compilation of numerical loops with numba: without the GIL, and cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def njit_cached(function: Function) -> Function:
    """Compile a function with numba, for use as a decorator.

    The compiled function releases the GIL, so that threads run it in parallel. Its machine code is
    cached beside the source file or in the user's cache folder. If neither can be written, as in a
    read-only installation without a home folder, every process compiles it anew.

    Args:
        function: a function of numbers and arrays that numba can compile.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast(Function, njit(nogil=True)(function))
