"""Decisions of a review as markers in a conformed timeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dubfew.batch.decisions import APPROVED, REJECTED, RETAKE, Decision, read_decisions
from dubfew.conform.timecode import exact_rate
from dubfew.conform.timeline import METADATA_KEY, TIMELINE_FORMATS, read_timeline, write_program
from dubfew.errors import DubfewError
from dubfew.utils.import_utils import import_optional

# Colors of the markers, as OpenTimelineIO names them; notes without a verdict are yellow.
MARKER_COLORS = {APPROVED: "GREEN", REJECTED: "RED", RETAKE: "ORANGE", "": "YELLOW"}
# Ending of the names of marked timelines.
_SUFFIX = "-reviewed"


def mark_timelines(folder: Path | str, decisions: Path | str) -> tuple[list[Path], int]:
    """Write the timelines of a conform again, with a marker for each note and each verdict.

    Args:
        folder: folder of ``dubfew conform``.
        decisions: file that the page of the review saved.

    Returns:
        The new timelines, beside the others, and the number of markers in each.

    Raises:
        MediaError: The decisions do not exist.
        DubfewError: There is no conformed timeline in the folder, or none of the decisions is about
            its shots.
        MissingDependencyError: OpenTimelineIO is not installed.
    """
    folder = Path(folder)
    found = read_decisions(decisions)
    sources = [path for path in sorted(folder.glob("*.otio")) if not path.stem.endswith(_SUFFIX)]
    written: list[Path] = []
    count = 0
    for source in sources:
        timeline = read_timeline(source)
        count = 0
        for clip in timeline.find_clips():
            name = str(clip.metadata.get(METADATA_KEY, {}).get("id", ""))
            if name in found.by_id and clip.parent().kind == "Video":
                count += _mark_clip(clip, found.by_id[name])
        if not count:
            continue
        formats = [s for s in TIMELINE_FORMATS if source.with_suffix(s).exists()]
        for suffix in formats:
            path = source.with_name(f"{source.stem}{_SUFFIX}{suffix}")
            start = timeline.global_start_time
            clips = timeline.video_tracks()[0].find_clips()
            rate = start.rate if start is not None else clips[0].duration().rate
            text = source.with_suffix(suffix).read_text("utf-8") if suffix == ".edl" else ""
            drop = None if suffix != ".edl" else ("FCM: DROP" in text)
            write_program(timeline, path, exact_rate(rate), drop=drop)
            written.append(path)
    if not written:
        raise DubfewError(
            f"{folder} has no conformed timeline with a shot of {decisions}: 'dubfew conform' "
            "makes one"
        )
    return written, count


def _mark_clip(clip: Any, decision: Decision) -> int:
    """Add the markers of one shot; return how many."""
    otio = import_optional("opentimelineio")
    reference = clip.media_reference
    begin = (reference.available_range or clip.trimmed_range()).start_time
    texts = [(note.frame, note.text) for note in decision.notes]
    if decision.verdict:
        # At the first frame that the timeline shows.
        first = clip.trimmed_range().start_time - begin
        texts.insert(0, (round(first.value), decision.verdict))
    for frame, text in texts:
        start = begin + otio.opentime.RationalTime(frame, begin.rate)
        marker = otio.schema.Marker(
            name=text,
            marked_range=otio.opentime.TimeRange(start, otio.opentime.RationalTime(0, start.rate)),
            color=MARKER_COLORS[decision.verdict],
        )
        marker.metadata[METADATA_KEY] = {"verdict": decision.verdict, "frame": frame}
        clip.markers.append(marker)
    return len(texts)
