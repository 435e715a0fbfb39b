"""Machine-readable marks on every output: Content Credentials and an invisible watermark.

``verify_marks`` reads both. See docs/marks.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubfew.utils.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from dubfew.marks.verification import MarksReport, verify_marks

__all__ = ["MarksReport", "verify_marks"]

# Rendering needs the embedder alone, without the face tracker that finds a watermark.
__getattr__ = lazy_exports(
    __name__, {"MarksReport": "verification", "verify_marks": "verification"}
)
