"""Tracking benchmark on real clips: landmark error, jitter, and closings of the lips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from benchmarks.common import markdown_table
from benchmarks.transcript import CLOSED_GAP, grid_text
from dubfew.errors import DubfewError
from dubfew.media import read_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.reconstruction.fitting.track_quality import (
    LIP_RING_LANDMARKS,
    TrackStability,
    measure_stability,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.speech.transcript.align import align_transcript
from dubfew.speech.transcript.transcript import TranscriptCue
from dubfew.speech.visemes import BILABIAL_LETTERS

# Speed of the lips' gap below which a mouth is at rest, eye distances per second.
MAX_QUIET_MOUTH_SPEED = 0.1
# Smallest depth of a closing in the curve of the gap, eye distances.
MIN_CLOSING_PROMINENCE = 0.03
# Longest closing that counts, s: slower ones do not test the lag.
MAX_CLOSING_SECONDS = 0.2
# Frames around a detected closing in which the track's closing is searched.
CLOSING_SEARCH_FRAMES = 2
# Means of fewer frames are not printed.
MIN_MEAN_FRAMES = 10
# Smoothing of the gap's curve before its speed is taken, s.
GAP_SMOOTHING_SECONDS = 0.06
# Time around a bilabial in which the lips may be closed, s.
BILABIAL_MARGIN_SECONDS = 0.04


@dataclass(frozen=True)
class Closings:
    """Fast closings of the lips in one clip, detected and in the track.

    Attributes:
        fast: number of detected closings: minima of the gap that are deep and short.
        missed: number of these closings that are less than half as deep in the track.
        late: mean lag of the track's minimum, frames.
        moved: fraction of minima that lie in another frame of the track.
        shallower: mean excess of the track's gap in them, % of the eye distance.
        asked: number of bilabials in the words; None without a transcript.
        seen: number of bilabials with detected lips closed.
        kept: number of these bilabials that are closed in the track as well.
    """

    fast: int
    missed: int
    late: float
    moved: float
    shallower: float
    asked: int | None = None
    seen: int | None = None
    kept: int | None = None


def measure_clip(clip: Path) -> tuple[list[object], Closings]:
    """Track a clip; return its row of the table and its closings."""
    track = track_video(clip)
    head = load_head_model(track.head)
    stability = measure_stability(track, head)
    still = stability.is_still & np.isfinite(stability.jitter)
    quiet = still & _find_quiet_frames(track, stability)
    row: list[object] = [
        clip.stem,
        len(track),
        f"{100 * track.valid.mean():.0f}",
        float(np.median(stability.eye_distance_px)),
        float(np.nanmean(stability.error_px)),
        100 * float(np.nanmean(stability.error)),
    ]
    for frames in (still, quiet):
        ours, detectors = (
            100 * float(jitter[frames].mean()) if frames.sum() >= MIN_MEAN_FRAMES else None
            for jitter in (stability.jitter, stability.detector_jitter)
        )
        row += [int(frames.sum()), detectors, ours, ours / detectors if ours else None]
    return row, measure_closings(clip, track, stability)


def format_clips(rows: list[list[object]]) -> str:
    """Format the table of clips as Markdown; its last row holds means."""
    headers = [
        "clip", "frames", "face in %", "eye distance px", "error px", "error %",
        "head still, frames", "detector's jitter %", "jitter %", "ratio",
        "and mouth quiet, frames", "detector's jitter %", "jitter %", "ratio",
    ]  # fmt: skip
    last: list[object] = ["**mean**"]
    for index in range(1, len(headers)):
        values = [row[index] for row in rows if isinstance(row[index], (int, float))]
        last.append(float(np.mean(values)) if values else None)
    return "## Real clips\n\n" + markdown_table(headers, [*rows, last])


def format_closings(closings: dict[str, Closings]) -> str:
    """Format the table of closings as Markdown; its last row holds sums and means."""
    rows: list[list[object]] = [[name, *vars(clip).values()] for name, clip in closings.items()]
    fast = np.array([clip.fast for clip in closings.values()])
    means = [
        float(np.average([getattr(clip, name) for clip in closings.values()], weights=fast))
        for name in ("late", "moved", "shallower")
    ]
    sums = [
        sum(value for clip in closings.values() if (value := getattr(clip, name)) is not None)
        for name in ("fast", "missed", "asked", "seen", "kept")
    ]
    rows.append(["**all**", *sums[:2], *means, *sums[2:]])
    headers = [
        "clip", "fast closings", "missed", "late, frames", "moved", "shallower %",
        "/p b m/ said", "closed in the detector", "and in the track",
    ]  # fmt: skip
    return "## Closing lips\n\n" + markdown_table(headers, rows)


def measure_closings(clip: Path, track: Track, stability: TrackStability) -> Closings:
    """Compare the closings of the lips in a track with the detected ones."""
    theirs, ours = (
        measure_lip_gap(track.landmarks[:, LIP_RING_LANDMARKS, :2], stability),
        measure_lip_gap(stability.lip_points, stability),
    )
    # A closing is a minimum of the gap that is deep and short.
    longest = MAX_CLOSING_SECONDS * float(track.fps)
    frames, shape = find_peaks(
        -theirs, prominence=MIN_CLOSING_PROMINENCE, width=(0, longest), rel_height=0.5
    )
    reach = CLOSING_SEARCH_FRAMES
    inside = (frames >= reach) & (frames < len(theirs) - reach) & track.valid[frames]
    # Compare every closing with the track's minimum nearby.
    late, missed, deeper = [], 0, []
    for frame, depth in zip(frames[inside], shape["prominences"][inside], strict=True):
        near = slice(frame - reach, frame + reach + 1)
        late.append(int(np.argmin(ours[near])) - reach)
        deeper.append(ours[frame] - theirs[frame])
        missed += bool(ours[near].max() - ours[near].min() < 0.5 * min(depth, np.ptp(theirs[near])))
    bilabials = _count_bilabials(clip, track, theirs, ours)
    if not late:
        return Closings(0, 0, 0.0, 0.0, 0.0, *bilabials)
    return Closings(
        len(late),
        missed,
        float(np.mean(late)),
        float(np.mean(np.array(late) != 0)),
        100 * float(np.mean(deeper)),
        *bilabials,
    )


def measure_lip_gap(
    lips: NDArray, stability: TrackStability
) -> NDArray[np.float64]:  # [N, 40, 2] -> [N]
    """Measure the gap in the middle of the inner lips (three pairs), in eye distances."""
    upper, lower = lips[:, 24:27], lips[:, [36, 35, 34]]
    distance = np.linalg.norm(upper.astype(np.float64) - lower, axis=-1).mean(1)
    return np.asarray(distance / stability.eye_distance_px)


def _find_quiet_frames(track: Track, stability: TrackStability) -> NDArray[np.bool_]:
    """Find the frames in which the detected mouth is at rest. [N]"""
    fps = float(track.fps)
    gap = measure_lip_gap(track.landmarks[:, LIP_RING_LANDMARKS, :2], stability)
    curve = gaussian_filter1d(gap, GAP_SMOOTHING_SECONDS * fps)
    return np.asarray(np.abs(np.gradient(curve)) * fps < MAX_QUIET_MOUTH_SPEED)


def _count_bilabials(
    clip: Path, track: Track, theirs: NDArray, ours: NDArray
) -> tuple[int, int, int] | tuple[()]:
    """Count the bilabials of a GRID sentence.

    Returns:
        Number of bilabials, of those with detected lips closed, and of those closed in the track
        as well; empty for other clips.
    """
    if not clip.stem.startswith("grid_"):
        return ()
    try:
        phones = align_transcript(
            read_audio(clip, rate=SPEECH_SAMPLE_RATE_HZ),
            [TranscriptCue(grid_text(clip.stem))],
            "en",
        ).phones
    except DubfewError:  # the sound does not fit the words
        return ()
    asked = [phone for phone in phones if phone.symbol in BILABIAL_LETTERS]
    seen = kept = 0
    for phone in asked:
        inside = (track.times >= phone.start - BILABIAL_MARGIN_SECONDS) & (
            track.times <= phone.end + BILABIAL_MARGIN_SECONDS
        )
        if inside.any() and theirs[inside].min() < CLOSED_GAP:
            seen += 1
            kept += bool(ours[inside].min() < CLOSED_GAP)
    return len(asked), seen, kept
