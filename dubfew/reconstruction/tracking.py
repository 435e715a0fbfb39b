"""Tracking: from a video to a `Track`, without holding the frames in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.errors import NoFaceError, ShapeError
from dubfew.media import probe
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.crop import compute_face_regions
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.reconstruction.detection.people import choose_person
from dubfew.reconstruction.detection.small_faces import SMALLEST_FACE_PART
from dubfew.reconstruction.fitting.landmark_fit import NUM_SHAPE_FRAMES, LandmarkFitter
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.fitting.photometric.stages import JOINT_STAGE
from dubfew.reconstruction.fitting.smoothing import smooth_parameters
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.heads.mica.identity import check_identity_source, estimate_clip_shape
from dubfew.reconstruction.options import TrackOptions
from dubfew.reconstruction.segmenters import load_face_parser
from dubfew.reconstruction.track import (
    FLAG_MOUTH_COVERED,
    FLAG_NO_FACE,
    FLAG_OTHER_PERSON,
    Camera,
    Track,
)
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from dubfew.reconstruction.visibility.pose_and_border import compute_geometric_flags
from dubfew.reconstruction.visibility.temporal_occlusion import detect_occluded_frames
from dubfew.utils.files import sha256_file
from dubfew.utils.growable_array import map_row_blocks, take_rows
from dubfew.utils.job_progress import StageEstimate
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import WorkPace

# Focal length over the longer side of the frame; files do not name the true one. 1.5 is a normal
# lens. On a sensor 36 mm wide, 28 mm would be 0.78 and a portrait lens 2.4. A wrong value changes
# depth and perspective of the fitted head, not where its points lie in the image.
DEFAULT_FOCAL_PER_LONG_SIDE = 1.5


# Time of one unit of the refinement's stages on two cores, s: frames of 700 px, and steps for all
# frames. `WorkPace` has those of all other work.
JOINT_STEP_SECONDS = 4.0
PHOTOMETRIC_FRAME_SECONDS = 0.3


# Narrower faces have a mouth of 12 px, and landmarks err by a good part of an opening.
MIN_FACE_WIDTH_PX = 36


def describe_no_face(path: Path | str, frame_size: tuple[int, int]) -> str:
    """Say that footage shows no face, and from which size on one is found.

    Args:
        path: the footage.
        frame_size: width and height, px.
    """
    smallest = max(MIN_FACE_WIDTH_PX, round(min(frame_size) / SMALLEST_FACE_PART))
    return (
        f"no face found in {path}: give footage whose face is seen from the front, at least "
        f"{smallest} px wide"
    )


def estimate_track_stages(path: Path | str, options: TrackOptions) -> tuple[StageEstimate, ...]:
    """Return the stages of a tracking with their expected work, for its progress.

    Args:
        path: the clip.
        options: options of the tracking.

    Raises:
        MediaError: The file cannot be read as video.
    """
    info = probe(path)
    frames = info.frames or round(info.duration * float(info.fps))
    is_refined, pace = options.method == "photometric", WorkPace(None)
    return (
        StageEstimate("track", frames, pace.frame_seconds("track", info.width, info.height)),
        StageEstimate("joint", JOINT_STAGE.steps if is_refined else 0, JOINT_STEP_SECONDS),
        StageEstimate("photometric", frames if is_refined else 0, PHOTOMETRIC_FRAME_SECONDS),
        # Only if a segmenter for face parts was chosen.
        StageEstimate("occluders", 0, pace.frame_seconds("parse", info.width, info.height)),
    )


@document_options(TrackOptions)
def track_video(
    path: Path | str,
    options: TrackOptions | None = None,
    *,
    on_detection: Callable[[ClipDetections], None] | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> Track:
    """Detect everyone in a clip, fit the head to one of them, and flag the frames to leave out.

    ``dubfew.track`` is this function; its documentation lists the errors.

    Args:
        path: the clip.
        options: the options below as one object; those given as keywords override it. ``head``
            may also be a loaded ``HeadModel``.
        on_detection: function that is called with everyone who was detected, before one of them
            is fitted.
        progress: function that is called every ten frames.

    Returns:
        One row per frame; rows of frames without this face have ``valid`` False.
    """
    if "sighted" in overrides:
        warnings.warn(
            "track_video's keyword 'sighted' is called on_detection now; 'sighted' goes with the "
            "next release",
            DeprecationWarning,
            stacklevel=2,
        )
        on_detection = overrides.pop("sighted")
    options = merge_options(TrackOptions, options, overrides)
    start = options.start
    # Load everything that may be missing before the work begins.
    refine_track = TRACKING_METHODS.load(options.method)
    model = load_head_model(options.head) if isinstance(options.head, str) else options.head
    check_identity_source(options.identity, model)
    parser = load_face_parser(options.segmenter)
    detections = detect_people(path, start=start, stop=options.stop, progress=progress)
    if on_detection is not None:
        on_detection(detections)
    track = track_person(
        path, detections, options.face, head=model, identity=options.identity, start=start
    )
    track = refine_track(path, track, head=model, first_frame=start, progress=progress)
    # A segmenter that knows the parts of a face sees more covered mouths.
    if parser is not None:
        with closing(parser):
            track = flag_occluded_frames(
                path, track, parser, model, first_frame=start, progress=progress
            )
    return track


def track_person(
    path: Path | str,
    detections: ClipDetections,
    face: str | None,
    *,
    head: HeadModel,
    identity: str = "auto",
    start: int = 0,
) -> Track:
    """Fit the head to one of the people that `detect_people` found, and flag covered mouths.

    Args:
        path: the clip.
        detections: everyone in the clip.
        face: selector of the person, see `choose_person`; None for the most seen person.
        head: head model.
        identity: source of the head's shape, an entry of ``IDENTITY_SOURCES``.
        start: number of the first frame that was searched.

    Returns:
        One row per searched frame.

    Raises:
        MediaError: The file cannot be read as video.
        NoFaceError: No frame shows a face.
        DubfewError: No person fits the selector.
        AssetError: ``identity`` is "mica", and MICA is not registered or does not fit the head.
    """
    if not detections.people:
        raise NoFaceError(describe_no_face(path, detections.frame_size))
    # From here on the other people count only as flags.
    person = choose_person(detections.people, face)
    if person.face_width < MIN_FACE_WIDTH_PX:
        raise NoFaceError(
            f"the face in {path} is {person.face_width:.0f} px wide, and {MIN_FACE_WIDTH_PX} are "
            "needed: give a closer shot or a larger picture"
        )
    width, height = detections.frame_size
    landmarks = person.dense_landmarks(len(detections.times))
    track = fit_track(
        landmarks,
        detections.times,
        head,
        Camera(DEFAULT_FOCAL_PER_LONG_SIDE * max(width, height), width / 2, height / 2),
        fps=probe(path).fps,
        frame_size=(width, height),
        source=str(path),
        sha256=sha256_file(Path(path)),
        shape=estimate_clip_shape(path, landmarks, head, identity, first_frame=start),
        shot=detections.shots,
    )
    flags = track.flags.copy()
    # Other shots have other light, so every frame is compared with those of its own shot.
    for number in np.unique(detections.shots[person.frames]):
        rows = np.nonzero(detections.shots[person.frames] == number)[0]
        frames = person.frames[rows]
        hidden = detect_occluded_frames(
            take_rows(person.patches, rows), take_rows(person.landmarks, rows), frames
        )
        flags[frames[hidden]] |= FLAG_MOUTH_COVERED
    # Tell frames that show only other people from frames that show nobody.
    for other in detections.people:
        if other is not person:
            without_person = other.frames[~track.valid[other.frames]]
            flags[without_person] |= FLAG_OTHER_PERSON
    return replace(track, flags=flags, face=person.number)


def fit_track(
    landmarks: NDArray,
    times: NDArray,
    head: HeadModel,
    camera: Camera,
    *,
    fps: Fraction,
    frame_size: tuple[int, int],
    source: str,
    sha256: str,
    shape: NDArray | None = None,
    shot: NDArray[np.int32] | None = None,
) -> Track:
    """Fit the head to the landmarks of a clip and smooth the result.

    Args:
        landmarks: px, NaN in frames without a face. [N, 478, 3]
        times: presentation times of the frames, s. [N]
        head: head model.
        camera: intrinsics.
        fps: nominal frame rate.
        frame_size: width and height, px.
        source: name of the clip in error messages.
        sha256: hash of the clip's file.
        shape: identity coefficients from MICA, kept as they are; None to fit them to the
            landmarks. [S]
        shot: number of each frame's shot; nothing is smoothed over a cut. None for one shot. [N]

    Returns:
        One row per frame. Frames without a face have the values of the nearest frame with one.

    Raises:
        NoFaceError: No frame has landmarks.
        ShapeError: ``shape`` has another number of coefficients than the head.
    """
    valid = map_row_blocks(lambda rows: np.isfinite(rows[:, 0, 0]), landmarks)
    if not valid.any():
        raise NoFaceError(
            f"no face found in {source}: give footage whose face is seen from the front"
        )
    # Landmarks take most of the memory of a long clip: copy them only where frames are missing.
    observed = np.asarray(take_rows(landmarks, np.flatnonzero(valid)), np.float32)
    fitter = LandmarkFitter(head, camera)
    shape_from = "landmarks" if shape is None else "mica"
    shape = _fit_clip_shape(fitter, observed) if shape is None else _check_shape(shape, head)
    parameters = fitter.refine_parameters(observed, shape, fitter.estimate_initial_pose(observed))
    shot = np.zeros(len(valid), np.int32) if shot is None else shot
    frames = np.nonzero(valid)[0]
    runs = _find_unbroken_runs(frames, shot[frames])
    parameters = smooth_parameters(parameters, runs, head, shape, fps)

    # Spread the rows of the frames with a face over all frames.
    nearest = _find_nearest_valid(valid)
    rotation = Rotation.from_matrix(parameters.rotation).as_rotvec().astype(np.float32)[nearest]
    translation = parameters.translation.astype(np.float32)[nearest]
    count = len(landmarks)
    regions = compute_face_regions(head, shape, rotation, translation, camera)
    flags = np.full(count, FLAG_NO_FACE, np.uint8)
    flags[valid] = compute_geometric_flags(observed, regions.hull[valid], frame_size)
    return Track(
        valid=valid,
        times=np.asarray(times, np.float64),
        expression=parameters.expression.astype(np.float32)[nearest],
        jaw=parameters.jaw.astype(np.float32)[nearest],
        neck=np.zeros((count, 3), np.float32),
        rotation=rotation,
        translation=translation,
        lighting=np.zeros((count, 9, 3), np.float32),
        box=regions.box,
        landmarks=take_rows(observed, nearest),
        confidence=valid.astype(np.float32),
        shape=shape.astype(np.float32),
        camera=camera,
        fps=fps,
        width=frame_size[0],
        height=frame_size[1],
        head=head.name,
        source_sha256=sha256,
        shape_from=shape_from,
        flags=flags,
        shot=shot,
    )


def _fit_clip_shape(fitter: LandmarkFitter, landmarks: NDArray) -> NDArray[np.float64]:
    """Fit identity coefficients [S] to the landmarks [M, 478, 3] of evenly spaced frames."""
    rows = np.unique(np.linspace(0, len(landmarks) - 1, NUM_SHAPE_FRAMES).astype(int))
    return fitter.fit_shape(landmarks[rows])


def _check_shape(shape: NDArray, head: HeadModel) -> NDArray:
    """Return the shape, or raise ShapeError if it has the wrong number of coefficients."""
    if shape.shape != (len(head.shape_basis),):
        raise ShapeError(
            f"shape has {list(shape.shape)} coefficients, the head {head.name} "
            f"{[len(head.shape_basis)]}"
        )
    return shape


def _find_unbroken_runs(frames: NDArray, shot: NDArray) -> list[slice]:
    """Find rows of consecutive frames within one shot. A gap ends a run: it may hide a cut."""
    is_start = (np.diff(frames, prepend=-2) > 1) | (np.diff(shot, prepend=-1) != 0)
    starts = np.nonzero(is_start)[0]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(frames)], strict=True)]


def _find_nearest_valid(valid: NDArray) -> NDArray[np.int64]:
    """Find for every frame the row, among the valid ones, that is nearest in time. [N]"""
    valid_frames = np.nonzero(valid)[0]
    frames = np.arange(len(valid))
    right = np.clip(np.searchsorted(valid_frames, frames), 0, len(valid_frames) - 1)
    left = np.clip(right - 1, 0, None)
    left_is_nearer = np.abs(valid_frames[left] - frames) < np.abs(valid_frames[right] - frames)
    return np.where(left_is_nearer, left, right)
