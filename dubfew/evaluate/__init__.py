"""How good an output is: measures against the original, contact sheets, reports."""

from dubfew.evaluate.compare import Evaluation, evaluate, landmarks_of
from dubfew.evaluate.contact_sheets import SheetRow, contact_sheet, save_sheet, sheet_rows
from dubfew.evaluate.report import report_of, write_report

__all__ = [
    "Evaluation",
    "SheetRow",
    "contact_sheet",
    "evaluate",
    "landmarks_of",
    "report_of",
    "save_sheet",
    "sheet_rows",
    "write_report",
]
