"""The leak test: it deletes actors and measures whether anything of their faces remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.evaluate.leakage.leak_test import run_leak_test
    from dubfew.evaluate.leakage.result import ActorLeak, LeakResult

__all__ = ["ActorLeak", "LeakResult", "run_leak_test"]

__getattr__ = lazy_exports(
    __name__, {"ActorLeak": "result", "LeakResult": "result", "run_leak_test": "leak_test"}
)
