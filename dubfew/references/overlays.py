"""Find what lies over a face: captions, logos, a microphone, a pen.

Skin around the lips has the colors that the actor's references show there, whatever the mouth does.
What has others, in the scene's light, lies over it. Between the scene's own lips teeth may be seen
that no reference shows, so there only the colors count that were found on the skin. Things as
skin-colored as a hand are not found; `dubfew.reconstruction.visibility` finds those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    binary_opening,
    binary_propagation,
    label,
    maximum_filter1d,
)
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs

# Pixels of the window by which meshes may lie beside the truth, and by which the mask's skin may
# move with the jaw. Colors that a reference shows within that reach are the face's own.
SKIN_REACH_PX, JAW_REACH_PX = 3, 8
# Border of the mesh, px of the window, that says nothing about whose face is seen: there a head
# that is turned otherwise than the reference shows hair, ear or collar. Without it the correlation
# with the references of a clean frame rises from 0.50 to 0.61 in the median, that of a dissolve
# falls.
SILHOUETTE_PX = 8
# The same for things before the face: at the far side of a turned jaw the mesh reaches that far
# over the background.
THING_BORDER_PX = 14
# Distance from those colors, in levels of [0, 1], from which a pixel is another thing's, and from
# which it is certain to be. Beards, shadows and highlights stay below the second.
OTHER_COLOR, CERTAIN_COLOR = 0.1, 0.2
# Part of the face's pixels that have to be certain, or nothing is found.
MIN_CERTAIN_FRACTION = 0.008
# Distance of a color from one of the things'.
SAME_COLOR = 0.08
# Factor by which things may grow over pixels of their color; beyond it the color is the face's.
MAX_GROWTH = 2.0
# Correlation with the references from which pixels of other colors are the face in a shadow.
SHADED_CORRELATION = 0.5
# Colors of the skin that are compared, evenly spaced among all.
NUM_COLORS = 48
# Smallest thing, px of the window, and the border around things that belongs to them: the outline
# of letters and the softness of edges.
MIN_THING_PX, BORDER_PX = 5, 2
# Things wider than this are solid, such as a microphone or the box behind a caption; letters are
# not, px of the window.
SOLID_PX = 9
# Part of the face under things from which it is no face with things before it, but another picture.
MAX_COVERED_FRACTION = 0.6


@dataclass(frozen=True)
class Overlay:
    """Things before a face in a window.

    Attributes:
        mask: True where something lies over the face. [S, S]
        certainty: part of the face's pixels that are certain to show another thing.
    """

    mask: NDArray[np.bool_]
    certainty: float


@dataclass(frozen=True)
class SceneView:
    """What a frame shows in its window, the mouth included.

    Attributes:
        window: RGB. [S, S, 3]
        lips: outline of the scene's own lips, px of the window. [P, 2]
    """

    window: NDArray[np.uint8]
    lips: NDArray[np.float32]


def may_be_covered(
    inputs: RenderInputs,
    view: SceneView,
    expected: Tensor,  # [K, 3, S / 2, S / 2]
) -> bool:
    """Tell at half the size whether something may lie over the face: most frames end here.

    Args:
        inputs: inputs of the frame (B = 1).
        view: what the frame shows.
        expected: references in the frame's pose and light at half the size, RGB in [0, 1].
            [K, 3, S / 2, S / 2]
    """
    seen = F.avg_pool2d(torch.from_numpy(view.window).permute(2, 0, 1)[None].float() / 255, 2)
    above, below = _distances_from_range(seen, expected.cpu(), SKIN_REACH_PX // 2)
    face = inputs.mesh_mask[0, 0, ::2, ::2].cpu().numpy()[: len(above), : len(above)] > 0
    inner = face & ~binary_dilation(~face, iterations=THING_BORDER_PX // 2)
    own_lips = binary_dilation(
        _fill_outline(view.lips / 2, len(above)), iterations=SKIN_REACH_PX // 2
    )
    # Averages of two pixels are half as certain at the edges of letters.
    certain = inner & ~own_lips & (np.maximum(above, below) > CERTAIN_COLOR)
    return bool(certain.sum() >= MIN_CERTAIN_FRACTION / 2 * face.sum())


def find_overlay(
    inputs: RenderInputs,
    view: SceneView,
    expected: Tensor,  # [K, 3, S, S]
) -> Overlay | None:
    """Find the pixels of a window that show something before the face.

    Args:
        inputs: inputs of the frame (B = 1).
        view: what the frame shows.
        expected: references in the frame's pose and light, RGB in [0, 1]. [K, 3, S, S]

    Returns:
        What lies over the face, None where nothing does.
    """
    window, expected = view.window, expected.cpu()
    seen = torch.from_numpy(window).permute(2, 0, 1)[None].float() / 255
    face = inputs.mesh_mask[0, 0].cpu().numpy() > 0
    mask = inputs.alpha[0, 0].cpu().numpy() > 0
    above, below = (
        np.where(mask, far, near)
        for near, far in zip(
            _distances_from_range(seen, expected, SKIN_REACH_PX),
            _distances_from_range(seen, expected, JAW_REACH_PX),
            strict=True,
        )
    )
    distance, brighter = np.maximum(above, below), above > OTHER_COLOR
    # The mesh's border shows hair and background.
    inner = face & ~binary_dilation(~face, iterations=THING_BORDER_PX)
    face &= ~binary_dilation(~face, iterations=SKIN_REACH_PX)
    own_lips = binary_dilation(_fill_outline(view.lips, len(window)), iterations=SKIN_REACH_PX)
    other = face & (distance > OTHER_COLOR)
    certain = _drop_specks(other & ~own_lips & (distance > CERTAIN_COLOR))
    certainty = (certain & inner).sum() / max(face.sum(), 1)
    if certainty < MIN_CERTAIN_FRACTION or _is_shaded(seen, expected, certain & inner):
        return None
    # Less certain pixels count where they are of one piece with certain ones. Between the lips, so
    # does what has a color of the things and is brighter than all that a mouth shows.
    # Edges mix with skin: the color of a thing is that of its surest half.
    core = certain & (distance >= np.median(distance[certain]))
    colors = window[core].astype(np.float32) / 255
    alike = _has_color_of(window, colors[:: max(1, len(colors) // NUM_COLORS)], mask | own_lips)
    found = _connected(other, certain) | (other & own_lips & brighter & alike)
    # Things go on in their color where the face may have that color, too: a dark microphone before
    # an open mouth.
    found = _drop_specks(found)
    grown = _connected(found | alike, found)
    found = grown if grown.sum() <= MAX_GROWTH * found.sum() else found
    # Holes are parts of the thing that resemble skin.
    found = binary_closing(found, iterations=1) | found
    found = np.asarray(binary_dilation(found, np.ones((3, 3)), iterations=BORDER_PX))
    if (found & face).sum() > MAX_COVERED_FRACTION * face.sum():
        return None
    return Overlay(found, float(certainty))


def measure_hidden_lips(overlay: Overlay, view: SceneView) -> float:
    """Measure the part of the scene's lips that solid things hide, 0 to 1.

    Args:
        overlay: what lies over the face.
        view: what the frame shows.
    """
    own_lips = _fill_outline(view.lips, len(view.window))
    solid = binary_opening(overlay.mask, np.ones((SOLID_PX, SOLID_PX)))
    return float((solid & own_lips).sum() / max(own_lips.sum(), 1))


def remove_overlay(
    window: NDArray[np.uint8],  # [S, S, 3]
    inputs: RenderInputs,
    overlay: Overlay,
) -> NDArray[np.uint8]:  # [S, S, 3]
    """Put the nearest reference in the place of an overlay, so that nothing is tinted by it.

    Args:
        window: RGB in the actor's light. [S, S, 3]
        inputs: inputs of the frame (B = 1).
        overlay: what lies over the face.
    """
    nearest = F.grid_sample(
        inputs.references[0, :1],
        inputs.sampling_grid[0, :1],
        padding_mode="border",
        align_corners=False,
    )[0]
    face = (nearest.permute(1, 2, 0).clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
    return np.where(overlay.mask[..., None], face, window)


def _distances_from_range(
    seen: Tensor, expected: Tensor, reach: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far colors lie above and below all that references show within some px. [S, S] each"""
    high, low = _spread(expected.amax(0), reach), -_spread(-expected.amin(0), reach)
    above, below = ((seen[0] - high).amax(0), (low - seen[0]).amax(0))
    return np.asarray(above.clamp(min=0).numpy()), np.asarray(below.clamp(min=0).numpy())


def _spread(image: Tensor, reach: int) -> Tensor:
    """Greatest value within some px across and down. [3, S, S]"""
    # Pooling costs as many comparisons as the window is wide, and this filter three.
    values = image.numpy()
    for axis in (1, 2):
        values = maximum_filter1d(values, 2 * reach + 1, axis, mode="nearest")
    return torch.from_numpy(values)


def _is_shaded(seen: Tensor, expected: Tensor, certain: NDArray[np.bool_]) -> bool:
    """Tell whether pixels show the face after all, in another light: its features are there."""
    where = torch.from_numpy(certain)
    both = torch.stack([seen[0].mean(0)[where], expected.mean((0, 1))[where]]).numpy()
    return bool(both.std(1).min() > 1e-3 and np.corrcoef(both)[0, 1] > SHADED_CORRELATION)


def _has_color_of(
    window: NDArray[np.uint8], colors: NDArray[np.float32], where: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which pixels of a part of a window have nearly one of some colors [N, 3]. [S, S]"""
    pixels = np.ascontiguousarray(window[where].T, np.float32) / 255
    alike = np.zeros(pixels.shape[1], np.bool_)
    for color in colors:
        alike |= (np.abs(pixels - color[:, None]) < SAME_COLOR).all(0)
    result = np.zeros(where.shape, np.bool_)
    result[where] = alike
    return result


def _connected(found: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the pieces of a mask that hold a seed."""
    return np.asarray(binary_propagation(seeds & found, np.ones((3, 3)), found))


def _fill_outline(points: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """Fill a polygon [P, 2] (px) in a window. [size, size]"""
    image = Image.new("1", (size, size))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(image).copy()


def _drop_specks(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Remove things of a few pixels."""
    things, count = label(found, np.ones((3, 3)))
    sizes = np.bincount(things.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(sizes[things] >= MIN_THING_PX)
