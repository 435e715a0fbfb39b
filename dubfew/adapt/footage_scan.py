"""A quick look through footage of any length: a few frames a second, the sound, and the cuts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

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
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.shots import ShotDetector
from dubfew.reconstruction.fitting.landmark_fit import LandmarkFitter
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.projection import HEAD_TO_CAMERA_AXES
from dubfew.reconstruction.track import Camera
from dubfew.references.track_geometry import POSE_WEIGHT

# Mouths are looked at so often. Fewer looks miss short openings, more cost time.
SCAN_FRAMES_PER_SECOND = 5
# Footage is looked through so far.
MAX_SCAN_SECONDS = 15 * 60.0
# One row of sound, s: about a sound of speech.
SOUND_STEP_SECONDS = 0.05
# The face is found in pictures no wider than this; the detector itself works on 192 px.
MAX_SCAN_WIDTH_PX = 640
# A head that jumps by so many face widths between looks, or grows by this factor, is another shot.
CUT_MOVE_FACE_WIDTHS, CUT_SCALE_RATIO = 0.7, 1.4


@dataclass(frozen=True)
class FootageScan:
    """What a scan found at L looks.

    Attributes:
        frame_indices: frame of each look. [L]
        valid: whether it shows a face; the other rows below are 0 without one. [L]
        keys: mouth shape and head pose, as in `Geometry.key` but coarser. [L, D]
        mouth_opening: distance of the inner lips, inter-ocular distances. [L]
        turn: rotation of the head away from the camera, rad. [L]
        eye_distance: distance of the eyes, px. [L]
        cuts: frames that begin a new shot, rising.
        mel_energy: energy of the mel bands every `SOUND_STEP_SECONDS` s; no rows without sound.
            [M, 80]
        num_frames: how many were looked through.
        fps: frame rate.
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
    """Look through the first `MAX_SCAN_SECONDS` seconds of some footage.

    Memory grows by half a kilobyte a second. No face at all is no error here.

    Raises:
        MediaError: the footage cannot be read.
    """
    fps = float(info.fps)
    most = max(1, round(MAX_SCAN_SECONDS * fps))
    total = min(info.frames or round(info.duration * fps), most)
    every = max(1, round(fps / SCAN_FRAMES_PER_SECOND))
    looks: list[int] = []
    landmarks: list[NDArray[np.float32] | None] = []
    shots = ShotDetector()
    count = width = height = 0
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video, stop=most):
            count = frame.index + 1
            width, height = frame.width, frame.height
            if shots.update(frame):
                landmarker.reset()
            if frame.index % every == 0:
                step = -(-max(width, height) // MAX_SCAN_WIDTH_PX)
                found = landmarker(frame.to_rgb(fast=True)[::step, ::step])
                looks.append(frame.index)
                landmarks.append(None if found is None else found * np.float32(step))
                if len(looks) % 5 == 0:
                    progress(Progress("scan", count, total))
    camera = Camera(1.5 * max(width, height), width / 2, height / 2)
    valid = np.array([found is not None for found in landmarks], bool)
    keys, opening, turn, size, centre = _measure_faces(landmarks, valid, camera)
    jumps = _find_jumps(np.array(looks, np.int64), valid, size, centre)
    return FootageScan(
        frame_indices=np.array(looks, np.int64),
        valid=valid,
        keys=keys,
        mouth_opening=opening,
        turn=turn,
        eye_distance=size,
        cuts=sorted({*shots.starts, *jumps}),
        mel_energy=_scan_mel_energy(video, info),
        num_frames=count,
        fps=fps,
    )


def _measure_faces(
    landmarks: list[NDArray[np.float32] | None], valid: NDArray[np.bool_], camera: Camera
) -> tuple[NDArray[np.float32], ...]:
    """Keys, opening, turn, size and centre of every look."""
    n = len(landmarks)
    points = 2 * len(OUTER_LIPS + INNER_LIPS)
    keys, centre = np.zeros((n, points + 3), np.float32), np.zeros((n, 2), np.float32)
    opening, turn, size = (np.zeros(n, np.float32) for _ in range(3))
    if valid.any():
        seen = np.stack([found for found in landmarks if found is not None])
        rotation = LandmarkFitter(load_head_model(), camera).estimate_initial_pose(seen).rotation
        straight = np.einsum("nli,nij->nlj", (seen @ HEAD_TO_CAMERA_AXES), rotation)
        eyes = straight[:, EYE_CORNERS[1], :2] - straight[:, EYE_CORNERS[0], :2]
        distance = np.linalg.norm(eyes, axis=1, keepdims=True)
        # Depth of a detector's lips is a guess: shapes are compared from the front.
        lips = straight[:, OUTER_LIPS + INNER_LIPS, :2] - straight[:, [1], :2]
        lips = lips / distance[:, None] / np.sqrt(lips.shape[1])
        angles = _rotation_vectors(rotation)
        keys[valid] = np.concatenate([lips.reshape(len(seen), -1), POSE_WEIGHT * angles], 1)
        upper, lower = straight[:, INNER_LIPS[5], :2], straight[:, INNER_LIPS[15], :2]
        opening[valid] = np.linalg.norm(upper - lower, axis=1) / distance[:, 0]
        turn[valid] = np.linalg.norm(angles[:, :2], axis=1)
        size[valid] = distance[:, 0]
        centre[valid] = seen[..., :2].mean(1)
    return keys, opening, turn, size, centre


def _rotation_vectors(rotation: NDArray) -> NDArray[np.float32]:
    """Rotation vectors of matrices. [N, 3] rad"""
    return Rotation.from_matrix(rotation).as_rotvec().astype(np.float32)


def _find_jumps(
    frame_indices: NDArray[np.int64],
    valid: NDArray[np.bool_],
    eye_distance: NDArray[np.float32],
    center: NDArray[np.float32],
) -> list[int]:
    """Looks at which the head is suddenly elsewhere."""
    both = valid[1:] & valid[:-1]
    mean = np.maximum((eye_distance[1:] + eye_distance[:-1]) / 2, 1e-6)
    # The whole face is about twice as wide as its eyes are apart.
    moved = np.linalg.norm(np.diff(center, axis=0), axis=1) / (2 * mean)
    grown = np.abs(np.log(np.maximum(eye_distance[1:], 1e-6) / np.maximum(eye_distance[:-1], 1e-6)))
    there = both & ((moved > CUT_MOVE_FACE_WIDTHS) | (grown > np.log(CUT_SCALE_RATIO)))
    return [int(look) for look in frame_indices[1:][there]]


def _scan_mel_energy(video: Path, info: VideoInfo) -> NDArray[np.float32]:
    """Energy of the mel bands over time, at a fixed gain. [M, 80]"""
    empty = np.zeros((0, NUM_MEL_BANDS), np.float32)
    if not info.has_audio:
        return empty
    hops = round(SOUND_STEP_SECONDS * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES)
    plain = RecordingChannel(LOUD_LEVEL_DB, np.zeros(NUM_MEL_BANDS, np.float32))
    rows: list[NDArray[np.float32]] = []
    block = 20 * SPEECH_SAMPLE_RATE_HZ
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracking reads the file again, and warns
        try:
            for samples in stream_audio(video, SPEECH_SAMPLE_RATE_HZ, block=block):
                steps = len(samples) // MEL_HOP_SAMPLES // hops
                if steps:
                    mel = log_mel(samples, channel=plain, stop=steps * hops)
                    rows.append(mel.reshape(steps, hops, NUM_MEL_BANDS).mean(1))
                if len(rows) * block / SPEECH_SAMPLE_RATE_HZ >= MAX_SCAN_SECONDS:
                    break
        except MediaError:
            return empty
    return np.concatenate(rows) if rows else empty
