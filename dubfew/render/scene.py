"""The scene of a render: the track of the actor's face, and its mouth moved by the drive."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubfew.adapt.actor_likeness import ActorFace
from dubfew.adapt.artefact import ADAPTER_TRACK_FILE
from dubfew.errors import DubfewError
from dubfew.media import VideoInfo, probe
from dubfew.media.fields import find_stated_order
from dubfew.media.reading import read_last_duration
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.detection.detected_ahead import find_people, is_detected
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.segmenters import Segmenter
from dubfew.reconstruction.track import Camera, Track
from dubfew.reconstruction.tracking import track_person
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from dubfew.render.actor_matching import FaceChoice, match_actor, refuse_strangers
from dubfew.render.driving import motion_from_audio, motion_from_take, motion_from_video
from dubfew.render.job import RenderJob
from dubfew.render.load import LoadedActor
from dubfew.render.options import RenderOptions
from dubfew.render.redo import MOTION_EASE_FRAMES, blend_into_passage, passage_weights
from dubfew.render.schedule import FrameSchedule, schedule_frames
from dubfew.render.transitions import blend_mouth_motion, transition_weights
from dubfew.utils.files import sha256_file


@dataclass(frozen=True)
class DrivenScene:
    """A scene with the mouth that is to be rendered.

    Attributes:
        schedule: scene frames of the output and their times.
        track: one row per frame of the output, with the new mouth.
        motion: mouth motion of that track.
        filmed: the same frames with the mouths that they show; None if those are rendered.
    """

    schedule: FrameSchedule
    track: Track
    motion: MouthMotion
    filmed: Track | None = None


def track_scene(
    scene: Path,
    actor: LoadedActor,
    choice: FaceChoice,
    parser: Segmenter | None,
    progress: ProgressCallback,
) -> tuple[Track, str]:
    """Track the actor's face in a scene, and refuse a scene of somebody else.

    The actor's own footage was tracked when they were adapted, and is not tracked again.

    Args:
        scene: video to track.
        actor: the actor.
        choice: which face the user wants.
        parser: segmenter that flags frames with objects before the mouth, or None.
        progress: function that is called with the state of the work.

    Returns:
        One row per frame of the scene, and one line about the choice of the face, or "".

    Raises:
        MediaError: The scene cannot be read.
        NoFaceError: The scene shows no face.
        WrongPersonError: The face is not like the actor.
        DubfewError: No face fits the choice.
    """
    track, note = _track_actor_face(scene, actor, choice, progress)
    if parser is not None:
        track = flag_occluded_frames(scene, track, parser, actor.head, progress=progress)
    return track, note


def _track_actor_face(
    scene: Path, actor: LoadedActor, choice: FaceChoice, progress: ProgressCallback
) -> tuple[Track, str]:
    """The track of the actor's face and a line about its choice, before objects are flagged."""
    if choice.proxy is not None:
        whole = dataclasses.replace(choice, proxy=None)
        track, note = _track_actor_face(choice.proxy, actor, whole, progress)
        return fit_track_to_scene(track, probe(scene)), note
    source = actor.adapter.config["source"]
    is_own_footage = sha256_file(scene) == source["sha256"]
    if choice.face is None and is_own_footage and source["complete"]:
        name = f"{ADAPTER_TRACK_FILE} of {actor.revision.actor}"
        track = Track.from_bytes(actor.adapter.track_bytes, name)
        # Earlier versions tracked anamorphic footage in the pixels that are stored.
        same_reading = int(source.get("fields", 0)) == find_stated_order(scene)
        if same_reading and (track.width, track.height) == probe(scene).square_size:
            return track, ""
    face = ActorFace.from_adapter(actor.adapter, actor.head)
    # A scene of somebody else is refused before minutes of tracking; a short one is tracked by now.
    if not is_own_footage and not is_detected(scene):
        refuse_strangers(scene, face, choice)
    detections = find_people(scene, progress)
    selector, note = choice.face, ""
    # Alone in the very footage that the actor was learned from, it can be nobody else.
    if detections.people and not (is_own_footage and len(detections.people) == 1):
        person, note = match_actor(detections.people, face, choice)
        selector = str(person.number)
    track = track_person(scene, detections, selector, head=actor.head)
    return refine_as_learned(scene, track, actor, progress), note


def fit_track_to_scene(track: Track, info: VideoInfo) -> Track:
    """Bring the track of a smaller version of a scene to the scene's size and rate.

    Args:
        track: track of the smaller version, frame by frame the same.
        info: properties of the scene.

    Raises:
        DubfewError: The scene has another shape or another number of frames.
    """
    width, height = info.square_size
    factor = width / track.width
    # A smaller version is rounded to whole pixels, or to even ones.
    if abs(track.height * factor - height) > 2 * max(factor, 1):
        raise DubfewError(
            f"the proxy has {track.width}x{track.height} pixels and {info.path} {width}x{height}: "
            "another shape, give one of the whole picture"
        )
    count = info.frames or round(info.duration * float(info.fps))
    # A container's length may include the last frame's or not.
    if abs(count - len(track)) > (0 if info.frames else 1):
        raise DubfewError(
            f"the proxy has {len(track)} frames and {info.path} has {count}: give the same cut"
        )
    camera = track.camera
    # Pixel centers are at +0.5 in both sizes, so that places scale from the corner.
    return dataclasses.replace(
        track,
        width=width,
        height=height,
        camera=Camera(camera.focal * factor, camera.cx * factor, camera.cy * factor),
        box=track.box * np.float32(factor),
        landmarks=track.landmarks * np.float32(factor),
        # The same frames at another rate, such as 23.976 for 24, lie at other times.
        times=track.times * float(track.fps / info.fps),
        fps=info.fps,
        source_sha256=sha256_file(info.path),
    )


def refine_as_learned(
    scene: Path, track: Track, actor: LoadedActor, progress: ProgressCallback
) -> Track:
    """Fit the head in a scene to what it was fitted to in the actor's footage.

    Args:
        scene: video that the track is of.
        track: its fit to landmarks.
        actor: the actor.
        progress: function that is called with the state of the work.
    """
    name = f"{ADAPTER_TRACK_FILE} of {actor.revision.actor}"
    method = Track.from_bytes(actor.adapter.track_bytes, name).method
    refine_track = TRACKING_METHODS.load(method)
    return refine_track(scene, track, head=actor.head, first_frame=0, progress=progress)


def drive_scene(job: RenderJob, track: Track, progress: ProgressCallback) -> DrivenScene:
    """Schedule the output's frames and move their mouths.

    Args:
        job: the render.
        track: track of the scene, from `track_scene`.
        progress: function that is called with the state of the work.

    Returns:
        The output's frames with their mouths.

    Raises:
        NoFaceError: The driving video shows no face.
        MediaError: The driving audio or video cannot be read.
    """
    schedule = schedule_frames(
        track.times,
        job.sources.scene_info.fps,
        job.sources.new_sound,
        job.options.fit,
        read_last_duration(job.sources.scene),
    )
    # One row per frame of the output, which may show a scene frame twice.
    shown = dataclasses.replace(track.select(schedule.scene_rows), times=schedule.times)
    moved = _move_mouth(job, shown, progress)
    motion = motion_from_track(moved, job.actor.head)
    return DrivenScene(schedule, moved, motion, None if moved is shown else shown)


def _move_mouth(job: RenderJob, track: Track, progress: ProgressCallback) -> Track:
    """A track with the mouth of the drive; the same track if the scene drives itself."""
    motion = _drive_motion(job, track, job.options, progress)
    if motion is None:
        return track
    if job.passage is not None:
        # Around the passage the earlier output shows the line as it is without corrections.
        plain = dataclasses.replace(job.options, offset=0.0, open=1.0, reach=1.0)
        uncorrected = _drive_motion(job, track, plain, progress)
        assert uncorrected is not None  # the same drive gave a motion above
        weights = passage_weights(track.times, job.passage, MOTION_EASE_FRAMES)
        motion = blend_into_passage(uncorrected, motion, weights)
    # Beside frames that are left as they are, the new mouth eases into the scene's own.
    moved = retarget_mouth(track, job.actor.head, motion)
    return blend_mouth_motion(track, moved, transition_weights(track))


def _drive_motion(
    job: RenderJob, track: Track, options: RenderOptions, progress: ProgressCallback
) -> MouthMotion | None:
    """The mouth motion of the drive with some corrections; None if the scene drives itself."""
    actor, sources = job.actor, job.sources
    # A mouth that is later shows at each frame what was due before it.
    times = track.times + sources.start - options.offset / 1000
    if sources.drive == "audio" and sources.audio is not None:
        return motion_from_audio(
            sources.audio,
            times,
            job.style,
            actor.speech_model,
            job.phones,
            track=sources.audio_track,
            reach=options.reach,
            opening=options.open,
        )
    # The stored references are no sequence: their times only have to rise.
    stored = actor.adapter.references.motion
    own = MouthMotion(stored, np.arange(len(stored), dtype=np.float64))
    if sources.drive == "motion" and job.take is not None:
        return motion_from_take(
            job.take,
            times,
            job.style,
            own,
            reach=options.reach,
            opening=options.open,
        )
    if sources.drive == "video" and sources.driver is not None:
        return motion_from_video(
            sources.driver, times, own, actor.head, progress, opening=options.open
        )
    return None
