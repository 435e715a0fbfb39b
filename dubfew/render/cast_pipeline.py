"""Render of a cast: several mouths in one scene, each by its own actor and its own lines.

The scene is decoded once for the pictures, everybody in it is detected in one pass, and it is
encoded once. In between the frames pass through prediction and compositing of one role after the
other.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.adapt.actor_likeness import ActorFace
from dubfew.errors import DubfewError, NoFaceError
from dubfew.marks.credentials import RenderProvenance
from dubfew.marks.payload import generate_watermark_id
from dubfew.marks.sidecar import credentials_path
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import Frame, VideoWriter, read_audio
from dubfew.media.field_splitting import count_painted_frames, count_woven, weave_fields
from dubfew.media.fields import stated_fields
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.media.reading import read_last_duration
from dubfew.media.speech_span import read_speech_span
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.people import DetectedPerson, choose_person
from dubfew.reconstruction.track import FLAG_NO_LINE, Track
from dubfew.reconstruction.tracking import track_person
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from dubfew.registry import Registry
from dubfew.render.accelerators import accelerate_actor
from dubfew.render.actor_matching import FaceChoice, match_actor
from dubfew.render.background import BackgroundPreserver
from dubfew.render.cast import (
    Cast,
    CastRole,
    check_cast_lines,
    check_cast_options,
    read_cast,
)
from dubfew.render.compositing import MouthCompositor
from dubfew.render.driving import motion_from_audio, motion_from_take
from dubfew.render.job import RenderJob, prepare_job
from dubfew.render.losses import describe_losses
from dubfew.render.needs import measure_needs
from dubfew.render.options import RenderOptions
from dubfew.render.painting import DrivingSound, PaintingPredictor
from dubfew.render.placed_sound import PlacedSound, compose_sound
from dubfew.render.prediction import MouthPredictor
from dubfew.render.predictors import make_predictor
from dubfew.render.publish import sign_and_log
from dubfew.render.report import ReportedMouth, describe_job, write_render_report
from dubfew.render.scene import DrivenScene, refine_as_learned
from dubfew.render.schedule import FrameSchedule, schedule_frames
from dubfew.render.sound import list_output_sounds, parse_mix
from dubfew.render.sources import RenderSources, find_input_transform, stated_scene
from dubfew.render.stage_estimates import estimate_render_stages
from dubfew.render.streaming import (
    PREPARED_BATCHES,
    WAITING_FRAMES,
    composite_frames,
    make_frame_tasks,
    match_frames,
    predict_frames,
    prepare_frames,
)
from dubfew.render.transitions import (
    blend_mouth_motion,
    describe_skipped_frames,
    transition_weights,
)
from dubfew.speech.transcript.find_phones import phones_from_audio
from dubfew.speech.transcript.transcript import read_transcript
from dubfew.takes.take import Take
from dubfew.utils.files import check_input_file
from dubfew.utils.job_progress import JobProgress
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.prefetch import prefetch
from dubfew.utils.torch_threads import share_cores
from dubfew.utils.work_pace import WorkPace

# Time before and after a line in which its mouth is painted, s: lips part before the sound, and
# come to rest behind it. Within it the mouth eases from the scene's own motion and back.
LINE_LEAD_SECONDS, LINE_TAIL_SECONDS = 0.25, 0.35


@dataclass(frozen=True)
class CastResult:
    """The output of a render of a cast.

    Attributes:
        output: written file.
        frames: number of frames in it.
        edited_frames: number of frames in which each role's mouth was painted, in their order.
        faces: number of each role's face in the scene.
        watermarks: id of the watermark in each role's mouth; None if it was switched off.
        fps: exact frame rate.
        seconds: duration, s.
        note: one line about what was decided, or "".
        credentials: file that holds the Content Credentials: the output, or one beside it.
    """

    output: Path
    frames: int
    edited_frames: tuple[int, ...]
    faces: tuple[int, ...]
    watermarks: tuple[str | None, ...]
    fps: Fraction
    seconds: float
    note: str
    credentials: Path


@dataclass(frozen=True)
class _PreparedRole:
    """A role with everything that its mouth needs."""

    role: CastRole
    job: RenderJob
    takes: tuple[Take | None, ...]


@dataclass(frozen=True)
class _DrivenRole:
    """A role in the output's frames."""

    prepared: _PreparedRole
    # With the new mouth, and with the one that was filmed.
    track: Track
    filmed: Track
    motion: MouthMotion
    provenance: RenderProvenance
    predictor: MouthPredictor | PaintingPredictor
    accelerator_note: str = ""


@document_options(RenderOptions)
def render_cast(
    cast: Cast | Path | str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> CastResult:
    """Render several mouths of one scene in one pass.

    ``dubfew.render_cast`` is this function; its documentation lists the errors.

    Args:
        cast: the roles, or the file that `read_cast` reads.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actors; default: the user's own.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(RenderOptions, options, overrides)
    began = time.monotonic()
    cast = cast if isinstance(cast, Cast) else read_cast(cast)
    check_cast_options(options)
    check_cast_lines(cast, options)
    assert options.video is not None  # checked above
    for file in cast.list_files():
        check_input_file(file)
    if options.out is None:
        options = replace(options, out=f"{Path(options.video).stem}-cast.mp4")
    registry = registry or Registry()
    prepared = [_prepare_role(role, options, registry) for role in cast.roles]
    first = prepared[0].job
    curve = find_input_transform(options, first.sources, first.actor.adapter.config)
    with (
        stated_scene(first.sources, curve) as sources,
        tempfile.TemporaryDirectory(prefix="dubfew-cast-") as folder,
    ):
        return _render_prepared(cast, prepared, sources, Path(folder), options, progress, began)


def _prepare_role(role: CastRole, options: RenderOptions, registry: Registry) -> _PreparedRole:
    """Load an actor, and check their consent and files.

    Raises:
        DubfewError: As ``prepare_job``, and where a file of a line cannot be read.
    """
    # The corrections belong to the lines, which a job does not know.
    own = replace(options, drive="self", face=role.face, offset=0.0, open=1.0, reach=1.0)
    job = prepare_job(role.actor, own, registry)
    takes = tuple(None if line.motion is None else Take.load(line.motion) for line in role.lines)
    return _PreparedRole(role, job, takes)


def _render_prepared(
    cast: Cast,
    prepared: Sequence[_PreparedRole],
    sources: RenderSources,
    folder: Path,
    options: RenderOptions,
    progress: ProgressCallback,
    began: float,
) -> CastResult:
    """Render roles that are ready, in a scene that is read as ``sources`` state."""
    job, info = prepared[0].job, sources.scene_info
    whole = JobProgress(progress, estimate_render_stages(info, WorkPace(job.registry.home)))
    scene = job.sources.scene
    detections = detect_people(scene, progress=whole)
    if not detections.people:
        raise NoFaceError(f"no face found in {scene}: give a scene with the faces of the cast")
    chosen = _choose_faces(prepared, detections.people)
    sound = folder / "sound.wav" if cast.sound is None else Path(cast.sound)
    if cast.sound is None:
        lines = [line for each in prepared for line in each.role.lines]
        placed = [PlacedSound(Path(line.audio), line.start) for line in lines]
        mix = None if options.mix is None else parse_mix(options.mix, scene)
        compose_sound(scene, placed, sound, mix=mix)
    roles: list[_DrivenRole] = []
    schedule = None
    for each, (person, _) in zip(prepared, chosen, strict=True):
        head = each.job.actor.head
        track = track_person(scene, detections, str(person.number), head=head)
        track = refine_as_learned(scene, track, each.job.actor, whole)
        if each.job.parser is not None:
            track = flag_occluded_frames(scene, track, each.job.parser, head, progress=whole)
        schedule = schedule or schedule_frames(
            track.times, info.fps, None, None, read_last_duration(scene)
        )
        roles.append(_drive_role(each, track, sound, options))
    assert schedule is not None  # a cast has at least one role
    sources = replace(sources, audio=sound, audio_track=None)
    written = _write_cast(roles, replace(job, sources=sources), schedule, whole)
    notes = [*written.notes]
    reported: list[ReportedMouth] = []
    for driven, (_, note) in zip(roles, chosen, strict=True):
        actor = driven.prepared.job.actor
        skipped, light = describe_skipped_frames(driven.track), driven.predictor.light
        needs = measure_needs(
            actor.adapter,
            actor.head,
            driven.track,
            driven.motion,
            _find_painted(driven),
            relit=light.relit,
            mouth_in_scene=False,
        )
        about = (
            note,
            actor.consent_note,
            skipped,
            driven.accelerator_note,
            light.describe_unmatched(),
            needs.describe(),
        )
        notes += [f"{driven.prepared.role.actor}: {line}" for line in about if line]
        if options.report is not None:
            # A mouth follows its lines, whatever drives the scene.
            heard = replace(driven.prepared.job, sources=replace(sources, drive="audio"))
            facts = {
                **describe_job(heard),
                "mouth": "follows its lines",
                "watermark": driven.provenance.watermark,
            }
            own = DrivenScene(schedule, driven.track, driven.motion)
            told = (*written.notes, *about)
            mouth = ReportedMouth(heard, own, _find_painted(driven), facts, [*filter(None, told)])
            reported.append(mouth)
    if options.report is not None:
        with stated_fields(job.output, sources.field_order):
            write_render_report(Path(options.report), reported)
    whole.finish()
    return CastResult(
        output=job.output,
        frames=written.frames,
        edited_frames=tuple(
            count_painted_frames(_find_painted(each), sources.field_order) for each in roles
        ),
        faces=tuple(person.number for person, _ in chosen),
        watermarks=tuple(each.provenance.watermark for each in roles),
        fps=sources.written_info.fps,
        seconds=time.monotonic() - began,
        note="; ".join(notes),
        credentials=credentials_path(job.output),
    )


def _choose_faces(
    prepared: Sequence[_PreparedRole], people: Sequence[DetectedPerson]
) -> list[tuple[DetectedPerson, str]]:
    """Choose a face for every role: as it says, or the one that is most like its actor.

    Roles that name no face share the faces that are left so that the pair that is most alike comes
    first.

    Raises:
        WrongPersonError: A face is not like its actor.
        DubfewError: No face fits a role's selector, two roles have one face, or there are too few.
    """
    faces: dict[int, DetectedPerson] = {}
    for number, each in enumerate(prepared):
        if each.role.face is not None:
            faces[number] = choose_person(people, each.role.face)
    actors = [ActorFace.from_adapter(p.job.actor.adapter, p.job.actor.head) for p in prepared]
    waiting = [number for number in range(len(prepared)) if number not in faces]
    taken = [person.number for person in faces.values()]
    # Faces that roles name are taken: a role without one must not get them.
    free = [person for person in people if person.number not in taken]
    pairs = sorted(
        (actors[number].measure_likeness(person.crops).distance, number, person.number)
        for number in waiting
        for person in free
    )
    by_number = {person.number: person for person in free}
    # Greedy, the nearest pair first: the best sum would give an actor a worse face to please
    # another.
    for _, number, face in pairs:
        if number not in faces and face in by_number:
            faces[number] = by_number.pop(face)
    for number, each in enumerate(prepared):
        if number not in faces:
            raise DubfewError(
                f"{each.role.actor!r} has no face: the scene shows {len(people)} and the cast has "
                f"{len(prepared)} roles ('dubfew track --faces' lists the faces)"
            )
    numbers = [faces[number].number for number in range(len(prepared))]
    if len({*numbers}) < len(numbers):
        twice = next(face for face in numbers if numbers.count(face) > 1)
        raise DubfewError(f"two roles have face {twice}: give each a face of its own")
    # The check against strangers runs for named faces, too: a typing error must not paint somebody.
    return [
        match_actor(
            people,
            actors[number],
            FaceChoice(each.job.actor.revision.actor, str(faces[number].number)),
        )
        for number, each in enumerate(prepared)
    ]


def _drive_role(
    prepared: _PreparedRole, track: Track, sound: Path, options: RenderOptions
) -> _DrivenRole:
    """Move the mouth of a role in its lines, and leave it alone outside of them."""
    job = prepared.job
    actor = job.actor
    moved, spoken = _move_in_lines(prepared, track, options)
    # Frames with the flag stay as they were filmed, like those without a face.
    flags = np.where(spoken, track.flags, track.flags | FLAG_NO_LINE).astype(np.uint8)
    track = replace(track, flags=flags)
    # The mouth eases out of the filmed motion and back into it, so that a line begins without a
    # jump.
    moved = blend_mouth_motion(track, replace(moved, flags=flags), transition_weights(track))
    adapter = actor.adapter
    consent = job.registry.consent(actor.revision.actor, actor.revision.number)
    accelerated, accelerator_note = accelerate_actor(actor, options.accelerator, job.device)
    predictor = make_predictor(
        accelerated,
        job.device,
        moved,
        lambda: _read_role_sound(prepared.role, track, options.offset / 1000),
    )
    provenance = RenderProvenance(
        scene=job.sources.filmed,
        sound=sound,
        drive="audio" if all(take is None for take in prepared.takes) else "motion",
        prior=adapter.config["prior"]["name"],
        prior_sha256=adapter.config["prior"]["sha256"],
        consent_sha256=consent.sha256 if consent else None,
        watermark=generate_watermark_id() if options.watermark else None,
    )
    return _DrivenRole(
        prepared,
        moved,
        track,
        motion_from_track(moved, actor.head),
        provenance,
        predictor,
        accelerator_note,
    )


def _read_role_sound(role: CastRole, track: Track, delay: float) -> DrivingSound:
    """Read what a role's painting renderer hears: its own lines, each in its place.

    Args:
        role: role with its lines.
        track: frames of the output.
        delay: time by which the mouth is later than its sound, s.
    """
    end = float(track.times[-1]) + LINE_TAIL_SECONDS
    heard = np.zeros(round(end * SPEECH_SAMPLE_RATE_HZ), np.float32)
    for line in role.lines:
        spoken = np.asarray(read_audio(Path(line.audio)).samples, np.float32)
        first = round(line.start * SPEECH_SAMPLE_RATE_HZ)
        spoken = spoken[: max(0, len(heard) - first)]
        heard[first : first + len(spoken)] += spoken
    return DrivingSound(heard, track.times - delay)


def _move_in_lines(
    prepared: _PreparedRole, track: Track, options: RenderOptions
) -> tuple[Track, np.ndarray]:
    """Move the mouth as the lines say; return where a line is spoken. [N] bool"""
    actor = prepared.job.actor
    spoken = np.zeros(len(track), bool)
    displacement = np.zeros_like(motion_from_track(track, actor.head).displacement)
    stored = actor.adapter.references.motion
    own = MouthMotion(stored, np.arange(len(stored), dtype=np.float64))
    for line, take in zip(prepared.role.lines, prepared.takes, strict=True):
        audio = Path(line.audio)
        end = line.start + read_speech_span(audio).seconds
        # A mouth opens before its sound and closes after it.
        rows = (track.times >= line.start - LINE_LEAD_SECONDS) & (
            track.times <= end + LINE_TAIL_SECONDS
        )
        if not rows.any():
            raise DubfewError(
                f"the line {audio.name} of {prepared.role.actor!r} begins at "
                f"{line.start:g} s, and the scene ends at {track.times[-1]:.2f} s"
            )
        # Times within the line; a positive offset makes the mouth later.
        times = track.times[rows] - line.start - options.offset / 1000
        style, reach, opening = prepared.job.style, options.reach, options.open
        if take is not None:
            motion = motion_from_take(take, times, style, own, reach=reach, opening=opening)
        else:
            cues = () if line.transcript is None else read_transcript(line.transcript)
            phones = phones_from_audio(audio, cues, options.language, options.recognise)
            motion = motion_from_audio(
                audio, times, style, actor.speech_model, phones, reach=reach, opening=opening
            )
        # Where lines of one role overlap, the later one in the list speaks.
        displacement[rows] = motion.displacement
        spoken |= rows
    return retarget_mouth(track, actor.head, MouthMotion(displacement, track.times)), spoken


@dataclass(frozen=True)
class _WrittenCast:
    frames: int
    notes: tuple[str, ...]


def _write_cast(
    roles: Sequence[_DrivenRole],
    job: RenderJob,
    schedule: FrameSchedule,
    progress: ProgressCallback,
) -> _WrittenCast:
    """Paint all mouths into the frames, write them, sign the file and log every actor."""
    info, options = job.sources.scene_info, job.options
    order = job.sources.field_order
    revisions = [each.prepared.job.actor.revision for each in roles]
    first, *others = (each.provenance for each in roles)
    provenance = replace(first, others=tuple(others))

    seal_notes: list[str] = []

    def seal_output(file: Path) -> None:
        """Sign and log the finished file before it takes its place."""
        seal_notes.extend(
            sign_and_log(
                file,
                job.output,
                provenance,
                job.identity,
                job.purpose,
                job.registry,
                revisions[0],
                others=revisions[1:],
            )
        )

    with ExitStack() as stack:
        backgrounds = [stack.enter_context(BackgroundPreserver()) for _ in roles]
        writer = stack.enter_context(
            VideoWriter(
                job.output,
                job.sources.written_info,
                audio=list_output_sounds(job.sources, None, schedule.end),
                codec=options.codec,
                crf=options.crf,
                lossless=options.lossless,
                preset=options.preset,
                like_source=options.like_source,
                reorder=not schedule.holds_last_frame(info.fps),
                carry=job.sources.scene,
                before_publish=seal_output,
            )
        )
        count = 0
        # All threads are closed before what they use.
        with ExitStack() as threads:
            threads.enter_context(share_cores())
            frames: Iterator[Frame] = threads.enter_context(
                closing(prefetch(schedule.iter_frames(job.sources.scene, info.fps), WAITING_FRAMES))
            )
            for each, background in zip(roles, backgrounds, strict=True):
                marker = each.provenance.watermark
                compositor = MouthCompositor(
                    each.predictor.references.footage,
                    background,
                    WatermarkEmbedder(marker) if marker else None,
                )
                tasks = threads.enter_context(
                    closing(
                        make_frame_tasks(
                            frames, each.track, each.motion, each.predictor, each.filmed
                        )
                    )
                )
                prepared = threads.enter_context(
                    closing(prefetch(prepare_frames(tasks, each.predictor), PREPARED_BATCHES))
                )
                matched = threads.enter_context(
                    closing(prefetch(match_frames(prepared, each.predictor), PREPARED_BATCHES))
                )
                predicted = threads.enter_context(
                    closing(prefetch(predict_frames(matched, each.predictor), WAITING_FRAMES))
                )
                frames = threads.enter_context(
                    closing(prefetch(composite_frames(predicted, compositor), WAITING_FRAMES))
                )
            for frame in weave_fields(frames, order):
                for revision in revisions:
                    revision.check_exists()  # a deleted actor is rendered no further
                writer.write(frame)
                count += 1
                progress(Progress("render", count, count_woven(len(schedule.scene_rows), order)))
        for revision in revisions:
            revision.check_exists()
    return _WrittenCast(
        count, (*writer.notes, *seal_notes, *describe_losses(job.sources, job.output))
    )


def _find_painted(role: _DrivenRole) -> NDArray[np.bool_]:
    """Find the rows of the track in which a role's mouth was painted. [N]"""
    painted = role.track.usable.copy()
    painted[list(role.predictor.left_rows)] = False
    return painted
