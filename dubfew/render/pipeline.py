"""``render``: track the scene, move its mouth, paint it and write the video, all as streams."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.artefact import ADAPTER_TRACK_FILE
from dubfew.errors import DubfewError
from dubfew.marks.credentials import RenderProvenance
from dubfew.marks.payload import generate_watermark_id
from dubfew.marks.sidecar import credentials_path
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import AudioSource, Frame, VideoWriter, read_audio
from dubfew.media.field_splitting import count_painted_frames, count_woven, weave_fields
from dubfew.media.fields import stated_fields
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.render.actor_matching import FaceChoice
from dubfew.render.cache import RenderCache
from dubfew.render.debug import DebugVideo
from dubfew.render.face_stretch import (
    SHAPE_ROUNDS,
    describe_shape,
    measure_stretch,
    stated_shape,
)
from dubfew.render.job import RenderJob, prepare_job
from dubfew.render.load import load_actor
from dubfew.render.losses import describe_losses
from dubfew.render.needs import measure_needs
from dubfew.render.options import RenderOptions
from dubfew.render.plot import plot_motion
from dubfew.render.preview import cut_excerpt
from dubfew.render.publish import log_frames, sign_and_log
from dubfew.render.redo import (
    PICTURE_FADE_FRAMES,
    describe_encoded_frames,
    find_passage_packets,
    join_frames,
    list_passage_sounds,
    passage_weights,
)
from dubfew.render.report import ReportedMouth, describe_job, write_render_report
from dubfew.render.scene import DrivenScene, drive_scene, track_scene
from dubfew.render.scene_painter import ScenePainter
from dubfew.render.sound import describe_mix_peak, list_output_sounds
from dubfew.render.sources import find_input_transform, stated_scene
from dubfew.render.stage_estimates import estimate_render_stages
from dubfew.render.take_notes import describe_take
from dubfew.render.transitions import describe_skipped_frames
from dubfew.utils.allocator import return_freed_memory, return_library_code
from dubfew.utils.jit import compiler_loaded_beside
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import WorkPace, count_frame_units

# Painted frames by which all compiled loops are loaded, for which LLVM is there.
LOADED_FRAMES = 16


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
    painted: NDArray[np.bool_]  # one per row of the track: fields, where these are painted
    seconds: dict[str, float]
    watermark: str | None
    notes: tuple[str, ...]
    relit: int  # painted frames in another light than the footage


@document_options(RenderOptions)
def render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    cache: RenderCache | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> RenderResult:
    """Track the scene, move its mouth, composite the frames, and write them, all as streams.

    ``dubfew.render`` is this function; its documentation lists the errors.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own.
        cache: what renders keep from each other; None keeps nothing.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(RenderOptions, options, overrides)
    began = time.monotonic()
    # Wrong options are errors here, before minutes of work.
    job = _prepare(actor, options, registry, cache)
    if not options.preview:
        return _render_job(job, cache, progress, began)
    with cut_excerpt(job.sources, options.from_seconds, options.to_seconds) as excerpt:
        return _render_job(replace(job, sources=excerpt), cache, progress, began)


@document_options(RenderOptions)
def paint_frames(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    cache: RenderCache | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> Iterator[Frame]:
    """Render as `render` does, and give the frames instead of writing them.

    Options for the written file and its sound have no effect. The frames have the
    watermark, and the audit log records the render before the first of them. They have no Content
    Credentials: those belong to files.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own.
        cache: what renders keep from each other; None keeps nothing.
        progress: function that is called with the state of tracking.

    Returns:
        Iterator over the frames. All checks are done before it is returned; the scene is tracked
        when the first frame is asked for.

    Raises:
        DubfewError: As of `render`; some of them when the first frame is asked for.
    """
    options = merge_options(RenderOptions, options, overrides)
    if options.preview or options.into is not None:
        raise DubfewError("frames have no previews and no passages: leave out preview and into")
    job = _prepare(actor, options, registry, cache)

    def iterate() -> Iterator[Frame]:
        with _stated_reading(job) as stated:
            scene = drive_scene(stated, _track(stated, cache, progress)[0], progress)
            marker = WatermarkEmbedder(generate_watermark_id()) if options.watermark else None
            log_frames(
                _describe_provenance(stated, marker.watermark_id if marker else None),
                stated.purpose,
                stated.registry,
                stated.actor.revision,
                anyone=options.anyone,
            )
            painter = ScenePainter(stated, scene, marker)
            with closing(painter.paint_frames(np.ones(len(scene.track), np.float32))) as frames:
                yield from weave_fields(frames, stated.sources.field_order)

    return iterate()


def _prepare(
    actor: str, options: RenderOptions, registry: Registry | None, cache: RenderCache | None
) -> RenderJob:
    """Load and check everything that a render needs, or take it from the cache."""
    load = load_actor if cache is None else cache.load_actor
    return prepare_job(actor, options, registry or Registry(), load)


def _track(
    job: RenderJob, cache: RenderCache | None, progress: ProgressCallback
) -> tuple[Track, str]:
    """Track the scene of a job, or take its track from the cache."""
    proxy = None if job.options.proxy is None else Path(job.options.proxy)
    choice = FaceChoice(job.actor.revision.actor, job.options.face, job.options.anyone, proxy)
    if cache is not None:
        return cache.track_scene(job, choice, progress)
    return track_scene(job.sources.scene, job.actor, choice, job.parser, progress)


def _render_job(
    job: RenderJob, cache: RenderCache | None, progress: ProgressCallback, began: float
) -> RenderResult:
    """Render a prepared job that began at a time of the monotonic clock."""
    with _stated_reading(job) as stated:
        return _render_stated_job(stated, cache, progress, began)


@contextmanager
def _stated_reading(job: RenderJob) -> Iterator[RenderJob]:
    """State how a job's scene is read (log curve, fields); the job knows it, too."""
    curve = find_input_transform(job.options, job.sources, job.actor.adapter.config)
    with stated_scene(job.sources, curve) as sources:
        yield replace(job, sources=sources)


@contextmanager
def _tracked_scene(
    job: RenderJob, cache: RenderCache | None, progress: ProgressCallback
) -> Iterator[tuple[RenderJob, Track, str]]:
    """Track a job's scene, in the shape that the actor's face has.

    Yields:
        The job for the scene in that shape, the track, and one line about the choice of the face.
    """
    with ExitStack() as stack:
        with compiler_loaded_beside():
            track, note = _track(job, cache, progress)
        own = Track.from_bytes(job.actor.adapter.track_bytes, ADAPTER_TRACK_FILE)
        # Somebody else has another face.
        rounds = (
            0 if job.options.anyone or own.source_sha256 == track.source_sha256 else SHAPE_ROUNDS
        )
        for number in range(rounds):
            stretch = measure_stretch(track, own, again=number > 0)
            if stretch == 1:
                break
            job = stack.enter_context(stated_shape(job, stretch))
            track, note = _track(job, cache, progress)
        yield job, track, note


def _render_stated_job(
    job: RenderJob, cache: RenderCache | None, progress: ProgressCallback, began: float
) -> RenderResult:
    """Render a job whose scene is read as it was stated."""
    pace = WorkPace(job.registry.home)
    whole = JobProgress(progress, estimate_render_stages(job.sources.scene_info, pace))
    prepared = time.monotonic()
    with _tracked_scene(job, cache, whole) as (shaped, track, face_note):
        track_seconds = time.monotonic() - prepared
        return _render_tracked_job(shaped, track, face_note, pace, track_seconds, whole, began)


def _render_tracked_job(
    job: RenderJob,
    track: Track,
    face_note: str,
    pace: WorkPace,
    track_seconds: float,
    progress: JobProgress,
    began: float,
) -> RenderResult:
    """Render a job whose scene is tracked."""
    options, sources = job.options, job.sources
    tracked = time.monotonic()
    scene = drive_scene(job, track, progress)
    driven = time.monotonic()
    return_freed_memory()
    return_library_code()
    written = _write_video(job, scene, progress)
    paint_seconds = time.monotonic() - driven
    _record_pace(job, pace, len(track), track_seconds, len(written.painted), paint_seconds)
    if job.plot is not None:
        sound = None
        if sources.audio is not None:
            sound = read_audio(
                sources.audio, track=sources.audio_track, seconds=sources.needed_seconds
            )
            sound = replace(sound, samples=sound.samples[round(sources.start * sound.rate) :])
        plot_motion(job.plot, scene.motion, sound, job.output.name)
    needs = measure_needs(
        job.actor.adapter,
        job.actor.head,
        scene.track,
        scene.motion,
        written.painted,
        relit=written.relit,
        mouth_in_scene=sources.drive == "self",
        phones=job.phones,
    )
    # Decisions that the user should know of, in the order in which they were made.
    notes = (
        scene.schedule.note,
        sources.note,
        *describe_take(job.take, sources, job.actor.adapter.config),
        *written.notes,
        job.actor.consent_note,
        face_note,
        describe_shape(sources),
        describe_skipped_frames(scene.track),
        needs.describe(),
        describe_mix_peak(_output_sounds(job, scene)),
    )
    if options.report is not None:
        facts = {**describe_job(job), "watermark": written.watermark}
        with stated_fields(job.output, sources.field_order):
            mouth = ReportedMouth(job, scene, written.painted, facts, [*filter(None, notes)])
            write_render_report(Path(options.report), [mouth])
    progress.finish()
    return RenderResult(
        output=job.output,
        frames=written.frames,
        kept_frames=written.kept_frames,
        edited_frames=count_painted_frames(written.painted, sources.field_order),
        fps=sources.written_info.fps,
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
    info, actor = job.sources.written_info, job.actor
    passage, order = job.passage, job.sources.field_order
    # One file has one watermark: a passage gets that of the frames around it.
    known = passage.watermark if passage is not None else None
    marker = WatermarkEmbedder(known or generate_watermark_id()) if job.options.watermark else None
    weights = np.ones(len(scene.track), np.float32)
    if passage is not None:
        weights = passage_weights(scene.track.times, passage, PICTURE_FADE_FRAMES)
    # The credentials name the watermark, so it is chosen first.
    provenance = _describe_provenance(job, marker.watermark_id if marker else None)

    seal_notes: list[str] = []

    def seal_output(file: Path) -> None:
        """Sign and log the finished file before it takes its place."""
        # What painted is free by now.
        return_freed_memory()
        seal_notes.extend(
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
        )

    with (
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
            keep=find_passage_packets(passage, weights[:: 2 if order else 1], job.output),
            before_publish=seal_output,
        ) as writer,
    ):
        observer = None if debug is None else debug.observe_paint
        painter = ScenePainter(job, scene, marker, observer)
        count = rows = 0
        total = count_woven(len(scene.schedule.scene_rows), order)

        def draw_debug(frames: Iterable[Frame]) -> Iterator[Frame]:
            """Count the rows of the track, and show what was done to each."""
            nonlocal rows
            for frame in frames:
                if debug is not None:
                    debug.write(frame, rows, painter.left_rows.get(rows, ""))
                rows += 1
                yield frame

        with closing(painter.paint_frames(weights)) as painted_frames:
            frames: Iterable[Frame] = painted_frames
            if order:
                frames = weave_fields(draw_debug(frames), order)
            if passage is not None:
                frames = join_frames(frames, passage, weights[:: 2 if order else 1])
            for frame in frames if order else draw_debug(frames):
                writer.write(frame)
                count += 1
                # The first frames leave holes behind that what follows does not fit into; later
                # ones hardly do.
                if count & (count - 1) == 0:
                    return_freed_memory()
                if count == LOADED_FRAMES:
                    return_library_code()
                progress(Progress("render", count, total))
        actor.revision.check_exists()
    painted = scene.track.usable[:rows] & (weights[:rows] > 0)
    painted[list(painter.left_rows)] = False
    notes = (
        describe_encoded_frames(passage, writer.kept_frames),
        *writer.notes,
        *seal_notes,
        *describe_losses(job.sources, job.output),
        painter.accelerator_note,
        painter.describe_unmatched(),
    )
    return _WrittenVideo(
        count,
        writer.kept_frames,
        painted,
        painter.seconds,
        provenance.watermark,
        notes,
        painter.relit,
    )


def _open_debug_video(
    job: RenderJob, scene: DrivenScene
) -> AbstractContextManager[DebugVideo | None]:
    """The video of what is done to each frame, where one is wanted."""
    if job.options.debug is None:
        return nullcontext()
    return DebugVideo(Path(job.options.debug), job.sources.scene_info, scene.track)


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
