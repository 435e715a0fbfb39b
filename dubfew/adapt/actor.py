"""``adapt``: footage in, an actor in the registry out."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dubfew.adapt.artefact import FORMAT_VERSION, ActorAdapter
from dubfew.adapt.learning import learn
from dubfew.adapt.methods import method_named
from dubfew.errors import DubfewError, MediaError
from dubfew.files import check_folder
from dubfew.media import VideoInfo, probe, read_audio, read_frames
from dubfew.prior.align import align_footage
from dubfew.prior.checkpoint import Prior
from dubfew.prior.footage import Footage, footage_from
from dubfew.progress import ProgressCallback, silent
from dubfew.reconstruction.crop import track_regions
from dubfew.reconstruction.head import HeadModel, load_head
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry
from dubfew.registry.names import actor_id
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion import MouthMotion
from dubfew.speech.observe import motion_of_track
from dubfew.speech.style import Style, fit_style

# Longer footage is cut here unless asked otherwise: it costs time and memory, and references
# and texture have by then seen most of what the mouth does.
DEFAULT_SECONDS = 10.0
DEFAULT_STEPS = 300
# References are stored no larger than this: a mouth window of a 4K close-up.
LARGEST_REFERENCE = 384
REFERENCES = 48


@dataclass(frozen=True)
class AdaptResult:
    """What ``adapt`` did.

    Attributes:
        actor: id in the registry.
        revision: of the actor.
        method: how it was adapted.
        frames: with a face, learned from.
        steps: the step whose result was kept.
        seconds: track, train, total.
        psnr_heldout: of the mouths of held-out frames of the footage, dB; None when it was too
            short to hold any out.
        bytes: stored.
        curve: step, seconds and held-out PSNR of every look during training.
    """

    actor: str
    revision: int
    method: str
    frames: int
    steps: int
    seconds: dict[str, float]
    psnr_heldout: float | None
    bytes: int
    curve: list[tuple[int, float, float]]


def adapt(
    video: Path | str,
    *,
    actor: str | None = None,
    method: str = "lora",
    seconds: float | None = None,
    steps: int | None = None,
    prior: str | Path | None = None,
    consent: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
    registry: Registry | None = None,
    progress: ProgressCallback = silent,
) -> AdaptResult:
    """Learn an actor from a few seconds of footage.

    Args:
        video: footage that shows one face.
        actor: id; the file's stem by default.
        method: "texture", "lora" or "full", see `METHODS`.
        seconds: how much of the footage to use, from its start; at most 10 s by default.
        steps: at most so many; training ends sooner when held-out frames stop gaining.
        prior: name or folder; the shipped one by default.
        consent: a JSON record that is kept with the actor.
        device: "auto", "cpu" or "cuda".
        seed: the same seed gives the same actor on the same machine.
        registry: where to keep the actor; the user's own by default.
        progress: told of every stage.

    Raises:
        MediaError: the footage cannot be read.
        NoFaceError: it shows no face.
        ArtefactError: no such method or prior.
        RegistryError: the id cannot be used or the registry cannot be written.
    """
    began = time.monotonic()
    video = Path(video)
    # What was asked for wrongly is said before minutes of work.
    name = actor_id(video.stem if actor is None else actor)
    device = pick_device(device)
    chosen = method_named(method)
    record = read_consent(consent)
    registry = registry or Registry()
    check_folder(registry.home)
    base = Prior.load(prior)
    info = probe(video)
    head = load_head(base.head)
    stop = frames_in(info, DEFAULT_SECONDS if seconds is None else seconds)
    track = track_video(video, head=head, stop=stop, progress=progress)
    motion = motion_of_track(track, head)
    large = footage_from(
        read_frames(video, stop=stop),
        track,
        head,
        motion.displacement,
        size=reference_size(track, head),
        progress=progress,
    )
    small = align_footage(resized(large, base.renderer.config.window), head, progress=progress)
    ratio = np.array([large.size / small.size] * 2 + [1], np.float32)
    large = replace(large, vertices=small.vertices * ratio)
    style = actor_style(video, info, motion)
    tracked = time.monotonic()

    learned = learn(
        base,
        small,
        head,
        chosen,
        chosen.options,
        steps=DEFAULT_STEPS if steps is None else steps,
        device=device,
        seed=seed,
        progress=progress,
    )
    trained = time.monotonic()
    adapter = ActorAdapter(
        config={
            "prior": {"name": base.name, "sha256": base.sha256},
            "method": method,
            "options": chosen.options,
            "head": head.name,
            "source": {
                "path": str(video.resolve()),
                "sha256": track.source_sha256,
                "frames": len(track),
                "complete": len(track) < stop,
            },
            "consent": record,
            "training": {"steps": learned.steps, "seed": seed, "psnr_heldout": learned.psnr},
        },
        weights=learned.weights,
        texture=learned.texture,
        references=large.select(spanning(large.key, REFERENCES)),
        style=style,
        track=track.to_bytes(),
    )
    config = {"format_version": FORMAT_VERSION, "method": method, **adapter.config}
    revision = registry.create(name, config, adapter.to_files())
    return AdaptResult(
        actor=revision.actor,
        revision=revision.number,
        method=method,
        frames=len(large),
        steps=learned.steps,
        seconds={
            "track": tracked - began,
            "train": trained - tracked,
            "total": time.monotonic() - began,
        },
        psnr_heldout=learned.psnr,
        bytes=revision.bytes,
        curve=learned.curve,
    )


def frames_in(info: VideoInfo, seconds: float) -> int:
    """How many frames lie in the first seconds of a video, at least one.

    Raises:
        DubfewError: not a positive, finite time.
    """
    if not 0 < seconds < math.inf:
        raise DubfewError(f"--seconds is {seconds:g}: give a positive number of seconds")
    return max(1, round(info.fps * Fraction(seconds)))


def read_consent(path: Path | str | None) -> object:
    """The consent record, or None.

    Raises:
        DubfewError: not a readable JSON file.
    """
    if path is None:
        return None
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        json.dumps(record, allow_nan=False)  # Python reads NaN, JSON has none to store
        return record
    except (OSError, ValueError, RecursionError) as error:
        raise DubfewError(f"{path} is not a consent record: expected a JSON file") from error


def reference_size(track: Track, head: HeadModel) -> int:
    """Edge of the stored references, px: twice the windows' size in the footage, so that looking
    them up between their pixels loses no sharpness."""
    side = float(np.median(track_regions(track, head).window[track.valid, 2]))
    return int(np.clip(2 * round(side), 160, LARGEST_REFERENCE))


def resized(footage: Footage, size: int) -> Footage:
    """The same windows drawn ``size`` px wide."""
    if footage.size == size:
        return footage
    ratio = size / footage.size
    images = [
        np.asarray(Image.fromarray(i).resize((size, size), Image.Resampling.BILINEAR))
        for i in footage.images
    ]
    scale = np.array([ratio, ratio, 1], np.float32)
    return replace(
        footage,
        images=np.stack(images),
        vertices=footage.vertices * scale,
        hulls=footage.hulls * np.float32(ratio),
    )


def spanning(key: NDArray, count: int) -> NDArray[np.int64]:
    """Rows that span the keys: each next one is farthest from those before.

    Source: Gonzalez 1985, farthest-point clustering.
    """
    rows = [int(np.argmin(np.linalg.norm(key - key.mean(0), axis=1)))]
    distance = np.linalg.norm(key - key[rows[0]], axis=1)
    while len(rows) < min(count, len(key)):
        rows.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(key - key[rows[-1]], axis=1))
    return np.sort(np.array(rows, np.int64))


def actor_style(video: Path, info: VideoInfo, motion: MouthMotion) -> Style:
    """Speaking style from the footage's sound, or from its motion alone."""
    if info.has_audio:
        try:
            audio = read_audio(video)
        except MediaError:
            return Style.from_statistics(motion)
        if len(audio.samples):
            return fit_style(SpeechModel.load_default().predict(audio, motion.times), motion)
    return Style.from_statistics(motion)


def pick_device(device: str) -> str:
    """ "auto" becomes "cuda" where there is one.

    Raises:
        DubfewError: no such device, or CUDA was asked for and there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise DubfewError(f"no device {device!r}: give auto, cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DubfewError(f"--device {device}: torch finds no CUDA device here; use --device cpu")
    return device
