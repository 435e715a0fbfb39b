"""Tiny priors of the papers' renderers, trained on synthetic people and on given clips.

    python -m benchmarks.tiny_priors people --out FOLDER [--clips CLIP ...]
        [--seeds 300-311] [--seconds-each 4] [--layouts NAME,...]
    python -m benchmarks.tiny_priors train --out FOLDER --seconds 180 [--steps N] [--only NAME,...]
    python -m benchmarks.tiny_priors score --out FOLDER --held-out FOLDER [--picture FILE]

``people`` films synthetic people (`dubfew.synthetic`), tracks the given clips, and writes their
crops for every layout, and the windows that dubfew's own renderer learns from. ``train`` gives
each renderer as many steps as fit into the same processor seconds, and with ``--steps`` the same
number of steps as well. Both go on where they stopped. ``score`` renders people whom no training
saw, from references of their own clip and without an adaptation, and measures the mouths in the
networks' own crops; the held-out folder is one of ``people``. Two rows stand beside the trainings:
references that are warped and blended without any network, and the shipped prior.

The painting networks have the tests' own sizes (64 px, or 104 x 80), with losses of pixels alone:
no weights of VGG-19, no critics, no SyncNet. They are not the papers' configurations. `lite` is
trained from fresh weights as well, at its own size. `benchmarks.renderers` measures them all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import machine_line, markdown_table
from dubfew.data.audio_io import SegmentAudio, serialize_audio
from dubfew.data.clip_footage import ClipFootage, cut_clip_footage
from dubfew.data.clip_shards import CLIP_MEMBER, open_layout_clips, serialize_clip
from dubfew.data.footage_io import serialize_footage
from dubfew.data.shards import (
    SHARD_FORMAT_VERSION,
    open_prepared_clips,
    serialize_header,
    serialize_sample,
)
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.data.tar import write_tar_end
from dubfew.media import Frame, probe, read_audio, read_frames
from dubfew.media.mel import resample_audio
from dubfew.motion.extraction import motion_from_track
from dubfew.prior.checkpoint import Prior
from dubfew.prior.renderers import RENDERERS
from dubfew.prior.training.config import PriorTrainConfig
from dubfew.prior.training.painting_data import VALIDATION_WINDOWS, ClipValidator
from dubfew.prior.training.trainer import FINISHED_PRIOR_FOLDER, train_renderer
from dubfew.prior.training.validation import (
    VALIDATION_FRAMES,
    HeldOutValidator,
    ValidationResult,
)
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import Footage
from dubfew.synthetic import SyntheticPerson, render_clip
from dubfew.utils.files import atomic_path, write_atomic

# Synthetic people, none of whom the tests film, and what is filmed of each.
PERSON_SEEDS, CLIP_SECONDS, PICTURE_SIZE = "300-311", 4.0, 192
# Steps whose mean time says how many fit into the given seconds. The first loads and compiles.
TIMED_STEPS, WARMUP_STEPS = 8, 2
# Height of a crop in the picture, px.
PREVIEW_HEIGHT = 150
# Columns of the table, as validations name them.
MEASURES = ("psnr_heldout", "ssim_heldout", "sharpness_heldout")


@dataclass(frozen=True)
class TinyRun:
    """How one renderer is trained.

    Attributes:
        layout: crops that it paints; "" for the windows of dubfew's own renderer.
        config: keys of its training that differ from the recipe's own.
    """

    layout: str
    config: Mapping[str, Any] = field(default_factory=dict)


# Rates that `benchmarks.painting_overfit` found to learn; the papers' are for batches of a GPU.
_PAINTING = {"loss": "pixels", "batch": 2, "learning_rate": 1e-3, "texture_rate": 2e-3}
TINY_RUNS: Mapping[str, TinyRun] = {
    **{
        name: TinyRun(RENDERERS.load(name).config.layout, _PAINTING)
        for name in ("stylesync", "dinet", "sidgan", "iptalker")
    },
    # dubfew's own renderer from fresh weights.
    "lite": TinyRun("", {"batch": 2}),
}
# Folder of the windows that have no layout.
WINDOWS_FOLDER = "windows"


def film_people(
    seeds: Sequence[int], seconds: float, clips: Sequence[Path], done: Collection[str]
) -> Iterator[tuple[str, Track, list[Frame], np.ndarray, str]]:
    """Film the synthetic people, then track the clips.

    Args:
        seeds: seeds of the synthetic people.
        seconds: what is filmed of each, s.
        clips: files of one person each.
        done: names to leave out.

    Yields:
        Name, track, frames, sound at 16 kHz, and licence of each.
    """
    for seed in seeds:
        if f"synthetic-{seed}" in done:
            continue
        clip = render_clip(SyntheticPerson(seed), seconds=seconds, size=PICTURE_SIZE, seed=seed)
        frames = [Frame.from_rgb(rgb, number, 25) for number, rgb in enumerate(clip.frames)]
        sound = resample_audio(clip.audio.samples, clip.audio.rate)
        yield f"synthetic-{seed}", clip.track, frames, sound, "synthetic"
    for path in clips:
        if path.stem in done:
            continue
        sound = np.zeros(0, np.float32)
        if probe(path).has_audio:
            heard = read_audio(path)
            sound = resample_audio(heard.samples, heard.rate)
        yield path.stem, track_video(path), list(read_frames(path)), sound, "of the clip"


def write_people(
    out: Path, seeds: Sequence[int], seconds: float, clips: Sequence[Path], layouts: Sequence[str]
) -> None:
    """Write a shard of every person for every layout; those that are there stay.

    Args:
        out: folder of the benchmark.
        seeds: seeds of the synthetic people.
        seconds: what is filmed of each, s.
        clips: files of one person each.
        layouts: entries of ``LAYOUTS``, and "" for the windows of dubfew's own renderer.
    """
    made = out / "data"
    last = made / (layouts[-1] or WINDOWS_FOLDER)
    done = {path.stem.removeprefix("shard-") for path in last.glob("shard-*.tar")}
    for name, track, frames, sound, license_name in film_people(seeds, seconds, clips, done):
        head = load_head_model(track.head)
        for layout in layouts:
            pictures = (
                cut_clip_footage(iter(frames), track, head, layout, samples=sound)
                if layout
                else cut_windows(frames, track, head)
            )
            header = {
                "format_version": SHARD_FORMAT_VERSION,
                "file": name,
                "identity": name,
                "clip": name,
                "sha256": track.source_sha256 or name,
                "license": license_name,
                "segment": 0,
                "start": int(pictures.frames[0]),
                "stop": int(pictures.frames[-1]) + 1,
                "frames": len(pictures),
                "seconds": len(pictures) / CLIP_FPS,
                "fps": str(CLIP_FPS),
                "head": track.head,
                "sound": len(sound) > 0,
            }
            files = {}
            if isinstance(pictures, ClipFootage):
                header["layout"] = layout
                files[CLIP_MEMBER] = serialize_clip(pictures)
            else:
                header["size"] = pictures.window_size
                files["footage.safetensors"] = serialize_footage(pictures, {})
            files["json"] = serialize_header(header)
            if len(sound):
                level = np.zeros((len(pictures), 80), np.float32)  # of the speech model alone
                times = pictures.frames / CLIP_FPS
                files["audio.safetensors"] = serialize_audio(SegmentAudio(0.0, sound, level, times))
            target = made / (layout or WINDOWS_FOLDER) / f"shard-{name}.tar"
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                file.write(serialize_sample(f"{name}_00000", files))
                write_tar_end(file)
        print(f"{name}: {len(frames)} frames", flush=True)


def cut_windows(frames: Sequence[Frame], track: Track, head: HeadModel) -> Footage:
    """Cut and align the windows that dubfew's own renderer learns from."""
    motion = motion_from_track(track, head).displacement
    size = RENDERERS.load("lite").config.window
    footage = footage_from_frames(iter(frames), track, head, motion, window_size=size)
    return align_footage(footage, head)


def make_config(name: str, out: Path, folder: str, steps: int) -> PriorTrainConfig:
    """Make the configuration of a training."""
    run = TINY_RUNS[name]
    entry = RENDERERS.load(name)
    return PriorTrainConfig.from_values(
        {
            "data": str(out / "data" / (run.layout or WINDOWS_FOLDER)),
            "out": str(out / folder / name),
            "renderer": name,
            "renderer_config": dict(entry.tiny),
            "steps": steps,
            "checkpoint": max(1, min(200, steps)),
            **run.config,
        }
    )


def time_step(name: str, out: Path) -> float:
    """Measure the processor seconds of one training step."""
    marks: list[float] = []
    config = make_config(name, out, "timing", WARMUP_STEPS + TIMED_STEPS)
    train_renderer(config, lambda progress: marks.append(time.process_time()))
    return (marks[-1] - marks[WARMUP_STEPS - 1]) / (len(marks) - WARMUP_STEPS)


def train_one(name: str, out: Path, folder: str, steps: int) -> None:
    """Train one renderer, unless it is there, and note what it cost."""
    run = out / folder / name
    if (run / "run.json").exists():
        return
    began = time.process_time()
    train_renderer(make_config(name, out, folder, steps))
    prior = run / FINISHED_PRIOR_FOLDER
    size = sum(file.stat().st_size for file in prior.glob("*.safetensors"))
    facts = {"steps": steps, "processor_seconds": time.process_time() - began, "bytes": size}
    write_atomic(run / "run.json", json.dumps(facts).encode())
    print(f"{folder} {name}: {facts}", flush=True)


def draw_previews(path: Path, previews: Mapping[str, np.ndarray]) -> None:
    """Draw film, what a network sees, and what it painted, two renderers side by side."""
    from PIL import Image, ImageDraw

    tiles = {
        name: Image.fromarray(image).resize(
            (round(image.shape[1] * PREVIEW_HEIGHT / image.shape[0]), PREVIEW_HEIGHT)
        )
        for name, image in previews.items()
    }
    width = max(tile.width for tile in tiles.values()) + 8
    height = PREVIEW_HEIGHT + 18
    sheet = Image.new("RGB", (2 * width - 8, height * -(-len(tiles) // 2)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, tile) in enumerate(tiles.items()):
        left, top = number % 2 * width, number // 2 * height
        draw.text((left + 2, top + 3), f"{name}: film, input, painted", fill="black")
        sheet.paste(tile, (left, top + 17))
    sheet.save(path)


def load_validator(
    name: str, held_out: Path, prior: Prior
) -> Callable[[], tuple[ValidationResult, float]]:
    """Prepare what measures a renderer on held-out people.

    Args:
        name: entry of `TINY_RUNS`.
        held_out: folder of held-out people.
        prior: the trained prior.

    Returns:
        A function that renders everybody, measures, and counts the milliseconds of a frame.
    """
    layout, cpu = TINY_RUNS[name].layout, torch.device("cpu")
    folder, renderer = held_out / "data" / (layout or WINDOWS_FOLDER), prior.renderer.eval()
    if layout:
        people = open_layout_clips(folder, layout)
        painted = ClipValidator(people, renderer.config, cpu)
        frames = len(people) * VALIDATION_WINDOWS * renderer.config.frames
        return lambda: measure_time(frames, lambda: painted(renderer, torch.nn.Identity()))
    clips = open_prepared_clips(folder)
    blended = HeldOutValidator(clips, renderer.config.references, cpu)
    return lambda: measure_time(len(clips) * VALIDATION_FRAMES, lambda: blended(renderer))


def measure_time(
    frames: int, validate: Callable[[], ValidationResult]
) -> tuple[ValidationResult, float]:
    """Validate, and count the processor milliseconds of a frame."""
    began = time.process_time()
    result = validate()
    return result, 1000 * (time.process_time() - began) / frames


def score(out: Path, held_out: Path, picture: Path | None = None) -> str:
    """Measure all trained priors on held-out people; returns the table as Markdown.

    Args:
        out: folder of the trainings.
        held_out: folder of held-out people.
        picture: file for a picture of the first person, by the trainings of equal seconds.
    """
    rows: list[list[object]] = []
    previews: dict[str, np.ndarray] = {}
    for budget in ("steps", "seconds"):
        for name in TINY_RUNS:
            folder = out / budget / name
            if not (folder / "run.json").exists():
                continue
            prior = Prior.load(folder / FINISHED_PRIOR_FOLDER)
            result, milliseconds = load_validator(name, held_out, prior)()
            if budget == "seconds":
                previews[name] = next(iter(result.preview_images.values()))
            facts = json.loads((folder / "run.json").read_text())
            rows.append(
                [
                    name,
                    f"equal {budget}",
                    facts["steps"],
                    facts["processor_seconds"],
                    *(result.metrics[measure] for measure in MEASURES),
                    milliseconds,
                    facts["bytes"] / 1e6,
                ]
            )
    if picture is not None and previews:
        draw_previews(picture, previews)
    shipped, milliseconds = load_validator("lite", held_out, Prior.load(None))()
    found = shipped.metrics
    untrained = ["no network: warped references", *[None] * 3, found["psnr_warp"], *[None] * 4]
    figures = [*(found[measure] for measure in MEASURES), milliseconds, None]
    rows += [untrained, ["lite, shipped", *[None] * 3, *figures]]
    head = ["renderer", "trained for", "steps", "processor s", *MEASURES, "ms a frame", "MB"]
    return machine_line() + "\n\n" + markdown_table(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one of the parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("people", "train", "score"))
    parser.add_argument("--clips", nargs="*", type=Path, default=[], help="to train on as well")
    parser.add_argument("--seeds", default=PERSON_SEEDS, help="of synthetic people, first-last")
    parser.add_argument("--seconds-each", type=float, default=CLIP_SECONDS, help="of each of them")
    parser.add_argument("--layouts", default="", help="names, separated by commas; default: all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=180, help="processor seconds of each")
    parser.add_argument("--steps", type=int, default=0, help="steps of the second training of each")
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--picture", type=Path, help="file for a picture of the first person")
    parser.add_argument("--held-out", type=Path, help="folder of ``people`` that no training saw")
    options = parser.parse_args(arguments)
    if options.part == "people":
        first, _, last = options.seeds.partition("-")
        seeds = range(int(first), int(last or first) + 1)
        every = sorted({run.layout or WINDOWS_FOLDER for run in TINY_RUNS.values()})
        chosen = options.layouts.split(",") if options.layouts else every
        layouts = ["" if name == WINDOWS_FOLDER else name for name in chosen]
        write_people(options.out, seeds, options.seconds_each, options.clips, layouts)
        return 0
    if options.part == "score":
        if options.held_out is None:
            parser.error("score needs --held-out")
        print(score(options.out, options.held_out, options.picture))
        return 0
    for name in [n for n in TINY_RUNS if not options.only or n in options.only.split(",")]:
        if options.steps:
            train_one(name, options.out, "steps", options.steps)
        if not (options.out / "seconds" / name / "run.json").exists():
            steps = max(1, round(options.seconds / time_step(name, options.out)))
            train_one(name, options.out, "seconds", steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
