"""Keep the original's background where the original and the painted frame both show background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.media import Frame
from dubfew.reconstruction.segmenters import Segmenter
from dubfew.reconstruction.segmenters.mediapipe import MediapipeSegmenter
from dubfew.references.cropping import crop_quickly

# Edge of the crop that is segmented. MediaPipe's network works at this size; a larger crop costs
# time and adds no detail. The edge of its mask is uncertain by one or two of these pixels.
SEGMENTER_SIZE_PX = 256
# Fraction of the painted area. Less background than this is an error of the segmenter on skin, and
# the second segmentation is skipped, which halves the time.
MIN_BACKGROUND_FRACTION = 0.01
# Fraction of the painted area with less background than which the next frame, if its number is odd,
# is not segmented: a face that turns brings a wall into the mask in steps of less than the rest.
RESTING_BACKGROUND_FRACTION = 0.002
# Largest move and growth of a head between two frames, in sides of its crop, that counts as small.
RESTING_MOVE = 0.05

# Parts of a parsed face that are not background.
# Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), section 3.7: face and neck.
FOREGROUND_PARTS = ("skin", "mouth", "neck")


@dataclass(frozen=True)
class _CleanFrame:
    """A frame whose mask held next to no background.

    Attributes:
        index: number of the frame.
        shot: number of its shot.
        box: crop around the head, px. [4]
    """

    index: int
    shot: int
    box: NDArray[np.float32]


class BackgroundPreserver:
    """Remove opacity where both the original and the painted frame show background.

    A context manager, which releases the segmentation network.

    Source: Saunders and Namboodiri 2024, Dubbing for Everyone: Data-Efficient Visual Dubbing using
    Neural Rendering Priors (arXiv 2401.06126), section 3.7; here with MediaPipe's segmentation.
    """

    def __init__(self, parser: Segmenter | None = None) -> None:
        """Choose the network.

        Args:
            parser: segmenter with face parts: everything but skin, mouth and neck is background
                then, hair and clothes too, as in the paper. It is not closed here. None takes
                MediaPipe's, which knows person and background alone.
        """
        self._own = MediapipeSegmenter() if parser is None else None
        self._parser = parser
        self._clean: _CleanFrame | None = None

    def __enter__(self) -> BackgroundPreserver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._own is not None:
            self._own.close()

    def _find_background(
        self, crop: NDArray[np.uint8], landmarks: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Probability of each pixel of a crop of the head to be background. [S, S]"""
        if self._own is not None:
            return self._own(crop).background
        assert self._parser is not None
        found = self._parser(crop, landmarks)
        face = sum(found.parts.get(name, 0) for name in FOREGROUND_PARTS)
        return np.clip(1 - np.asarray(face, np.float32), 0, 1)

    def _may_rest(self, index: int, shot: int, box: NDArray[np.float32]) -> bool:
        """Whether a frame shows what the one before did, in which there was no background.

        Odd frames alone rest, so that a part of a video that is rendered again is the same.
        """
        clean = self._clean
        if index % 2 == 0 or clean is None or (clean.index, clean.shot) != (index - 1, shot):
            return False
        side = float(clean.box[2] - clean.box[0])
        return float(np.abs(box - clean.box).max()) < RESTING_MOVE * side

    def exclude_background(
        self,
        frame: Frame,
        box: NDArray[np.float32],
        corner: tuple[int, int],
        painted: NDArray[np.float32],
        alpha: NDArray[np.float32],
        landmarks: NDArray[np.float32] | None = None,
        shot: int = 0,
    ) -> NDArray[np.float32]:
        """Lower the opacity of the paint where the background is common to both pictures.

        Args:
            frame: original frame.
            box: crop around the head, px: left, top, right, bottom. [4]
            corner: x and y of the painted picture in the frame, px.
            painted: painted picture, RGB in 0 to 255. [h, w, 3]
            alpha: opacity of the painted picture, in [0, 1]. [h, w]
            landmarks: landmarks of the original, px of the frame, by which a face parser finds the
                face; MediaPipe needs none. [478, 3]
            shot: number of the frame's shot.

        Returns:
            New opacity, nowhere higher than ``alpha``. [h, w]
        """
        if self._may_rest(frame.index, shot, box):
            return alpha
        # Segment a square crop of the original head.
        square = np.array([box[0], box[1], box[2] - box[0]])
        crop, (left, top, side) = crop_quickly(frame, square, SEGMENTER_SIZE_PX)
        scale = SEGMENTER_SIZE_PX / side
        if landmarks is not None:
            landmarks = (landmarks - np.array([left, top, 0], np.float32)) * np.float32(scale)
        before = self._find_background(crop, landmarks)
        place = [
            (corner[0] - left) * scale,
            (corner[1] - top) * scale,
            (corner[0] + alpha.shape[1] - left) * scale,
            (corner[1] + alpha.shape[0] - top) * scale,
        ]
        # Most masks hold no background; then the painted head need not be segmented.
        here = sample_box(before, place, alpha.shape)
        found, painted_area = float((here * alpha).sum()), float(alpha.sum())
        is_clean = found < RESTING_BACKGROUND_FRACTION * painted_area
        self._clean = _CleanFrame(frame.index, shot, box) if is_clean else None
        if found < MIN_BACKGROUND_FRACTION * painted_area:
            return alpha
        after = self._find_background(_paste_image(crop, painted, alpha, place), landmarks)
        both = sample_box(np.minimum(before, after), place, alpha.shape)
        # Only certain background loses opacity: at a soft edge both pictures would show at once.
        return alpha * (1 - np.clip((both - 0.5) / 0.4, 0, 1))


def sample_box(
    mask: NDArray[np.float32], box: Sequence[float], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Resample a box of a mask.

    Args:
        mask: values of any range. [H, W]
        box: left, top, right, bottom, px of the mask, not rounded.
        shape: height and width of the result, px.

    Returns:
        Values, 0 outside of the mask. [h, w]
    """
    image = Image.fromarray(mask).transform(
        (shape[1], shape[0]),
        Image.Transform.EXTENT,
        tuple(box),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(image)


def _paste_image(
    crop: NDArray[np.uint8],
    painted: NDArray[np.float32],
    alpha: NDArray[np.float32],
    box: list[float],
) -> NDArray[np.uint8]:
    """Paste the painted picture [h, w, 3] into the segmenter's crop at a box (px)."""
    x0, y0, x1, y1 = (round(v) for v in box)
    if x1 <= x0 or y1 <= y0:
        return crop
    result = Image.fromarray(crop)
    size = (x1 - x0, y1 - y0)
    paint = Image.fromarray((painted + 0.5).clip(0, 255).astype(np.uint8)).resize(size)
    opacity = Image.fromarray((alpha * 255).astype(np.uint8)).resize(size)
    result.paste(paint, (x0, y0), opacity)
    return np.asarray(result)
