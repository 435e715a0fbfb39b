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
from dubfew.media.mel import BANDS, HOP, LOUD_DB, RATE, Channel, log_mel
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.shots import ShotFinder
from dubfew.reconstruction.fitting.landmark_fit import FLIP, LandmarkFitter
from dubfew.reconstruction.heads.head_model import load_head
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.track import Camera
from dubfew.references.footage import POSE_WEIGHT

# Mouths are looked at so often. Fewer looks miss short openings, more cost time.
LOOKS_PER_SECOND = 5
# Footage is looked through so far.
LONGEST = 15 * 60.0
# One row of sound, s: about a sound of speech.
SOUND_STEP = 0.05
# The face is found in pictures no wider than this; the detector itself works on 192 px.
WIDEST = 640
# A head that jumps by so many face widths between looks, or grows by this factor, is another shot.
JUMP, GROWTH = 0.7, 1.4


@dataclass(frozen=True)
class Scan:
    """What a scan found at L looks.

    Attributes:
        looks: frame of each look. [L]
        valid: whether it shows a face; the other rows below are 0 without one. [L]
        keys: mouth shape and head pose, as in `Geometry.key` but coarser. [L, D]
        opening: distance of the inner lips, inter-ocular distances. [L]
        turn: rotation of the head away from the camera, rad. [L]
        size: distance of the eyes, px. [L]
        cuts: frames that begin a new shot, rising.
        sound: energy of the mel bands every `SOUND_STEP` s; no rows without sound. [M, 80]
        frames: how many were looked through.
        fps: frame rate.
    """

    looks: NDArray[np.int64]
    valid: NDArray[np.bool_]
    keys: NDArray[np.float32]
    opening: NDArray[np.float32]
    turn: NDArray[np.float32]
    size: NDArray[np.float32]
    cuts: list[int]
    sound: NDArray[np.float32]
    frames: int
    fps: float


def scan(video: Path, info: VideoInfo, *, progress: ProgressCallback = silent) -> Scan:
    """Look through the first `LONGEST` seconds of some footage.

    Memory grows by half a kilobyte a second. No face at all is no error here.

    Raises:
        MediaError: the footage cannot be read.
    """
    fps = float(info.fps)
    most = max(1, round(LONGEST * fps))
    total = min(info.frames or round(info.duration * fps), most)
    every = max(1, round(fps / LOOKS_PER_SECOND))
    looks: list[int] = []
    landmarks: list[NDArray[np.float32] | None] = []
    shots = ShotFinder()
    count = width = height = 0
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video, stop=most):
            count = frame.index + 1
            width, height = frame.width, frame.height
            if shots.see(frame):
                landmarker.forget()
            if frame.index % every == 0:
                step = -(-max(width, height) // WIDEST)
                found = landmarker(frame.to_rgb(fast=True)[::step, ::step])
                looks.append(frame.index)
                landmarks.append(None if found is None else found * np.float32(step))
                if len(looks) % 5 == 0:
                    progress(Progress("scan", count, total))
    camera = Camera(1.5 * max(width, height), width / 2, height / 2)
    valid = np.array([found is not None for found in landmarks], bool)
    keys, opening, turn, size, centre = _measured(landmarks, valid, camera)
    jumps = _jumps(np.array(looks, np.int64), valid, size, centre)
    return Scan(
        looks=np.array(looks, np.int64),
        valid=valid,
        keys=keys,
        opening=opening,
        turn=turn,
        size=size,
        cuts=sorted({*shots.starts, *jumps}),
        sound=_sound(video, info),
        frames=count,
        fps=fps,
    )


def _measured(
    landmarks: list[NDArray[np.float32] | None], valid: NDArray[np.bool_], camera: Camera
) -> tuple[NDArray[np.float32], ...]:
    """Keys, opening, turn, size and centre of every look."""
    n = len(landmarks)
    points = 2 * len(OUTER_LIPS + INNER_LIPS)
    keys, centre = np.zeros((n, points + 3), np.float32), np.zeros((n, 2), np.float32)
    opening, turn, size = (np.zeros(n, np.float32) for _ in range(3))
    if valid.any():
        seen = np.stack([found for found in landmarks if found is not None])
        rotation = LandmarkFitter(load_head(), camera).start(seen).rotation
        straight = np.einsum("nli,nij->nlj", (seen @ FLIP), rotation)
        eyes = straight[:, EYE_CORNERS[1], :2] - straight[:, EYE_CORNERS[0], :2]
        distance = np.linalg.norm(eyes, axis=1, keepdims=True)
        # Depth of a detector's lips is a guess: shapes are compared from the front.
        lips = straight[:, OUTER_LIPS + INNER_LIPS, :2] - straight[:, [1], :2]
        lips = lips / distance[:, None] / np.sqrt(lips.shape[1])
        angles = _angles(rotation)
        keys[valid] = np.concatenate([lips.reshape(len(seen), -1), POSE_WEIGHT * angles], 1)
        upper, lower = straight[:, INNER_LIPS[5], :2], straight[:, INNER_LIPS[15], :2]
        opening[valid] = np.linalg.norm(upper - lower, axis=1) / distance[:, 0]
        turn[valid] = np.linalg.norm(angles[:, :2], axis=1)
        size[valid] = distance[:, 0]
        centre[valid] = seen[..., :2].mean(1)
    return keys, opening, turn, size, centre


def _angles(rotation: NDArray) -> NDArray[np.float32]:
    """Rotation vectors of matrices. [N, 3] rad"""
    return Rotation.from_matrix(rotation).as_rotvec().astype(np.float32)


def _jumps(
    looks: NDArray[np.int64],
    valid: NDArray[np.bool_],
    size: NDArray[np.float32],
    centre: NDArray[np.float32],
) -> list[int]:
    """Looks at which the head is suddenly elsewhere."""
    both = valid[1:] & valid[:-1]
    mean = np.maximum((size[1:] + size[:-1]) / 2, 1e-6)
    # The whole face is about twice as wide as its eyes are apart.
    moved = np.linalg.norm(np.diff(centre, axis=0), axis=1) / (2 * mean)
    grown = np.abs(np.log(np.maximum(size[1:], 1e-6) / np.maximum(size[:-1], 1e-6)))
    there = both & ((moved > JUMP) | (grown > np.log(GROWTH)))
    return [int(look) for look in looks[1:][there]]


def _sound(video: Path, info: VideoInfo) -> NDArray[np.float32]:
    """Energy of the mel bands over time, at a fixed gain. [M, 80]"""
    empty = np.zeros((0, BANDS), np.float32)
    if not info.has_audio:
        return empty
    hops = round(SOUND_STEP * RATE / HOP)
    plain = Channel(LOUD_DB, np.zeros(BANDS, np.float32))
    rows: list[NDArray[np.float32]] = []
    block = 20 * RATE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracking reads the file again, and warns
        try:
            for samples in stream_audio(video, RATE, block=block):
                steps = len(samples) // HOP // hops
                if steps:
                    mel = log_mel(samples, channel=plain, stop=steps * hops)
                    rows.append(mel.reshape(steps, hops, BANDS).mean(1))
                if len(rows) * block / RATE >= LONGEST:
                    break
        except MediaError:
            return empty
    return np.concatenate(rows) if rows else empty
