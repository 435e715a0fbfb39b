"""A report as one HTML file: opens anywhere, needs no network, light and dark."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dubfew.errors import ShapeError
from dubfew.evaluate.curve import curve_svg
from dubfew.evaluate.sheets import sheet_rows
from dubfew.files import write_atomic

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
FACE_WIDTH, MOUTH_WIDTH, TEXTURE_WIDTH = 320, 320, 512  # px at most; a report stays near 1 MB


def write_report(
    path: Path | str,
    *,
    title: str,
    before: Sequence[Picture],
    after: Sequence[Picture],
    mouths_before: Sequence[Picture] = (),
    mouths_after: Sequence[Picture] = (),
    moments: Sequence[str] = (),
    texture: Picture | None = None,
    curve: Sequence[tuple[int, float, float]] = (),
    timings: Mapping[str, float] | None = None,
    numbers: Mapping[str, float | int | str | None] | None = None,
    note: str = "",
) -> None:
    """Write a self-contained HTML page, atomically. Parts that are not given are left out.

    Args:
        path: where to.
        title: heading of the page.
        before: frames of the original. [H, W, 3] each
        after: the same moments of the output; as many.
        mouths_before: mouths of the original, shown enlarged.
        mouths_after: the same of the output; as many.
        moments: labels of the frames, such as "1.20 s".
        texture: the actor's texture as a picture. [H, W, 3]
        curve: (step, seconds, held-out PSNR in dB) in the course of training.
        timings: stage -> seconds, shown as bars.
        numbers: name -> figure, shown as a table; None is shown as a dash.
        note: a sentence under the heading.

    Raises:
        ShapeError: not as many pictures after as before.
    """
    for ours, theirs, name in (
        (before, after, "frames"),
        (mouths_before, mouths_after, "mouths"),
    ):
        if len(ours) != len(theirs):
            raise ShapeError(
                f"the report has {len(ours)} {name} before and {len(theirs)} after: "
                "give the same moments of both"
            )
    sections = [
        _pairs("Before and after", before, after, moments, FACE_WIDTH),
        _pairs("The mouths", mouths_before, mouths_after, moments, MOUTH_WIDTH),
        _texture(texture),
        _section("Training: PSNR on held-out frames, dB", curve_svg(curve)),
        _timings(timings or {}),
        _numbers(numbers or {}),
    ]
    heading = html.escape(title)
    lead = f"<p>{html.escape(note)}</p>" if note else ""
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{heading}</h1>{lead}\n" + "\n".join(filter(None, sections)) + "\n"
        "</main></body></html>\n"
    )
    write_atomic(Path(path), page.encode())


def report_of(
    reference: Path | str,
    output: Path | str,
    path: Path | str,
    *,
    title: str,
    count: int = 6,
    landmarks: NDArray[np.float32] | None = None,
    texture: Picture | None = None,
    curve: Sequence[tuple[int, float, float]] = (),
    timings: Mapping[str, float] | None = None,
    numbers: Mapping[str, float | int | str | None] | None = None,
    note: str = "",
) -> None:
    """Write the report of a rendered video, with ``count`` evenly spaced moments of both.

    Args:
        reference: the scene before.
        output: the scene after, at least as long.
        path: where the HTML goes.
        landmarks: of the reference if already known. [N, 478, 3] px

    The rest as in :func:`write_report`.

    Raises:
        NoFaceError: the reference shows no face.
        MediaError: a file cannot be read, or the output is shorter than the reference.
    """
    videos = {"before": Path(reference), "after": Path(output)}
    (before, after), moments = sheet_rows(videos, count=count, landmarks=landmarks)
    write_report(
        path,
        title=title,
        before=before.faces,
        after=after.faces,
        mouths_before=before.mouths,
        mouths_after=after.mouths,
        moments=moments,
        texture=texture,
        curve=curve,
        timings=timings,
        numbers=numbers,
        note=note,
    )


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{html.escape(heading)}</h2>{content}</section>" if content else ""


def _pairs(
    heading: str,
    before: Sequence[Picture],
    after: Sequence[Picture],
    moments: Sequence[str],
    width: int,
) -> str:
    figures = []
    for index, pair in enumerate(zip(before, after, strict=True)):
        label = html.escape(moments[index]) if index < len(moments) else str(index + 1)
        pictures = "".join(
            _image(picture, f"{word}, {label}", width)
            for word, picture in zip(("before", "after"), pair, strict=True)
        )
        figures.append(f"<figure>{pictures}<figcaption>{label}</figcaption></figure>")
    if not figures:
        return ""
    key = '<p class="key">Above before, below after.</p>'
    return _section(heading, f'<div class="strip">{"".join(figures)}</div>{key}')


def _texture(texture: Picture | None) -> str:
    if texture is None:
        return ""
    picture = _image(texture, "the actor's texture", TEXTURE_WIDTH)
    return _section("The texture", f'<div class="texture">{picture}</div>')


def _timings(timings: Mapping[str, float]) -> str:
    longest = max(timings.values(), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th>{html.escape(stage)}</th><td class="bar"><span style="width:'
        f'{100 * seconds / longest:.1f}%"></span></td><td>{seconds:.1f} s</td></tr>'
        for stage, seconds in timings.items()
    )
    return _section("Time", f"<table>{rows}</table>" if rows else "")


def _numbers(numbers: Mapping[str, float | int | str | None]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(_figure(value))}</td></tr>"
        for name, value in numbers.items()
    )
    return _section("Numbers", f"<table>{rows}</table>" if rows else "")


def _figure(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _image(picture: Picture, alt: str, width: int) -> str:
    """An ``<img>`` with its pixels inside; ``alt`` is already escaped."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    if image.width > width:
        image = ImageOps.contain(image, (width, 4 * width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{alt}" src="data:image/jpeg;base64,{data}">'


_STYLE = """
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
table { border-collapse: collapse; width: 100%; max-width: 640px; }
th { text-align: left; font-weight: 500; padding-right: 1rem; white-space: nowrap; }
th, td { padding-block: .3rem; border-bottom: 1px solid var(--line); }
tr:last-child > * { border-bottom: 0; }
td { text-align: right; font-variant-numeric: tabular-nums; }
.bar { width: 55%; }
.bar span { display: block; height: .7rem; border-radius: 4px; background: var(--accent);
  min-width: 2px; }
"""
