"""Find scenes whose pixels have another shape than their file says, by the actor's face."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dubfew.media.stated_aspect import stated_aspect
from dubfew.reconstruction.track import Track
from dubfew.render.job import RenderJob
from dubfew.render.sources import RenderSources
from dubfew.utils.growable_array import map_row_blocks

# Landmarks of the outer corners of the eyes, and of bridge and base of the nose. The ratio of their
# distances in space hardly depends on pose, speech and size: in 20 scenes of four people it stayed
# within 5 % of the actor's own.
RATIO_POINTS = (33, 263, 168, 2)
# Difference of the ratios from which a face is stretched. A picture of 4:3 that is shown as 16:9
# differs by 0.2 and more: the depth of landmarks is stretched, too.
STRETCHED_DIFFERENCE = 0.14
# The same where a stretch was found, so that there is one to measure more exactly.
LEFT_DIFFERENCE = 0.06
# Power of the stretch that is measured: landmarks of stretched faces are drawn towards those of
# other faces, and 1.78 is measured as 1.49.
LANDMARK_BIAS = 1.4
# Rounds of tracking in another shape, at most.
SHAPE_ROUNDS = 2
# Stretches that are looked for: those between the formats that are mistaken for each other.
MAX_STRETCH, NUM_STRETCHES = 2.2, 81
# Largest denominator of the shape of pixels that is stated.
MAX_DENOMINATOR = 64


def measure_face_ratio(
    points: NDArray[np.float32],  # [N, 4, 3]
    stretch: float = 1.0,
) -> float:
    """Measure the distance of the eyes' corners over the length of the nose; a median.

    Args:
        points: the landmarks `RATIO_POINTS` of some frames, px. [N, 4, 3]
        stretch: factor by which the picture is too wide.
    """
    scaled = points.astype(np.float64) / np.array([stretch, 1.0, stretch])
    eyes, nose = (np.linalg.norm(scaled[:, k] - scaled[:, k + 1], axis=-1) for k in (0, 2))
    return float(np.median(eyes / np.maximum(nose, 1e-6)))


def take_ratio_points(track: Track) -> NDArray[np.float32]:
    """Take the points `RATIO_POINTS` of a track's valid frames, px. [N, 4, 3]"""
    # Some frames at a time: long tracks have their landmarks in a file.
    points = map_row_blocks(lambda rows: rows[:, list(RATIO_POINTS)], track.landmarks)
    return np.asarray(points[track.valid], np.float32)


def measure_stretch(scene: Track, own: Track, *, again: bool = False) -> float:
    """Measure by how much a face is too wide for its height; 1 where it is as the actor's.

    Args:
        scene: track of the scene.
        own: track of the actor's footage.
        again: whether a stretch was found already, and what is left of it is wanted.
    """
    if not scene.valid.any() or not own.valid.any():
        return 1.0
    seen, expected = take_ratio_points(scene), measure_face_ratio(take_ratio_points(own))
    limit = LEFT_DIFFERENCE if again else STRETCHED_DIFFERENCE
    if abs(measure_face_ratio(seen) / expected - 1) < limit:
        return 1.0
    stretches = np.geomspace(1 / MAX_STRETCH, MAX_STRETCH, NUM_STRETCHES)
    errors = [abs(np.log(measure_face_ratio(seen, s) / expected)) for s in stretches]
    return float(stretches[int(np.argmin(errors))] ** LANDMARK_BIAS)


@contextmanager
def stated_shape(job: RenderJob, stretch: float) -> Iterator[RenderJob]:
    """State another shape of the scene's pixels than its file does; the output keeps the file's.

    Args:
        job: the render.
        stretch: factor by which its faces are too wide, from `measure_stretch`.

    Yields:
        The same job for the picture in its right shape.
    """
    sources, info = job.sources, job.sources.scene_info
    aspect = Fraction(float(info.sample_aspect) / stretch).limit_denominator(MAX_DENOMINATOR)
    with stated_aspect(sources.scene, aspect):
        shaped = replace(
            sources,
            scene_info=replace(info, sample_aspect=aspect),
            written_aspect=sources.written_aspect or info.sample_aspect,
        )
        yield replace(job, sources=shaped)


def describe_shape(sources: RenderSources) -> str:
    """Describe in one line which shape of pixels was assumed; "" where it is the file's."""
    if sources.written_aspect is None:
        return ""
    taken, written = float(sources.scene_info.sample_aspect), float(sources.written_aspect)
    return (
        f"the face is {written / taken:.2f} times as wide for its height as the actor's: pixels "
        f"are taken as {taken:.2f} times as wide as high, not {written:.2f} as the scene says (the "
        "output says it, too)"
    )
