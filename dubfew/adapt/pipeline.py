"""``adapt``: from a video of an actor to an entry in the registry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from dubfew.adapt.actor_footage import ActorFootage, prepare_actor_footage
from dubfew.adapt.actor_likeness import ActorFace
from dubfew.adapt.artefact import ADAPTER_FORMAT_VERSION, ActorAdapter, select_stored_crops
from dubfew.adapt.default_revision import describe_worse_revision, find_present_revision
from dubfew.adapt.learned_face import FacePolicy, load_actor_adapter, load_known_face
from dubfew.adapt.learning_on import (
    AdapterStart,
    describe_added,
    follow_actor,
    is_same_clip,
    join_footage,
    join_styles,
    list_sources,
    open_known_actor,
)
from dubfew.adapt.methods import METHODS, AdaptationMethod, MethodOptions, resolve_method_options
from dubfew.adapt.options import (
    DEFAULT_FOOTAGE_SECONDS,
    MAX_SCAN_SECONDS,
    REPLAY_BY_DEFAULT,
    AdaptOptions,
)
from dubfew.adapt.painting_trainer import (
    DEFAULT_MIXED_SHARE,
    MixedPeople,
    load_mixed_people,
    train_painting_adapter,
)
from dubfew.adapt.plan import count_preparation_work
from dubfew.adapt.precheck import resolve_actor_id, resolve_consent
from dubfew.adapt.replay import ReplaySampler, load_replay_for_prior
from dubfew.adapt.segment_selection import FootageSegment, choose_segment
from dubfew.adapt.stage_estimates import estimate_adapt_stages
from dubfew.adapt.trainer import REPLAY_FRACTION, AdapterTraining, train_adapter
from dubfew.errors import DubfewError
from dubfew.media import VideoInfo, probe
from dubfew.media.field_search import find_field_order
from dubfew.media.fields import find_stated_order, stated_fields
from dubfew.media.log_curves import stated_input_transform
from dubfew.prior.checkpoint import Prior
from dubfew.prior.recipes import RECIPES, NetworkFiles, TrainingRecipe
from dubfew.prior.renderers import PaintingRenderer, PaintingRendererConfig, RendererConfig
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.references.selection import farthest_point_sampling
from dubfew.registry import Registry
from dubfew.registry.consent import ConsentRecord
from dubfew.registry.revision import Revision
from dubfew.speech.model import SpeechModel
from dubfew.speech.motion_lag import PictureLag
from dubfew.speech.resolve_model import make_model_reference
from dubfew.utils.allocator import return_freed_memory, return_library_code
from dubfew.utils.device import resolve_device
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import WorkPace, count_frame_units

# References that are stored of an actor: they span the mouth shapes of ten seconds. More make the
# actor larger and rendering slower; fewer lack mouths that a dub asks for.
NUM_STORED_REFERENCES = 48


@dataclass(frozen=True)
class AdaptResult:
    """An adapted actor: what is stored, and how the training went.

    Attributes:
        actor: id in the registry.
        revision: number of the new revision.
        method: adaptation method.
        segment: part of the footage that was used.
        frames: frames with a usable face in it.
        steps: step whose weights were kept.
        seconds: time spent in the stages "choose", "track" and "train", and "total".
        psnr_heldout: mean PSNR of the mouths of held-out frames, dB; None when the footage was too
            short to hold any out.
        bytes: size of the stored actor.
        curve: step, seconds and held-out PSNR of every validation.
        note: one line about the face, the consent record and the revision that is used, or "".
        face: one line on where the person who was learned is seen, and how many others are.
        picture_lag: lag of the footage's picture against its sound; None without sound.
        gained: what the actor can do since footage was added, as pairs of a title and one line.
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
    face: str = ""
    picture_lag: PictureLag | None = None
    gained: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _AdaptInputs:
    """Everything that the options name, checked and loaded."""

    name: str
    device: str
    method: AdaptationMethod
    method_options: MethodOptions
    speech: Path | None
    speech_model: SpeechModel
    consent: ConsentRecord | None
    note: str
    prior: Prior
    info: VideoInfo
    head: HeadModel
    replay: ReplaySampler | None
    recipe: TrainingRecipe
    networks: Mapping[str, nn.Module]
    mixed: MixedPeople | None
    steps: int
    present: Revision | None
    known_face: ActorFace | None
    base: ActorAdapter | None = None

    @property
    def layout(self) -> str | None:
        """Return the crop layout of a renderer that paints; None for one that blends."""
        config = self.prior.renderer.config
        return config.layout if isinstance(config, PaintingRendererConfig) else None

    @property
    def window_size(self) -> int:
        """Return the edge of the mouth windows to cut, px."""
        # Actors of painting renderers have mouth windows, too: mouth shapes are compared by them.
        if self.layout is not None:
            return RendererConfig().window
        return int(self.prior.renderer.config.window)


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
    with stated_input_transform(Path(video), options.input_transform):
        return _adapt(Path(video), options, registry or Registry(), progress)


def _adapt(
    video: Path, options: AdaptOptions, registry: Registry, progress: ProgressCallback
) -> AdaptResult:
    """Adapt with options that are complete."""
    began = time.monotonic()
    base = None
    if options.add:
        revision = open_known_actor(resolve_actor_id(video, options), registry)
        base = load_actor_adapter(revision)
        options, prior = follow_actor(options, base, registry)
    else:
        prior = None
    inputs = _load_inputs(video, options, registry, base, prior)
    order = find_field_order(inputs.info)
    with stated_fields(video, order):
        # Interlaced footage is learned field by field.
        inputs = replace(inputs, info=probe(video)) if order else inputs
        return _learn(video, options, inputs, registry, progress, began)


def _learn(
    video: Path,
    options: AdaptOptions,
    inputs: _AdaptInputs,
    registry: Registry,
    progress: ProgressCallback,
    began: float,
) -> AdaptResult:
    """Adapt with everything loaded that may be missing."""
    base = inputs.base
    pace, info = WorkPace(registry.home), inputs.info
    progress = job = JobProgress(progress, estimate_adapt_stages(inputs.info, options, pace))
    loaded_at = time.monotonic()

    # Scan the footage, unless the user chose the part or it is short.
    segment = choose_segment(
        video,
        inputs.info,
        DEFAULT_FOOTAGE_SECONDS if options.seconds is None else options.seconds,
        start=options.start,
        progress=progress,
    )
    chosen_at = time.monotonic()
    # Track that part, cut the mouth windows, align them, fit the speaking style.
    footage = prepare_actor_footage(
        video,
        inputs.info,
        segment,
        inputs.head,
        inputs.window_size,
        inputs.speech_model,
        layout=inputs.layout,
        face_policy=FacePolicy(inputs.name, options.face, inputs.known_face),
        segmenter=options.segmenter,
        tracking=options.tracking,
        progress=progress,
    )
    learned_frames = len(footage.references)
    if base is not None:
        footage = _join_with_stored(footage, base)
    tracked_at = time.monotonic()
    return_freed_memory()
    return_library_code()
    # Train the texture, and what the method allows of the renderer.
    training = _train(inputs, footage, options, progress)
    trained_at = time.monotonic()
    # Remember how fast this machine is, for later plans.
    if segment.chosen == "best":
        scanned = min(info.duration, MAX_SCAN_SECONDS) * float(info.fps)
        units = count_frame_units(scanned, info.width, info.height)
        pace.record(chosen_at - loaded_at, {"scan": units})
    prepared = count_preparation_work(len(footage.track), info.width, info.height)
    pace.record(tracked_at - chosen_at, prepared)
    pace.record(trained_at - tracked_at, {"train": training.steps_done})

    # Store everything as a new revision.
    adapter = _make_adapter(video, options, inputs, segment, footage, training)
    # The registry's own copy of the configuration can be listed without opening the files.
    config = {
        "format_version": ADAPTER_FORMAT_VERSION,
        "method": options.method,
        **adapter.config,
        "consent": inputs.consent.to_config_entry() if inputs.consent else None,
    }
    # What goes on from a revision is never worse than it on the new footage.
    default_note = ""
    if base is None:
        default_note = describe_worse_revision(inputs.present, training.psnr_heldout)
    revision = registry.create(
        inputs.name,
        config,
        adapter.to_files(),
        make_default=not default_note,
        new_person=options.new_person,
        overrides=["new-person"] if options.new_person else [],
    )
    job.finish()
    num_frames = len(footage.track)
    return AdaptResult(
        actor=revision.actor,
        revision=revision.number,
        method=options.method,
        # Footage may have ended within the part that was asked for.
        segment=replace(
            segment,
            stop=segment.first + num_frames,
            seconds=num_frames / float(inputs.info.fps),
        ),
        frames=learned_frames,
        steps=training.best_step,
        seconds={
            "choose": chosen_at - began,
            "track": tracked_at - chosen_at,
            "train": trained_at - tracked_at,
            "total": time.monotonic() - began,
        },
        psnr_heldout=training.psnr_heldout,
        bytes=revision.stored_bytes,
        curve=training.curve,
        face=footage.face.description,
        picture_lag=footage.style.picture_lag,
        note="; ".join(filter(None, (footage.face.note, inputs.note, default_note))),
    )


def _join_with_stored(footage: ActorFootage, base: ActorAdapter) -> ActorFootage:
    """Put what is stored of an actor before the new footage; its end stays the held-out part."""
    same = is_same_clip(base, footage.track.source_sha256)
    counts = (len(base.references), len(footage.references))
    window, largest = (
        footage.windows.window_size,
        max(base.references.window_size, footage.references.window_size),
    )
    return replace(
        footage,
        windows=join_footage(base.references, footage.windows, window, same_clip=same),
        references=join_footage(base.references, footage.references, largest, same_clip=same),
        style=join_styles(base.style, footage.style, counts),
    )


def _train(
    inputs: _AdaptInputs, footage: ActorFootage, options: AdaptOptions, progress: ProgressCallback
) -> AdapterTraining:
    """Train by the loop of the renderer's family."""
    base = inputs.base
    # A renderer that paints learns from whole crops with sound; one that blends from mouth windows.
    if footage.crops is not None:
        return train_painting_adapter(
            inputs.prior,
            footage.crops,
            inputs.method,
            inputs.method_options,
            inputs.recipe,
            steps=inputs.steps,
            device=inputs.device,
            seed=options.seed,
            texture=options.texture or "random",
            mixed=inputs.mixed,
            fresh=options.no_prior,
            networks=inputs.networks,
            progress=progress,
        )
    return train_adapter(
        inputs.prior,
        footage.windows,
        inputs.head,
        inputs.method,
        inputs.method_options,
        steps=inputs.steps,
        device=inputs.device,
        seed=options.seed,
        replay=inputs.replay,
        replay_fraction=REPLAY_FRACTION if options.mixed is None else options.mixed,
        recipe=inputs.recipe,
        random_texture=options.texture == "random",
        fresh=options.no_prior,
        networks=inputs.networks,
        start=None if base is None else AdapterStart(base.weights, base.texture),
        progress=progress,
    )


def _resolve_recipe(prior: Prior, options: AdaptOptions) -> TrainingRecipe:
    """Make the recipe of an adaptation.

    Raises:
        ArtefactError: The recipe has no such preset.
    """
    recipe = RECIPES.load(prior.recipe_name)
    if isinstance(prior.renderer, PaintingRenderer):
        return recipe(recipe.resolve_settings(options.loss or prior.loss))
    # Blending priors are adapted by the preset dubfew, whatever they were trained by.
    return recipe(recipe.resolve_settings(options.loss or "dubfew"))


def _load_inputs(
    video: Path,
    options: AdaptOptions,
    registry: Registry,
    base: ActorAdapter | None,
    prior: Prior | None,
) -> _AdaptInputs:
    """Check and load everything, so that errors come before minutes of tracking and training."""
    # The cheap checks first.
    name = resolve_actor_id(video, options)
    device = resolve_device(options.device)
    method = METHODS.load(options.method)
    method_options = resolve_method_options(options.method, rank=options.rank)
    speech = Path(options.speech) if options.speech is not None else None
    speech_model = SpeechModel.load(speech) if speech is not None else SpeechModel.load_default()
    # The registry's permission, before the video is opened.
    registry.check_create(name)
    # An actor's record stays in force until another one is given.
    consent = resolve_consent(name, options, registry)
    note = registry.check_learning(name, consent)
    prior = prior or Prior.load(options.prior)
    info = probe(video)
    head = load_head_model(prior.head if options.head is None else options.head)
    present = None if options.new_person else find_present_revision(name, registry)
    paints = isinstance(prior.renderer, PaintingRenderer)
    use_replay = REPLAY_BY_DEFAULT if options.replay is None else options.replay
    use_replay = (use_replay or bool(options.mixed)) and not paints
    mixed = None
    if paints and options.replay_data is not None and options.mixed != 0:
        share = DEFAULT_MIXED_SHARE if options.mixed is None else options.mixed
        mixed = load_mixed_people(Path(options.replay_data), prior, head, share)
    elif paints and (options.replay or options.mixed):
        raise DubfewError("this prior paints: name the people to mix in with --replay-data")
    elif options.replay_data is not None and not paints:
        raise DubfewError(
            "--replay-data is for priors that paint, this one blends: leave it out, or put a "
            "replay.safetensors into the prior's folder"
        )
    steps = options.max_training_steps
    recipe = _resolve_recipe(prior, options)
    files = NetworkFiles(sync=Path(options.sync) if options.sync is not None else None)
    return _AdaptInputs(
        name=name,
        device=device,
        method=method,
        method_options=method_options,
        speech=speech,
        speech_model=speech_model,
        consent=consent,
        note=note,
        prior=prior,
        info=info,
        head=head,
        replay=load_replay_for_prior(prior, head) if use_replay else None,
        recipe=recipe,
        # Files that are missing are an error before the work; a draft computes no loss.
        networks=recipe.load_networks(files) if steps else {},
        mixed=mixed,
        steps=steps,
        present=present,
        known_face=load_known_face(present) if present is not None else None,
        base=base,
    )


def _make_adapter(
    video: Path,
    options: AdaptOptions,
    inputs: _AdaptInputs,
    segment: FootageSegment,
    footage: ActorFootage,
    training: AdapterTraining,
) -> ActorAdapter:
    """Collect what is stored of the actor."""
    track, references = footage.track, footage.references
    config = {
        # The hash decides; the name tells a user where the prior was.
        "prior": {"name": inputs.prior.name, "sha256": inputs.prior.sha256},
        "method": options.method,
        "options": inputs.method_options,
        "head": inputs.head.name,
        "speech": make_model_reference(inputs.speech),
        "source": {
            "path": str(video.resolve()),
            "sha256": track.source_sha256,
            "first": segment.first,
            "frames": len(track),
            # A track of the whole file is used again when the actor's own video is rendered. The
            # file ended within the part if fewer frames came than were asked for.
            "complete": segment.first == 0 and len(track) < segment.stop,
            # Interlaced footage is learned field by field: every field counts as a frame.
            **({"fields": order} if (order := find_stated_order(video)) else {}),
            **({"input_transform": options.input_transform} if options.input_transform else {}),
        },
        "face": footage.face.description,
        "training": {
            "steps": training.best_step,
            "seed": options.seed,
            "replay": inputs.replay is not None or inputs.mixed is not None,
            "psnr_heldout": training.psnr_heldout,
        },
    }
    track_bytes, added = track.to_bytes(), tuple[bytes, ...]()
    faces = footage.face.pictures
    if inputs.base is not None:
        # The clip that the actor was first learned from stays the one that is rendered by default.
        stored = inputs.base
        clip = describe_added(video, track.source_sha256, segment.first, len(track))
        clips = [*list_sources(stored), clip]
        config |= {
            "source": {**stored.config["source"], "added": clips},
            "face": stored.config.get("face", footage.face.description),
        }
        track_bytes, added = stored.track_bytes, (*stored.added_tracks, track.to_bytes())
        faces = stored.faces or faces
    spanning_rows = farthest_point_sampling(references.key, NUM_STORED_REFERENCES)
    return ActorAdapter(
        config=config,
        weights=training.weights,
        texture=training.texture,
        references=references.select_frames(spanning_rows),
        style=footage.style,
        track_bytes=track_bytes,
        faces=faces,
        crops=select_stored_crops(footage.crops) if footage.crops is not None else None,
        added_tracks=added,
    )
