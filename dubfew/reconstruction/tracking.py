"""Video -> Track, streaming."""

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
from dubfew.reconstruction.fitting.landmark_fit import NUM_SHAPE_FRAMES, LandmarkFitter
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
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
from dubfew.utils.growable_array import take_rows
from dubfew.utils.options import document_options, merge_options

# Without metadata: a normal lens (28 mm on a 36 mm wide sensor would be 0.78, a portrait 2.4).
DEFAULT_FOCAL_PER_LONG_SIDE = 1.5


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
    refine_track = TRACKING_METHODS.load(options.method)
    model = load_head_model(options.head) if isinstance(options.head, str) else options.head
    check_identity_source(options.identity, model)
    parser = load_face_parser(options.segmenter)
    seen = detect_people(path, start=start, stop=options.stop, progress=progress)
    if on_detection is not None:
        on_detection(seen)
    track = track_person(
        path, seen, options.face, head=model, identity=options.identity, start=start
    )
    track = refine_track(path, track, head=model, first_frame=start, progress=progress)
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
    """Fit one of the people that ``detect_people`` found; arguments and errors of "
    "``track_video``."""
    if not detections.people:
        raise NoFaceError(
            f"no face found in {path}: give footage whose face is seen from the front"
        )
    person = choose_person(detections.people, face)
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
    # Another shot has another light: frames are compared with those of their own.
    for number in np.unique(detections.shots[person.frames]):
        rows = np.nonzero(detections.shots[person.frames] == number)[0]
        frames = person.frames[rows]
        hidden = detect_occluded_frames(
            take_rows(person.patches, rows), take_rows(person.landmarks, rows), frames
        )
        flags[frames[hidden]] |= FLAG_MOUTH_COVERED
    for other in detections.people:
        if other is not person:
            alone = other.frames[~track.valid[other.frames]]
            flags[alone] |= FLAG_OTHER_PERSON
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
    """Fit the head to landmarks [N, 478, 3] (px, NaN rows without a face).

    Identity is held at ``shape`` [S] where MICA gave one, and fitted to the landmarks otherwise.
    Nothing is smoothed from one ``shot`` [N] to the next.

    Raises:
        NoFaceError: no row has a face.
        ShapeError: ``shape`` has another number of coefficients than the head.
    """
    valid = np.isfinite(landmarks[:, 0, 0])
    if not valid.any():
        raise NoFaceError(
            f"no face found in {source}: give footage whose face is seen from the front"
        )
    # Long clips are mostly landmarks: they are not copied where the face is in every frame.
    seen = np.asarray(landmarks if valid.all() else landmarks[valid], np.float32)
    fitter = LandmarkFitter(head, camera)
    shape_from = "landmarks" if shape is None else "mica"
    if shape is None:
        rows = np.unique(np.linspace(0, len(seen) - 1, NUM_SHAPE_FRAMES).astype(int))
        shape = fitter.fit_shape(seen[rows])
    elif shape.shape != (len(head.shape_basis),):
        raise ShapeError(
            f"shape has {list(shape.shape)} coefficients, the head {head.name} "
            f"{[len(head.shape_basis)]}"
        )
    pose = fitter.refine_parameters(seen, shape, fitter.estimate_initial_pose(seen))
    shot = np.zeros(len(valid), np.int32) if shot is None else shot
    frames = np.nonzero(valid)[0]
    pose = smooth_parameters(pose, _find_unbroken_runs(frames, shot[frames]), head, shape, fps)

    nearest = _find_nearest_valid(valid)
    rotation = Rotation.from_matrix(pose.rotation).as_rotvec().astype(np.float32)[nearest]
    translation = pose.translation.astype(np.float32)[nearest]
    n = len(landmarks)
    where = compute_face_regions(head, shape, rotation, translation, camera)
    flags = np.full(n, FLAG_NO_FACE, np.uint8)
    flags[valid] = compute_geometric_flags(seen, where.hull[valid], frame_size)
    return Track(
        valid=valid,
        times=np.asarray(times, np.float64),
        expression=pose.expression.astype(np.float32)[nearest],
        jaw=pose.jaw.astype(np.float32)[nearest],
        neck=np.zeros((n, 3), np.float32),
        rotation=rotation,
        translation=translation,
        lighting=np.zeros((n, 9, 3), np.float32),
        box=where.box,
        landmarks=seen if valid.all() else seen[nearest],
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


def _find_unbroken_runs(frames: NDArray, shot: NDArray) -> list[slice]:
    """Rows of unbroken runs of frames within a shot; a gap may hide a cut."""
    begins = (np.diff(frames, prepend=-2) > 1) | (np.diff(shot, prepend=-1) != 0)
    starts = np.nonzero(begins)[0]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(frames)], strict=True)]


def _find_nearest_valid(valid: NDArray) -> NDArray[np.int64]:
    """For every frame, the row among the valid ones that is nearest in time. [N]"""
    frames = np.nonzero(valid)[0]
    right = np.clip(np.searchsorted(frames, np.arange(len(valid))), 0, len(frames) - 1)
    left = np.clip(right - 1, 0, None)
    here = np.arange(len(valid))
    return np.where(np.abs(frames[left] - here) < np.abs(frames[right] - here), left, right)
