"""The font of all pictures that dubfew writes on."""

from __future__ import annotations

from pathlib import Path

from PIL import ImageFont


def load_font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu, which comes with matplotlib; Pillow's own font lacks letters with accents.

    Args:
        size: height of its lines, px.
        bold: whether its strokes are thick.
    """
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
