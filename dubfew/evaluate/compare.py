"""Comparison of an output with its original: both videos are read in step, once."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate.clip_landmarks import detect_landmarks, stack_landmarks
from dubfew.evaluate.face_geometry import PixelBox, clip_mouth_box, face_boxes
from dubfew.evaluate.metrics import METRICS, ClipPair, FramePair, Measurement
from dubfew.evaluate.regions import CHROMA_REACH_PX, EditRegion, mouth_region
from dubfew.evaluate.same_line import is_same_line
from dubfew.media import probe, read_frames
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.utils.job_progress import JobProgress, StageEstimate
from dubfew.utils.work_pace import WorkPace

# Time of one frame in each stage on two cores, s.
LANDMARK_FRAME_SECONDS = 0.02
COMPARE_FRAME_SECONDS = 0.04
SYNCNET_FRAME_SECONDS = 0.05


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of an output against its original; see `dubfew.evaluate.metrics`.

    A metric that cannot be computed (nothing moves, no face in the output) is NaN. It is
    ``None`` where it was not asked for or lacks what it needs.

    Attributes:
        frames: number of compared frames, which is the length of the shorter video.
        psnr: peak signal-to-noise ratio of the 256 px face crop, dB; inf if no frame was changed.
        ssim: structural similarity of the 256 px face crop.
        psnr_mouth: peak signal-to-noise ratio of the mouth box, dB; inf if no frame was changed.
        ssim_mouth: structural similarity of the mouth box.
        lmd: lip landmark distance, % of the eye-corner distance.
        sharpness: variance of the Laplacian in the mouth box, output / original.
        opening_r: correlation of the mouth opening with the original's.
        opening_lag: frames by which the output's mouth is late, -5 to 5.
        opening_r_best: correlation of the mouth opening at that lag.
        opening_spread: standard deviation of the mouth opening, output / original.
        outside_max: largest difference of any RGB value outside the mouth mask, 0 to 255; 0 if
            the file is lossless and nothing else was changed.
        lse_c: SyncNet's confidence of the output's mouth and its own sound, see
            `dubfew.evaluate.lipsync.syncnet.LipSyncScore`; needs SyncNet's weights.
        lse_d: SyncNet's distance of the two; needs SyncNet's weights.
        av_offset: offset of the two that SyncNet finds, in frames of 1/25 s; needs its weights.
        heard_r: correlation of the output's mouth opening with the phonemes that are recognized in
            its sound, see `dubfew.evaluate.lipsync.phonemes.PhonemeSync`; measured on request.
        heard_lag_ms: delay of the mouth against the phonemes, ms; measured on request.
        heard_r_best: correlation with the phonemes at that delay; measured on request.
        more: further metrics by name, in alphabetical order; None for those that lack something.
        unavailable: what each further metric without a value needs, by the metric's name.
        same_line: whether both videos have the same sound; None if one has none. If they have not,
            metrics of `needs_same_line` tell nothing about the quality of the output.
        rest: frames by which one video is longer than the other; they are not compared.
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
    more: Mapping[str, float | None] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    same_line: bool | None = None
    rest: int = 0

    def to_json(self) -> dict[str, int | float | None]:
        """Return all values by name; NaN and infinity, which JSON does not have, become None."""
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in {**self._fields(), **self.more}.items()
        }

    def to_display(self) -> dict[str, int | float | str]:
        """Return all values by name for people to read, without what was not asked for."""
        measured = {name: value for name, value in self._fields().items() if value is not None}
        further = {
            name: f"n/a: needs {self.unavailable.get(name)}" if value is None else value
            for name, value in self.more.items()
        }
        return {**measured, **further}

    def _fields(self) -> dict[str, int | float | None]:
        return {name: getattr(self, name) for name in FIELD_NAMES}


# Fields that are one number each, in the order in which they are shown.
FIELD_NAMES = tuple(
    each.name
    for each in dataclasses.fields(EvaluationResult)
    if each.name not in ("more", "unavailable", "same_line", "rest")
)


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

    The reference is read alone first, for its landmarks and track, then both in step. No more than
    one frame of each is in memory.

    Args:
        reference: the original video.
        output: the rendered video, of the same size. If one video is longer, its rest is ignored.
        track: track of the reference, if it is known already. Its mouth mask is the region in which
            a change is allowed. Metrics of landmarks do not use it: the same detector runs over
            both videos.
        syncnet: file of SyncNet's weights; without it, LSE-C and LSE-D are not measured.
        listen: also compare the mouth with the phonemes that PocketSphinx recognizes.
        progress: function that is called with the state of the stages "landmarks", "track",
            "compare" and "lip sync".

    Returns:
        One value per metric.

    Raises:
        MediaError: A file cannot be read as video.
        DubfewError: The videos differ in size.
        NoFaceError: No frame of the reference shows a face.
        AssetError: The file ``syncnet`` does not hold SyncNet's weights.
        MissingDependencyError: ``listen`` is set and PocketSphinx is not installed.
    """
    reference, output = Path(reference), Path(output)
    measurements, unavailable = start_measurements({"syncnet": syncnet, "listen": listen or None})
    # Before the first pass over a video, which takes minutes.
    width, height = _common_size(reference, output)
    progress = whole = JobProgress(progress, _plan_stages(reference, has_syncnet=bool(syncnet)))
    # First pass: the reference alone.
    landmarks = detect_landmarks(reference, progress=progress)
    # Both sets of boxes come from the original, so that every system is measured in one place.
    mouth_box = clip_mouth_box(landmarks, height, width)
    faces = face_boxes(landmarks, height, width)
    track = track or track_video(reference, progress=progress)
    region = mouth_region(track, grow_px=CHROMA_REACH_PX)

    output_landmarks: list[NDArray[np.float32] | None] = []
    times: list[float] = []
    # Second pass: both videos in step. The detector follows its own past, as in the first pass.
    with FaceLandmarker() as landmarker:
        for pair, time in _read_pairs(reference, output, faces, mouth_box, region):
            output_landmarks.append(landmarker(pair.output))
            times.append(time)
            for measurement in measurements.values():
                measurement.add_frame(pair)
            progress(Progress("compare", len(times), len(faces)))
    if not times:
        raise MediaError(f"{output} has no frames: render it again")

    # Metrics of whole clips, from the landmarks of both passes and the files.
    clips = ClipPair(
        reference,
        output,
        landmarks[: len(times)],
        stack_landmarks(output_landmarks),
        np.array(times),
        progress,
    )
    values = {name: measurement.compute(clips) for name, measurement in measurements.items()}
    same_line = is_same_line(reference, output)
    whole.finish()
    result = _make_result(len(times), values, unavailable)
    rest = max(len(faces), probe(output).frames or 0) - len(times)
    return dataclasses.replace(result, same_line=same_line, rest=rest)


def _plan_stages(reference: Path, *, has_syncnet: bool) -> tuple[StageEstimate, ...]:
    """Return the stages of a comparison with their expected work."""
    info = probe(reference)
    frames = info.frames or round(info.duration * float(info.fps))
    track_seconds = WorkPace(None).frame_seconds("track", info.width, info.height)
    return (
        StageEstimate("landmarks", frames, LANDMARK_FRAME_SECONDS),
        StageEstimate("track", frames, track_seconds),
        StageEstimate("compare", frames, COMPARE_FRAME_SECONDS),
        StageEstimate("lip sync", frames if has_syncnet else 0, SYNCNET_FRAME_SECONDS),
    )


def start_measurements(
    given: Mapping[str, Any],
) -> tuple[dict[str, Measurement], dict[str, str]]:
    """Begin to measure every metric whose requirements are met.

    Args:
        given: values of requirements by name, see `Requirement`; None if the user gave none. A
            requirement that is not among them is looked up in its environment variable.

    Returns:
        The measurements by the metric's name, and what the others need.

    Raises:
        DubfewError: What was given for a requirement cannot be loaded.
    """
    measurements: dict[str, Measurement] = {}
    unavailable: dict[str, str] = {}
    loaded: dict[str, Any] = {}
    for name, metric in METRICS.items():
        requirement = metric.requirement
        if requirement is None:
            measurements[name] = metric.measure.start(None)
            continue
        # An argument, or else the environment; the metric is left out without either.
        value = given.get(requirement.name)
        if requirement.variable is not None and requirement.name not in given:
            value = os.environ.get(requirement.variable) or None
        if value is None:
            unavailable[name] = requirement.description
            continue
        if requirement.name not in loaded:
            loaded[requirement.name] = requirement.load(value)
        measurements[name] = metric.measure.start(loaded[requirement.name])
    return measurements, unavailable


def _common_size(reference: Path, output: Path) -> tuple[int, int]:
    """Width and height of two videos in px, which have to agree."""
    size, other = probe(reference), probe(output)
    if (size.width, size.height) != (other.width, other.height):
        raise DubfewError(
            f"{output} is {other.width} x {other.height} px but its reference {reference} is "
            f"{size.width} x {size.height}: give two videos of the same size"
        )
    return size.width, size.height


def _read_pairs(
    reference: Path,
    output: Path,
    faces: list[PixelBox | None],
    mouth_box: PixelBox,
    region: EditRegion,
) -> Iterator[tuple[FramePair, float]]:
    """Read two videos in step: pairs of frames, and the output's time of each, s."""
    # Not strict: the rest of the longer video is ignored.
    frames = zip(read_frames(reference), read_frames(output), strict=False)
    for index, (original, rendered) in enumerate(frames):
        if index == len(faces):
            return
        yield (
            FramePair(original.to_rgb(), rendered.to_rgb(), faces[index], mouth_box, region(index)),
            rendered.time,
        )


def _make_result(
    frames: int, values: Mapping[str, float], unavailable: Mapping[str, str]
) -> EvaluationResult:
    """Sort values by metric into the fields of a result and the further metrics."""
    known: dict[str, Any] = {name: values[name] for name in FIELD_NAMES if name in values}
    # A whole number in JSON and in the text, as the levels of pixels are.
    known["outside_max"] = int(known["outside_max"])
    further = [name for name in METRICS.names if name not in FIELD_NAMES]
    return EvaluationResult(
        frames=frames,
        **known,
        more={name: values.get(name) for name in further},
        unavailable={name: unavailable[name] for name in further if name in unavailable},
    )
