"""Measure the watermark: robustness to re-encoding, visible cost, and false positives.

    python -m benchmarks.watermark [CLIP ...] [--frames N] [--unmarked CLIP ...]

Embeds the watermark in the mouths of the clips as they are (nothing is rendered), writes them with
the default encoder, changes the files, and reads them as ``dubfew verify`` does. ``--unmarked``
searches clips without a watermark.
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
from dubfew.marks.payload import CHECKSUM_BYTES, NUM_ERROR_PATTERNS, encode_payload
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

# Id of the watermark; any ten hexadecimal digits will do.
WATERMARK_ID = "5ca1ab1e00"
# Function that changes a picture before it is encoded again.
Change = Callable[[av.VideoFrame], av.VideoFrame]


@dataclass(frozen=True)
class WatermarkCost:
    """Cost of the watermark in one clip.

    Attributes:
        psnr: PSNR of the marked against the unmarked pixels inside the mask, dB.
        largest: largest change of a sample, levels.
        milliseconds: time for a frame, ms.
        window: median side of the window around the mouth, px.
    """

    psnr: float
    largest: float
    milliseconds: float
    window: float


@dataclass(frozen=True)
class DetectionResult:
    """Result of reading a changed file.

    Attributes:
        found: whether the right id was read.
        accuracy: fraction of correct bits, before correction, in the most certain reading that
            begins at the start of the video.
        certainty: mean certainty of that reading.
    """

    found: bool
    accuracy: float
    certainty: float


def embed_in_frames(
    frames: Iterator[Frame],
    track: Track,
    regions: FaceRegions,
    cost: list[tuple[float, float, float, float]],
) -> Iterator[Frame]:
    """Yield frames with a watermark in the mouth.

    Args:
        frames: the frames of a clip.
        track: the face in them.
        regions: mask and window of the mouth.
        cost: list to which mean squared error, largest change, seconds and window side of each
            frame are appended.
    """
    marker = WatermarkEmbedder(WATERMARK_ID)
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


def write_marked_clip(clip: Path, path: Path, count: int) -> WatermarkCost:
    """Write the first frames of a clip with a watermark.

    Args:
        clip: the clip.
        path: the file to write.
        count: number of frames.
    """
    head = load_head_model()
    track = track_video(clip, head=head, stop=count, progress=show)
    regions = compute_track_regions(track, head)
    cost: list[tuple[float, float, float, float]] = []
    with VideoWriter(path, probe(clip)) as writer:
        for frame in embed_in_frames(read_frames(clip, stop=len(track)), track, regions, cost):
            writer.write(frame)
    squares, peaks, seconds, sides = np.array(cost).T
    return WatermarkCost(
        10 * np.log10(255**2 / squares.mean()),
        float(peaks.max()),
        1000 * float(np.median(seconds)),
        float(np.median(sides)),
    )


def encode(
    source: Path,
    target: Path,
    crf: int,
    change: Change | None = None,
    speed: Fraction = Fraction(1),
) -> None:
    """Encode a video once more with H.264.

    Args:
        source: the video.
        target: the file to write.
        crf: quality of x264; larger is worse.
        change: function that changes each picture; by default none.
        speed: factor of the frame rate; all frames are kept.
    """
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        rate = (read.streams.video[0].average_rate or Fraction(25)) * speed
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


def halve(picture: av.VideoFrame) -> av.VideoFrame:
    """Scale a picture to half its width and height."""
    width, height = picture.width // 4 * 2, picture.height // 4 * 2
    return picture.reformat(width, height, format="yuv420p", interpolation="BICUBIC")


def crop(picture: av.VideoFrame) -> av.VideoFrame:
    """Cut off a tenth of the width and height, half of it on every side."""
    x, y = picture.width // 40 * 2, picture.height // 40 * 2
    part = picture.to_ndarray(format="rgb24")[y : picture.height - y, x : picture.width - x]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(part), format="rgb24")
    width, height = frame.width // 2 * 2, frame.height // 2 * 2
    return frame.reformat(width, height, format="yuv420p")


def resample(source: Path, target: Path, rate: Fraction) -> None:
    """Encode a video at another frame rate: frames are repeated or left out.

    Args:
        source: the video.
        target: the file to write.
        rate: the new frame rate, frames per second.
    """
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        given = read.streams.video[0]
        stream = written.add_stream("libx264", rate=rate, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        number = 0
        for picture in read.decode(video=0):
            # Every frame of the new rate that is due before this one ends shows this one.
            end = Fraction(picture.pts + (picture.duration or 1)) * picture.time_base
            while number / rate < end:
                frame = picture.reformat(format="yuv420p")
                frame.pts, frame.time_base, frame.pict_type = number, 1 / rate, 0
                written.mux(stream.encode(frame))
                number += 1
        written.mux(stream.encode(None))


def remux(source: Path, target: Path) -> None:
    """Copy the stream into another container."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)


# Changes of a file, by their name in the table.
FILE_CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "as written": lambda source, target: target.write_bytes(source.read_bytes()),
    "re-mux": remux,
    "CRF 18": lambda source, target: encode(source, target, 18),
    "CRF 23": lambda source, target: encode(source, target, 23),
    "CRF 28": lambda source, target: encode(source, target, 28),
    "half size": lambda source, target: encode(source, target, 18, halve),
    "crop 10 %": lambda source, target: encode(source, target, 18, crop),
    "4 % faster": lambda source, target: encode(source, target, 18, speed=Fraction(25, 24)),
    "1.5 x faster": lambda source, target: encode(source, target, 18, speed=Fraction(3, 2)),
    "60 fps": lambda source, target: resample(source, target, Fraction(60)),
}


def read_watermark(path: Path, count: int) -> DetectionResult:
    """Read a file as ``dubfew verify`` does.

    Args:
        path: the video.
        count: number of frames to read.
    """
    try:
        seen = project_mouths(path, track_mouths(path, 0, count, show), 0, count)[:1]
    except NoFaceError:
        return DetectionResult(False, 0.5, 0.0)
    best = rank_candidates(seen, num_starts=1)[0]
    found = decode_watermark(seen)
    return DetectionResult(
        found is not None and found.id == WATERMARK_ID,
        float(((best < 0) == encode_payload(WATERMARK_ID)).mean()),
        float(np.abs(best).mean()),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, default=[DEMO_CLIP])
    parser.add_argument("--frames", type=int, default=250, help="of each clip; default 250")
    parser.add_argument("--unmarked", nargs="*", type=Path, default=[])
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args(arguments)
    costs: dict[str, WatermarkCost] = {}
    outcomes: dict[str, dict[str, DetectionResult]] = {}
    with tempfile.TemporaryDirectory(prefix="dubfew-watermark-") as name:
        for clip in options.clips:
            path = Path(name) / "marked.mp4"
            costs[clip.stem] = write_marked_clip(clip, path, options.frames)
            outcomes[clip.stem] = {}
            for change, make in FILE_CHANGES.items():
                changed = Path(name) / ("changed.mkv" if change == "re-mux" else "changed.mp4")
                make(path, changed)
                outcomes[clip.stem][change] = read_watermark(changed, options.frames)
    text = [
        "# Watermark",
        machine_line(),
        "Bits that are right before correction, of 72, and certainty; - where no id was read.",
        markdown_table(
            ["clip", "window, px", *FILE_CHANGES],
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
        unmarked = {clip.stem: search_unmarked(clip, options.frames) for clip in options.unmarked}
        wrong = sum(found for found, _ in unmarked.values())
        most = max(certainty for _, certainty in unmarked.values())
        text.append(
            f"{len(unmarked)} unmarked clips: {wrong} with a watermark; the most certain reading "
            f"had {most:.2f}; each reading checked passes by chance once in "
            f"{2 ** (8 * CHECKSUM_BYTES) // NUM_ERROR_PATTERNS:,}."
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


def search_unmarked(clip: Path, count: int) -> tuple[bool, float]:
    """Search an unmarked clip.

    Args:
        clip: the clip.
        count: number of frames to read.

    Returns:
        Whether an id was read, and the certainty of the most certain reading.
    """
    try:
        seen = project_mouths(clip, track_mouths(clip, 0, count, show), 0, count)[:1]
    except NoFaceError:
        return False, 0.0
    return decode_watermark(seen) is not None, float(np.abs(rank_candidates(seen)[0]).mean())


def _cell(found: DetectionResult) -> str:
    bits = f"{round(72 * found.accuracy)} ({found.certainty:.1f})"
    return bits if found.found else f"- {bits}"


if __name__ == "__main__":
    sys.exit(main())
