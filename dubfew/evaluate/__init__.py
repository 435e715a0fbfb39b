"""How good an output is: measures against the original, contact sheets, reports."""

from dubfew.evaluate.compare import EvaluationResult, detect_landmarks, evaluate
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
