"""HTML reports in a single file that needs no network and has a light and a dark theme."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dubfew.utils.files import write_atomic

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB
# JPEG quality (0 to 100) of embedded images: artifacts are not visible at it, and a report of a
# dozen images stays below a few megabytes.
JPEG_QUALITY = 92
# Largest height of an embedded image as a multiple of its largest width.
MAX_HEIGHT_PER_WIDTH = 4


def write_html_page(
    path: Path | str, title: str, sections: Iterable[str], *, note: str = ""
) -> None:
    """Write a page atomically.

    Args:
        path: HTML file to write.
        title: heading of the page, plain text.
        sections: HTML of the sections, as `html_section` makes them; empty ones are left out.
        note: plain text below the heading.

    Raises:
        OSError: The file cannot be written.
    """
    # Everything that is not HTML of this module is escaped.
    heading = html.escape(title)
    lead = f"<p>{html.escape(note)}</p>" if note else ""
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_STYLESHEET}</style></head>\n"
        f"<body><main><h1>{heading}</h1>{lead}\n" + "\n".join(filter(None, sections)) + "\n"
        "</main></body></html>\n"
    )
    write_atomic(Path(path), page.encode())


def html_section(heading: str, content: str) -> str:
    """Make a section of a page.

    Args:
        heading: heading of the section, plain text.
        content: HTML below the heading.

    Returns:
        HTML; "" if ``content`` is empty.

    Example:
        >>> html_section("A & B", "<p>text</p>")
        '<section><h2>A &amp; B</h2><p>text</p></section>'
    """
    return f"<section><h2>{html.escape(heading)}</h2>{content}</section>" if content else ""


def metrics_table(heading: str, values: Mapping[str, float | int | str | None]) -> str:
    """Make a section with a table of measurements.

    Args:
        heading: heading of the section, plain text.
        values: measurements by name. Floating point numbers are shown with four digits, None as a
            dash.

    Returns:
        HTML; "" if ``values`` is empty.
    """
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(_format_metric(value))}</td></tr>"
        for key, value in values.items()
    )
    return html_section(heading, f"<table>{rows}</table>" if rows else "")


def image_tag(pixels: RgbImage, alt: str, max_width: int) -> str:
    """Make an ``<img>`` element that contains its pixels, compressed as JPEG.

    Args:
        pixels: the image. [H, W, 3]
        alt: text for readers who cannot see the image, plain text.
        max_width: width in px to which wider images are reduced.

    Returns:
        HTML with the image as a data URI.
    """
    # Reduce only: enlarging adds bytes and no detail.
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.width > max_width:
        image = ImageOps.contain(
            image, (max_width, MAX_HEIGHT_PER_WIDTH * max_width), Image.Resampling.LANCZOS
        )
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def _format_metric(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# The classes are those that reports of dubfew use. Colors are variables, so that the dark theme
# replaces only these.
_STYLESHEET = """
:root { color-scheme: light dark; --paper: #faf9f6; --card: #fff; --ink: #22211e;
  --soft: #6d6a63; --line: #e4e1d9; --accent: #b4552d; }
@media (prefers-color-scheme: dark) { :root { --paper: #191817; --card: #232220; --ink: #ece9e2;
  --soft: #a19d94; --line: #383632; --accent: #e98f63; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.05rem; margin: 0 0 .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.1rem 1.25rem; margin-top: 1.25rem; overflow-x: auto; }
.strip { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: .7rem; }
figure { margin: 0; }
img { display: block; width: 100%; border-radius: 6px; margin-bottom: .35rem; }
figcaption, .key { color: var(--soft); font-size: .85rem; text-align: center; }
.key { text-align: left; margin: .6rem 0 0; }
.texture { max-width: 420px; }
.curve { width: 100%; max-width: 760px; height: auto; }
.curve text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--line); }
.line { fill: none; stroke: var(--accent); stroke-width: 2; }
.dot { fill: var(--accent); }
.other { fill: none; stroke: var(--soft); }
.cut { stroke: var(--ink); stroke-dasharray: 3 3; }
.flag { fill: var(--accent); opacity: .3; }
table { border-collapse: collapse; width: 100%; max-width: 640px; }
th { text-align: left; font-weight: 500; padding-right: 1rem; white-space: nowrap; }
th, td { padding-block: .3rem; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
td { text-align: right; font-variant-numeric: tabular-nums; }
.bar { width: 55%; }
.bar span { display: block; height: .7rem; border-radius: 4px; background: var(--accent);
  min-width: 2px; }
"""
