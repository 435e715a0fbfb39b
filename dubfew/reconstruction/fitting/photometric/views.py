"""Views: faces cut out of a clip's frames at the resolution that the fit works at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.media import Frame, read_frames
from dubfew.reconstruction.optical_flow import blur_gaussian

# Edge of a view, px: some 50 px lie between the eyes. Time grows with its square.
VIEW_SIZE_PX = 160
# Standard deviation of the views' blur, px. Finer details are noise, and gradients of a sharper
# picture would hold over a shorter distance.
VIEW_BLUR_PX = 0.8


@dataclass(frozen=True)
class FaceView:
    """One face of one frame.

    Attributes:
        row: row of the track.
        image: sRGB in [0, 1], slightly blurred. [3, SIZE, SIZE]
        image_gradient: change of the image per px to the right and down. [2, 3, SIZE, SIZE]
        inside_frame: True where the view lies inside the frame. [SIZE, SIZE]
        left: left edge of the view in the frame, px.
        top: top edge of the view in the frame, px.
        scale: px of the view per px of the frame.
    """

    row: int
    image: Tensor
    image_gradient: Tensor
    inside_frame: NDArray[np.bool_]
    left: float
    top: float
    scale: float


def crop_face_view(
    frame: Frame,
    row: int,
    box: NDArray,  # [4]
) -> FaceView:
    """Cut a square around a box out of a frame and scale it to ``VIEW_SIZE_PX``.

    Args:
        frame: frame of the video.
        row: row of the track that the frame is.
        box: left, top, right, bottom of the face, px; it may reach beyond the frame. [4]
    """
    left, top = int(np.floor(box[0])), int(np.floor(box[1]))
    side = max(int(np.ceil(max(box[2] - box[0], box[3] - box[1]))), 8)
    # The part inside the frame; the rest stays black and is marked by the fourth channel.
    inner = (
        max(left, 0),
        max(top, 0),
        min(left + side, frame.width),
        min(top + side, frame.height),
    )
    whole = np.zeros((side, side, 4), np.float32)
    if inner[0] < inner[2] and inner[1] < inner[3]:
        rows, columns = (
            slice(inner[1] - top, inner[3] - top),
            slice(inner[0] - left, inner[2] - left),
        )
        whole[rows, columns, :3] = frame.crop_rgb(*inner).astype(np.float32) / 255
        whole[rows, columns, 3] = 1
    wide = torch.from_numpy(whole).permute(2, 0, 1)[None]
    small = F.interpolate(
        wide, size=(VIEW_SIZE_PX, VIEW_SIZE_PX), mode="bilinear", antialias=side > VIEW_SIZE_PX
    )
    picture = blur_gaussian(small[:, :3], VIEW_BLUR_PX)[0]
    # Central differences; 0 on the border.
    x = F.pad((picture[..., 2:] - picture[..., :-2]) / 2, (1, 1, 0, 0))
    y = F.pad((picture[..., 2:, :] - picture[..., :-2, :]) / 2, (0, 0, 1, 1))
    inside = (small[0, 3] > 0.999).numpy()
    return FaceView(row, picture, torch.stack([x, y]), inside, left, top, VIEW_SIZE_PX / side)


def read_face_views(
    path: Path | str, rows: Sequence[int], boxes: NDArray, first_frame: int
) -> Iterator[FaceView]:
    """Read the faces of some rows of a track, in order, in one pass over the video.

    Args:
        path: video file.
        rows: rows of the track, in rising order.
        boxes: box of the face in every row of the track, px. [N, 4]
        first_frame: frame of the video that is the track's row 0.

    Yields:
        One view per row.
    """
    selected = set(rows)
    for row, frame in enumerate(
        read_frames(path, start=first_frame, stop=first_frame + max(selected) + 1)
    ):
        if row in selected:
            yield crop_face_view(frame, row, boxes[row])
