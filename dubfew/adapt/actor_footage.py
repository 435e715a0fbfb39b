"""From the chosen part of a video to what an actor is trained on: track, windows, style."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubfew.adapt.learned_face import FacePolicy, LearnedFace
from dubfew.adapt.segment_selection import FootageSegment
from dubfew.adapt.stage_estimates import STYLE_STAGE, STYLE_STAGE_UNITS
from dubfew.data.clip_footage import ClipFootage, cut_clip_footage
from dubfew.errors import MediaError, NoFaceError
from dubfew.media import Audio, VideoInfo, read_frames
from dubfew.media.audio import stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.media.speech_track import find_speech_track
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.detection.clip_detections import detect_people
from dubfew.reconstruction.detection.detected_ahead import take_people
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.segmenters import load_face_parser
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_person
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import Footage, resize_footage
from dubfew.speech.model import SpeechModel
from dubfew.speech.parameter_style import fit_parameter_style
from dubfew.speech.style import SpeakingStyle, fit_style
from dubfew.utils.allocator import return_freed_memory, return_library_code

# Smallest and largest edge of stored references, px; the largest is a mouth window of a 4K
# close-up. Larger ones cost space in the registry and memory in a render.
MIN_REFERENCE_SIZE_PX, MAX_REFERENCE_SIZE_PX = 160, 384
# Stored references per pixel of the footage, along an edge. Pixels are looked up between their
# centers; at twice the resolution this blurs nothing that the footage shows.
REFERENCE_OVERSAMPLING = 2
# Sound before and after the part of the footage that the speech model hears, too (s). A network
# predicts the first and last sounds from what surrounds them; a second is more than it uses.
AUDIO_MARGIN_SECONDS = 1.0
# Step of the prediction that the footage is compared with, s: that of the lags that are tried.
PREDICTION_STEP_SECONDS = 0.01


@dataclass(frozen=True)
class ActorFootage:
    """What an actor is trained on.

    Attributes:
        track: head and camera in every frame of the part.
        windows: usable frames in the size that the renderer takes, meshes aligned.
        references: same frames in the size that is stored.
        style: how the actor's mouth differs from the speech model's prediction.
        face: the person who was tracked.
        crops: same frames at 25 fps as a painting renderer takes them; None for blending ones.
    """

    track: Track
    windows: Footage
    references: Footage
    style: SpeakingStyle
    face: LearnedFace
    crops: ClipFootage | None = None


def prepare_actor_footage(
    video: Path,
    info: VideoInfo,
    segment: FootageSegment,
    head: HeadModel,
    window_size: int,
    speech_model: SpeechModel,
    *,
    layout: str | None = None,
    face_policy: FacePolicy,
    segmenter: str,
    tracking: str = "landmarks",
    progress: ProgressCallback = no_progress,
) -> ActorFootage:
    """Track a part of a video, cut its windows, and fit the speaking style.

    Args:
        video: footage of the actor.
        info: its properties, from `probe`.
        segment: part to use.
        head: head model to track with.
        window_size: edge of the windows that the renderer takes, px.
        speech_model: model that the style belongs to.
        layout: crop layout of a painting renderer; None for blending ones.
        face_policy: which of the people may be learned.
        segmenter: finds things in front of the mouth, one of ``SEGMENTERS``.
        tracking: entry of ``TRACKING_METHODS``.
        progress: function that is called with the state of every stage.

    Raises:
        MediaError: The footage cannot be read.
        NoFaceError: The footage shows no face, or no face that can be learned from.
        WrongPersonError: The face is not that of the actor who has the id already.
        MissingDependencyError: The segmenter is not installed.
    """
    # A segmenter that is not installed is an error before the work.
    parser = load_face_parser(segmenter)
    refine_track = TRACKING_METHODS.load(tracking)
    first = segment.first
    # Short footage is searched while torch is imported.
    detections = take_people(video, progress) if segment.chosen == "whole" else None
    if detections is None or len(detections.times) > segment.stop:
        detections = detect_people(video, start=first, stop=segment.stop, progress=progress)
    face = face_policy.choose(video, detections)
    chosen = str(face.person.number)
    track = track_person(video, detections, chosen, head=head, start=first)
    track = refine_track(video, track, head=head, first_frame=first, progress=progress)
    if parser is not None:
        with closing(parser):
            track = flag_occluded_frames(
                video, track, parser, head, first_frame=first, progress=progress
            )
    check_usable_frames(video, track)
    # What detection has used is of no use to windows and alignment.
    return_freed_memory()
    return_library_code()
    # Windows are cut once, in the size that is stored, and reduced for the renderer.
    motion = motion_from_track(track, head)
    references = footage_from_frames(
        read_frames(video, start=segment.first, stop=segment.stop),
        track,
        head,
        motion.displacement,
        window_size=choose_reference_size(track, head, window_size),
        frame_numbers=segment.first + np.arange(len(track)),
        progress=progress,
    )
    windows = align_footage(resize_footage(references, window_size), head, progress=progress)
    # The aligned meshes belong to the stored references, too: x and y in their px, z in m.
    ratio = np.array([references.window_size / windows.window_size] * 2 + [1], np.float32)
    references = replace(references, vertices=windows.vertices * ratio)
    # Rendering applies the style to the speech model's prediction.
    progress(Progress(STYLE_STAGE, 0, STYLE_STAGE_UNITS))
    style = fit_actor_style(video, info, motion, speech_model, track, head)
    progress(Progress(STYLE_STAGE, 1, STYLE_STAGE_UNITS))
    crops = None
    if layout is not None:
        crops = _cut_crops(video, info, segment, track, head, layout, progress)
    return ActorFootage(track, windows, references, style, face, crops)


def _cut_crops(
    video: Path,
    info: VideoInfo,
    segment: FootageSegment,
    track: Track,
    head: HeadModel,
    layout: str,
    progress: ProgressCallback,
) -> ClipFootage:
    """Cut the crops of a painting renderer, with the sound beside them."""
    samples, begin = None, max(0.0, float(track.times[0]) - AUDIO_MARGIN_SECONDS)
    if info.has_audio:
        try:
            end = float(track.times[-1]) + AUDIO_MARGIN_SECONDS
            samples = np.asarray(read_audio_between(video, begin, end).samples, np.float32)
        except MediaError:
            samples = None  # as of footage without sound
    return cut_clip_footage(
        read_frames(video, start=segment.first, stop=segment.stop),
        track,
        head,
        layout,
        frame_numbers=segment.first + np.arange(len(track)),
        samples=samples,
        sound_start=begin,
        progress=progress,
    )


def check_usable_frames(video: Path, track: Track) -> None:
    """Check that a track has frames to train on.

    Args:
        video: footage, for the error message.
        track: its track.

    Raises:
        NoFaceError: Every frame is unusable; the message gives the reasons.
    """
    if not track.usable.any():
        raise NoFaceError(
            f"no frame of {video} can be learned from ({', '.join(track.reasons())}): give footage "
            "whose mouth is seen from the front"
        )


def choose_reference_size(track: Track, head: HeadModel, window: int) -> int:
    """Choose the edge of stored references: twice that of the mouth window in the footage.

    Args:
        track: track of the footage.
        head: head model of the track.
        window: edge of the windows that the renderer takes, px.

    Returns:
        Edge in px, from `MIN_REFERENCE_SIZE_PX` to `MAX_REFERENCE_SIZE_PX`, or to ``window``
        where that is larger.
    """
    side = float(np.median(compute_track_regions(track, head).window[track.usable, 2]))
    largest = max(MAX_REFERENCE_SIZE_PX, window)
    return int(np.clip(REFERENCE_OVERSAMPLING * round(side), MIN_REFERENCE_SIZE_PX, largest))


def fit_actor_style(
    video: Path,
    info: VideoInfo,
    motion: MouthMotion,
    model: SpeechModel,
    track: Track,
    head: HeadModel,
) -> SpeakingStyle:
    """Fit the speaking style to the footage's sound, or to its motion alone without sound.

    Args:
        video: footage of the actor.
        info: its properties, from `probe`.
        motion: filmed mouth motion, with its times in the video.
        model: speech model that the style belongs to.
        track: the footage's track, whose parameters get scales and shifts.
        head: head model of the track.
    """
    if info.has_audio:
        begin = max(0.0, motion.times[0] - AUDIO_MARGIN_SECONDS)
        # Sound that cannot be decoded is no reason to refuse footage whose images can.
        try:
            audio = read_audio_between(video, begin, motion.times[-1] + AUDIO_MARGIN_SECONDS)
        except MediaError:
            return SpeakingStyle.from_statistics(motion, model.space)
        if len(audio.samples):
            # Times from the start of the sound that was read, then those of the video again. Finer
            # than the video and with the margins, because the picture may be early or late.
            predicted = model.predict(audio, np.arange(0, audio.duration, PREDICTION_STEP_SECONDS))
            on_video = replace(predicted, times=predicted.times + begin)
            style = fit_style(on_video, motion, model.space)
            lag = 0.0 if style.picture_lag is None else style.picture_lag.correction_seconds
            in_step = on_video.resample(track.times - lag)
            return replace(style, parameters=fit_parameter_style(in_step, track, head))
    return SpeakingStyle.from_statistics(motion, model.space)


def read_audio_between(video: Path, begin: float, end: float) -> Audio:
    """Read the sound of a part of a video; memory does not grow with the rest of it.

    Args:
        video: the file.
        begin: start of the part, s.
        end: end of the part, s.

    Returns:
        Mono sound at the rate that speech models take; shorter where the file ends.

    Raises:
        MediaError: The file has no sound, or it cannot be decoded.
    """
    # One empty block, so that a part beyond the end gives no sound instead of an error.
    kept = [np.zeros(0, np.float32)]
    first, last = round(begin * SPEECH_SAMPLE_RATE_HZ), round(end * SPEECH_SAMPLE_RATE_HZ)
    position = 0
    # The track that speaks: the main one of a camera's file may hold a tone.
    track = find_speech_track(video).number
    for block in stream_audio(video, SPEECH_SAMPLE_RATE_HZ, track=track):
        kept.append(block[max(0, first - position) : max(0, last - position)])
        position += len(block)
        if position >= last:
            break
    return Audio(np.concatenate(kept), SPEECH_SAMPLE_RATE_HZ)
