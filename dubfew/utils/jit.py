"""Compilation of numerical loops with numba: without the GIL, and cached on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

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
    # Division by 0 gives infinity or NaN as in NumPy: a check that could raise an error after each
    # division keeps the compiler from making vectors of loops.
    settings: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        return cast(Function, njit(cache=True, **settings)(function))
    except RuntimeError:  # numba found no place for its cache
        return cast(Function, njit(**settings)(function))


@contextmanager
def compiler_loaded_beside() -> Iterator[None]:
    """Load what numba needs before the first compiled loop, in a thread beside the block.

    That takes half a second, which the first loop would wait for otherwise. The block does well to
    compute outside of Python, as detection of faces does. Loops that the block runs wait for it.
    """
    thread = threading.Thread(target=_load_compiler, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load_compiler() -> None:
    """Have numba read its tables of types and functions."""
    with global_compiler_lock:
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()
