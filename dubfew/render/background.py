"""Background pixels stay the original's where original and painted picture agree on them."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.media import Frame
from dubfew.reconstruction.segmenters.mediapipe import MediapipeSegmenter
from dubfew.references.cropping import crop_window

# The segmenter sees 256 px, so its edge is uncertain by a pixel or two of that.
SEGMENTER_SIZE_PX = 256
# Less background than this inside the mask is the segmenter's uncertainty on skin.
MIN_BACKGROUND_FRACTION = 0.01


class BackgroundPreserver:
    """Takes opacity away where there is background before and after. A context manager.

    Source: paper 003, sec. 3.7, with MediaPipe's segmentation.
    """

    def __init__(self) -> None:
        self._segmenter = MediapipeSegmenter()

    def __enter__(self) -> BackgroundPreserver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._segmenter.close()

    def exclude_background(
        self,
        frame: Frame,
        box: NDArray[np.float32],
        corner: tuple[int, int],
        painted: NDArray[np.float32],
        alpha: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Opacity with the common background taken out.

        Args:
            frame: the untouched frame.
            box: crop of the head, px. [4]
            corner: x and y of the painted picture in the frame, px.
            painted: the painted picture, RGB 0 to 255. [h, w, 3]
            alpha: its opacity. [h, w]

        Returns:
            Opacity, nowhere higher than before. [h, w]
        """
        side = float(box[2] - box[0])
        crop = crop_window(frame, np.array([box[0], box[1], side]), SEGMENTER_SIZE_PX)
        before = self._segmenter(crop).background
        scale = SEGMENTER_SIZE_PX / side
        place = [
            (corner[0] - box[0]) * scale,
            (corner[1] - box[1]) * scale,
            (corner[0] + alpha.shape[1] - box[0]) * scale,
            (corner[1] + alpha.shape[0] - box[1]) * scale,
        ]
        here = _sample_box(before, place, alpha.shape)
        if float((here * alpha).sum()) < MIN_BACKGROUND_FRACTION * float(alpha.sum()):
            return alpha
        after = self._segmenter(_paste_image(crop, painted, alpha, place)).background
        both = _sample_box(np.minimum(before, after), place, alpha.shape)
        # Sure background only: a soft edge there would show both pictures at once.
        return alpha * (1 - np.clip((both - 0.5) / 0.4, 0, 1))


def _sample_box(mask: NDArray[np.float32], box: list[float], shape: tuple[int, ...]) -> NDArray:
    """A box of the segmenter's picture, enlarged to [h, w]."""
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
    """The crop with the painted picture in it."""
    x0, y0, x1, y1 = (round(v) for v in box)
    if x1 <= x0 or y1 <= y0:
        return crop
    result = Image.fromarray(crop)
    size = (x1 - x0, y1 - y0)
    paint = Image.fromarray((painted + 0.5).clip(0, 255).astype(np.uint8)).resize(size)
    opacity = Image.fromarray((alpha * 255).astype(np.uint8)).resize(size)
    result.paste(paint, (x0, y0), opacity)
    return np.asarray(result)
