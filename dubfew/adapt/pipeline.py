"""``adapt``: footage in, an actor in the registry out."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubfew.adapt.artefact import ADAPTER_FORMAT_VERSION, ActorAdapter
from dubfew.adapt.methods import METHODS, resolve_method_options
from dubfew.adapt.options import (
    DEFAULT_FOOTAGE_SECONDS,
    DEFAULT_TRAINING_STEPS,
    REPLAY_BY_DEFAULT,
    AdaptOptions,
)
from dubfew.adapt.replay import load_replay_for_prior
from dubfew.adapt.segment_selection import FootageSegment, choose_segment
from dubfew.adapt.trainer import train_adapter
from dubfew.errors import DubfewError, MediaError, NoFaceError
from dubfew.media import Audio, VideoInfo, probe, read_frames
from dubfew.media.audio import stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.prior.checkpoint import Prior
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import resize_footage
from dubfew.references.selection import farthest_point_sampling
from dubfew.registry import Registry
from dubfew.registry.consent import read_consent
from dubfew.registry.names import normalize_actor_id
from dubfew.speech.model import SpeechModel
from dubfew.speech.resolve_model import make_model_reference
from dubfew.speech.style import SpeakingStyle, fit_style
from dubfew.utils.options import document_options, merge_options

# References are stored no larger than this (a mouth window of a 4K close-up), or than the
# renderer's window.
MAX_REFERENCE_SIZE_PX = 384
NUM_STORED_REFERENCES = 48
# Sound around the part that is learned from, which sounds at its ends are judged by (s).
AUDIO_MARGIN_SECONDS = 1.0


@dataclass(frozen=True)
class AdaptResult:
    """What ``adapt`` did.

    Attributes:
        actor: id in the registry.
        revision: of the actor.
        method: how it was adapted.
        segment: the part of the footage that was learned from.
        frames: with a face, learned from.
        steps: the step whose result was kept.
        seconds: choose, track, train, total.
        psnr_heldout: of the mouths of held-out frames of the footage, dB; None when it was too
            short to hold any out.
        bytes: stored.
        curve: step, seconds and held-out PSNR of every look during training.
        note: one line about the consent, or "".
    """

    actor: str
    revision: int
    method: str
    segment: FootageSegment
    frames: int
    steps: int
    seconds: dict[str, float]
    psnr_heldout: float | None
    bytes: int
    curve: list[tuple[int, float, float]]
    note: str


@document_options(AdaptOptions)
def adapt(
    video: Path | str,
    options: AdaptOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> AdaptResult:
    """Choose a part of the footage, track it, train on it, and store the actor.

    ``dubfew.adapt`` is this function; its documentation lists the errors.

    Args:
        video: footage of the actor, who may not be alone in it.
        options: the options below as one object; those given as keywords override it.
        registry: registry that stores the actor; default: the user's own.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(AdaptOptions, options, overrides)
    began = time.monotonic()
    video = Path(video)
    # What was asked for wrongly is said before minutes of work.
    name = normalize_actor_id(video.stem if options.actor is None else options.actor)
    device = resolve_device(options.device)
    chosen = METHODS.load(options.method)
    method_options = resolve_method_options(options.method, rank=options.rank)
    given = read_consent(options.consent) if options.consent is not None else None
    speech = Path(options.speech) if options.speech is not None else None
    speech_model = SpeechModel.load(speech) if speech is not None else SpeechModel.load_default()
    registry = registry or Registry()
    registry.check_create(name)
    record = given or registry.consent(name)
    note = registry.check_learning(name, record)
    base = Prior.load(options.prior)
    info = probe(video)
    model = load_head_model(base.head if options.head is None else options.head)
    replay = REPLAY_BY_DEFAULT if options.replay is None else options.replay
    others = load_replay_for_prior(base, model) if replay else None
    seconds = DEFAULT_FOOTAGE_SECONDS if options.seconds is None else options.seconds
    part = choose_segment(video, info, seconds, start=options.start, progress=progress)
    chose = time.monotonic()
    track = track_video(
        video,
        head=model,
        face=options.face,
        start=part.first,
        stop=part.stop,
        segmenter=options.segmenter,
        progress=progress,
    )
    check_usable_frames(video, track)
    motion = motion_from_track(track, model)
    large = footage_from_frames(
        read_frames(video, start=part.first, stop=part.stop),
        track,
        model,
        motion.displacement,
        window_size=choose_reference_size(track, model, base.renderer.config.window),
        frame_numbers=part.first + np.arange(len(track)),
        progress=progress,
    )
    small = align_footage(
        resize_footage(large, base.renderer.config.window), model, progress=progress
    )
    ratio = np.array([large.window_size / small.window_size] * 2 + [1], np.float32)
    large = replace(large, vertices=small.vertices * ratio)
    style = fit_actor_style(video, info, motion, speech_model)
    tracked = time.monotonic()

    learned = train_adapter(
        base,
        small,
        model,
        chosen,
        method_options,
        steps=DEFAULT_TRAINING_STEPS if options.steps is None else options.steps,
        device=device,
        seed=options.seed,
        replay=others,
        progress=progress,
    )
    trained = time.monotonic()
    adapter = ActorAdapter(
        config={
            "prior": {"name": base.name, "sha256": base.sha256},
            "method": options.method,
            "options": method_options,
            "head": model.name,
            "speech": make_model_reference(speech),
            "source": {
                "path": str(video.resolve()),
                "sha256": track.source_sha256,
                "first": part.first,
                "frames": len(track),
                # Only then is this the track of the whole file.
                "complete": part.first == 0 and len(track) < part.stop,
            },
            "training": {
                "steps": learned.best_step,
                "seed": options.seed,
                "replay": replay,
                "psnr_heldout": learned.psnr_heldout,
            },
        },
        weights=learned.weights,
        texture=learned.texture,
        references=large.select_frames(farthest_point_sampling(large.key, NUM_STORED_REFERENCES)),
        style=style,
        track_bytes=track.to_bytes(),
    )
    config = {
        "format_version": ADAPTER_FORMAT_VERSION,
        "method": options.method,
        **adapter.config,
        "consent": record.to_config_entry() if record else None,
    }
    revision = registry.create(name, config, adapter.to_files())
    return AdaptResult(
        actor=revision.actor,
        revision=revision.number,
        method=options.method,
        segment=replace(part, stop=part.first + len(track), seconds=len(track) / float(info.fps)),
        frames=len(large),
        steps=learned.best_step,
        seconds={
            "choose": chose - began,
            "track": tracked - chose,
            "train": trained - tracked,
            "total": time.monotonic() - began,
        },
        psnr_heldout=learned.psnr_heldout,
        bytes=revision.stored_bytes,
        curve=learned.curve,
        note=note,
    )


def check_usable_frames(video: Path, track: Track) -> None:
    """See that there are frames to learn from.

    Raises:
        NoFaceError: there are none.
    """
    if not track.usable.any():
        raise NoFaceError(
            f"no frame of {video} can be learned from ({', '.join(track.reasons())}): give footage "
            "whose mouth is seen from the front"
        )


def choose_reference_size(track: Track, head: HeadModel, window: int) -> int:
    """Edge of the stored references, px: twice the windows' size in the footage, so that looking
    them up between their pixels loses no sharpness; ``window`` is what the renderer looks at."""
    side = float(np.median(compute_track_regions(track, head).window[track.usable, 2]))
    return int(np.clip(2 * round(side), 160, max(MAX_REFERENCE_SIZE_PX, window)))


def fit_actor_style(
    video: Path, info: VideoInfo, motion: MouthMotion, model: SpeechModel
) -> SpeakingStyle:
    """Speaking style from the footage's sound, or from its motion alone."""
    if info.has_audio:
        begin, end = (
            max(0.0, motion.times[0] - AUDIO_MARGIN_SECONDS),
            motion.times[-1] + AUDIO_MARGIN_SECONDS,
        )
        try:
            audio = read_audio_between(video, begin, end)
        except MediaError:
            return SpeakingStyle.from_statistics(motion, model.space)
        if len(audio.samples):
            heard = model.predict(audio, motion.times - begin)
            return fit_style(replace(heard, times=motion.times), motion, model.space)
    return SpeakingStyle.from_statistics(motion, model.space)


def read_audio_between(video: Path, begin: float, end: float) -> Audio:
    """The sound of a part of a video, s; memory does not grow with what is around it.

    Raises:
        MediaError: there is none.
    """
    kept = [np.zeros(0, np.float32)]
    first, last = round(begin * SPEECH_SAMPLE_RATE_HZ), round(end * SPEECH_SAMPLE_RATE_HZ)
    position = 0
    for block in stream_audio(video, SPEECH_SAMPLE_RATE_HZ):
        kept.append(block[max(0, first - position) : max(0, last - position)])
        position += len(block)
        if position >= last:
            break
    return Audio(np.concatenate(kept), SPEECH_SAMPLE_RATE_HZ)


def resolve_device(device: str) -> str:
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
