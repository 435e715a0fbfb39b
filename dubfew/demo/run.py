"""The run behind ``dubfew demo``: adapt, render, and write a report page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE, ActorAdapter
from dubfew.adapt.pipeline import AdaptResult, adapt
from dubfew.evaluate.report import write_report
from dubfew.media import read_frames
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.render.pipeline import RenderResult, render
from dubfew.utils.files import check_output_path
from dubfew.utils.job_progress import part_of_job

# Bundled files: footage of a synthetic person, and speech of another synthetic voice. Both are made
# by tools/build_demo.py.
ACTOR_CLIP_FILE, DUB_AUDIO_FILE = "actor.mp4", "dub.wav"
# Id of the actor in the temporary registry.
DEMO_ACTOR_ID = "demo"
# Frames on the report page: as many as fit side by side on a screen.
NUM_REPORT_FRAMES = 6
# Half the side of the mouth images on the page, as a multiple of the distance between the outer eye
# corners. Larger crops show more of the face and less detail of the mouth.
MOUTH_CROP_HALF_WIDTH = 0.55

# Share of the demonstration that the adaptation takes; rendering takes the rest.
ADAPTATION_SHARE = 0.8

RgbImage = NDArray[np.uint8]


@dataclass(frozen=True)
class DemoResult:
    """Files and measurements of a demonstration.

    Attributes:
        video: the dubbed clip.
        report: HTML page with frames before and after.
        psnr_heldout: PSNR of the mouths of held-out frames, dB; None if no frame was held out.
        steps: training step whose weights were kept.
        frames: number of rendered frames.
        seconds: time of "adapt" and "render", and their "total", s.
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
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
    registry: Registry | None = None,
    prior: str | None = None,
    steps: int | None = None,
) -> DemoResult:
    """Adapt to the bundled clip, dub it with the bundled audio, and write a report.

    Args:
        out: folder for ``dubbed.mp4`` and ``report.html``; it is created if necessary.
        overwrite: replace these two files where they exist.
        progress: function that is called with the state of every stage of the work.
        registry: registry that stores the actor; default: a temporary one, removed afterwards.
        prior: name or folder of a prior; default: the one that ships.
        steps: training steps at most; default: as `dubfew.adapt` has it.

    Raises:
        OutputExistsError: One of the files exists and ``overwrite`` is False.
        DubfewError: A step failed, for example because a dependency is broken.
    """
    video, report = Path(out) / "dubbed.mp4", Path(out) / "report.html"
    for path in (video, report):
        check_output_path(path, overwrite=overwrite)
    # Without a registry, run again with one in a temporary folder.
    if registry is None:
        with tempfile.TemporaryDirectory(prefix="dubfew-demo-") as temporary:
            registry = Registry(Path(temporary) / "home")
            return run_demo(
                out,
                overwrite=overwrite,
                progress=progress,
                registry=registry,
                prior=prior,
                steps=steps,
            )
    # As files, because dubfew may be installed as a zip.
    folder = files("dubfew.demo")
    with as_file(folder / ACTOR_CLIP_FILE) as actor, as_file(folder / DUB_AUDIO_FILE) as dub:
        adapted = adapt(
            actor,
            actor=DEMO_ACTOR_ID,
            prior=prior,
            steps=steps,
            registry=registry,
            progress=part_of_job(progress, 0.0, ADAPTATION_SHARE),
        )
        rendered = render(
            DEMO_ACTOR_ID,
            video=actor,
            audio=dub,
            fit="trim",  # the speech is longer than the clip, and a still picture shows nothing
            out=video,
            overwrite=overwrite,
            registry=registry,
            progress=part_of_job(progress, ADAPTATION_SHARE, 1.0),
        )
        _write_demo_report(report, actor, adapted, rendered, registry)
    seconds = {"adapt": adapted.seconds["total"], "render": rendered.seconds["total"]}
    return DemoResult(
        video=rendered.output,
        report=report,
        psnr_heldout=adapted.psnr_heldout,
        steps=adapted.steps,
        frames=rendered.frames,
        seconds={**seconds, "total": sum(seconds.values())},
    )


def _write_demo_report(
    report: Path, clip: Path, adapted: AdaptResult, rendered: RenderResult, registry: Registry
) -> None:
    """Write the page that shows frames before and after, texture, curve and measurements."""
    # Read the stored actor again: its track tells where the mouth is in every frame.
    stored = registry.open(DEMO_ACTOR_ID)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    track = Track.from_bytes(adapter.track_bytes, f"{ADAPTER_TRACK_FILE} of {DEMO_ACTOR_ID}")
    # Evenly spaced frames, without the first and the last one.
    last = min(rendered.frames, len(track)) - 1
    rows = np.linspace(0, last, NUM_REPORT_FRAMES + 2).astype(int)[1:-1]
    before, after = _load_frames(clip, rows), _load_frames(rendered.output, rows)
    write_report(
        report,
        title="dubfew demo",
        before=before,
        after=after,
        mouths_before=_crop_mouths(before, track, rows),
        mouths_after=_crop_mouths(after, track, rows),
        moments=[f"{track.times[row]:.2f} s" for row in rows],
        texture=_texture_to_rgb(adapter),
        curve=adapted.curve,
        timings={
            **{f"adapt: {name}": value for name, value in adapted.seconds.items()},
            **{f"render: {name}": value for name, value in rendered.seconds.items()},
        },
        numbers={
            "held-out PSNR of the mouth, dB": adapted.psnr_heldout,
            "training steps": adapted.steps,
            "frames learned from": adapted.frames,
            "frames written": rendered.frames,
            "rendering, frames per second": round(rendered.frames / rendered.seconds["total"], 1),
            "size of the actor, bytes": adapted.bytes,
        },
        note="The person does not exist: face, voice and room were made by a program. "
        "Upper row: the footage. Lower row: the same moments speaking the new audio.",
    )


def _load_frames(path: Path, rows: NDArray[np.int64]) -> list[RgbImage]:
    """Read some frames of a video; ``rows`` are their indices in rising order."""
    chosen = set(rows.tolist())
    frames = read_frames(path, stop=int(rows[-1]) + 1)
    return [frame.to_rgb() for frame in frames if frame.index in chosen]


def _crop_mouths(
    frames: Iterable[RgbImage], track: Track, rows: NDArray[np.int64]
) -> list[RgbImage]:
    """Crop squares around the mouth of the footage, so that both versions show the same place."""
    squares = []
    for frame, row in zip(frames, rows, strict=True):
        points = track.landmarks[row, :, :2]
        half = MOUTH_CROP_HALF_WIDTH * float(
            np.linalg.norm(points[EYE_CORNERS[0]] - points[EYE_CORNERS[1]])
        )
        x, y = points[list(OUTER_LIPS + INNER_LIPS)].mean(0)
        height, width = frame.shape[:2]
        left, right = np.clip([x - half, x + half], 0, width).astype(int)
        top, bottom = np.clip([y - half, y + half], 0, height).astype(int)
        squares.append(frame[top:bottom, left:right])
    return squares


def _texture_to_rgb(adapter: ActorAdapter) -> RgbImage:
    """Convert the texture's first three channels, which training keeps close to plain color."""
    color = adapter.texture[:3].permute(1, 2, 0).numpy()
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)
