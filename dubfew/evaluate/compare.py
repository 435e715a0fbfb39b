"""An output against its original: both videos read once more in step, then one figure each."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate.face_geometry import FACE_CROP_SIZE_PX, PixelBox, clip_mouth_box, face_boxes
from dubfew.evaluate.lipsync.phonemes import measure_phoneme_sync as listen_to
from dubfew.evaluate.lipsync.sync_score import measure_lip_sync
from dubfew.evaluate.lipsync.syncnet import load_syncnet
from dubfew.evaluate.metrics import IMAGE_METRICS, LANDMARK_METRICS
from dubfew.evaluate.regions import CHROMA_REACH_PX, mouth_region
from dubfew.media import probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.utils.import_utils import import_optional


@dataclass(frozen=True)
class EvaluationResult:
    """How an output compares with its original; see :mod:`dubfew.evaluate.metrics`.

    A figure that cannot be had (nothing moves, no face in the output) is NaN, one that was not
    asked for is None.

    Attributes:
        frames: compared frames, the length of the shorter video.
        psnr: on the 256 px face crop, dB; inf if no frame was changed.
        ssim: on the 256 px face crop.
        psnr_mouth: in the mouth box, dB; inf if no frame was changed there.
        ssim_mouth: in the mouth box.
        lmd: lip landmark distance, % of the eye-corner distance.
        sharpness: variance of the Laplacian in the mouth box, output / original.
        opening_r: correlation of the mouth opening with the original's.
        opening_lag: frames by which the output's mouth is late; of ±5.
        opening_r_best: correlation at that lag.
        opening_spread: standard deviation of the opening, output / original.
        outside_max: largest difference of any RGB value outside the mouth mask, 0 to 255; 0 if
            the file is lossless and nothing else was touched.
        lse_c: of the output's mouth and its own sound, see
            :class:`dubfew.evaluate.lipsync.syncnet.LipSyncScore`; needs SyncNet's weights, as do
            the
            next two.
        lse_d: of the same.
        av_offset: of the same.
        heard_r: of the output's mouth and the sounds that a phoneme recogniser hears, see
            :class:`dubfew.evaluate.lipsync.phonemes.PhonemeSync`; measured on request, as are the
            next
            two.
        heard_lag_ms: of the same.
        heard_r_best: of the same.
    """

    frames: int
    psnr: float
    ssim: float
    psnr_mouth: float
    ssim_mouth: float
    lmd: float
    sharpness: float
    opening_r: float
    opening_lag: float
    opening_r_best: float
    opening_spread: float
    outside_max: int
    lse_c: float | None = None
    lse_d: float | None = None
    av_offset: float | None = None
    heard_r: float | None = None
    heard_lag_ms: float | None = None
    heard_r_best: float | None = None

    def to_json(self) -> dict[str, int | float | None]:
        """The fields by name; NaN and infinity, which JSON has not, become None."""
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
        }


def evaluate(
    reference: Path | str,
    output: Path | str,
    *,
    track: Track | None = None,
    syncnet: Path | str | None = None,
    listen: bool = False,
    progress: ProgressCallback = no_progress,
) -> EvaluationResult:
    """Compare a rendered video with the original, frame k with frame k.

    Streams: first the reference alone, for its landmarks and track, then both in step. No more
    than one frame of each is in memory.

    Args:
        reference: the original video.
        output: the video under test, of the same size. If one video is longer, its rest is not
            compared.
        track: of the reference if already known; says where the mouth mask is, outside which
            nothing may change. The landmark measures do not use it: the same detector sees the
            same conversion of both videos.
        syncnet: the file of SyncNet's weights; without it, LSE is not measured.
        listen: compare the mouth with what PocketSphinx hears.
        progress: told of the stages "landmarks", "track", "compare" and "lip sync".

    Raises:
        MediaError: a file cannot be read as video.
        DubfewError: the videos differ in size.
        NoFaceError: no frame of the reference shows a face.
        AssetError: ``syncnet`` is not SyncNet's weights.
        MissingDependencyError: PocketSphinx is wanted and not installed.
    """
    if listen:
        import_optional("pocketsphinx")
    network = None if syncnet is None else load_syncnet(syncnet)
    reference, output = Path(reference), Path(output)
    size, other = probe(reference), probe(output)
    if (size.width, size.height) != (other.width, other.height):
        raise DubfewError(
            f"{output} is {other.width} x {other.height} px but its reference {reference} is "
            f"{size.width} x {size.height}: give two videos of the same size"
        )
    marks = detect_landmarks(reference, progress=progress)
    mouth = clip_mouth_box(marks, size.height, size.width)
    faces = face_boxes(marks, size.height, size.width)
    track = track or track_video(reference, progress=progress)
    region = mouth_region(track, grow_px=CHROMA_REACH_PX)

    figures: dict[str, list[float]] = {name: [] for name in IMAGE_METRICS}
    output_marks: list[NDArray[np.float32] | None] = []
    times: list[float] = []
    outside_max = 0
    with FaceLandmarker() as landmarker:
        # Not strict: the longer video's rest is left alone, as promised above.
        pairs = zip(read_frames(reference), read_frames(output), strict=False)
        for index, (a, b) in enumerate(pairs):
            if index == len(faces):
                break
            ours, theirs = b.to_rgb(), a.to_rgb()
            output_marks.append(landmarker(ours))
            times.append(b.time)
            outside_max = max(outside_max, max_difference_outside(theirs, ours, region(index)))
            face = faces[index]
            if face is not None:
                crops = {
                    "face": (crop_face_square(theirs, face), crop_face_square(ours, face)),
                    "mouth": (mouth.crop(theirs), mouth.crop(ours)),
                }
                for name, measure in IMAGE_METRICS.items():
                    figures[name].append(measure.function(*crops[measure.region]))
            progress(Progress("compare", index + 1, len(faces)))
    frames = len(output_marks)
    if frames == 0:
        raise MediaError(f"{output} has no frames: render it again")

    clip = stack_landmarks(output_marks)
    images = {
        name: measure.aggregate(np.asarray(figures[name], np.float64))
        for name, measure in IMAGE_METRICS.items()
    }
    motion = {name: measure(marks[:frames], clip) for name, measure in LANDMARK_METRICS.items()}
    sync: dict[str, float] = {}
    if network is not None:
        sync |= dataclasses.asdict(measure_lip_sync(output, clip, network, progress=progress))
    if listen:
        sync |= dataclasses.asdict(listen_to(output, clip, np.array(times)))
    return EvaluationResult(frames=frames, outside_max=outside_max, **images, **motion, **sync)


def detect_landmarks(
    video: Path | str, *, progress: ProgressCallback = no_progress
) -> NDArray[np.float32]:  # [N, 478, 3]
    """The detector's landmarks of every frame, px; rows of frames without a face are NaN."""
    marks = []
    total = probe(video).frames
    with FaceLandmarker() as landmarker:
        for frame in read_frames(video):
            marks.append(landmarker(frame.to_rgb()))
            progress(Progress("landmarks", len(marks), total))
    return stack_landmarks(marks)


def stack_landmarks(rows: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """Per-frame landmarks, None without a face, as one array with NaN rows. [N, 478, 3]"""
    clip = np.full((len(rows), NUM_LANDMARKS, 3), np.nan, np.float32)
    for index, row in enumerate(rows):
        if row is not None:
            clip[index] = row
    return clip


def crop_face_square(
    image: NDArray[np.uint8], box: PixelBox, size: int = FACE_CROP_SIZE_PX
) -> NDArray[np.uint8]:
    """The inside of a box, resized to a square (bilinear, anti-aliased). [size, size, 3]"""
    cut = Image.fromarray(np.ascontiguousarray(box.crop(image)))
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR))


def max_difference_outside(
    reference: NDArray[np.uint8],  # [H, W, 3]
    output: NDArray[np.uint8],  # [H, W, 3]
    ignore_mask: NDArray[np.bool_] | None,  # [H, W]
) -> int:
    """Largest difference of any value outside ``ignore_mask``, 0 to 255."""
    difference = np.maximum(reference, output) - np.minimum(reference, output)
    if ignore_mask is not None:
        difference[ignore_mask] = 0
    return int(difference.max(initial=0))
