"""Draw a recorded console session as a picture for the documentation.

    python -m tools.draw_console SESSION.txt docs/pictures/NAME.svg

A line that begins with ``$`` is a command. The picture loads no font: it uses the reader's own.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

# Sizes of a character and of the margin, px; fonts of equal widths are 0.6 of their size wide.
FONT_PX, LINE_PX, MARGIN_PX = 14, 20, 16
CHARACTER_PX = 0.6 * FONT_PX
# Colors of the ground, of commands and of what they print: 7 to 1 in contrast and more.
GROUND, COMMAND, ANSWER = "#1a1b26", "#9ece6a", "#d5d9ea"


def draw_console(session: str) -> str:
    """Draw a session.

    Args:
        session: the lines that a terminal showed.

    Returns:
        A picture as SVG.
    """
    # SVG joins spaces to one, but not those that do not break.
    lines = session.rstrip().expandtabs().replace(" ", "\u00a0").splitlines()
    width = round(max(map(len, lines), default=0) * CHARACTER_PX + 2 * MARGIN_PX)
    height = len(lines) * LINE_PX + 2 * MARGIN_PX
    texts = [
        f'<text x="{MARGIN_PX}" y="{MARGIN_PX + LINE_PX * number + FONT_PX}" '
        f'textLength="{len(line) * CHARACTER_PX:.1f}" '
        f'fill="{COMMAND if line.startswith("$") else ANSWER}">{escape(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="monospace" '
            f'font-size="{FONT_PX}">',
            f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
            *texts,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw_console(source.read_text("utf-8")), "utf-8")
