"""Measures that compare the features of all frames of two clips as two sets."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.evaluate.metrics._base import ClipPair, FramePair, Measurement, RgbImage
from dubfew.evaluate.perceptual.frechet import FeatureStatistics, frechet_distance


class FeatureNetwork(Protocol):
    """A network that makes one vector of a window of face crops."""

    size: int
    frames_per_vector: int

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of images. [N, H, W, 3] -> [M, D]"""


class FrechetMeasure:
    """Frechet distance of the features of the face crops; windows do not overlap."""

    def start(self, resource: Any) -> Measurement:
        """Begin to measure a pair of clips with a `FeatureNetwork`."""
        return FrechetMeasurement(resource)


class FrechetMeasurement:
    """The features so far."""

    def __init__(self, network: FeatureNetwork) -> None:
        self._network = network
        self._window: tuple[list[RgbImage], list[RgbImage]] = ([], [])
        self.statistics = (FeatureStatistics(network.size), FeatureStatistics(network.size))

    def add_frame(self, pair: FramePair) -> None:
        """Take account of the next frame; a window is broken by a frame without a face."""
        if pair.face is None:
            self._window = ([], [])
            return
        for images, image in zip(self._window, pair.face, strict=True):
            images.append(image)
        if len(self._window[0]) == self._network.frames_per_vector:
            for statistics, images in zip(self.statistics, self._window, strict=True):
                statistics.add(self._network(np.stack(images)))
            self._window = ([], [])

    def compute(self, clips: ClipPair) -> float:
        """Compute the distance; NaN for fewer than two windows."""
        return frechet_distance(*self.statistics)

    def curve(self, clips: ClipPair) -> None:
        """Return None: sets have no values of frames."""
        return
