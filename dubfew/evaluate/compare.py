"""Comparison of an output with its original: both videos are read in step, once."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dubfew.assets import asset_path
from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate.clip_landmarks import ClipLandmarker, LandmarkRows, detect_landmarks
from dubfew.evaluate.face_geometry import clip_mouth_box, face_boxes
from dubfew.evaluate.frame_windows import PairReader, list_measured_boxes
from dubfew.evaluate.intervals import bootstrap_interval
from dubfew.evaluate.metrics import (
    METRICS,
    ClipPair,
    FrameCurve,
    FramePair,
    Measurement,
    MetricRequirement,
)
from dubfew.evaluate.metrics._frechet import FrechetMeasurement
from dubfew.evaluate.regions import CHROMA_REACH_PX, mouth_region
from dubfew.evaluate.same_line import is_same_line
from dubfew.evaluate.silence import find_silent_frames
from dubfew.media import probe, read_audio, read_frames, stream_audio
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.track import FLAG_DESCRIPTIONS, Track
from dubfew.reconstruction.tracking import track_video
from dubfew.speech.visemes import Phone
from dubfew.utils.growable_array import BLOCK_ROWS, release_pages
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, installed_version
from dubfew.utils.job_progress import JobProgress, StageEstimate
from dubfew.utils.runs import iterate_runs
from dubfew.utils.work_pace import WorkPace

if TYPE_CHECKING:
    from dubfew.evaluate.gate import BrokenLimit

# Time of one frame in each stage on two cores, s.
LANDMARK_FRAME_SECONDS = 0.02
COMPARE_FRAME_SECONDS = 0.08
SYNCNET_FRAME_SECONDS = 0.05
# Metric that says which frames were left as they were.
UNPAINTED_METRIC = "unpainted"
# Reason for such frames in which the face can be seen well.
UNKNOWN_REASON = "no reason in the picture"


@dataclass(frozen=True)
class FrameRun:
    """A run of frames and what is to be said of it.

    Attributes:
        first: first frame.
        last: last frame.
        start: time of the first frame, s.
        end: time of the last frame, s.
        reason: what is to be said.
    """

    first: int
    last: int
    start: float
    end: float
    reason: str


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
        intervals: lowest and highest value of each metric with values of frames, with 95 %
            probability, by a bootstrap over the frames; see `dubfew.evaluate.intervals`.
        unpainted_runs: frames that the output left as they were, and why.
        parts: measures of the inside of the mouth over parts of the frames, by part: the widest
            mouths, all others, teeth, smiles, turned heads; empty if they were not asked for. See
            `dubfew.evaluate.mouth_parts`.
        floor: measures of outputs that nobody could tell from the original, by row; see
            `dubfew.evaluate.noise_floor`.
        broken_limits: limits that the output does not keep; see `dubfew.evaluate.gate`.
        curves: values of the frames, by metric. Not shown, nor in JSON.
        clips: what is known of both clips. Not shown, nor in JSON.
        track: track of the original, whose landmarks are NaN. Not shown, nor in JSON.
        sets: statistics of the features of all frames, by metric, to pool several clips. Not
            shown, nor in JSON.
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
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unpainted_runs: tuple[FrameRun, ...] = ()
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    floor: Mapping[str, EvaluationResult] = field(default_factory=dict)
    broken_limits: tuple[BrokenLimit, ...] = ()
    curves: Mapping[str, FrameCurve] = field(default_factory=dict, repr=False, compare=False)
    clips: ClipPair | None = field(default=None, repr=False, compare=False)
    track: Track | None = field(default=None, repr=False, compare=False)
    sets: Mapping[str, FrechetMeasurement] = field(default_factory=dict, repr=False, compare=False)

    def to_json(self) -> dict[str, int | float | None]:
        """Return all values by name; NaN and infinity, which JSON does not have, become None."""
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in {**self._fields(), **self.more}.items()
        }

    def to_report(self) -> dict[str, Any]:
        """Return the values by name, and everything else that is said of the output, for JSON."""
        return {
            **self.to_json(),
            "same_line": self.same_line,
            "rest": self.rest,
            "intervals": {
                name: ends for name, ends in self.intervals.items() if np.isfinite(ends).all()
            },
            "unavailable": self.unavailable,
            "unpainted_runs": self.unpainted_runs,
            "parts": {
                part: {name: v if math.isfinite(v) else None for name, v in values.items()}
                for part, values in self.parts.items()
            },
            "floor": {name: row.to_json() for name, row in self.floor.items()},
            "broken_limits": self.broken_limits,
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
    # Strings: annotations are not evaluated in this module.
    if each.type in ("int", "float", "float | None") and each.name != "rest"
)


def evaluate(
    reference: Path | str,
    output: Path | str,
    *,
    track: Track | None = None,
    landmarks: NDArray[np.float32] | None = None,
    syncnet: Path | str | None = None,
    listen: bool = False,
    inside: bool = False,
    transcript: Path | str | None = None,
    language: str | None = None,
    progress: ProgressCallback = no_progress,
) -> EvaluationResult:
    """Compare a rendered video with the original, frame k with frame k.

    The reference is read alone first, for its track and landmarks, then both in step. No more than
    one frame of each is in memory.

    Args:
        reference: the original video.
        output: the rendered video, of the same size. If one video is longer, its rest is ignored.
        track: track of the reference, if it is known already. Its mouth mask is the region in which
            a change is allowed. Metrics of landmarks do not use it: the same detector runs over
            both videos.
        landmarks: landmarks of the reference as `detect_landmarks` finds them, if they are known
            already. [N, 478, 3]
        syncnet: file of SyncNet's weights; without it and the asset syncnet, LSE-C and LSE-D are
            not measured.
        listen: also compare the mouth with the phonemes that PocketSphinx recognizes.
        inside: also measure the inside of the mouth: colors, teeth, sharpness, flicker.
        transcript: text that is spoken in the output, which says when the lips have to close.
        language: language of the transcript, such as ``de``; needed with it.
        progress: function that is called with the state of the stages "track", "landmarks",
            "compare" and "lip sync".

    Returns:
        One value per metric.

    Raises:
        MediaError: A file cannot be read as video.
        DubfewError: The videos differ in size, or the transcript is not what is spoken.
        NoFaceError: No frame of the reference shows a face.
        AssetError: A file of weights does not hold them.
        MissingDependencyError: A package is missing that an option needs.
    """
    reference, output = Path(reference), Path(output)
    wants_phones = True if listen or transcript is not None else None
    measurements, unavailable = start_measurements(
        {
            "syncnet": syncnet,
            "listen": listen or None,
            "inside": inside or None,
            "phones": wants_phones,
        }
    )
    # Before the first pass over a video, which takes minutes.
    width, height = _common_size(reference, output)
    phones = _find_phones(output, listen, transcript, language)
    has_syncnet = "lse_c" in measurements
    progress = whole = JobProgress(progress, _plan_stages(reference, has_syncnet=has_syncnet))
    # First the reference alone. Tracking needs most memory per frame, so nothing is kept beside it.
    track = _drop_landmarks(track or track_video(reference, progress=progress))
    region = mouth_region(track, grow_px=CHROMA_REACH_PX)
    if landmarks is None:
        landmarks = detect_landmarks(reference, progress=progress)
    # Both sets of boxes come from the original, so that every system is measured in one place.
    mouth_box = clip_mouth_box(landmarks, height, width)
    faces = face_boxes(landmarks, height, width)

    output_landmarks = LandmarkRows()
    times: list[float] = []
    # Second pass: both videos in step. The detector follows its own past, as in the first pass.
    reader = PairReader()
    with ClipLandmarker() as landmarker:
        # Not strict: the rest of the longer video is ignored.
        pairs = zip(read_frames(reference), read_frames(output), strict=False)
        for index, (original, rendered) in enumerate(pairs):
            if index == len(faces):
                break
            found = landmarker(rendered)
            own = landmarks[index] if faces[index] is not None else None
            editable = region(index)
            # What is measured lies around the original's face.
            boxes = list_measured_boxes(faces[index], mouth_box, editable, own)
            window = reader.read(original, rendered, boxes)
            pair = FramePair(
                window.reference,
                window.output,
                faces[index],
                mouth_box,
                editable,
                own,
                found,
                window.box,
                window.beyond,
            )
            output_landmarks.append(found)
            times.append(rendered.time)
            for measurement in measurements.values():
                measurement.add_frame(pair)
            if index % BLOCK_ROWS == 0:
                release_pages(landmarks)
            progress(Progress("compare", len(times), len(faces)))
    if not times:
        raise MediaError(f"{output} has no frames: render it again")

    # Metrics of whole clips, from the landmarks of both passes and the files.
    stamps = np.array(times)
    clips = ClipPair(
        reference,
        output,
        landmarks[: len(times)],
        output_landmarks.take_array(),
        stamps,
        find_silent_frames(reference, stamps),
        find_silent_frames(output, stamps),
        phones,
        is_same_line(reference, output),
        progress,
    )
    values = {name: measurement.compute(clips) for name, measurement in measurements.items()}
    found_curves = {name: each.curve(clips) for name, each in measurements.items()}
    curves = {name: curve for name, curve in found_curves.items() if curve is not None}
    block = float(probe(reference).fps)
    whole.finish()
    return dataclasses.replace(
        _make_result(len(times), values, unavailable),
        same_line=clips.same_line,
        rest=max(len(faces), probe(output).frames or 0) - len(times),
        intervals={name: bootstrap_interval(curve, block) for name, curve in curves.items()},
        unpainted_runs=_explain_unpainted(curves[UNPAINTED_METRIC].values, stamps, track),
        parts=_measure_parts(reference, clips, curves) if inside else {},
        curves=curves,
        clips=clips,
        track=track,
        sets={
            name: each
            for name, each in measurements.items()
            if isinstance(each, FrechetMeasurement)
        },
    )


def _drop_landmarks(track: Track) -> Track:
    """Replace the landmarks of a track, most of its memory, by one NaN that all rows share."""
    missing = np.broadcast_to(np.float32(np.nan), track.landmarks.shape)
    return dataclasses.replace(track, landmarks=missing)


def _measure_parts(
    reference: Path, clips: ClipPair, curves: Mapping[str, FrameCurve]
) -> dict[str, dict[str, float]]:
    """Measure the inside of the mouth over the parts of the frames that footage is short of."""
    from dubfew.evaluate.mouth_parts import find_mouth_parts, measure_teeth, summarize_parts

    landmarks = clips.reference_landmarks
    parts = find_mouth_parts(landmarks, measure_teeth(reference, landmarks))
    return summarize_parts(curves, parts)


def _find_phones(
    output: Path, listen: bool, transcript: Path | str | None, language: str | None
) -> tuple[Phone, ...] | None:
    """Find what is said in the output and when, by its transcript or else by recognition."""
    if transcript is not None:
        if language is None:
            raise DubfewError("a transcript needs its language: give --language, such as de")
        from dubfew.speech.transcript.align import align_transcript
        from dubfew.speech.transcript.transcript import read_transcript

        cues = read_transcript(transcript)
        return align_transcript(read_audio(output), cues, language).phones
    if listen and probe(output).has_audio:
        from dubfew.speech.transcript.recognize import recognize_phones

        return recognize_phones(stream_audio(output, SPEECH_SAMPLE_RATE_HZ))
    return None


def _explain_unpainted(
    values: NDArray[np.float64], times: NDArray[np.float64], track: Track
) -> tuple[FrameRun, ...]:
    """Say in which frames nothing was painted, and why as far as the track of the original says."""
    unpainted = values > 0  # a face that is left alone
    unpainted |= ~track.valid[: len(values)]  # and no face at all
    reasons = [_describe_flags(int(flags)) for flags in track.flags[: len(values)]]
    runs = []
    for reason in dict.fromkeys(reasons):
        same = np.array([each == reason for each in reasons])
        for start, stop in iterate_runs(unpainted & same):
            runs.append(
                FrameRun(start, stop - 1, float(times[start]), float(times[stop - 1]), reason)
            )
    return tuple(sorted(runs, key=lambda run: run.first))


def _describe_flags(flags: int) -> str:
    """Name the reasons that a track has to leave a frame unchanged."""
    words = [word for bit, word in FLAG_DESCRIPTIONS.items() if flags & bit]
    return ", ".join(words) or UNKNOWN_REASON


def _plan_stages(reference: Path, *, has_syncnet: bool) -> tuple[StageEstimate, ...]:
    """Return the stages of a comparison with their expected work."""
    info = probe(reference)
    frames = info.frames or round(info.duration * float(info.fps))
    track_seconds = WorkPace(None).frame_seconds("track", info.width, info.height)
    return (
        StageEstimate("track", frames, track_seconds),
        StageEstimate("landmarks", frames, LANDMARK_FRAME_SECONDS),
        StageEstimate("compare", frames, COMPARE_FRAME_SECONDS),
        StageEstimate("lip sync", frames if has_syncnet else 0, SYNCNET_FRAME_SECONDS),
    )


def start_measurements(
    given: Mapping[str, Any],
) -> tuple[dict[str, Measurement], dict[str, str]]:
    """Begin to measure every metric whose requirements are met.

    Args:
        given: values of requirements by name, see `MetricRequirement`; None if the user gave none.
            A requirement that is not among them is looked up in its environment variable.

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
        missing = [each for each in requirement.packages if installed_version(each) is None]
        value = None if missing else _find_requirement(requirement, given)
        if value is None:
            # Several metrics may need one package; its line is told once.
            installs = [OPTIONAL_PACKAGES[each].install for each in missing]
            unavailable[name] = ", and ".join(dict.fromkeys([*installs, requirement.description]))
            continue
        # A network is loaded once for all metrics that use it.
        if requirement.name not in loaded:
            loaded[requirement.name] = requirement.load(value)
        measurements[name] = metric.measure.start(loaded[requirement.name])
    return measurements, unavailable


def describe_unavailable(unavailable: Mapping[str, str]) -> list[str]:
    """Say what the measures without a value need, one line for each need.

    Args:
        unavailable: what each of them needs, by the measure's name.

    Example:
        >>> describe_unavailable({"closures": "--listen", "fvd": "FILE", "open_closed": "--listen"})
        ['needs --listen: closures, open_closed', 'needs FILE: fvd']
    """
    names: dict[str, list[str]] = {}
    for name, need in unavailable.items():
        names.setdefault(need, []).append(name)
    return [f"needs {need}: {', '.join(found)}" for need, found in names.items()]


def _find_requirement(requirement: MetricRequirement, given: Mapping[str, Any]) -> Any:
    """Find the value of a requirement whose packages are installed; None without one."""
    # An argument, or else the environment, or a registered file.
    if given.get(requirement.name) is not None:
        return given[requirement.name]
    if requirement.variable is not None and requirement.name not in given:
        return os.environ.get(requirement.variable) or None
    if requirement.asset is not None:
        return asset_path(requirement.asset)
    return True if requirement.packages and requirement.variable is None else None


def _common_size(reference: Path, output: Path) -> tuple[int, int]:
    """Width and height of two videos in px, which have to agree."""
    size, other = probe(reference), probe(output)
    if (size.width, size.height) != (other.width, other.height):
        raise DubfewError(
            f"{output} is {other.width} x {other.height} px but its reference {reference} is "
            f"{size.width} x {size.height}: give two videos of the same size"
        )
    return size.width, size.height


def _make_result(
    frames: int, values: Mapping[str, float], unavailable: Mapping[str, str]
) -> EvaluationResult:
    """Sort values by metric into the fields of a result and the further metrics."""
    known: dict[str, Any] = {name: values[name] for name in FIELD_NAMES if name in values}
    # A whole number in JSON and in the text, as the levels of pixels are.
    known["outside_max"] = int(known["outside_max"])
    further = [
        name
        for name, metric in METRICS.items()
        if name not in FIELD_NAMES
        and (name in values or metric.requirement is None or not metric.requirement.on_request)
    ]
    return EvaluationResult(
        frames=frames,
        **known,
        more={name: values.get(name) for name in further},
        unavailable={name: unavailable[name] for name in further if name in unavailable},
    )
