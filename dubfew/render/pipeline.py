"""``render``: track the scene, move its mouth, paint it and write the video, all as streams."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ArtefactError
from dubfew.marks.credentials import RenderProvenance
from dubfew.marks.payload import generate_watermark_id
from dubfew.marks.sidecar import credentials_path
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import AudioSource, VideoWriter, read_audio
from dubfew.media.log_curves import stated_input_transform
from dubfew.media.mel import resample_audio
from dubfew.prior.renderers import PaintingRenderer, PaintingRendererConfig
from dubfew.prior.renderers._painting import NO_SOUND
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.registry import Registry
from dubfew.render.actor_matching import FaceChoice
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.debug import DebugVideo
from dubfew.render.job import RenderJob, prepare_job
from dubfew.render.losses import describe_losses
from dubfew.render.options import RenderOptions
from dubfew.render.painting import DrivingSound, PaintingPredictor
from dubfew.render.plot import plot_motion
from dubfew.render.prediction import MouthPredictor
from dubfew.render.preview import cut_excerpt
from dubfew.render.publish import sign_and_log
from dubfew.render.redo import (
    PICTURE_FADE_FRAMES,
    describe_encoded_frames,
    find_passage_packets,
    join_frames,
    list_passage_sounds,
    passage_weights,
    skip_outside,
)
from dubfew.render.report import describe_job, write_render_report
from dubfew.render.scene import DrivenScene, drive_scene, track_scene
from dubfew.render.sound import describe_mix_peak, list_output_sounds
from dubfew.render.sources import find_input_transform
from dubfew.render.stage_estimates import estimate_render_stages
from dubfew.render.streaming import composite_frames, make_frame_tasks, predict_frames
from dubfew.render.take_notes import describe_take
from dubfew.render.tasks import ReferenceSet
from dubfew.render.transitions import describe_skipped_frames
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.prefetch import prefetch
from dubfew.utils.work_pace import WorkPace, count_frame_units


@dataclass(frozen=True)
class RenderResult:
    """The output of a render, and measurements of the work.

    Attributes:
        output: written file.
        frames: number of frames in it.
        edited_frames: number of frames in which a mouth was painted.
        kept_frames: number of frames that are the same packets as in the earlier output, where a
            passage was rendered anew.
        fps: exact frame rate.
        seconds: seconds of each stage: track, drive, inputs, light, align, network,
            composite, total.
            Stages run side by side, so they may add up to more than the total.
        peak_rss_mb: largest resident memory of the process so far, MB.
        note: one line about what was decided, or "".
        watermark: id of the watermark in the mouth, or None if it was switched off.
        credentials: file that holds the Content Credentials: the output, or one beside it.
    """

    output: Path
    frames: int
    edited_frames: int
    fps: Fraction
    seconds: dict[str, float]
    peak_rss_mb: float
    note: str
    watermark: str | None
    credentials: Path
    kept_frames: int = 0


@dataclass(frozen=True)
class _WrittenVideo:
    """The part of a result that is known once the video is written."""

    frames: int
    kept_frames: int  # whose packets are those of an earlier output
    painted: NDArray[np.bool_]  # one per frame
    seconds: dict[str, float]
    watermark: str | None
    notes: tuple[str, ...]


@document_options(RenderOptions)
def render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> RenderResult:
    """Track the scene, move its mouth, composite the frames, and write them, all as streams.

    ``dubfew.render`` is this function; its documentation lists the errors.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(RenderOptions, options, overrides)
    began = time.monotonic()
    # Wrong options are errors here, before minutes of work.
    job = prepare_job(actor, options, registry or Registry())
    if not options.preview:
        return _render_job(job, progress, began)
    with cut_excerpt(job.sources, options.from_seconds, options.to_seconds) as excerpt:
        return _render_job(replace(job, sources=excerpt), progress, began)


def _render_job(job: RenderJob, progress: ProgressCallback, began: float) -> RenderResult:
    """Render a prepared job that began at a time of the monotonic clock."""
    curve = find_input_transform(job.options, job.sources, job.actor.adapter.config)
    with stated_input_transform(job.sources.scene, curve):
        info = replace(job.sources.scene_info, log_curve=curve or "")
        stated = replace(job, sources=replace(job.sources, scene_info=info))
        return _render_stated_job(stated, progress, began)


def _render_stated_job(job: RenderJob, progress: ProgressCallback, began: float) -> RenderResult:
    """Render a job whose scene's colors are known."""
    options, sources = job.options, job.sources
    pace = WorkPace(job.registry.home)
    progress = whole = JobProgress(progress, estimate_render_stages(sources.scene_info, pace))
    prepared = time.monotonic()
    choice = FaceChoice(job.actor.revision.actor, options.face, options.anyone)
    track, face_note = track_scene(sources.scene, job.actor, choice, job.parser, progress)
    tracked = time.monotonic()
    scene = drive_scene(job, track, progress)
    driven = time.monotonic()
    written = _write_video(job, scene, progress)
    paint_seconds = time.monotonic() - driven
    _record_pace(job, pace, len(track), tracked - prepared, written.frames, paint_seconds)
    if job.plot is not None:
        sound = read_audio(sources.audio, track=sources.audio_track) if sources.audio else None
        if sound is not None:
            sound = replace(sound, samples=sound.samples[round(sources.start * sound.rate) :])
        plot_motion(job.plot, scene.motion, sound, job.output.name)
    # Decisions that the user should know of, in the order in which they were made.
    notes = (
        scene.schedule.note,
        sources.note,
        *describe_take(job.take, sources, job.actor.adapter.config),
        *written.notes,
        job.actor.consent_note,
        face_note,
        describe_skipped_frames(scene.track),
        describe_mix_peak(_output_sounds(job, scene)),
    )
    if options.report is not None:
        facts = {**describe_job(job), "watermark": written.watermark}
        write_render_report(
            Path(options.report), job, scene, written.painted, facts, [*filter(None, notes)]
        )
    whole.finish()
    return RenderResult(
        output=job.output,
        frames=written.frames,
        kept_frames=written.kept_frames,
        edited_frames=int(written.painted.sum()),
        fps=sources.scene_info.fps,
        seconds={
            "track": tracked - began,
            "drive": driven - tracked,
            **written.seconds,
            "total": time.monotonic() - began,
        },
        peak_rss_mb=measure_peak_rss_mb(),
        note="; ".join(filter(None, notes)),
        watermark=written.watermark,
        credentials=credentials_path(job.output),
    )


def _record_pace(
    job: RenderJob,
    pace: WorkPace,
    tracked: int,
    track_seconds: float,
    painted: int,
    paint_seconds: float,
) -> None:
    """Remember how fast this machine tracked and painted, for later plans."""
    info = job.sources.scene_info
    # Reading a stored track takes no time worth remembering.
    if track_seconds > 1:
        units = count_frame_units(tracked, info.width, info.height)
        pace.record(track_seconds, {"track": units})
    # Most frames around a passage are not painted, which says little of a whole render.
    if job.passage is None:
        units = count_frame_units(painted, info.width, info.height)
        pace.record(paint_seconds, {"paint": units})


def _write_video(job: RenderJob, scene: DrivenScene, progress: ProgressCallback) -> _WrittenVideo:
    """Paint the frames of a driven scene, write them, sign the file and log it."""
    info, actor = job.sources.scene_info, job.actor
    passage = job.passage
    # One file has one watermark: a passage gets that of the frames around it.
    known = passage.watermark if passage is not None else None
    marker = WatermarkEmbedder(known or generate_watermark_id()) if job.options.watermark else None
    weights = np.ones(len(scene.track), np.float32)
    if passage is not None:
        weights = passage_weights(scene.track.times, passage, PICTURE_FADE_FRAMES)
    # The credentials name the watermark, so it is chosen first.
    provenance = _describe_provenance(job, marker.watermark_id if marker else None)
    references, predictor = _make_predictor(job, scene)

    def seal_output(file: Path) -> None:
        """Sign and log the finished file before it takes its place."""
        sign_and_log(
            file,
            job.output,
            provenance,
            job.identity,
            job.purpose,
            job.registry,
            actor.revision,
            anyone=job.options.anyone,
        )

    with (
        BackgroundPreserver(job.parser) as background,
        _open_debug_video(job, scene) as debug,
        VideoWriter(
            job.output,
            info,
            audio=_output_sounds(job, scene),
            codec=job.options.codec,
            crf=job.options.crf,
            lossless=job.options.lossless,
            preset=job.options.preset,
            like_source=job.options.like_source,
            reorder=not scene.schedule.holds_last_frame(info.fps),
            carry=None if job.options.preview else job.sources.scene,
            keep=find_passage_packets(passage, weights, job.output),
            before_publish=seal_output,
        ) as writer,
    ):
        # Inside, because the background segmenter is closed when the video is.
        kept = background if job.options.post_processing else None
        observer = None if debug is None else debug.observe_paint
        compositor = MouthCompositor(references.footage, kept, marker, observer)
        count = 0
        # Decoding, prediction and compositing each run in a thread. All of them are closed here, so
        # that on an error no thread still uses what is closed next.
        with (
            closing(prefetch(scene.schedule.iter_frames(job.sources.scene, info.fps))) as frames,
            closing(make_frame_tasks(frames, scene.track, scene.motion, predictor)) as tasks,
            closing(prefetch(predict_frames(skip_outside(tasks, weights), predictor))) as predicted,
            closing(prefetch(composite_frames(predicted, compositor))) as composited,
        ):
            joined = composited if passage is None else join_frames(composited, passage, weights)
            for frame in joined:
                actor.revision.check_exists()  # a deleted actor is rendered no further
                writer.write(frame)
                if debug is not None:
                    debug.write(frame, count, predictor.left_rows.get(count, ""))
                count += 1
                progress(Progress("render", count, len(scene.schedule.scene_rows)))
        actor.revision.check_exists()
    seconds = {**predictor.timer.seconds, **compositor.timer.seconds}
    painted = scene.track.usable[:count] & (weights[:count] > 0)
    painted[list(predictor.left_rows)] = False
    notes = (
        describe_encoded_frames(passage, writer.kept_frames),
        *writer.notes,
        *describe_losses(job.sources, job.output),
        predictor.light.describe_unmatched(),
    )
    return _WrittenVideo(count, writer.kept_frames, painted, seconds, provenance.watermark, notes)


def _open_debug_video(
    job: RenderJob, scene: DrivenScene
) -> AbstractContextManager[DebugVideo | None]:
    """The video of what is done to each frame, where one is wanted."""
    if job.options.debug is None:
        return nullcontext()
    return DebugVideo(Path(job.options.debug), job.sources.scene_info, scene.track)


def _make_predictor(
    job: RenderJob, scene: DrivenScene
) -> tuple[ReferenceSet, MouthPredictor | PaintingPredictor]:
    """Make the references and the predictor of the renderer's family."""
    actor, renderer = job.actor, job.actor.renderer
    stored = actor.adapter.references
    if not isinstance(renderer, PaintingRenderer):
        references = ReferenceSet.from_footage(stored, renderer.config.window)
        return references, MouthPredictor(
            renderer,
            actor.adapter.texture,
            references,
            actor.head,
            job.device,
            # In a reenactment alone the frames show the mouths that are rendered.
            align_meshes=job.sources.drive == "self",
        )
    crops = actor.adapter.crops
    if crops is None or crops.layout != renderer.config.layout:
        raise ArtefactError(
            f"the actor {actor.revision.actor} has no crops of {renderer.config.layout!r}, which "
            "this prior paints: adapt anew"
        )
    references = ReferenceSet(stored, stored)
    return references, PaintingPredictor(
        renderer,
        actor.adapter.texture,
        crops,
        references,
        actor.head,
        job.device,
        scene.track,
        _read_driving_sound(job, scene),
    )


def _read_driving_sound(job: RenderJob, scene: DrivenScene) -> DrivingSound:
    """Read what a painting renderer hears: the new sound, else the scene's own."""
    sources = job.sources
    times = scene.track.times + sources.start - job.options.offset / 1000
    sound = None
    if sources.audio is not None:
        sound = read_audio(sources.audio, track=sources.audio_track)
    elif sources.scene_info.has_audio:
        sound = read_audio(sources.scene)
    config = cast("PaintingRendererConfig", job.actor.renderer.config)
    if sound is None or config.sound == NO_SOUND:
        return DrivingSound(np.zeros(0, np.float32), times)
    return DrivingSound(resample_audio(sound.samples, sound.rate), times)


def _describe_provenance(job: RenderJob, watermark: str | None) -> RenderProvenance:
    """The facts that the output's Content Credentials record."""
    sources, prior = job.sources, job.actor.adapter.config["prior"]
    consent = job.registry.consent(job.actor.revision.actor, job.actor.revision.number)
    return RenderProvenance(
        scene=sources.filmed,
        sound=sources.replacing_sound,
        drive=sources.drive,
        prior=prior["name"],
        prior_sha256=prior["sha256"],
        consent_sha256=consent.sha256 if consent else None,
        watermark=watermark,
        motion=None if job.options.motion is None else Path(job.options.motion),
    )


def _output_sounds(job: RenderJob, scene: DrivenScene) -> list[AudioSource]:
    """The sound tracks of the output, cut where its picture ends."""
    if job.passage is not None and job.passage.has_same_sound:
        return list_passage_sounds(job.passage)
    return list_output_sounds(job.sources, job.mix, scene.schedule.end)


def measure_peak_rss_mb() -> float:
    """Return the largest resident memory of this process so far in MB; 0 if it is not known.

    Windows does not report it.
    """
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS reports bytes, Linux kilobytes.
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
