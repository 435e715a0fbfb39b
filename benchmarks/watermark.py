"""What the watermark survives, what it costs, and how often it is seen where none is.

    python -m benchmarks.watermark [CLIP ...] [--frames N] [--unmarked CLIP ...]

Marks the mouths of the clips as they are (nothing is rendered), writes them with the default
encoder, changes the files, and reads them as ``dubfew verify`` does. ``--unmarked`` looks for a
watermark in clips without one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.common import (
    DEMO_CLIP,
    RESULTS,
    machine,
    machine_line,
    markdown_table,
    show,
    write_results,
)
from dubfew.errors import NoFaceError
from dubfew.marks.detection import decode_watermark, rank_candidates, track_mouths
from dubfew.marks.payload import NUM_DOUBTFUL_BITS, encode_payload
from dubfew.marks.projection import project_mouths
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.crop import (
    MASK_FEATHER_FRACTION,
    FaceRegions,
    compute_track_regions,
    render_soft_mask,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video

ID = "5ca1ab1e00"
Change = Callable[[av.VideoFrame], av.VideoFrame]


@dataclass(frozen=True)
class Cost:
    """What marking did to a clip's mouths.

    Attributes:
        psnr: of the marked mouth masks against the unmarked ones, dB.
        largest: change of a sample, levels.
        milliseconds: a frame.
        window: side of the window around the mouth, median, px.
    """

    psnr: float
    largest: float
    milliseconds: float
    window: float


@dataclass(frozen=True)
class Outcome:
    """What was read in a changed file.

    Attributes:
        found: whether the right id was read.
        accuracy: share of the bits that are right in the most certain reading that begins where
            the video does, before any is corrected.
        certainty: of that reading.
    """

    found: bool
    accuracy: float
    certainty: float


def marked(
    frames: Iterator[Frame], track: Track, regions: FaceRegions, cost: list
) -> Iterator[Frame]:
    """Frames with a watermark in the mouth; ``cost`` gets square errors, peaks and seconds."""
    marker = WatermarkEmbedder(ID)
    for frame in frames:
        if not track.valid[frame.index]:
            yield frame
            continue
        hull, window = regions.hull[frame.index], regions.window[frame.index]
        x0, y0 = np.maximum(np.floor(hull.min(0)).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(hull.max(0)).astype(int), (frame.width, frame.height))
        before = frame.crop_rgb(x0, y0, x1, y1)
        mask = (
            render_soft_mask(
                hull, MASK_FEATHER_FRACTION * float(window[2]), x0, y0, 1.0, y1 - y0, x1 - x0
            )
            > 0
        )
        paint = before.astype(np.float32)
        began = time.perf_counter()
        marker.embed_watermark(frame, paint, mask, (int(x0), int(y0)), window)
        spent = time.perf_counter() - began
        after = (paint + 0.5).astype(np.uint8)
        change = after[mask].astype(float) - before[mask]
        cost.append(((change**2).mean(), np.abs(change).max(), spent, window[2]))
        yield frame.with_patch(int(x0), int(y0), after, mask)


def mark(clip: Path, path: Path, count: int) -> Cost:
    """Write the first frames of a clip with a watermark."""
    head = load_head_model()
    track = track_video(clip, head=head, stop=count, progress=show)
    regions, cost = compute_track_regions(track, head), []
    with VideoWriter(path, probe(clip)) as writer:
        for frame in marked(read_frames(clip, stop=len(track)), track, regions, cost):
            writer.write(frame)
    squares, peaks, seconds, sides = np.array(cost).T
    return Cost(
        10 * np.log10(255**2 / squares.mean()),
        float(peaks.max()),
        1000 * float(np.median(seconds)),
        float(np.median(sides)),
    )


def encode(source: Path, target: Path, crf: int, change: Change | None = None) -> None:
    """Another generation of H.264."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        rate = read.streams.video[0].average_rate or Fraction(25)
        stream = None
        for number, picture in enumerate(read.decode(video=0)):
            frame = change(picture) if change else picture.reformat(format="yuv420p")
            if stream is None:
                stream = written.add_stream("libx264", rate=rate, options={"crf": str(crf)})
                stream.width, stream.height = frame.width, frame.height
                stream.pix_fmt = "yuv420p"
            frame.pts, frame.time_base, frame.pict_type = number, 1 / rate, 0
            written.mux(stream.encode(frame))
        if stream is not None:
            written.mux(stream.encode(None))


def halved(picture: av.VideoFrame) -> av.VideoFrame:
    """Half as wide and high."""
    width, height = picture.width // 4 * 2, picture.height // 4 * 2
    return picture.reformat(width, height, format="yuv420p", interpolation="BICUBIC")


def cropped(picture: av.VideoFrame) -> av.VideoFrame:
    """A tenth of the width and height gone, half of it on every side."""
    x, y = picture.width // 40 * 2, picture.height // 40 * 2
    part = picture.to_ndarray(format="rgb24")[y : picture.height - y, x : picture.width - x]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="rgb24")
    width, height = frame.width // 2 * 2, frame.height // 2 * 2
    return frame.reformat(width, height, format="yuv420p")


def remuxed(source: Path, target: Path) -> None:
    """The same stream in another container."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)


CHANGES: dict[str, Callable[[Path, Path], None]] = {
    "as written": lambda source, target: target.write_bytes(source.read_bytes()),
    "re-mux": remuxed,
    "CRF 18": lambda source, target: encode(source, target, 18),
    "CRF 23": lambda source, target: encode(source, target, 23),
    "CRF 28": lambda source, target: encode(source, target, 28),
    "half size": lambda source, target: encode(source, target, 18, halved),
    "crop 10 %": lambda source, target: encode(source, target, 18, cropped),
}


def outcome(path: Path, count: int) -> Outcome:
    """Read a file as ``verify`` does."""
    try:
        seen = project_mouths(path, track_mouths(path, 0, count, show), 0, count)[:1]
    except NoFaceError:
        return Outcome(False, 0.5, 0.0)
    best = rank_candidates(seen, num_starts=1)[0]
    found = decode_watermark(seen)
    return Outcome(
        found is not None and found.id == ID,
        float(((best < 0) == encode_payload(ID)).mean()),
        float(np.abs(best).mean()),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, default=[DEMO_CLIP])
    parser.add_argument("--frames", type=int, default=250, help="of each clip; default 250")
    parser.add_argument("--unmarked", nargs="*", type=Path, default=[])
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    costs: dict[str, Cost] = {}
    outcomes: dict[str, dict[str, Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="dubfew-watermark-") as name:
        for clip in options.clips:
            path = Path(name) / "marked.mp4"
            costs[clip.stem] = mark(clip, path, options.frames)
            outcomes[clip.stem] = {}
            for change, make in CHANGES.items():
                changed = Path(name) / ("changed.mkv" if change == "re-mux" else "changed.mp4")
                make(path, changed)
                outcomes[clip.stem][change] = outcome(changed, options.frames)
    text = [
        "# Watermark",
        machine_line(),
        "Bits that are right before correction, of 72, and certainty; - where no id was read.",
        markdown_table(
            ["clip", "window, px", *CHANGES],
            [
                [stem, round(costs[stem].window), *map(_cell, outcomes[stem].values())]
                for stem in costs
            ],
        ),
        markdown_table(
            ["clip", "PSNR in the mask, dB", "largest change, levels", "ms / frame"],
            [[stem, c.psnr, c.largest, c.milliseconds] for stem, c in costs.items()],
        ),
    ]
    unmarked = {}
    if options.unmarked:
        unmarked = {clip.stem: unmarked_look(clip, options.frames) for clip in options.unmarked}
        wrong = sum(found for found, _ in unmarked.values())
        most = max(certainty for _, certainty in unmarked.values())
        text.append(
            f"{len(unmarked)} unmarked clips: {wrong} with a watermark; the most certain reading "
            f"had {most:.2f}; each reading checked passes by chance once in "
            f"{2 ** (32 - NUM_DOUBTFUL_BITS):,}."
        )
    data = {
        "machine": machine(),
        "cost": {stem: asdict(cost) for stem, cost in costs.items()},
        "outcomes": {
            stem: {change: asdict(found) for change, found in of_clip.items()}
            for stem, of_clip in outcomes.items()
        },
        "unmarked": unmarked,
    }
    write_results(options.out, "watermark", "\n\n".join(text), data)
    return 0


def unmarked_look(clip: Path, count: int) -> tuple[bool, float]:
    """Whether an id was read in an unmarked clip, and the certainty of its likeliest reading."""
    try:
        seen = project_mouths(clip, track_mouths(clip, 0, count, show), 0, count)[:1]
    except NoFaceError:
        return False, 0.0
    return decode_watermark(seen) is not None, float(np.abs(rank_candidates(seen)[0]).mean())


def _cell(found: Outcome) -> str:
    bits = f"{round(72 * found.accuracy)} ({found.certainty:.1f})"
    return bits if found.found else f"- {bits}"


if __name__ == "__main__":
    sys.exit(main())
