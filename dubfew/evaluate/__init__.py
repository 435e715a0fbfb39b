"""Measurements of an output against its original, contact sheets and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.evaluate.clip_landmarks import detect_landmarks
    from dubfew.evaluate.compare import EvaluationResult, evaluate
    from dubfew.evaluate.contact_sheets import (
        SheetRow,
        draw_contact_sheet,
        make_sheet_rows,
        save_contact_sheet,
    )
    from dubfew.evaluate.report import write_report, write_video_report

__all__ = [
    "EvaluationResult",
    "SheetRow",
    "detect_landmarks",
    "draw_contact_sheet",
    "evaluate",
    "make_sheet_rows",
    "save_contact_sheet",
    "write_report",
    "write_video_report",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "EvaluationResult": "compare",
        "SheetRow": "contact_sheets",
        "detect_landmarks": "clip_landmarks",
        "draw_contact_sheet": "contact_sheets",
        "evaluate": "compare",
        "make_sheet_rows": "contact_sheets",
        "save_contact_sheet": "contact_sheets",
        "write_report": "report",
        "write_video_report": "report",
    },
)
