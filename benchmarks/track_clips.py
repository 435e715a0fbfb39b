"""Tracks of real clips: error against the detector, jitter, and closing lips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from benchmarks.common import markdown_table
from benchmarks.transcript import CLOSED, grid_text
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

# The lips' gap may change by this share of the eye distance a second: a mouth at rest.
QUIET = 0.1
PROMINENCE = 0.03  # of a closing in the gap's curve, eye distances
FASTEST = 0.2  # s: closings that take longer are no test of lag
REACH = 2  # frames around a closing in which the track's own is looked for
FEW = 10  # frames of which a mean is not worth printing


@dataclass(frozen=True)
class Closings:
    """Fast closings of the lips in one clip: the detector's, and what the track makes of them.

    Attributes:
        fast: minima of the detector's gap that are deep and short.
        missed: of these, how many are less than half as deep in the track.
        late: mean lag of the track's minimum, frames.
        moved: share of minima that lie in another frame.
        shallower: by how much the gap is larger in them, % of the eye distance.
        asked: bilabials that the words ask for; None without a transcript.
        seen: of these, closed according to the detector.
        kept: of those seen closed, closed in the track as well.
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
    """Track a clip: its row of the table, and its closings."""
    track = track_video(clip)
    head = load_head_model(track.head)
    found = measure_stability(track, head)
    still = found.is_still & np.isfinite(found.jitter)
    quiet = still & _quiet(track, found)
    row: list[object] = [
        clip.stem,
        len(track),
        f"{100 * track.valid.mean():.0f}",
        float(np.median(found.eye_distance_px)),
        float(np.nanmean(found.error_px)),
        100 * float(np.nanmean(found.error)),
    ]
    for frames in (still, quiet):
        ours, detectors = (
            100 * float(jitter[frames].mean()) if frames.sum() >= FEW else None
            for jitter in (found.jitter, found.detector_jitter)
        )
        row += [int(frames.sum()), detectors, ours, ours / detectors if ours else None]
    return row, closings(clip, track, found)


def clips_text(rows: list[list[object]]) -> str:
    """The table of clips as Markdown, its last row the mean of the ratios."""
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


def closings_text(found: dict[str, Closings]) -> str:
    """The table of closings as Markdown, its last row sums and means."""
    rows: list[list[object]] = [[name, *vars(clip).values()] for name, clip in found.items()]
    fast = np.array([clip.fast for clip in found.values()])
    means = [
        float(np.average([getattr(clip, name) for clip in found.values()], weights=fast))
        for name in ("late", "moved", "shallower")
    ]
    sums = [
        sum(value for clip in found.values() if (value := getattr(clip, name)) is not None)
        for name in ("fast", "missed", "asked", "seen", "kept")
    ]
    rows.append(["**all**", *sums[:2], *means, *sums[2:]])
    headers = [
        "clip", "fast closings", "missed", "late, frames", "moved", "shallower %",
        "/p b m/ said", "closed in the detector", "and in the track",
    ]  # fmt: skip
    return "## Closing lips\n\n" + markdown_table(headers, rows)


def closings(clip: Path, track: Track, found: TrackStability) -> Closings:
    """Compare the closings of the lips in a track with the detector's."""
    theirs, ours = (
        gap(track.landmarks[:, LIP_RING_LANDMARKS, :2], found),
        gap(found.lip_points, found),
    )
    longest = FASTEST * float(track.fps)
    frames, shape = find_peaks(-theirs, prominence=PROMINENCE, width=(0, longest), rel_height=0.5)
    inside = (frames >= REACH) & (frames < len(theirs) - REACH) & track.valid[frames]
    late, missed, deeper = [], 0, []
    for frame, depth in zip(frames[inside], shape["prominences"][inside], strict=True):
        near = slice(frame - REACH, frame + REACH + 1)
        late.append(int(np.argmin(ours[near])) - REACH)
        deeper.append(ours[frame] - theirs[frame])
        missed += bool(ours[near].max() - ours[near].min() < 0.5 * min(depth, np.ptp(theirs[near])))
    words = _spoken(clip, track, theirs, ours)
    if not late:
        return Closings(0, 0, 0.0, 0.0, 0.0, *words)
    return Closings(
        len(late),
        missed,
        float(np.mean(late)),
        float(np.mean(np.array(late) != 0)),
        100 * float(np.mean(deeper)),
        *words,
    )


def gap(lips: NDArray, found: TrackStability) -> NDArray[np.float64]:  # [N, 40, 2] -> [N]
    """Distance of the inner lips' middle, three pairs, in eye distances."""
    upper, lower = lips[:, 24:27], lips[:, [36, 35, 34]]
    distance = np.linalg.norm(upper.astype(np.float64) - lower, axis=-1).mean(1)
    return np.asarray(distance / found.eye_distance_px)


def _quiet(track: Track, found: TrackStability) -> NDArray[np.bool_]:
    fps = float(track.fps)
    curve = gaussian_filter1d(gap(track.landmarks[:, LIP_RING_LANDMARKS, :2], found), 0.06 * fps)
    return np.asarray(np.abs(np.gradient(curve)) * fps < QUIET)


def _spoken(
    clip: Path, track: Track, theirs: NDArray, ours: NDArray
) -> tuple[int, int, int] | tuple[()]:
    """How many bilabials a GRID sentence has, in how many the detector's lips meet, and in how
    many of those the track's."""
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
        inside = (track.times >= phone.start - 0.04) & (track.times <= phone.end + 0.04)
        if inside.any() and theirs[inside].min() < CLOSED:
            seen += 1
            kept += bool(ours[inside].min() < CLOSED)
    return len(asked), seen, kept
