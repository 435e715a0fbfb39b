"""Tests that fork many times, each in a process of its own."""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Set in the process that runs one test.
_LEAN_VARIABLE = "DUBFEW_TESTS_LEAN"


def in_lean_process(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test in a new process, as a decorator.

    By the time that it runs, this process has torch and gigabytes of memory, and a fork of it takes
    ten times as long as that of a process that has imported the registry alone.
    """

    @functools.wraps(test)
    def wrapper(request: pytest.FixtureRequest, **fixtures: Any) -> None:
        if os.environ.get(_LEAN_VARIABLE):
            test(**fixtures)
            return
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", request.node.nodeid],
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, _LEAN_VARIABLE: "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]

    signature = inspect.signature(test)
    own = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [own, *signature.parameters.values()]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper
