"""HTML report of a track: the fitted mesh on frames of the video, and measures of every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dubfew.media import read_frames
from dubfew.reconstruction.fitting.track_quality import (
    LIP_RING_LANDMARKS,
    TrackStability,
    measure_stability,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.svg_curves import render_curves_svg
from dubfew.reconstruction.track import FLAG_DESCRIPTIONS, Track
from dubfew.utils.html import RgbImage, html_section, image_tag, metrics_table, write_html_page

# Images evenly spaced in time, and images of the frames with the largest error. More images make
# the page larger.
NUM_SPREAD_FRAMES, NUM_WORST_FRAMES = 8, 4
# Longer side of an image, px.
OVERLAY_SIZE_PX = 320
# RGB of the mesh and of the detected lips: both stand out from skin.
MESH_COLOR, LANDMARK_COLOR = (90, 220, 255), (255, 90, 60)
# Opacity of the mesh's lines, 0 to 255: the face stays visible below them.
MESH_OPACITY = 110
# Radius of a detected landmark, px of the image.
LANDMARK_RADIUS_PX = 1.3
# Smallest distance of two of the worst frames, so that one bad moment does not fill the page.
MIN_WORST_GAP_FRAMES = 10


def write_track_report(
    path: Path | str, video: Path | str, track: Track, head: HeadModel | None = None
) -> None:
    """Write a self-contained page about a track; the file appears as a whole or not at all.

    The page has images of the fitted mesh and the detected lips on frames of the video, curves of
    the landmark error and of the lips' jitter, and the frames that are left unchanged, by reason.
    Its size does not depend on the clip's length. Memory grows by 0.4 kB per frame.

    Args:
        path: HTML file to write.
        video: the video that was tracked.
        track: track of that video, or of a part of it.
        head: head model of the track, if it is loaded already.

    Raises:
        MediaError: The video cannot be read.
        AssetError: The track's head model cannot be loaded.
    """
    head = head or load_head_model(track.head)
    stability = measure_stability(track, head)
    # A few frames: spread over the clip, and the worst ones.
    rows = select_report_rows(track, stability)
    captions = [
        f"{track.times[row]:.2f} s, error {100 * stability.error[row]:.2f} %" for row in rows
    ]
    figures = "".join(
        f"<figure>{image_tag(pixels, caption, OVERLAY_SIZE_PX)}"
        f"<figcaption>{caption}</figcaption></figure>"
        for pixels, caption in zip(draw_overlays(video, track, head, rows), captions, strict=True)
    )
    # All measures are fractions of the eye distance, so that faces of any size compare.
    percent = "% of the distance of the outer eye corners"
    write_html_page(
        path,
        f"Track of {Path(video).name}",
        [
            html_section(
                "The head on the picture",
                f'<div class="strip">{figures}</div><p class="key">Blue: the head as fitted. Red: '
                "the lips as the detector saw them. First frames spread over the clip, then those "
                "that fit least.</p>"
                if figures
                else "",
            ),
            html_section(
                f"Distance of the fitted head from the detector's landmarks, {percent}",
                render_curves_svg(track, {"error": 100 * stability.error}),
            ),
            html_section(
                f"Jitter of the lips, {percent}",
                render_curves_svg(
                    track,
                    {
                        "detector": 100 * stability.detector_jitter,
                        "track": 100 * stability.jitter,
                    },
                )
                + '<p class="key">Second difference over three frames; grey: the detector\'s. What '
                "a mouth and a head really do is part of both. Shaded: frames that later stages "
                "leave as they are; dashed: cuts.</p>",
            ),
            metrics_table("Figures", summarize_track(track, stability)),
            metrics_table("Frames that are left as they are", count_flagged_frames(track)),
        ],
    )


def summarize_track(track: Track, stability: TrackStability) -> dict[str, float | int | str | None]:
    """Summarize a track in figures.

    Args:
        track: the track.
        stability: its measures.

    Returns:
        Figures by the names that the page shows; None where nothing can be measured.
    """
    # Jitter counts while the head is still: everything that moves then is noise.
    measured = np.isfinite(stability.error)
    still = stability.is_still & np.isfinite(stability.jitter)
    ours, detectors = (
        100 * float(values[still].mean()) if still.any() else None
        for values in (stability.jitter, stability.detector_jitter)
    )
    return {
        "frames": len(track),
        "frames with a face": int(track.valid.sum()),
        "frames that can be used": int(track.usable.sum()),
        "shots": len(np.unique(track.shot)),
        "picture": f"{track.width} x {track.height}, {float(track.fps):.6g} fps",
        "head model": track.head,
        "fitted to": track.method,
        "shape from": track.shape_from,
        "focal length, px": float(track.camera.focal),
        "distance of the eyes, px": float(np.median(stability.eye_distance_px)),
        "landmark error, px": float(stability.error_px[measured].mean())
        if measured.any()
        else None,
        "landmark error, %": 100 * float(stability.error[measured].mean())
        if measured.any()
        else None,
        "frames with a still head": int(still.sum()),
        "jitter in them, detector, %": detectors,
        "jitter in them, track, %": ours,
    }


def count_flagged_frames(track: Track) -> dict[str, float | int | str | None]:
    """Count the frames that are left unchanged, by reason."""
    return {
        reason: count
        for bit, reason in FLAG_DESCRIPTIONS.items()
        if (count := int(np.count_nonzero(track.flags & bit)))
    }


def select_report_rows(track: Track, stability: TrackStability) -> list[int]:
    """Select rows for images: evenly spaced frames with a face, then those with the largest error.

    Args:
        track: the track.
        stability: its measures.
    """
    valid = np.flatnonzero(track.valid)
    positions = np.arange(min(NUM_SPREAD_FRAMES, len(valid))) + 0.5
    positions = positions * len(valid) / NUM_SPREAD_FRAMES
    spread = [int(valid[int(min(position, len(valid) - 1))]) for position in positions]
    worst: list[int] = []
    # Frames without a measure come last.
    for row in np.argsort(-np.nan_to_num(stability.error, nan=-1.0)):
        if len(worst) == NUM_WORST_FRAMES or not track.valid[row]:
            break
        if all(abs(int(row) - other) >= MIN_WORST_GAP_FRAMES for other in worst):
            worst.append(int(row))
    return [*dict.fromkeys([*spread, *worst])]


def draw_overlays(
    video: Path | str, track: Track, head: HeadModel, rows: Sequence[int]
) -> Iterator[RgbImage]:
    """Draw the fitted mesh and the detected lips on the face, in some frames.

    Args:
        video: the video that was tracked.
        track: track of that video, or of a part of it.
        head: head model of the track.
        rows: rows of the track.

    Yields:
        Images in the order of ``rows``; the longer side has ``OVERLAY_SIZE_PX``. [H, W, 3] each

    Raises:
        MediaError: The video cannot be read.
    """
    overlays: dict[int, RgbImage] = {}
    remaining_rows = sorted(set(rows))
    for frame in read_frames(video):
        if not remaining_rows:
            break
        # Times of a track are those of the whole video, also where it covers only a part.
        if frame.time < track.times[remaining_rows[0]] - 0.5 / float(track.fps):
            continue
        row = remaining_rows.pop(0)
        left, top, right, bottom = _clip_face_box(track, row)
        overlays[row] = _draw_overlay(
            frame.crop_rgb(left, top, right, bottom), (left, top), track.select([row]), head
        )
    yield from (overlays[row] for row in rows if row in overlays)


def _clip_face_box(track: Track, row: int) -> tuple[int, int, int, int]:
    """Clip the head's box to the frame, at least 2 px wide and high."""
    # Boxes may reach beyond the frame.
    limits = np.array([track.width, track.height] * 2)
    left, top, right, bottom = np.clip(np.round(track.box[row]), 0, limits).astype(int)
    left, top = min(left, track.width - 2), min(top, track.height - 2)
    return left, top, max(right, left + 2), max(bottom, top + 2)


def _draw_overlay(
    pixels: RgbImage, corner: tuple[int, int], frame_track: Track, head: HeadModel
) -> NDArray[np.uint8]:
    """Draw mesh and lips on a crop [H, W, 3] whose upper left corner is at ``corner`` (px)."""
    # Scale the crop to the size of the page, and mesh and landmarks with it.
    scale = OVERLAY_SIZE_PX / max(pixels.shape[:2])
    image = Image.fromarray(pixels).resize(
        (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))),
        Image.Resampling.LANCZOS,
    )
    vertices = head.vertices(
        frame_track.shape, frame_track.expression, frame_track.jaw, frame_track.neck
    )
    mesh = (project_head_points(vertices, frame_track)[0, :, :2] - corner) * scale
    lips = (frame_track.landmarks[0, LIP_RING_LANDMARKS, :2] - corner) * scale
    # Draw on a transparent layer, so that the lines can be translucent.
    ink = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(ink)
    for start, end in _find_front_edges(mesh, head.faces):
        draw.line([*mesh[start], *mesh[end]], fill=(*MESH_COLOR, MESH_OPACITY), width=1)
    for x, y in lips:
        radius = LANDMARK_RADIUS_PX
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(*LANDMARK_COLOR, 255))
    return np.asarray(Image.alpha_composite(image.convert("RGBA"), ink).convert("RGB"))


def _find_front_edges(mesh: NDArray, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Find the edges of the faces that are turned to the camera. [K, 2]"""
    a, b, c = (mesh[faces[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # Front faces run counter-clockwise on the screen, where y points down.
    front = faces[area < 0]
    pairs = np.concatenate([front[:, [0, 1]], front[:, [1, 2]], front[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)
