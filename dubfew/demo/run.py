"""Adapt to the bundled clip, dub it, and show the result on a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.adapt.pipeline import adapt
from dubfew.evaluate.report import write_report
from dubfew.media import read_frames
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.render.pipeline import render

ACTOR_CLIP_FILE, DUB_AUDIO_FILE = "actor.mp4", "dub.wav"
DEMO_ACTOR_ID = "demo"
NUM_REPORT_FRAMES = 6  # shown on the page
MOUTH_CROP_HALF_WIDTH = (
    0.55  # half a side of the mouth pictures, in distances of the outer eye corners
)

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes:
        video: the dubbed clip.
        report: before and after on one page.
        psnr_heldout: of the mouths of held-out frames, dB; None when none were held out.
        steps: of training whose result was kept.
        frames: written.
        seconds: adapt, render, total of both.
    """

    video: Path
    report: Path
    psnr_heldout: float | None
    steps: int
    frames: int
    seconds: dict[str, float]


def run_demo(
    out: Path | str,
    *,
    progress: ProgressCallback = no_progress,
    registry: Registry | None = None,
    prior: str | None = None,
    steps: int | None = None,
) -> DemoResult:
    """Learn the bundled person, let them speak the bundled audio, write a report.

    Args:
        out: folder for ``dubbed.mp4`` and ``report.html``; made where it is missing.
        progress: told of every stage.
        registry: where to keep the actor; by default a temporary one, gone afterwards.
        prior: to adapt from; the shipped one by default.
        steps: at most so many steps of training.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if registry is None:
        with tempfile.TemporaryDirectory(prefix="dubfew-demo-") as temporary:
            registry = Registry(Path(temporary) / "home")
            return run_demo(out, progress=progress, registry=registry, prior=prior, steps=steps)
    folder = files("dubfew.demo")
    with as_file(folder / ACTOR_CLIP_FILE) as actor, as_file(folder / DUB_AUDIO_FILE) as dub:
        learned = adapt(
            actor,
            actor=DEMO_ACTOR_ID,
            prior=prior,
            steps=steps,
            registry=registry,
            progress=progress,
        )
        made = render(
            DEMO_ACTOR_ID,
            video=actor,
            audio=dub,
            out=out / "dubbed.mp4",
            registry=registry,
            progress=progress,
        )
        stored = registry.open(DEMO_ACTOR_ID)
        adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
        track = Track.from_bytes(adapter.track_bytes, f"{ADAPTER_TRACK_FILE} of {DEMO_ACTOR_ID}")
        shown = np.linspace(0, min(made.frames, len(track)) - 1, NUM_REPORT_FRAMES + 2).astype(int)[
            1:-1
        ]
        before, after = _load_frames(actor, shown), _load_frames(made.output, shown)
    report = out / "report.html"
    write_report(
        report,
        title="dubfew demo",
        before=before,
        after=after,
        mouths_before=_crop_mouths(before, track, shown),
        mouths_after=_crop_mouths(after, track, shown),
        moments=[f"{track.times[row]:.2f} s" for row in shown],
        texture=_texture_to_rgb(adapter),
        curve=learned.curve,
        timings={
            **{f"adapt: {name}": value for name, value in learned.seconds.items()},
            **{f"render: {name}": value for name, value in made.seconds.items()},
        },
        numbers={
            "held-out PSNR of the mouth, dB": learned.psnr_heldout,
            "training steps": learned.steps,
            "frames learned from": learned.frames,
            "frames written": made.frames,
            "rendering, frames per second": round(made.frames / made.seconds["total"], 1),
            "size of the actor, bytes": learned.bytes,
        },
        note="The person does not exist: face, voice and room are made by a program. "
        "Upper row: the footage. Lower row: the same moments speaking the new audio.",
    )
    adapting, rendering = learned.seconds["total"], made.seconds["total"]
    return DemoResult(
        video=made.output,
        report=report,
        psnr_heldout=learned.psnr_heldout,
        steps=learned.steps,
        frames=made.frames,
        seconds={"adapt": adapting, "render": rendering, "total": adapting + rendering},
    )


def _load_frames(path: Path, rows: NDArray[np.int64]) -> list[RgbImage]:
    wanted = set(rows.tolist())
    frames = read_frames(path, stop=int(rows[-1]) + 1)
    return [frame.to_rgb() for frame in frames if frame.index in wanted]


def _crop_mouths(
    pictures: Iterable[RgbImage], track: Track, rows: NDArray[np.int64]
) -> list[RgbImage]:
    """Squares around where the footage's mouth was; the same place in every version."""
    squares = []
    for picture, row in zip(pictures, rows, strict=True):
        points = track.landmarks[row, :, :2]
        half = MOUTH_CROP_HALF_WIDTH * float(
            np.linalg.norm(points[EYE_CORNERS[0]] - points[EYE_CORNERS[1]])
        )
        x, y = points[list(OUTER_LIPS + INNER_LIPS)].mean(0)
        height, width = picture.shape[:2]
        left, right = np.clip([x - half, x + half], 0, width).astype(int)
        top, bottom = np.clip([y - half, y + half], 0, height).astype(int)
        squares.append(picture[top:bottom, left:right])
    return squares


def _texture_to_rgb(adapter: ActorAdapter) -> RgbImage:
    """The texture's first three channels, which are kept close to plain colour."""
    colour = adapter.texture[:3].permute(1, 2, 0).numpy()
    return (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)
