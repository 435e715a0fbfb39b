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
    return _compile_cached(function)


def njit_cached_fast(function: Function) -> Function:
    """Compile a function as `njit_cached` does, with sums in any order.

    Sums of many products are twice as fast. Results differ by rounding between processors, so it is
    for pixels, not for what is compared bit for bit. There must be no infinity and no NaN.

    Args:
        function: a function of numbers and arrays that numba can compile.
    """
    return _compile_cached(function, fastmath=True)


def _compile_cached(function: Function, *, fastmath: bool = False) -> Function:
    """Compile a function with numba, with a cache where there is a place for it."""
    try:
        return cast(Function, njit(cache=True, nogil=True, fastmath=fastmath)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast(Function, njit(nogil=True, fastmath=fastmath)(function))
