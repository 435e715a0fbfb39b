"""Reports of an output as one HTML file, which opens anywhere and needs no network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.evaluate.contact_sheets import make_sheet_rows
from dubfew.evaluate.training_curve import draw_training_curve
from dubfew.utils.html import RgbImage, html_section, image_tag, metrics_table, write_html_page

# Largest widths of pictures, px, with which a report stays near 1 MB.
FACE_WIDTH_PX, MOUTH_WIDTH_PX, TEXTURE_WIDTH_PX = 320, 320, 512


def write_report(
    path: Path | str,
    *,
    title: str,
    before: Sequence[RgbImage],
    after: Sequence[RgbImage],
    mouths_before: Sequence[RgbImage] = (),
    mouths_after: Sequence[RgbImage] = (),
    moments: Sequence[str] = (),
    texture: RgbImage | None = None,
    curve: Sequence[tuple[int, float, float]] = (),
    timings: Mapping[str, float] | None = None,
    numbers: Mapping[str, float | int | str | None] | None = None,
    note: str = "",
) -> None:
    """Write a self-contained HTML page, atomically; parts that are not given are left out.

    Args:
        path: file to write.
        title: heading of the page.
        before: frames of the original. [H, W, 3] each
        after: frames of the output at the same moments. [H, W, 3] each
        mouths_before: mouths of the original, which are shown enlarged. [h, w, 3] each
        mouths_after: mouths of the output at the same moments. [h, w, 3] each
        moments: labels of the frames, such as "1.20 s".
        texture: the actor's texture as a picture. [H, W, 3]
        curve: step, seconds and held-out PSNR in dB in the course of training.
        timings: seconds by stage, shown as bars.
        numbers: values by name, shown as a table; None is shown as a dash.
        note: a sentence under the heading.

    Raises:
        ShapeError: There are not as many pictures after as before.
    """
    # Every picture of the output needs its original beside it.
    for ours, theirs, name in (
        (before, after, "frames"),
        (mouths_before, mouths_after, "mouths"),
    ):
        if len(ours) != len(theirs):
            raise ShapeError(
                f"the report has {len(ours)} {name} before and {len(theirs)} after: "
                "give the same moments of both"
            )
    # Empty sections are left out by the page.
    sections = [
        _pairs_section("Before and after", before, after, moments, FACE_WIDTH_PX),
        _pairs_section("The mouths", mouths_before, mouths_after, moments, MOUTH_WIDTH_PX),
        _texture_section(texture),
        html_section("Training: PSNR on held-out frames, dB", draw_training_curve(curve)),
        _timings_section(timings or {}),
        metrics_table("Numbers", numbers or {}),
    ]
    write_html_page(path, title, sections, note=note)


def write_video_report(
    reference: Path | str,
    output: Path | str,
    path: Path | str,
    *,
    title: str,
    count: int = 6,
    landmarks: NDArray[np.float32] | None = None,
    texture: RgbImage | None = None,
    curve: Sequence[tuple[int, float, float]] = (),
    timings: Mapping[str, float] | None = None,
    numbers: Mapping[str, float | int | str | None] | None = None,
    note: str = "",
) -> None:
    """Write the report of a rendered video, with evenly spaced moments of scene and output.

    Args:
        reference: the scene before.
        output: the scene after, at least as long.
        path: HTML file to write.
        title: heading of the page.
        count: number of moments.
        landmarks: landmarks of the reference if they are known, px. [N, 478, 3]
        texture: the actor's texture as a picture. [H, W, 3]
        curve: see `write_report`.
        timings: see `write_report`.
        numbers: see `write_report`.
        note: see `write_report`.

    Raises:
        NoFaceError: The reference shows no face.
        MediaError: A file cannot be read, or the output is shorter than the reference.
    """
    videos = {"before": Path(reference), "after": Path(output)}
    # The scene comes first: its landmarks say where to crop in both.
    (before, after), moments = make_sheet_rows(videos, count=count, landmarks=landmarks)
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


def _pairs_section(
    heading: str,
    before: Sequence[RgbImage],
    after: Sequence[RgbImage],
    moments: Sequence[str],
    width: int,
) -> str:
    """Pictures of two clips above each other, moment by moment."""
    figures = []
    for index, pair in enumerate(zip(before, after, strict=True)):
        # Without labels the pictures are numbered from 1.
        label = moments[index] if index < len(moments) else str(index + 1)
        pictures = "".join(
            image_tag(pixels, f"{word}, {label}", width)
            for word, pixels in zip(("before", "after"), pair, strict=True)
        )
        figures.append(f"<figure>{pictures}<figcaption>{html.escape(label)}</figcaption></figure>")
    if not figures:
        return ""
    key = '<p class="key">Above before, below after.</p>'
    return html_section(heading, f'<div class="strip">{"".join(figures)}</div>{key}')


def _texture_section(texture: RgbImage | None) -> str:
    """The texture as a picture."""
    if texture is None:
        return ""
    image = image_tag(texture, "the actor's texture", TEXTURE_WIDTH_PX)
    return html_section("The texture", f'<div class="texture">{image}</div>')


def _timings_section(timings: Mapping[str, float]) -> str:
    """Seconds of each stage as bars."""
    longest = max(timings.values(), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th>{html.escape(stage)}</th><td class="bar"><span style="width:'
        f'{100 * seconds / longest:.1f}%"></span></td><td>{seconds:.1f} s</td></tr>'
        for stage, seconds in timings.items()
    )
    return html_section("Time", f"<table>{rows}</table>" if rows else "")
