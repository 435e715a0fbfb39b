"""The interface of a metric, and the pairs of frames and clips that metrics are computed from."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import ShapeError
from dubfew.evaluate.metrics._aggregation import finite_mean
from dubfew.progress import ProgressCallback, no_progress

if TYPE_CHECKING:
    from dubfew.evaluate.face_geometry import PixelBox
    from dubfew.speech.visemes import Phone

RgbImage = NDArray[np.uint8]  # [H, W, 3] RGB
LandmarkArray = NDArray[np.float32]  # [N, 478, 3] px, NaN rows without a face

Shared = TypeVar("Shared")

# Landmarks of a face and their coordinates, as MediaPipe's face mesh with irises has them.
LANDMARK_SHAPE = (478, 3)


@dataclass(frozen=True)
class FramePair:
    """One frame of the original and the same frame of the output.

    Attributes:
        reference: frame of the original. [H, W, 3] uint8 RGB
        output: the same frame of the output. [H, W, 3] uint8 RGB
        face_box: face crop of the original, px; None if the original shows no face here.
        mouth_box: mouth box of the clip, px.
        editable: True at the pixels that the output may change; None if it may change none. [H, W]
        reference_landmarks: landmarks of the original, px; None without a face. [478, 3]
        output_landmarks: landmarks of the output, px; None without a face. [478, 3]
        box: part in which ``reference`` and ``output`` show their frames; None for all of them.
            All of the other boxes and landmarks lie inside.
        beyond: largest difference of any RGB value of the frames outside of that part.

    Raises:
        ShapeError: The two frames and the mask are not of the same size, or not uint8 RGB.
    """

    reference: RgbImage
    output: RgbImage
    face_box: PixelBox | None
    mouth_box: PixelBox
    editable: NDArray[np.bool_] | None = None
    reference_landmarks: NDArray[np.float32] | None = None
    output_landmarks: NDArray[np.float32] | None = None
    box: PixelBox | None = None
    beyond: int = 0
    _computed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_image_pair(self.reference, self.output)
        if self.editable is not None and self.editable.shape != self.reference.shape[:2]:
            raise ShapeError(
                f"the mask of editable pixels is {list(self.editable.shape)} and the frame "
                f"{list(self.reference.shape)}: give one value per pixel"
            )

    def compute_once(self, function: Callable[[FramePair], Shared]) -> Shared:
        """Compute something that several metrics need of this frame, the first time it is needed.

        Args:
            function: takes this pair of frames.
        """
        if function not in self._computed:
            self._computed[function] = function(self)
        return self._computed[function]

    @cached_property
    def face(self) -> tuple[RgbImage, RgbImage] | None:
        """Face crops of original and output, 256 px wide; None without a face. [256, 256, 3]"""
        if self.face_box is None:
            return None
        return (
            self.face_box.crop_resized(self.reference),
            self.face_box.crop_resized(self.output),
        )

    @cached_property
    def mouth(self) -> tuple[RgbImage, RgbImage] | None:
        """Mouth boxes of original and output; None without a face. [h, w, 3]"""
        if self.face_box is None:
            return None
        return self.mouth_box.crop(self.reference), self.mouth_box.crop(self.output)


@dataclass(frozen=True)
class ClipPair:
    """Everything that is known of the two clips once all of their frames were compared.

    Attributes:
        reference: file of the original.
        output: file of the output.
        reference_landmarks: landmarks of the compared frames of the original, px; rows of frames
            without a face are NaN. [N, 478, 3]
        output_landmarks: landmarks of the same frames of the output. [N, 478, 3]
        output_times: times of the output's frames from the start of the file, s. [N]
        reference_silent: True where nothing is heard in the original; None if it has no sound. [N]
        output_silent: the same of the output. [N]
        phones: what is said in the output, with times; None if it is not known.
        same_line: whether both speak the same line; None if that is not known.
        progress: function that is called with the state of slow measurements.

    Raises:
        ShapeError: The landmarks of the two clips differ in number, or are not [N, 478, 3].
    """

    reference: Path
    output: Path
    reference_landmarks: LandmarkArray
    output_landmarks: LandmarkArray
    output_times: NDArray[np.float64]
    reference_silent: NDArray[np.bool_] | None = None
    output_silent: NDArray[np.bool_] | None = None
    phones: tuple[Phone, ...] | None = None
    same_line: bool | None = None
    progress: ProgressCallback = no_progress
    _computed: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_landmark_pair(self.reference_landmarks, self.output_landmarks)
        if len(self.output_times) != len(self.output_landmarks):
            raise ShapeError(
                f"there are {len(self.output_times)} times and {len(self.output_landmarks)} rows "
                "of landmarks: give one time per frame"
            )

    def compute_once(self, function: Callable[..., Shared], *arguments: Any) -> Shared:
        """Compute something that several metrics are read from, the first time it is needed.

        Args:
            function: takes this pair of clips and the arguments.
            *arguments: further arguments, the same in every call.
        """
        if function not in self._computed:
            self._computed[function] = function(self, *arguments)
        return self._computed[function]


class Measurement(Protocol):
    """One metric in the course of being measured on one pair of clips."""

    def add_frame(self, pair: FramePair) -> None:
        """Take account of the next frame; frames come in order and are not kept."""

    def compute(self, clips: ClipPair) -> float:
        """Compute the value after the last frame; NaN if there is nothing to measure."""

    def curve(self, clips: ClipPair) -> FrameCurve | None:
        """Return the values of single frames after the last frame; None if there are none."""


@dataclass(frozen=True)
class FrameCurve:
    """Values of the frames of a clip, from which the value of the clip is made.

    Attributes:
        values: value of each frame, NaN where it has none. [N]
        aggregate: values of any selection of frames [M] -> value of these frames.
    """

    values: NDArray[np.float64]
    aggregate: Callable[[NDArray[np.float64]], float]


class Measure(Protocol):
    """The way in which a metric is measured."""

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips.

        Args:
            resource: what `MetricRequirement.load` returned; None for a metric without a
                requirement.
        """


@dataclass(frozen=True)
class MetricRequirement:
    """Something beside the two videos that a metric needs, such as a file of weights.

    Attributes:
        name: short name; metrics with the same name share what is loaded.
        description: what the user has to give, as "n/a: needs ..." shows it.
        load: makes a resource of the value that the user gave, such as a network of a path. It
            is called once, before any work, so that it may raise errors early.
        variable: environment variable with the value. None for a requirement that is an argument
            of `dubfew.evaluate.compare.evaluate`, of the same name.
        asset: kind of file, see `dubfew.assets`, whose path is the value where none is given.
        packages: optional packages that have to be installed, by module; see
            `dubfew.utils.import_utils`. With packages and without an asset or variable the metric
            is measured wherever they are installed.
        on_request: True if results do not even name the metric unless it was asked for.
    """

    name: str
    description: str
    load: Callable[[Any], Any]
    variable: str | None = None
    asset: str | None = None
    packages: tuple[str, ...] = ()
    on_request: bool = False


@dataclass(frozen=True)
class Metric:
    """One number that says how an output compares with its original.

    Attributes:
        unit: unit of the value, or "" for a ratio or a score without one.
        bounds: lowest and highest possible value.
        direction: "higher" or "lower" is better, or "closer" to ``best``.
        best: ideal value. An output that equals its original has it, unless the metric compares
            the output with its own sound.
        source: publication that defines the metric, or how it follows from what is compared.
        measure: how it is measured: a `CropMeasure`, `FrameMeasure` or `ClipMeasure`, or any other
            `Measure`.
        requirement: something that the user has to give for it; the metric is left out without.
        good: value from which on an output is good, or for "closer" the largest difference to
            ``best``; None where no value can be named.
        poor: value from which on it is poor, in the same way.
        needs_same_line: True if the value means nothing where the two videos speak different
            lines, as a dub and its original do.
        best_if_unchanged: False if an output that equals its original need not have the ideal
            value, because the metric asks what was changed or listens to the sound.
    """

    unit: str
    bounds: tuple[float, float]
    direction: Literal["higher", "lower", "closer"]
    best: float
    source: str
    measure: Measure
    requirement: MetricRequirement | None = None
    good: float | None = None
    poor: float | None = None
    needs_same_line: bool = False
    best_if_unchanged: bool = True

    def badness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn values [N] so that more is worse, for every direction; NaN stays NaN."""
        if self.direction == "higher":
            return -values
        return values if self.direction == "lower" else np.abs(values - self.best)

    def grade(self, value: float) -> str:
        """Rate a value as "good", "fair" or "poor"; "" where there are no limits, or no value.

        Example:
            >>> from dubfew.evaluate.metrics import METRICS
            >>> METRICS.load("lmd").grade(0.8), METRICS.load("lmd").grade(4.0)
            ('good', 'poor')
        """
        if self.good is None or self.poor is None or np.isnan(value):
            return ""
        # Turned so that more is better for every direction.
        sign = 1.0 if self.direction == "higher" else -1.0
        if self.direction == "closer":
            value = abs(value - self.best)
        if sign * value >= sign * self.good:
            return "good"
        return "poor" if sign * value <= sign * self.poor else "fair"


@dataclass(frozen=True)
class CropMeasure:
    """Measure the crops of every frame with a face, and summarize the frames.

    Attributes:
        function: (original, output) -> value of one frame; the images are [H, W, 3] uint8 RGB. A
            metric with a requirement gets its resource as the first argument.
        region: "face" is the face crop of 256 px, "mouth" the mouth box at the video's resolution.
        aggregate: values of the frames [N] -> value of the clip.
    """

    function: Callable[..., float]
    region: Literal["face", "mouth"]
    aggregate: Callable[[NDArray[np.float64]], float] = finite_mean

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips; see `Measure.start`."""
        function = _bind_resource(self.function, resource)

        def measure_crops(pair: FramePair) -> float | None:
            crops = pair.face if self.region == "face" else pair.mouth
            return None if crops is None else function(*crops)

        return _FrameByFrame(measure_crops, self.aggregate)


@dataclass(frozen=True)
class FrameMeasure:
    """Measure every frame as a whole, and summarize the frames.

    Attributes:
        function: `FramePair` -> value of one frame, or None to leave the frame out. A metric with a
            requirement gets its resource as the first argument.
        aggregate: values of the frames [N] -> value of the clip.
        every: measure one of this many frames.
    """

    function: Callable[..., float | None]
    aggregate: Callable[[NDArray[np.float64]], float] = finite_mean
    every: int = 1

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips; see `Measure.start`."""
        function = _bind_resource(self.function, resource)
        return _FrameByFrame(function, self.aggregate, self.every)


@dataclass(frozen=True)
class ClipMeasure:
    """Measure the clips as a whole, from their landmarks and files.

    Attributes:
        function: `ClipPair` -> value. A metric with a requirement gets its resource as the first
            argument.
    """

    function: Callable[..., float]

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips; see `Measure.start`."""
        return _WholeClip(_bind_resource(self.function, resource))


@dataclass(frozen=True)
class CurveMeasure:
    """Measure every frame from what is known of the whole clips, and summarize the frames.

    Attributes:
        function: `ClipPair` -> value of each frame, NaN where it has none. [N]
        aggregate: values of the frames [N] -> value of the clip.
    """

    function: Callable[[ClipPair], NDArray[np.float64]]
    aggregate: Callable[[NDArray[np.float64]], float] = finite_mean

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips; see `Measure.start`."""
        return _CurveOfClip(self.function, self.aggregate)


class _FrameByFrame:
    """Values of the frames so far."""

    def __init__(
        self,
        function: Callable[[FramePair], float | None],
        aggregate: Callable[[NDArray[np.float64]], float],
        every: int = 1,
    ) -> None:
        self._function = function
        self._aggregate = aggregate
        self._every = every
        self._values = array("d")  # a list would take 32 bytes for each value

    def add_frame(self, pair: FramePair) -> None:
        value = None if len(self._values) % self._every else self._function(pair)
        self._values.append(math.nan if value is None else value)

    def compute(self, clips: ClipPair) -> float:
        curve = self.curve(clips)
        return curve.aggregate(curve.values)

    def curve(self, clips: ClipPair) -> FrameCurve:
        return FrameCurve(np.asarray(self._values, np.float64), _skip_nan(self._aggregate))


class _WholeClip:
    """A measurement that needs no single frames."""

    def __init__(self, function: Callable[[ClipPair], float]) -> None:
        self._function = function

    def add_frame(self, pair: FramePair) -> None:
        pass

    def compute(self, clips: ClipPair) -> float:
        return self._function(clips)

    def curve(self, clips: ClipPair) -> None:
        return None


class _CurveOfClip:
    """A measurement whose values of frames come from the whole clips."""

    def __init__(
        self,
        function: Callable[[ClipPair], NDArray[np.float64]],
        aggregate: Callable[[NDArray[np.float64]], float],
    ) -> None:
        self._function, self._aggregate = function, aggregate

    def add_frame(self, pair: FramePair) -> None:
        pass

    def compute(self, clips: ClipPair) -> float:
        curve = self.curve(clips)
        return curve.aggregate(curve.values)

    def curve(self, clips: ClipPair) -> FrameCurve:
        values = clips.compute_once(self._function)
        return FrameCurve(np.asarray(values, np.float64), _skip_nan(self._aggregate))


def _skip_nan(
    aggregate: Callable[[NDArray[np.float64]], float],
) -> Callable[[NDArray[np.float64]], float]:
    """Make an aggregate that is not shown the frames without a value."""
    return lambda values: float(aggregate(values[~np.isnan(values)]))


def _bind_resource(function: Callable[..., Any], resource: Any) -> Callable[..., Any]:
    """Give a function its resource as the first argument, if it has one."""
    return function if resource is None else partial(function, resource)


def check_image_pair(reference: NDArray, output: NDArray) -> None:
    """Check that two images can be compared.

    Args:
        reference: image of the original. [H, W, 3] uint8 RGB
        output: image of the output, of the same size. [H, W, 3] uint8 RGB

    Raises:
        ShapeError: The images differ in size, or are not uint8 RGB.
    """
    for image in (reference, output):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ShapeError(f"an image is {list(image.shape)} {image.dtype}: give [H, W, 3] uint8")
    if reference.shape != output.shape:
        raise ShapeError(
            f"the original's image is {list(reference.shape)} and the output's "
            f"{list(output.shape)}: give two of the same size"
        )


def check_landmark_pair(reference: NDArray, output: NDArray) -> None:
    """Check that the landmarks of two clips can be compared.

    Args:
        reference: landmarks of the original. [N, 478, 3] px
        output: landmarks of as many frames of the output. [N, 478, 3] px

    Raises:
        ShapeError: The clips differ in length, or their landmarks are not [N, 478, 3].
    """
    for landmarks in (reference, output):
        if landmarks.ndim != 3 or landmarks.shape[1:] != LANDMARK_SHAPE:
            raise ShapeError(f"landmarks are {list(landmarks.shape)}: give [N, 478, 3]")
    if len(reference) != len(output):
        raise ShapeError(
            f"the original has landmarks of {len(reference)} frames and the output of "
            f"{len(output)}: give the same frames of both"
        )
