"""Report of a render: one HTML page with scene and output side by side and where to look first."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE
from dubfew.media import AudioSource, Frame, VideoInfo, VideoWriter, read_audio, read_frames
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.svg_curves import render_curves_svg
from dubfew.reconstruction.track import Track
from dubfew.references.cropping import crop_window
from dubfew.references.footage import Footage
from dubfew.references.selection import choose_references
from dubfew.render.job import RenderJob
from dubfew.render.scene import DrivenScene
from dubfew.utils.html import RgbImage, html_section, image_tag, metrics_table, write_html_page

# Width of each of the two pictures in the page's video, px: two fit on a laptop's screen.
VIDEO_CELL_PX = 480
VIDEO_STYLE = "display:block;max-width:100%;max-height:80vh;margin:auto"
# Longest video in a page, s. A minute has about 4 MB; longer scenes show their first minute.
MAX_VIDEO_SECONDS = 60.0
# Quality of that video in x264's scale: good to look at in a report; the output itself is better.
VIDEO_CRF = 23
# Moments that are shown: as many as a viewer looks at one by one.
MAX_MOMENTS = 8
# Least time between two of them, s: a syllable. The frames of one syllable share their faults.
MIN_MOMENT_GAP_SECONDS = 0.3
# Edge of the pictures of a moment, px.
MOMENT_PX = 300
# Distance to the nearest stored mouth from which the footage lacks a mouth, as a multiple
# of the largest distance of the footage's own mouths: the unlearned rest of a clip reached 1.46.
UNSEEN_MOUTH_FACTOR = 1.5
# Sharpness over the median of the output below which a frame counts as soft. Open and closed mouths
# of sharp footage differ by less than a factor of two.
SOFT_FRAME_FACTOR = 0.5


@dataclass(frozen=True)
class OutputMeasures:
    """Measures of every frame of an output.

    Attributes:
        unseen: distance of the new mouth to the nearest stored one, see `measure_unseen_mouths`.
            NaN where nothing was painted. [N]
        softness: the least allowed sharpness over the frame's. NaN where nothing was painted. [N]
    """

    unseen: NDArray[np.float64]
    softness: NDArray[np.float64]

    def find_moments(self, times: NDArray[np.float64]) -> list[tuple[int, str]]:
        """Find the frames to look at first, the worst first, and say why.

        Args:
            times: time of each frame, s. [N]
        """
        reasons = {
            "a mouth that the footage lacks": self.unseen,
            "softer than the rest": self.softness,
        }
        candidates = [
            (float(values[row]), int(row), reason)
            for reason, values in reasons.items()
            for row in np.flatnonzero(values > 1)
        ]
        return pick_moments(candidates, times)


def pick_moments(
    candidates: Iterable[tuple[float, int, str]], times: NDArray[np.float64]
) -> list[tuple[int, str]]:
    """Pick the worst frames, none of them in the same syllable as a worse one.

    Args:
        candidates: how bad, frame, and why.
        times: time of each frame, s. [N]

    Returns:
        Frames and reasons, the worst first.
    """
    found: list[tuple[int, str]] = []
    for _, row, reason in sorted(candidates, reverse=True):
        if all(abs(times[row] - times[other]) >= MIN_MOMENT_GAP_SECONDS for other, _ in found):
            found.append((row, reason))
    return found


@dataclass(frozen=True)
class ReportedMouth:
    """A mouth of a finished output, for the page about it.

    Attributes:
        job: the render; its sources say what was heard.
        scene: its frames with their mouths.
        painted: True for each frame in which the mouth was painted. [N]
        facts: what was done, by name.
        notes: what the user should know, the most important first.
    """

    job: RenderJob
    scene: DrivenScene
    painted: NDArray[np.bool_]
    facts: Mapping[str, float | int | str | None]
    notes: Sequence[str]


def write_render_report(path: Path, mouths: Sequence[ReportedMouth]) -> None:
    """Write the page about a finished output.

    Args:
        path: HTML file to write.
        mouths: what was painted in it: one mouth, or those of a cast.

    Raises:
        MediaError: The output or its scene cannot be read.
        OSError: The page cannot be written.
    """
    sections, verdicts = [], []
    for number, mouth in enumerate(mouths):
        actor = mouth.job.actor.revision.actor
        title = "" if len(mouths) == 1 else f"{actor}: "
        made, verdict = _report_mouth(mouth, title, f"both{number}")
        sections += made
        verdicts.append(title + verdict)
    name = mouths[0].job.output.name
    write_html_page(path, f"Report of {name}", sections, note=" ".join(verdicts))


def _report_mouth(mouth: ReportedMouth, title: str, video_id: str) -> tuple[list[str], str]:
    """Make the sections about a mouth, and say what its measures amount to."""
    job, scene, painted = mouth.job, mouth.scene, mouth.painted
    track, head = scene.track, job.actor.head
    windows = compute_track_regions(track, head).window
    pairs = _MouthPairs(job, scene, windows)
    # The video is encoded into a file of its own because muxers seek; the page then holds it.
    with tempfile.TemporaryDirectory(prefix="dubfew-report-") as folder:
        video = Path(folder) / "both.mp4"
        sharpness = pairs.write_video(video)
        embedded = base64.b64encode(video.read_bytes()).decode()
    adapter = job.actor.adapter
    footage = Track.from_bytes(adapter.track_bytes, ADAPTER_TRACK_FILE)
    distances = measure_unseen_mouths(
        track, footage, head, adapter.references, mouth_in_scene=job.sources.drive == "self"
    )
    # Frames that were left as they are show the scene's mouth, and say nothing of the footage.
    measures = OutputMeasures(
        np.where(painted, distances, np.nan), _measure_softness(sharpness, painted)
    )
    moments = measures.find_moments(track.times)
    shown = moments[:MAX_MOMENTS]
    # Decoded again for a few frames, rather than keeping all crops of the video.
    pictures = pairs.crop_rows([row for row, _ in shown])
    sections = [
        _warnings_section(mouth.notes, title),
        _video_section(embedded, float(track.times[-1]) > MAX_VIDEO_SECONDS, title, video_id),
        _moments_section(shown, pictures, track.times, title, video_id),
        html_section(
            f"{title}Opening of the lips, and the sound",
            _draw_opening(job, track, scene.motion, painted),
        ),
        html_section(
            f"{title}Distance to the nearest mouth of the footage; above 1 the footage lacks it",
            render_curves_svg(track, {"distance": measures.unseen}, ~painted),
        ),
        metrics_table(f"{title}What was done", mouth.facts),
    ]
    verdict = describe_verdict(len(moments), int(painted.sum()), len(track), pairs.is_whole)
    return sections, verdict


def describe_job(job: RenderJob) -> dict[str, str]:
    """Say what a render was made from, by name, for the table of the page.

    Args:
        job: the render.
    """
    options, sources = job.options, job.sources
    sound = "none" if sources.audio is None else str(sources.audio)
    mouth = {
        "audio": "follows the sound",
        "video": f"follows {sources.driver}",
        "motion": f"follows {job.options.motion}",
        "self": "its own",
    }
    # Only what differs from a plain render.
    changes = {
        "later by": f"{options.offset:g} ms" if options.offset else "",
        "opening": f"x {options.open:g}" if options.open != 1 else "",
        "passage": f"{options.from_seconds:g} to {options.to_seconds:g} s of {options.into}"
        if job.passage is not None
        else "",
    }
    return {
        "actor": f"{job.actor.revision.actor}, revision {job.actor.revision.number}",
        "scene": str(sources.filmed),
        "sound": sound,
        "mouth": mouth[sources.drive],
        **{name: value for name, value in changes.items() if value},
        "output": str(job.output.absolute()),
    }


def describe_verdict(moments: int, painted: int, frames: int, is_whole: bool = True) -> str:
    """Say in words what the measures of an output amount to, and what that rests on.

    Args:
        moments: number of moments that stand out.
        painted: number of painted frames.
        frames: number of frames.
        is_whole: False if only the beginning was looked at for softness.
    """
    if not painted:
        return "Nothing was painted: see the warnings."
    if moments:
        found = f"{moments} moment{'s' if moments > 1 else ''} to look at."
    else:
        found = "Nothing stands out."
    part = "" if is_whole else f" (softness in the first {MAX_VIDEO_SECONDS:.0f} s)"
    return (
        f"{found} {painted} of {frames} frames are painted. This rests on two measures of every "
        f"painted frame: how far its mouth is from the mouths of the footage, and how soft it is "
        f"against the rest{part}. Neither hears whether the mouth fits the words: watch the video."
    )


def measure_unseen_mouths(
    track: Track, footage: Track, head: HeadModel, references: Footage, *, mouth_in_scene: bool
) -> NDArray[np.float64]:  # [N]
    """Measure how far each new mouth is from the stored ones; above 1 the footage lacks it.

    The unit is `UNSEEN_MOUTH_FACTOR` times the largest distance of a mouth of the actor's footage
    to the stored ones.

    Args:
        track: N frames with their new mouths.
        footage: track of the actor's footage.
        head: head model of both.
        references: the actor's stored windows.
        mouth_in_scene: whether the frames' own mouths are rendered, see `choose_references`.
    """
    new, own = (
        choose_references(each, head, references.key, 1, mouth_in_scene=mouth_in_scene)[1][:, 0]
        for each in (track, footage.select(np.flatnonzero(footage.usable)))
    )
    reach = UNSEEN_MOUTH_FACTOR * float(own.max(initial=0))
    return new.astype(np.float64) / max(reach, 1e-9)


def _measure_softness(
    sharpness: NDArray[np.float64], painted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Compare the sharpness of every painted frame with the median; above 1 it is soft. [N]"""
    seen = painted & np.isfinite(sharpness)
    softness = np.full(len(sharpness), np.nan)
    if seen.any():
        limit = SOFT_FRAME_FACTOR * np.median(sharpness[seen])
        softness[seen] = limit / np.maximum(sharpness[seen], 1e-9)
    return softness


class _MouthPairs:
    """The frames of scene and output, moment by moment.

    Args:
        job: the render, whose output is written.
        scene: its frames.
        windows: square around the mouth of every frame: left, top, side, px. [N, 3]
    """

    def __init__(self, job: RenderJob, scene: DrivenScene, windows: NDArray[np.float32]) -> None:
        self._job, self._scene, self._windows = job, scene, windows
        self._fps = job.sources.scene_info.fps
        self._length = min(len(windows), max(1, round(MAX_VIDEO_SECONDS * float(self._fps))))

    @property
    def is_whole(self) -> bool:
        """True if the video shows the whole output."""
        return self._length == len(self._windows)

    def write_video(self, path: Path) -> NDArray[np.float64]:  # [N]
        """Write scene and output beside each other, their mouths enlarged below.

        Returns:
            Sharpness of the output's mouth in every frame; NaN beyond the video's end.
        """
        info = self._job.sources.scene_info
        shape = info.height / float(info.width * info.sample_aspect)
        # 4:2:0 needs an even height.
        height = 2 * round(VIDEO_CELL_PX * shape / 2)
        sharpness = np.full(len(self._windows), np.nan)
        size = (2 * VIDEO_CELL_PX, height + VIDEO_CELL_PX)
        canvas_info = VideoInfo(path, *size, info.fps)
        seconds = self._length / float(self._fps)
        has_sound = self._job.sources.audio is not None
        # The sound of the finished file, so that the page shows what is delivered.
        sound = AudioSource(self._job.output, duration=seconds, pad=False) if has_sound else None
        with VideoWriter(path, canvas_info, audio=sound, crf=VIDEO_CRF, preset="veryfast") as file:
            for row, pair in enumerate(self._iter_pairs()):
                if row == self._length:
                    break
                canvas = Image.new("RGB", size)
                for column, frame in enumerate(pair):
                    left = column * VIDEO_CELL_PX
                    whole = Image.fromarray(frame.to_rgb()).resize((VIDEO_CELL_PX, height))
                    mouth = self._crop_mouth(frame, row)
                    canvas.paste(whole, (left, 0))
                    enlarged = Image.fromarray(mouth).resize((VIDEO_CELL_PX, VIDEO_CELL_PX))
                    canvas.paste(enlarged, (left, height))
                    if column == 1:
                        sharpness[row] = _measure_sharpness(mouth)
                # The scene's own times: footage of a variable rate plays as it does in the output.
                both = Frame.from_rgb(np.asarray(canvas), row, self._fps)
                file.write(both.with_time(row, pair[0].stamp))
        return sharpness

    def crop_rows(self, rows: Sequence[int]) -> dict[int, tuple[RgbImage, RgbImage]]:
        """Crop the mouths of some frames from scene and output."""
        wanted, found = set(rows), {}
        for row, (before, after) in enumerate(self._iter_pairs()):
            if row in wanted:
                found[row] = (self._crop_mouth(before, row), self._crop_mouth(after, row))
            if len(found) == len(wanted):
                break
        return found

    def _iter_pairs(self) -> Iterator[tuple[Frame, Frame]]:
        """Yield the frames of scene and output that are shown at the same moment."""
        before = self._scene.schedule.iter_frames(self._job.sources.scene, self._fps)
        return zip(before, read_frames(self._job.output), strict=False)

    def _crop_mouth(self, frame: Frame, row: int) -> RgbImage:
        """Crop the square around the mouth."""
        return crop_window(frame, self._windows[row], MOMENT_PX)


def _measure_sharpness(mouth: RgbImage) -> float:
    """Mean difference of neighboring pixels in the middle of a mouth window, 8-bit levels."""
    edge = len(mouth) // 4
    gray = mouth[edge:-edge, edge:-edge].mean(-1)
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())


def _draw_opening(
    job: RenderJob, track: Track, motion: MouthMotion, painted: NDArray[np.bool_]
) -> str:
    """Draw the lip gap over the loudness of the sound, which is scaled to the same height."""
    gap = np.asarray(motion.aperture(), np.float64)
    curves = {"lip gap, in distances between the eyes": gap}
    if job.sources.audio is not None:
        sound = read_audio(job.sources.audio, seconds=job.sources.needed_seconds)
        samples = np.abs(sound.samples[round(job.sources.start * sound.rate) :])
        # The loudest sample of each frame.
        bounds = np.append(np.round(motion.times * sound.rate).astype(int), len(samples))
        loud = np.array([samples[first:last].max(initial=0) for first, last in pairwise(bounds)])
        scale = float(gap.max()) / max(float(loud.max(initial=0)), 1e-9)
        curves = {"sound": loud * scale, **curves}
    key = '<p class="key">Strong line: lip gap. Faint line: the sound. Shaded: not painted.</p>'
    return render_curves_svg(track, curves, ~painted) + key


def _warnings_section(notes: Sequence[str], title: str) -> str:
    """List the notes of the render."""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return html_section(f"{title}Warnings", f"<ul>{items}</ul>" if items else "<p>None.</p>")


def _video_section(embedded: str, is_cut: bool, title: str, video_id: str) -> str:
    """Embed the video of both."""
    cut = f" The first {MAX_VIDEO_SECONDS:.0f} s." if is_cut else ""
    return html_section(
        f"{title}Before and after",
        f'<video id="{video_id}" controls playsinline style="{VIDEO_STYLE}" '
        f'src="data:video/mp4;base64,{embedded}"></video>'
        f'<p class="key">Left the scene, right the output; below, their mouths.{cut}</p>',
    )


def _moments_section(
    moments: Sequence[tuple[int, str]],
    pictures: Mapping[int, tuple[RgbImage, RgbImage]],
    times: NDArray[np.float64],
    title: str,
    video_id: str,
) -> str:
    """Show the moments to look at; a click plays the video from there."""
    figures = []
    for row, reason in moments:
        if row not in pictures:
            continue
        time = float(times[row])
        pair = "".join(
            image_tag(pixels, f"{word}, {time:.2f} s", MOMENT_PX)
            for word, pixels in zip(("before", "after"), pictures[row], strict=True)
        )
        # Half a second before: a fault is easier to see in motion than as a still.
        jump = f"document.getElementById('{video_id}').currentTime={max(0.0, time - 0.5):.2f}"
        figures.append(
            f'<figure onclick="{jump}" style="cursor:pointer">{pair}'
            f"<figcaption>{time:.2f} s: {html.escape(reason)}</figcaption></figure>"
        )
    if not figures:
        return ""
    key = '<p class="key">Above before, below after. A click goes there in the video.</p>'
    return html_section(
        f"{title}Moments to look at", f'<div class="strip">{"".join(figures)}</div>{key}'
    )
