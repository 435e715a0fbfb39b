"""Inspection of a video: what it holds, who is seen, and what a render of it would change."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dubfew.errors import MediaError
from dubfew.media.codecs import choose_encoding
from dubfew.media.facts import MediaFacts, describe_color, read_facts
from dubfew.media.forecast import forecast_output
from dubfew.media.info import FIELD_ORDERS
from dubfew.media.reading import read_last_duration, read_seconds
from dubfew.media.speech_track import find_speech_track
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.utils.html import html_section, write_html_page


@dataclass(frozen=True)
class VideoInspection:
    """What dubfew sees of a video.

    Attributes:
        facts: what the file holds.
        last_seconds: time for which the last frame is shown, s.
        people: everyone who is seen, as `ClipDetections.summary` has them; None if nobody looked.
        shots: number of shots; None if nobody looked.
        warnings: what a render to ``output`` would convert, drop or refuse.
        output: suffix of the output that the warnings are for.
    """

    facts: MediaFacts
    last_seconds: float
    people: tuple[Mapping[str, Any], ...] | None
    shots: int | None
    warnings: tuple[str, ...]
    output: str

    def describe(self) -> list[tuple[str, str]]:
        """Describe the video for readers, as pairs of a title and one line."""
        lines = self._describe_file()
        lines += [("Stream", stream.describe()) for stream in self.facts.streams]
        if self.shots is not None:
            lines.append(("Shots", str(self.shots)))
        for person in self.people or ():
            line = (
                f"{person['face']}: {person['frames']} frames, {person['width']} px wide, at "
                f"{person['at'][0]},{person['at'][1]}"
            )
            lines.append(("Face", line))
        if self.people == ():
            lines.append(("Face", "none is seen: nothing will be painted"))
        lines += [("Warning", line) for line in self.warnings]
        if not self.warnings:
            lines.append(("Output", f"everything goes into {self.output}"))
        return lines

    def _describe_file(self) -> list[tuple[str, str]]:
        """Describe the file and its picture, one line per subject."""
        facts, info, last = self.facts, self.facts.video, self.last_seconds
        assert info is not None  # checked by `inspect_video`
        shape = "" if info.sample_aspect == 1 else f", pixels of {info.sample_aspect}"
        turned = f", turned by {info.rotation} degrees" if info.rotation else ""
        held = f", last frame held {last:.2f} s" if last > 1.5 / float(info.fps) else ""
        profile = f" {info.profile}" if info.profile else ""
        # Of streams without times nobody knows the length.
        length = f"{info.duration:.2f} s" if info.duration else "unknown length"
        lines = [
            ("File", f"{facts.path.absolute()} ({facts.container})"),
            ("Picture", f"{info.width} x {info.height}{shape}{turned}, {info.codec}{profile}"),
            ("Time", f"{length}, {float(info.fps):.4g} frames/s{held}"),
            ("Color", describe_color(info)),
            ("Fields", FIELD_ORDERS.get(info.field_order, "unknown")),
        ]
        if info.hdr is not None:
            known = info.hdr.describe_for_encoder()
            lines.append(("HDR", ", ".join(f"{key} {value}" for key, value in known.items())))
        if facts.timecode:
            lines.append(("Timecode", facts.timecode))
        lines += [("Chapter", f"{begin:.2f} s {title}".rstrip()) for begin, title in facts.chapters]
        lines += [("Tag", f"{key}: {value}") for key, value in facts.tags.items()]
        return lines

    def save_html(self, path: Path) -> None:
        """Write the inspection as a page.

        Raises:
            OSError: The file cannot be written.
        """
        rows = "".join(
            f"<tr><th>{html.escape(title)}</th><td>{html.escape(line)}</td></tr>"
            for title, line in self.describe()
        )
        write_html_page(
            path, self.facts.path.name, [html_section("Contents", f"<table>{rows}</table>")]
        )


def inspect_video(
    path: Path | str,
    output: Path | str = "out.mp4",
    *,
    codec: str | None = None,
    like_source: bool = False,
    people: bool = True,
    progress: ProgressCallback = no_progress,
) -> VideoInspection:
    """Inspect a video: streams, color, clocks, fields, shots, people, and what will be changed.

    Args:
        path: the video.
        output: name of the file that a render would write; its suffix chooses the container.
        codec: encoder of that output; None for the one that a render chooses.
        like_source: encode like the video.
        people: look for people, which reads every frame; False reads headers and sound alone.
        progress: function that is called with the state of the search.

    Raises:
        MediaError: The file cannot be read as video, or the output cannot be written like that.
    """
    path, output = Path(path), Path(output)
    facts = read_facts(path, fields=True)
    if facts.video is None:
        raise MediaError(f"{path} holds no picture, only sound or data: give a video file")
    encoding = choose_encoding(output, facts.video, codec, like_source=like_source)
    last, seconds = float(read_last_duration(path)), read_seconds(path)
    warnings = forecast_output(facts, output, encoding, seconds=seconds)
    spoken = find_speech_track(path) if facts.of_kind("audio") else None
    if spoken is not None and spoken.note:
        warnings.append(spoken.note)
    seen = detect_people(path, progress=progress) if people else None
    if not seconds and seen is not None and len(seen.times):
        seconds = float(seen.times[-1]) + last
    return VideoInspection(
        facts=replace(facts, video=replace(facts.video, duration=seconds)),
        last_seconds=last,
        people=None if seen is None else tuple(seen.summary()),
        shots=None if seen is None else _count_shots(seen),
        warnings=tuple(warnings),
        output=output.suffix,
    )


def _count_shots(seen: ClipDetections) -> int:
    return int(seen.shots[-1]) + 1 if len(seen.shots) else 0
