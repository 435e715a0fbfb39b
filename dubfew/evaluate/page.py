"""Page about the measures of an output: curves, worst moments as loops, differences, track."""

from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubfew.evaluate.compare import UNPAINTED_METRIC, EvaluationResult, describe_unavailable
from dubfew.evaluate.face_geometry import (
    FACE_CROP_SIZE_PX,
    LIP_POINTS,
    PixelBox,
    clip_mouth_box,
    face_boxes,
    mouth_opening,
)
from dubfew.evaluate.gate import BrokenLimit
from dubfew.evaluate.metrics import METRICS, Metric
from dubfew.evaluate.regions import mouth_region
from dubfew.media import Frame, VideoInfo, VideoWriter, probe, read_frames
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.media.speech_span import read_levels_db
from dubfew.reconstruction.svg_curves import (
    CURVE_MARGIN_LEFT,
    CURVE_MARGIN_RIGHT,
    CURVE_WIDTH_UNITS,
    render_curves_svg,
)
from dubfew.render.report import MAX_MOMENTS, MIN_MOMENT_GAP_SECONDS, pick_moments
from dubfew.speech.visemes import SILENCE_SYMBOL, Phone
from dubfew.utils.html import RgbImage, html_section, image_tag, write_html_page

# Edge of a picture of a mouth, px: mouths are enlarged to it.
MOUTH_PX = 240
# Time before and after a moment that its loop shows, s: the syllable around it.
LOOP_SECONDS = 0.5
# Quality of the loops, x264's scale: faults stay visible.
LOOP_CRF = 20
# A frame is a moment to look at where a measure is this many times as far from its middle as half
# of the frames are. Speech itself reaches three.
MOMENT_SPREADS = 4.0
# Rank of a moment in which a limit is not kept: above all others.
BROKEN_SCORE = 1e9
# Begin of the reason of such a moment.
LIMIT_PREFIX = "limit: "
# Most other measures that are named beside a moment's first reason.
MAX_OTHER_REASONS = 3
# Difference that is drawn at full strength in the heat map, 8-bit levels: plain to see.
HEAT_LEVELS = 40.0
# Level of sound that is drawn at the bottom, dB below full scale.
SOUND_BOTTOM_DB = 50.0
# Height of the row of phonemes, and width below which a phoneme has no letter, units.
PHONE_ROW_UNITS, MIN_PHONE_UNITS = 26, 6


def write_evaluation_page(
    path: Path,
    result: EvaluationResult,
    *,
    floor: Mapping[str, EvaluationResult] | None = None,
    broken: Sequence[BrokenLimit] = (),
) -> None:
    """Write the page.

    Args:
        path: HTML file to write.
        result: measures of the output, as `dubfew.evaluate.compare.evaluate` returns them.
        floor: measures of the noise by row, see `dubfew.evaluate.noise_floor`.
        broken: limits that the output does not keep.

    Raises:
        MediaError: A video cannot be read any more.
        OSError: The page cannot be written.
    """
    clips, track = result.clips, result.track
    if clips is None or track is None:
        raise ValueError("the result has no clips: only evaluate() makes one that can be shown")
    # Where one video is longer than the other, only what both have was measured.
    track = track.select(slice(0, result.frames))
    moments = find_worst_moments(result, broken)[:MAX_MOMENTS]
    views = _collect_views(result, [row for row, _ in moments])
    # A curve that is flat or empty shows nothing and hides those that do.
    curves = {
        name: curve.values
        for name, curve in result.curves.items()
        if np.isfinite(curve.values).any() and np.nanmax(curve.values) > np.nanmin(curve.values)
    }
    sections = [
        _limits_section(broken),
        _table_section(result, floor or {}),
        _moments_section(moments, views, result),
        html_section(
            "Where the output differs from the original, mean of all frames", views.heat()
        ),
        _opening_section(result),
        *(
            html_section(
                f"{name}, {METRICS[name].unit}" if METRICS[name].unit else name,
                render_curves_svg(track, {name: np.where(np.isfinite(values), values, np.nan)}),
            )
            for name, values in curves.items()
        ),
        _unpainted_section(result),
    ]
    note = (
        f"{clips.output} against {clips.reference}, {result.frames} frames. "
        f"{len(moments)} moments to look at."
    )
    write_html_page(path, f"Measures of {clips.output.name}", sections, note=note)


def find_worst_moments(
    result: EvaluationResult, broken: Sequence[BrokenLimit] = ()
) -> list[tuple[int, str]]:
    """Find the frames to look at, the worst first, and say why.

    First the worst frame of every place in which a limit is not kept, then frames that stand out
    from the rest in a measure, and the worst frame of one that applies to any line, if it is poor:
    what is bad throughout does not stand out. A measure of which half of the frames have one value
    (such as 0) takes its spread from the other frames.

    Args:
        result: measures with values of frames.
        broken: limits that the output does not keep.

    Returns:
        Frames and reasons.
    """
    candidates = list(_find_broken_moments(result, broken))
    for name, curve in result.curves.items():
        metric = METRICS[name]
        # Every frame of another line would stand out.
        if metric.needs_same_line and result.same_line is False:
            continue
        worse = metric.badness(curve.values)
        finite = worse[np.isfinite(worse)]
        if not len(finite):
            continue
        middle = float(np.median(finite))
        distances = np.abs(finite - middle)
        # A median, as a few bad frames would widen a deviation and hide themselves.
        spread = float(np.median(distances)) or float(distances.mean())
        score = np.zeros(len(worse))
        with np.errstate(invalid="ignore"):
            if spread > 0:
                score = (worse - middle) / spread
        # Frames that were left as they were have a section of their own.
        if not metric.needs_same_line and name != UNPAINTED_METRIC:
            row = int(np.nanargmax(worse))
            score[row] = max(score[row], MOMENT_SPREADS * _measure_poorness(metric, worse[row]))
        for row in np.flatnonzero(np.isfinite(score) & (score > MOMENT_SPREADS)):
            reason = f"{name} {curve.values[row]:.3g} {metric.unit}".rstrip()
            candidates.append((float(score[row]), int(row), reason))
    if result.clips is None:
        return []
    times = result.clips.output_times
    return [
        (row, "; ".join([reason, *_list_other_reasons(candidates, row, reason, times)]))
        for row, reason in pick_moments(candidates, times)
    ]


def _list_other_reasons(
    candidates: Sequence[tuple[float, int, str]],
    row: int,
    reason: str,
    times: NDArray[np.float64],
) -> list[str]:
    """List what else stands out in the syllable around a frame, the worst of each measure."""
    seen, others = {_name_measure(reason)}, []
    for _, other, why in sorted(candidates, reverse=True):
        near = abs(times[other] - times[row]) < MIN_MOMENT_GAP_SECONDS
        if near and _name_measure(why) not in seen:
            seen.add(_name_measure(why))
            others.append(why)
    return others[:MAX_OTHER_REASONS]


def _name_measure(reason: str) -> str:
    """Take the measure's name from a reason."""
    return reason.removeprefix(LIMIT_PREFIX).split()[0]


def _find_broken_moments(
    result: EvaluationResult, broken: Sequence[BrokenLimit]
) -> Iterator[tuple[float, int, str]]:
    """Find the worst frame of each place in which a limit is not kept."""
    for limit in broken:
        curve = result.curves.get(limit.metric)
        if curve is None:
            continue
        metric = METRICS[limit.metric]
        worse = np.nan_to_num(metric.badness(curve.values), nan=-np.inf)
        for order, place in enumerate(limit.places):
            row = place.first + int(np.argmax(worse[place.first : place.last + 1]))
            value = f"{limit.metric} {curve.values[row]:.3g} {metric.unit}".rstrip()
            # Before all others; the longest place comes first.
            yield BROKEN_SCORE - order, row, LIMIT_PREFIX + value


def _measure_poorness(metric: Metric, worse: float) -> float:
    """Scale how bad a frame is: 0 at the metric's "good", 1 at its "poor"; 0 without."""
    if metric.good is None or metric.poor is None:
        return 0.0
    # Of a metric that should be near its best value, both are distances to it.
    offset = metric.best if metric.direction == "closer" else 0.0
    good, poor = metric.badness(np.array([metric.good, metric.poor]) + offset)
    return float((worse - good) / (poor - good))


@dataclass
class _Views:
    """Pictures of the moments, and the sum of all differences.

    Attributes:
        loops: pictures of each moment's frames: original, output and difference side by side.
        overlays: the moment's face with landmarks and mask.
        total: sum of the differences of the face crops. [256, 256]
        count: number of frames in it.
        face: face crop of the original, below the heat map. [256, 256, 3]
    """

    loops: dict[int, list[RgbImage]] = field(default_factory=dict)
    overlays: dict[int, RgbImage] = field(default_factory=dict)
    total: NDArray[np.float64] = field(
        default_factory=lambda: np.zeros((FACE_CROP_SIZE_PX, FACE_CROP_SIZE_PX))
    )
    count: int = 0
    face: RgbImage | None = None

    def heat(self) -> str:
        """Draw the mean difference over a gray face as an HTML image."""
        if self.face is None:
            return ""
        mean = self.total / max(1, self.count)
        picture = _paint_heat(self.face, mean)
        key = f'<p class="key">Full red: {HEAT_LEVELS:.0f} levels of 255 and more.</p>'
        tag = image_tag(picture, "mean difference", FACE_CROP_SIZE_PX)
        return f'<div class="texture">{tag}</div>{key}'


def _paint_heat(picture: RgbImage, difference: NDArray[np.float64]) -> RgbImage:
    """Paint differences [H, W] in red over a gray picture [H, W, 3]."""
    gray = picture.mean(-1, keepdims=True) * 0.6
    share = np.clip(difference / HEAT_LEVELS, 0, 1)[..., None]
    red = np.array([255.0, 40.0, 20.0])
    return np.asarray(np.rint(gray + share * (red - gray)), np.uint8)


def _collect_views(result: EvaluationResult, rows: Sequence[int]) -> _Views:
    """Read both videos once more, and keep only what the page shows."""
    clips, track = result.clips, result.track
    assert clips is not None
    assert track is not None
    info = probe(clips.reference)
    marks = clips.reference_landmarks
    width, height = info.square_size
    mouth = _square(clip_mouth_box(marks, height, width), width, height)
    faces = face_boxes(marks, height, width)
    region = mouth_region(track)
    # A loop of at least three frames, also at very low frame rates.
    reach = max(1, round(LOOP_SECONDS * float(info.fps)))
    views = _Views(loops={row: [] for row in rows})
    # Both files are decoded a second time: keeping all frames from the measuring would fill the
    # memory.
    pairs = zip(read_frames(clips.reference), read_frames(clips.output), strict=False)
    for index, (first, second) in enumerate(pairs):
        # One of the videos may go on; nothing was measured there.
        if index == result.frames:
            break
        face = faces[index]
        if face is not None:
            before, after = (
                face.crop_resized(_whole(each, face), FACE_CROP_SIZE_PX) for each in (first, second)
            )
            views.total += _difference(before, after)
            views.count += 1
            views.face = before if views.face is None else views.face
        # Loops of neighboring moments may share frames.
        near = [row for row in rows if abs(row - index) <= reach]
        if near:
            both = [_enlarge(each, mouth) for each in (first, second)]
            heat = _paint_heat(both[0], _difference(*both))
            for row in near:
                views.loops[row].append(np.concatenate([*both, heat], axis=1))
        if index in rows and face is not None:
            views.overlays[index] = _draw_overlay(
                second.to_rgb(), face, clips.output_landmarks[index], region(index)
            )
    return views


def _whole(frame: Frame, box: PixelBox) -> RgbImage:
    """A frame of which only a box is right, so that only the box is converted to RGB."""
    picture = np.zeros((frame.height, frame.width, 3), np.uint8)
    box.crop(picture)[...] = frame.crop_rgb(box.left, box.top, box.right, box.bottom)
    return picture


def _difference(first: RgbImage, second: RgbImage) -> NDArray[np.float64]:
    """Mean difference of the channels. [H, W]"""
    return np.abs(first.astype(np.float64) - second).mean(-1)


def _square(box: PixelBox, width: int, height: int) -> PixelBox:
    """The square of a box's longer edge about its center, inside of the frame."""
    side = min(max(box.width, box.height), width, height)
    left = int(np.clip((box.left + box.right - side) // 2, 0, width - side))
    top = int(np.clip((box.top + box.bottom - side) // 2, 0, height - side))
    return PixelBox(left, top, left + side, top + side)


def _enlarge(frame: Frame, box: PixelBox) -> RgbImage:
    """Crop a frame to a square and enlarge it."""
    pixels = frame.crop_rgb(box.left, box.top, box.right, box.bottom)
    return np.asarray(
        Image.fromarray(pixels).resize((MOUTH_PX, MOUTH_PX), Image.Resampling.BICUBIC)
    )


def _draw_overlay(
    picture: RgbImage,
    box: PixelBox,
    landmarks: NDArray[np.float32],
    mask: NDArray[np.bool_] | None,
) -> RgbImage:
    """Draw the edge of the mask, and the lips that are found in the output. [240, 240, 3]"""
    cut = box.crop(picture).copy()
    if mask is not None:
        inside = box.crop(mask)
        # Pixels of the mask with a neighbor outside of it.
        edge = inside & ~(
            np.roll(inside, 1, 0)
            & np.roll(inside, -1, 0)
            & np.roll(inside, 1, 1)
            & np.roll(inside, -1, 1)
        )
        cut[edge] = (255, 200, 0)
    image = Image.fromarray(cut).resize((MOUTH_PX, MOUTH_PX), Image.Resampling.BICUBIC)
    if np.isfinite(landmarks).all():
        draw = ImageDraw.Draw(image)
        scale = MOUTH_PX / box.width
        for x, y in (landmarks[list(LIP_POINTS), :2] - (box.left, box.top)) * scale:
            draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(0, 255, 180))
    return np.asarray(image)


def _encode_loop(frames: Sequence[RgbImage], fps: Fraction) -> str:
    """Encode pictures as an MP4 in base64."""
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="dubfew-page-") as folder:
        path = Path(folder) / "loop.mp4"
        with VideoWriter(path, VideoInfo(path, width, height, fps), crf=LOOP_CRF) as writer:
            for index, frame in enumerate(frames):
                writer.write(Frame.from_rgb(frame, index, fps))
        return base64.b64encode(path.read_bytes()).decode()


def _limits_section(broken: Sequence[BrokenLimit]) -> str:
    """List the limits that are not kept."""
    items = "".join(f"<li>{html.escape(each.describe())}</li>" for each in broken)
    return html_section("Limits that are not kept", f"<ul>{items}</ul>" if items else "")


def _table_section(result: EvaluationResult, floor: Mapping[str, EvaluationResult]) -> str:
    """All measures with their intervals, verdicts, and the noise."""
    header = "".join(
        f"<th>{html.escape(word)}</th>" for word in ("", "value", "95 %", "verdict", *floor)
    )
    rows = []
    for name, value in result.to_display().items():
        if name in result.unavailable:
            continue
        metric = METRICS.get(name)
        unsure = metric is not None and metric.needs_same_line and result.same_line is False
        verdict = ""
        if metric is not None and not isinstance(value, str):
            verdict = "says nothing of another line" if unsure else metric.grade(value)
        ends = result.intervals.get(name, (math.nan, math.nan))
        span = f"{ends[0]:.3g} to {ends[1]:.3g}" if np.isfinite(ends).all() else ""
        # A dash rather than "nan": the measure exists and found nothing to measure.
        is_number = not isinstance(value, str) and not math.isnan(value)
        shown = value if isinstance(value, str) else f"{value:.4g}" if is_number else "-"
        unit = metric.unit if metric is not None and is_number else ""
        noise = [row.to_display().get(name) for row in floor.values()]
        cells = [
            html.escape(name),
            html.escape(f"{shown} {unit}".rstrip()),
            span,
            verdict,
            *("" if each is None or isinstance(each, str) else f"{each:.4g}" for each in noise),
        ]
        # The first cell is the row's head, for readers who hear the page.
        rows.append(
            f"<tr><th>{cells[0]}</th>"
            + "".join(f'<td style="white-space:nowrap">{cell}</td>' for cell in cells[1:])
            + "</tr>"
        )
    body = f'<table style="max-width:none"><tr>{header}</tr>{"".join(rows)}</table>'
    missing = "".join(
        f'<p class="key">Not measured: {html.escape(line)}</p>'
        for line in describe_unavailable(result.unavailable)
    )
    return html_section("Measures", body + missing)


def _moments_section(
    moments: Sequence[tuple[int, str]], views: _Views, result: EvaluationResult
) -> str:
    """Loops of the worst moments, and their faces with landmarks and mask."""
    if result.clips is None:
        return ""
    fps = probe(result.clips.reference).fps
    figures = []
    for row, reason in moments:
        # A moment whose frames could not be decoded again has no loop.
        if not views.loops[row]:
            continue
        time = float(result.clips.output_times[row])
        # The loop is inside the page, so that one file can be sent to somebody else.
        video = (
            '<video autoplay loop muted playsinline controls style="display:block;width:100%" '
            f'src="data:video/mp4;base64,{_encode_loop(views.loops[row], fps)}"></video>'
        )
        overlay = views.overlays.get(row)
        face = "" if overlay is None else image_tag(overlay, f"track, {time:.2f} s", MOUTH_PX)
        figures.append(
            f'<figure style="display:grid;grid-template-columns:3fr 1fr;gap:.5rem">{video}'
            f"<div>{face}</div><figcaption>{time:.2f} s, frame {row}: {html.escape(reason)}"
            "</figcaption></figure>"
        )
    if not figures:
        return ""
    key = (
        '<p class="key">Left the original, then the output, then their difference in red; each '
        f"loop is {2 * LOOP_SECONDS:g} s. Right: the output's face, dots: lips that are found "
        "there, line: the mask of the original's track.</p>"
    )
    return html_section("Worst moments first", "".join(figures) + key)


def _opening_section(result: EvaluationResult) -> str:
    """Curves of both mouths over the sound, with the phonemes below where they are known."""
    clips, track = result.clips, result.track
    if clips is None or track is None:
        return ""
    track = track.select(slice(0, result.frames))
    openings = [mouth_opening(each) for each in (clips.reference_landmarks, clips.output_landmarks)]
    highest = max((float(np.nanmax(each)) for each in openings if has_value(each)), default=1.0)
    curves = {"original": openings[0], "output": openings[1]}
    if probe(clips.output).has_audio:
        levels, _ = read_levels_db(clips.output)
        hop = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
        loud = np.interp(clips.output_times, np.arange(len(levels)) * hop, levels)
        share = np.clip(1 + loud / SOUND_BOTTOM_DB, 0, 1)
        # First, so that it lies behind the curves of the mouths; scaled to their height.
        curves = {"sound": share * highest, **curves}
    key = (
        '<p class="key">Strong line: lip gap of the output in eye-corner distances. Faint line: '
        "that of the original. Dotted: the loudness of the output's sound.</p>"
    )
    end = float(clips.output_times[-1])
    phones = draw_phones(clips.phones or (), float(clips.output_times[0]), end)
    return html_section(
        "Mouths and sound", render_curves_svg(track, curves, dotted=("sound",)) + phones + key
    )


def has_value(values: NDArray[np.float64]) -> bool:
    """Tell whether any value is a number."""
    return bool(np.isfinite(values).any())


def draw_phones(phones: Sequence[Phone], start: float, end: float) -> str:
    """Draw phonemes as letters in a row, on the same scale of time as the curves.

    Args:
        phones: sounds with their times.
        start: time at the left end, s.
        end: time at the right end, s.

    Returns:
        SVG; "" without phonemes.
    """
    scale = (CURVE_WIDTH_UNITS - CURVE_MARGIN_LEFT - CURVE_MARGIN_RIGHT) / max(end - start, 1e-6)
    parts = list(_draw_letters(phones, start, end, scale))
    if not parts:
        return ""
    return (
        f'<svg class="curve" viewBox="0 0 {CURVE_WIDTH_UNITS} {PHONE_ROW_UNITS}">'
        f"{''.join(parts)}</svg>"
    )


def _draw_letters(phones: Sequence[Phone], start: float, end: float, scale: float) -> Iterator[str]:
    """Draw the borders of the sounds, and their letters where there is room."""
    for phone in phones:
        if phone.symbol == SILENCE_SYMBOL or phone.end <= start or phone.start >= end:
            continue
        left = CURVE_MARGIN_LEFT + (max(phone.start, start) - start) * scale
        right = CURVE_MARGIN_LEFT + (min(phone.end, end) - start) * scale
        yield f'<line class="grid" x1="{left:.1f}" x2="{left:.1f}" y1="4" y2="22"/>'
        if right - left >= MIN_PHONE_UNITS:
            yield (
                f'<text x="{(left + right) / 2:.1f}" y="17" text-anchor="middle">'
                f"{html.escape(phone.symbol)}</text>"
            )


def _unpainted_section(result: EvaluationResult) -> str:
    """List the frames that were left as they were, and why."""
    items = "".join(
        f"<li>{run.start:.2f} to {run.end:.2f} s: {html.escape(run.reason)}</li>"
        for run in result.unpainted_runs
    )
    return html_section("Frames that were left as they were", f"<ul>{items}</ul>" if items else "")
