"""What a track looks like: an HTML page with the mesh on the picture and its figures by frame."""

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

NUM_SPREAD_FRAMES, NUM_WORST_FRAMES = (
    8,
    4,
)  # pictures evenly in time, and of the frames that fit least
OVERLAY_SIZE_PX = 320  # px of a picture
MESH_COLOR, LANDMARK_COLOR = (90, 220, 255), (255, 90, 60)
MIN_WORST_GAP_FRAMES = 10  # frames at least between two of the worst


def write_track_report(
    path: Path | str, video: Path | str, track: Track, head: HeadModel | None = None
) -> None:
    """Write a self-contained page about a track, atomically.

    Pictures of the fitted mesh and the detector's lips on frames of the video, curves of landmark
    error and of the lips' jitter, the frames that are left alone and why. Memory and page do not
    grow with the clip, but for figures of 0.4 kB a frame while it is written.

    Args:
        path: where to.
        video: what was tracked.
        track: of that video, or of a part of it.
        head: the head model of the track, if already loaded.

    Raises:
        MediaError: the video cannot be read.
        AssetError: the track's head model is not there.
    """
    head = head or load_head_model(track.head)
    found = measure_stability(track, head)
    rows = select_report_rows(track, found)
    moments = [f"{track.times[row]:.2f} s, error {100 * found.error[row]:.2f} %" for row in rows]
    pictures = "".join(
        f"<figure>{image_tag(pixels, moment, OVERLAY_SIZE_PX)}"
        f"<figcaption>{moment}</figcaption></figure>"
        for pixels, moment in zip(draw_overlays(video, track, head, rows), moments, strict=True)
    )
    percent = "% of the distance of the outer eye corners"
    write_html_page(
        path,
        f"Track of {Path(video).name}",
        [
            html_section(
                "The head on the picture",
                f'<div class="strip">{pictures}</div><p class="key">Blue: the head as fitted. Red: '
                "the lips as the detector saw them. First frames spread over the clip, then those "
                "that fit least.</p>"
                if pictures
                else "",
            ),
            html_section(
                f"Distance of the fitted head from the detector's landmarks, {percent}",
                render_curves_svg(track, {"error": 100 * found.error}),
            ),
            html_section(
                f"Jitter of the lips, {percent}",
                render_curves_svg(
                    track,
                    {"detector": 100 * found.detector_jitter, "track": 100 * found.jitter},
                )
                + '<p class="key">Second difference over three frames; grey: the detector\'s. What '
                "a mouth and a head really do is part of both. Shaded: frames that later stages "
                "leave as they are; dashed: cuts.</p>",
            ),
            metrics_table("Figures", summarize_track(track, found)),
            metrics_table("Frames that are left as they are", count_flagged_frames(track)),
        ],
    )


def summarize_track(track: Track, stability: TrackStability) -> dict[str, float | int | str | None]:
    """The track in figures, by the names that the page gives them."""
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
    """How many frames have each flaw."""
    return {
        words: count
        for bit, words in FLAG_DESCRIPTIONS.items()
        if (count := int(np.count_nonzero(track.flags & bit)))
    }


def select_report_rows(track: Track, stability: TrackStability) -> list[int]:
    """Rows to show: some spread over the frames with a face, then those that fit least."""
    valid = np.flatnonzero(track.valid)
    places = (np.arange(min(NUM_SPREAD_FRAMES, len(valid))) + 0.5) * len(valid) / NUM_SPREAD_FRAMES
    spread = [int(valid[int(min(place, len(valid) - 1))]) for place in places]
    worst: list[int] = []
    for row in np.argsort(-np.nan_to_num(stability.error, nan=-1.0)):
        if len(worst) == NUM_WORST_FRAMES or not track.valid[row]:
            break
        if all(abs(int(row) - other) >= MIN_WORST_GAP_FRAMES for other in worst):
            worst.append(int(row))
    return [*dict.fromkeys([*spread, *worst])]


def draw_overlays(
    video: Path | str, track: Track, head: HeadModel, rows: Sequence[int]
) -> Iterator[RgbImage]:
    """The face in these rows' frames with the fitted mesh and the detector's lips drawn on it, in
    the order of ``rows``. [SIDE, SIDE, 3] each"""
    drawn: dict[int, RgbImage] = {}
    waiting = sorted(set(rows))
    for frame in read_frames(video):
        if not waiting:
            break
        # The track may be of a part of the video: its times are those of the video.
        if frame.time < track.times[waiting[0]] - 0.5 / float(track.fps):
            continue
        row = waiting.pop(0)
        left, top, right, bottom = _clip_face_box(track, row)
        drawn[row] = _draw_overlay(
            frame.crop_rgb(left, top, right, bottom), (left, top), track.select([row]), head
        )
    yield from (drawn[row] for row in rows if row in drawn)


def _clip_face_box(track: Track, row: int) -> tuple[int, int, int, int]:
    """The face's box inside the frame, px."""
    limits = np.array([track.width, track.height] * 2)
    left, top, right, bottom = np.clip(np.round(track.box[row]), 0, limits).astype(int)
    left, top = min(left, track.width - 2), min(top, track.height - 2)
    return left, top, max(right, left + 2), max(bottom, top + 2)


def _draw_overlay(
    pixels: RgbImage, corner: tuple[int, int], frame_track: Track, head: HeadModel
) -> NDArray[np.uint8]:
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
    ink = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(ink)
    for start, end in _find_front_edges(mesh, head.faces):
        draw.line([*mesh[start], *mesh[end]], fill=(*MESH_COLOR, 110), width=1)
    for x, y in lips:
        draw.ellipse([x - 1.3, y - 1.3, x + 1.3, y + 1.3], fill=(*LANDMARK_COLOR, 255))
    return np.asarray(Image.alpha_composite(image.convert("RGBA"), ink).convert("RGB"))


def _find_front_edges(mesh: NDArray, faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Edges of the faces that are turned to the camera. [K, 2]"""
    a, b, c = (mesh[faces[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    front = faces[area < 0]  # counter-clockwise, with y down
    pairs = np.concatenate([front[:, [0, 1]], front[:, [1, 2]], front[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)
