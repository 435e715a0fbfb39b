"""Scan footage of any length quickly: faces in a few frames a second, the sound, the cuts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.adapt.options import MAX_SCAN_SECONDS
from dubfew.errors import MediaError
from dubfew.media import VideoInfo, read_frames
from dubfew.media.audio import stream_audio
from dubfew.media.mel import (
    LOUD_LEVEL_DB,
    MEL_HOP_SAMPLES,
    NUM_MEL_BANDS,
    SPEECH_SAMPLE_RATE_HZ,
    RecordingChannel,
    log_mel,
)
from dubfew.media.speech_track import find_speech_track
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.shots import ShotDetector
from dubfew.reconstruction.fitting.landmark_fit import LandmarkFitter
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.reconstruction.track import Camera
from dubfew.references.track_geometry import POSE_WEIGHT

# Detection rate of the scan, Hz. Lower misses short openings of the mouth; higher is slower.
SCAN_FRAMES_PER_SECOND = 5
# Step between rows of sound energy, s: about the length of a sound of speech.
SOUND_STEP_SECONDS = 0.05
# Largest width of the images that faces are detected in, px. The detector itself works on 192 px,
# so larger images would only be slower.
MAX_SCAN_WIDTH_PX = 640
# Movement of the head between scanned frames, in face widths, and ratio of its sizes, beyond which
# it is another shot: heads do not move so fast in 0.2 s. They find cuts between similar pictures,
# which `ShotDetector` misses.
CUT_MOVE_FACE_WIDTHS, CUT_SCALE_RATIO = 0.7, 1.4
# Scanned frames between two calls of the progress function: one call a second of footage.
PROGRESS_EVERY_FRAMES = 5
# Focal length of the assumed camera in multiples of the larger edge of the frame: that of a usual
# lens. It only affects poses that are compared with each other.
FOCAL_LENGTH_RATIO = 1.5
# Length of the blocks that sound is read in, s. Longer blocks need more memory.
SOUND_BLOCK_SECONDS = 20


@dataclass(frozen=True)
class FootageScan:
    """Result of a scan of L frames.

    Attributes:
        frame_indices: numbers of the scanned frames. [L]
        valid: True where a face was detected; elsewhere the rows of the next four are 0. [L]
        keys: mouth shape and head pose, as in `TrackGeometry.key` but coarser. [L, D]
        mouth_opening: distance of the inner lips, inter-ocular distances. [L]
        turn: rotation of the head away from the camera, rad. [L]
        eye_distance: distance of the outer eye corners, px. [L]
        cuts: frames that begin a new shot, ascending.
        mel_energy: energy of the mel bands every `SOUND_STEP_SECONDS`; no rows without sound.
            [M, 80]
        num_frames: frames of the scanned footage, including those between the scanned ones.
        fps: frame rate, 1/s.
    """

    frame_indices: NDArray[np.int64]
    valid: NDArray[np.bool_]
    keys: NDArray[np.float32]
    mouth_opening: NDArray[np.float32]
    turn: NDArray[np.float32]
    eye_distance: NDArray[np.float32]
    cuts: list[int]
    mel_energy: NDArray[np.float32]
    num_frames: int
    fps: float


def scan_footage(
    video: Path, info: VideoInfo, *, progress: ProgressCallback = no_progress
) -> FootageScan:
    """Scan the first `MAX_SCAN_SECONDS` of some footage.

    Memory grows by half a kilobyte per second of footage. Footage without a face is no error.

    Args:
        video: the footage.
        info: its properties, from `probe`.
        progress: function that is called once a second of footage.

    Raises:
        MediaError: The footage cannot be read.
    """
    # Bounds, also for files that announce no or a wrong number of frames.
    fps = float(info.fps)
    max_frames = max(1, round(MAX_SCAN_SECONDS * fps))
    total = min(info.frames or round(info.duration * fps), max_frames)
    scan_every = max(1, round(fps / SCAN_FRAMES_PER_SECOND))
    scanned: list[int] = []
    landmarks: list[NDArray[np.float32] | None] = []
    shots = ShotDetector()
    num_frames = width = height = 0
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video, stop=max_frames):
            num_frames = frame.index + 1
            width, height = frame.width, frame.height
            # Every frame is searched for cuts: after one the landmarker must detect anew.
            if shots.update(frame):
                landmarker.reset()
            if frame.index % scan_every == 0:
                # Every step-th pixel is enough for a detector that works on 192 px.
                step = -(-max(width, height) // MAX_SCAN_WIDTH_PX)
                found = landmarker(frame.to_rgb(fast=True)[::step, ::step])
                scanned.append(frame.index)
                landmarks.append(None if found is None else found * np.float32(step))
                if len(scanned) % PROGRESS_EVERY_FRAMES == 0:
                    progress(Progress("scan", num_frames, total))
    progress(Progress("scan", num_frames, num_frames))
    camera = Camera(FOCAL_LENGTH_RATIO * max(width, height), width / 2, height / 2)
    frame_indices = np.array(scanned, np.int64)
    valid = np.array([found is not None for found in landmarks], bool)
    keys, opening, turn, size, center = _measure_faces(landmarks, valid, camera)
    # A moving head tells cuts between two similar pictures.
    jumps = _find_jumps(frame_indices, valid, size, center)
    return FootageScan(
        frame_indices=frame_indices,
        valid=valid,
        keys=keys,
        mouth_opening=opening,
        turn=turn,
        eye_distance=size,
        cuts=sorted({*shots.starts, *jumps}),
        mel_energy=_scan_mel_energy(video, info),
        num_frames=num_frames,
        fps=fps,
    )


def _measure_faces(
    landmarks: list[NDArray[np.float32] | None], valid: NDArray[np.bool_], camera: Camera
) -> tuple[NDArray[np.float32], ...]:
    """Measure keys [L, D], opening [L], turn [L], size [L] and center [L, 2] of every face."""
    n = len(landmarks)
    points = 2 * len(OUTER_LIPS + INNER_LIPS)
    keys, center = np.zeros((n, points + 3), np.float32), np.zeros((n, 2), np.float32)
    opening, turn, size = (np.zeros(n, np.float32) for _ in range(3))
    if valid.any():
        detected = np.stack([found for found in landmarks if found is not None])
        fitter = LandmarkFitter(load_head_model(), camera)
        rotation = fitter.estimate_initial_pose(detected).rotation
        # Turn the heads to the front, where mouth shapes can be compared.
        frontal = np.einsum("nli,nij->nlj", (detected @ HEAD_TO_CAMERA_AXES), rotation)
        eyes = frontal[:, EYE_CORNERS[1], :2] - frontal[:, EYE_CORNERS[0], :2]
        distance = np.linalg.norm(eyes, axis=1, keepdims=True)
        # Without depth, which the detector only guesses for lips. Landmark 1 is the tip of the
        # nose, which does not move with the mouth.
        lips = frontal[:, OUTER_LIPS + INNER_LIPS, :2] - frontal[:, [1], :2]
        lips = lips / distance[:, None] / np.sqrt(lips.shape[1])
        angles = _rotation_vectors(rotation)
        keys[valid] = np.concatenate([lips.reshape(len(detected), -1), POSE_WEIGHT * angles], 1)
        upper, lower = frontal[:, INNER_LIPS[5], :2], frontal[:, INNER_LIPS[15], :2]
        opening[valid] = np.linalg.norm(upper - lower, axis=1) / distance[:, 0]
        # The third angle tilts the head in the image plane, which hides nothing.
        turn[valid] = np.linalg.norm(angles[:, :2], axis=1)
        size[valid] = distance[:, 0]
        center[valid] = detected[..., :2].mean(1)
    return keys, opening, turn, size, center


def _rotation_vectors(rotation: NDArray) -> NDArray[np.float32]:
    """Turn rotation matrices [N, 3, 3] into rotation vectors. [N, 3] rad"""
    return Rotation.from_matrix(rotation).as_rotvec().astype(np.float32)


def _find_jumps(
    frame_indices: NDArray[np.int64],
    valid: NDArray[np.bool_],
    eye_distance: NDArray[np.float32],
    center: NDArray[np.float32],
) -> list[int]:
    """List the scanned frames at which the head is suddenly in another place or of another size."""
    both = valid[1:] & valid[:-1]
    mean = np.maximum((eye_distance[1:] + eye_distance[:-1]) / 2, 1e-6)
    # A face is about twice as wide as the distance of its eyes.
    moved = np.linalg.norm(np.diff(center, axis=0), axis=1) / (2 * mean)
    grown = np.abs(np.log(np.maximum(eye_distance[1:], 1e-6) / np.maximum(eye_distance[:-1], 1e-6)))
    is_jump = both & ((moved > CUT_MOVE_FACE_WIDTHS) | (grown > np.log(CUT_SCALE_RATIO)))
    return [int(frame) for frame in frame_indices[1:][is_jump]]


def _scan_mel_energy(video: Path, info: VideoInfo) -> NDArray[np.float32]:
    """Compute the energy of the mel bands over time at a fixed gain. [M, 80]"""
    empty = np.zeros((0, NUM_MEL_BANDS), np.float32)
    if not info.has_audio:
        return empty
    hops = round(SOUND_STEP_SECONDS * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES)
    # A fixed channel instead of a measured one: blocks must not be normalized one by one.
    channel = RecordingChannel(LOUD_LEVEL_DB, np.zeros(NUM_MEL_BANDS, np.float32))
    rows: list[NDArray[np.float32]] = []
    block = SOUND_BLOCK_SECONDS * SPEECH_SAMPLE_RATE_HZ
    with warnings.catch_warnings():
        # The style's fit reads the sound again and warns then.
        warnings.simplefilter("ignore")
        try:
            track = find_speech_track(video).number
            for samples in stream_audio(video, SPEECH_SAMPLE_RATE_HZ, block=block, track=track):
                # Whole rows only: the end of a block that fills no row is dropped.
                steps = len(samples) // MEL_HOP_SAMPLES // hops
                if steps:
                    mel = log_mel(samples, channel=channel, stop=steps * hops)
                    rows.append(mel.reshape(steps, hops, NUM_MEL_BANDS).mean(1))
                if len(rows) * block / SPEECH_SAMPLE_RATE_HZ >= MAX_SCAN_SECONDS:
                    break
        except MediaError:
            return empty
    return np.concatenate(rows) if rows else empty
