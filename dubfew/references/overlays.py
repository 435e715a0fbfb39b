"""Find what lies over a face: captions, logos, a microphone, a pen.

Skin around the lips has the colors that the actor's references show there, whatever the mouth does.
What has others, in the scene's light, lies over it. Between the scene's own lips teeth may be seen
that no reference shows, so there only the colors count that were found on the skin. Where the new
mouth opens, references show its inside and the scene shows skin, so there a thing has another color
than all of the mask's skin. Things as skin-colored as a hand are not found;
`dubfew.reconstruction.visibility` finds those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    label,
    maximum_filter1d,
    minimum_filter1d,
)
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_kernels import (
    city_distances,
    find_alike,
    measure_strangeness,
    shrink_planes,
)
from dubfew.references.skin_hue import find_skin

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
# Quantiles of the mask's skin between which colors are those of skin, below the new mouth as well.
SKIN_QUANTILES = (0.02, 0.98)
# Distance from those colors, in levels of [0, 1], from which a pixel is another thing's, and from
# which it is certain to be. Beards, shadows and highlights stay below the second.
OTHER_COLOR, CERTAIN_COLOR = 0.1, 0.2
# Part of the face that has to be certain at half the size, or nothing is looked for at the whole.
MIN_SHRUNK_FRACTION = 0.003
# Part of the face's pixels that have to be certain, or nothing is found.
MIN_CERTAIN_FRACTION = 0.008
# Certainty of things from which the correlation need not rise: a microphone lies over skin that is
# not compared.
SURE_OVERLAY = 0.03
# Distance from which a color is vivid: white, black and saturated letters. In clean film no pixel
# of the mask has one outside of the lips; small logos fill 0.006 of it and more. From that part on
# things are sure, however small.
VIVID_COLOR, MIN_VIVID_FRACTION = 0.25, 0.003
# Border around the lips, px of the window, within which new teeth and tongues may be vivid.
VIVID_LIP_BORDER_PX = 5
# Distance of a color from one of the things'.
SAME_COLOR = 0.08
# Factor by which things may grow over pixels of their color; beyond it the color is the face's.
MAX_GROWTH = 2.0
# Correlation with the references from which pixels of other colors are the face in a shadow.
SHADED_CORRELATION = 0.5
# Colors of the skin that are compared, evenly spaced among all.
NUM_COLORS = 48
# Distance from which a color is strange: a hand is hardly another color than a face. In clean film
# pieces of such colors fill 0.085 of a face at most, in smoke 0.13; a hand at the chin 0.4 to 0.6.
# From the first part on a face counts as covered, and down to the second after that.
STRANGE_COLOR, COVERED_STRANGE_PART, MIN_STRANGE_PART = 0.05, 0.25, 0.15
# Width of the band around the lips that such a piece has to cover, px of the window.
LIP_BAND_PX = 12
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
        vividness: part of the mask's pixels, beside the lips, whose colors no face has.
    """

    mask: NDArray[np.bool_]
    certainty: float
    vividness: float = 0.0

    @property
    def is_sure(self) -> bool:
        """Return True if this is no hair and no shadow, whatever the skin around says."""
        return _is_sure(self.certainty, self.vividness)


@dataclass(frozen=True)
class SceneView:
    """What a frame shows in its window, the mouth included.

    Attributes:
        window: RGB. [S, S, 3]
        lips: outline of the scene's own lips, px of the window. [P, 2]
    """

    window: NDArray[np.uint8]
    lips: NDArray[np.float32]

    @cached_property
    def planes(self) -> NDArray[np.float32]:
        """Return RGB in [0, 1]. [3, S, S]"""
        planes = np.ascontiguousarray(self.window.transpose(2, 0, 1), np.float32)
        planes /= np.float32(255)
        return planes

    @cached_property
    def own_lips(self) -> NDArray[np.bool_]:
        """Return True on the scene's own lips. [S, S]"""
        return _fill_outline(self.lips, len(self.window))

    @cached_property
    def beside_lips(self) -> NDArray[np.int32]:
        """Return how many steps across and down each pixel lies from these lips. [S, S]"""
        return city_distances(self.own_lips)


@dataclass(frozen=True)
class FoundThings:
    """Pixels of a window that are certain to show things before a face, and what was found beside.

    Attributes:
        certainty: part of the face's pixels that are certain.
        vividness: part of the mask's pixels, beside the lips, whose colors no face has.
        window: RGB. [S, S, 3]
        distance: how far colors lie beyond all that the references show. [S, S]
        brighter: True where that is above them. [S, S]
        face: True on the face without its border. [S, S]
        mask: True where paint may be. [S, S]
        own_lips: True on the scene's own lips and around them. [S, S]
        certain: True on the certain pixels. [S, S]
    """

    certainty: float
    vividness: float
    window: NDArray[np.uint8]
    distance: NDArray[np.float32]
    brighter: NDArray[np.bool_]
    face: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    own_lips: NDArray[np.bool_]
    certain: NDArray[np.bool_]

    @property
    def is_sure(self) -> bool:
        """Return True if this is no hair and no shadow, whatever the skin around says."""
        return _is_sure(self.certainty, self.vividness)


def _is_sure(certainty: float, vividness: float) -> bool:
    """Tell whether things are large or vivid enough to be sure."""
    return certainty >= SURE_OVERLAY or vividness >= MIN_VIVID_FRACTION


@dataclass(frozen=True)
class QuickLook:
    """What a look at half the size tells of a face.

    Attributes:
        certain: pixels that are certain to show another thing than the references. [S / 2, S / 2]
        least_certain: number of them from which it is worth to search things at the whole size.
        strange: largest piece of the face whose colors differ a little from all that the references
            show there, such as a hand or another face; None where it is small. [S / 2, S / 2]
        face_area: size of the face beside the lips, px of the window at half the size.
        around_lips: part of the skin around the scene's own lips that this piece covers, 0 to 1: a
            microphone before the mouth.
    """

    certain: NDArray[np.bool_]
    least_certain: float
    strange: NDArray[np.bool_] | None
    face_area: int
    around_lips: float = 0.0

    def may_be_covered(self, dismissed: NDArray[np.bool_] | None = None) -> bool:
        """Return whether it is worth to search things at the whole size.

        Args:
            dismissed: pixels that need no search; None for none. [S / 2, S / 2]
        """
        certain = self.certain if dismissed is None else self.certain & ~dismissed
        return bool(certain.sum() >= self.least_certain)

    def measure_strange_part(self, overlay: Overlay | None) -> float:
        """Measure the part of the face that is strange and under nothing that was found, 0 to 1.

        Args:
            overlay: what was found over the face.
        """
        if self.strange is None:
            return 0.0
        strange = self.strange
        if overlay is not None:
            strange = strange & ~overlay.mask[::2, ::2][: len(strange), : len(strange)]
        return float(strange.sum() / self.face_area)


def look_quickly(
    inputs: RenderInputs,
    view: SceneView,
    expected: NDArray[np.float32],  # [K, 3, S / 2, S / 2]
) -> QuickLook:
    """Look at half the size whether something may lie over the face: most frames end here.

    Args:
        inputs: inputs of the frame (B = 1).
        view: what the frame shows.
        expected: references in the frame's pose and light at half the size, RGB in [0, 1].
            [K, 3, S / 2, S / 2]
    """
    seen = shrink_planes(view.planes[None], 2)[0]
    size = seen.shape[-1]
    face = inputs.mesh_mask[0, 0, ::2, ::2].cpu().numpy()[:size, :size] > 0
    inner = face & (city_distances(~face) > THING_BORDER_PX // 2)
    beside_lips = city_distances(_fill_outline(view.lips / 2, size))
    where = inner & (beside_lips > SKIN_REACH_PX // 2)
    reach = np.full(face.shape, SKIN_REACH_PX // 2, np.int32)
    distance = np.maximum(*measure_strangeness(seen, expected, where, reach, STRANGE_COLOR))
    opening = inputs.mouth_interior[0, 0, ::2, ::2].cpu().numpy()[:size, :size] > 0
    mask = inputs.alpha[0, 0, ::2, ::2].cpu().numpy()[:size, :size] > 0
    _forgive_skin(distance, seen, expected, opening, mask & inner, JAW_REACH_PX // 2)
    # Averages of two pixels are half as certain at the edges of letters. Small logos are a fraction
    # of what else is searched for.
    certain = distance > CERTAIN_COLOR
    strange, area, piece, around = distance > STRANGE_COLOR, int(where.sum()), None, 0.0
    # Pieces are told apart only where there is enough for a large one.
    if strange.sum() > MIN_STRANGE_PART * area:
        # Where the references show a collar instead of a neck, skin is nothing strange.
        strange &= _find_skin_hue(expected, where) | ~_find_skin_hue(seen[None], where)
    if strange.sum() > MIN_STRANGE_PART * area:
        pieces, _ = label(strange)
        piece = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
        band = where & (beside_lips <= LIP_BAND_PX // 2)
        around = float((piece & band).sum() / max(band.sum(), 1))
    return QuickLook(certain, MIN_SHRUNK_FRACTION * float(face.sum()), piece, area, around)


def find_things(
    inputs: RenderInputs,
    view: SceneView,
    expected: NDArray[np.float32],  # [K, 3, S, S]
) -> FoundThings | None:
    """Find the pixels of a window that are certain to show something before the face.

    Args:
        inputs: inputs of the frame (B = 1).
        view: what the frame shows.
        expected: references in the frame's pose and light, RGB in [0, 1]. [K, 3, S, S]

    Returns:
        What lies over the face, None where nothing does.
    """
    window, seen = view.window, view.planes
    face = inputs.mesh_mask[0, 0].cpu().numpy() > 0
    mask = inputs.alpha[0, 0].cpu().numpy() > 0
    # The mesh's border shows hair and background.
    depth = city_distances(~face)
    inner, face = face & (depth > THING_BORDER_PX), face & (depth > SKIN_REACH_PX)
    reach = np.where(mask, JAW_REACH_PX, SKIN_REACH_PX).astype(np.int32)
    above, below = measure_strangeness(seen, expected, face, reach, OTHER_COLOR)
    distance, brighter = np.maximum(above, below), above > OTHER_COLOR
    opening = inputs.mouth_interior[0, 0].cpu().numpy() > 0
    _forgive_skin(distance, seen, expected, opening, mask & inner, JAW_REACH_PX)
    own_lips = view.beside_lips <= SKIN_REACH_PX
    vivid = mask & inner & (view.beside_lips > VIVID_LIP_BORDER_PX) & (distance > VIVID_COLOR)
    vividness = float(vivid.sum() / max(mask.sum(), 1))
    is_vivid = vividness >= MIN_VIVID_FRACTION
    certain = ~own_lips & (distance > CERTAIN_COLOR)
    least = MIN_CERTAIN_FRACTION * max(face.sum(), 1)
    # Most faces have nothing before them: what follows is for the others.
    if (certain & inner).sum() < least and not is_vivid:
        return None
    certain = _drop_specks(certain)
    is_seen = certain.any() and ((certain & inner).sum() >= least or is_vivid)
    # Letters are too few pixels to tell from a shadow by what they have in common with the face,
    # but no shadow is brighter than it.
    bright = vivid & (above > VIVID_COLOR)
    letters = bright & ~_open_square(bright, SOLID_PX)
    are_letters = letters.sum() >= MIN_VIVID_FRACTION * mask.sum()
    if not is_seen or (not are_letters and _is_shaded(seen, expected, certain & inner)):
        return None
    certainty = float((certain & inner).sum() / max(face.sum(), 1))
    return FoundThings(
        certainty, vividness, window, distance, brighter, face, mask, own_lips, certain
    )


def outline_things(things: FoundThings) -> Overlay | None:
    """Find all pixels of the things that some certain pixels belong to.

    Args:
        things: what `find_things` has found.

    Returns:
        What lies over the face; None where it is no face with things before it.
    """
    face, mask, own_lips = things.face, things.mask, things.own_lips
    distance, certain = things.distance, things.certain
    # Less certain pixels count where they are of one piece with certain ones. Between the lips, so
    # does what has a color of the things and is brighter than all that a mouth shows.
    # Edges mix with skin: the color of a thing is that of its surest half.
    core = certain & (distance >= np.median(distance[certain]))
    colors = things.window[core].astype(np.float32) / 255
    colors = colors[:: max(1, len(colors) // NUM_COLORS)]
    alike = np.zeros(face.shape, np.bool_)
    find_alike(things.window, colors, mask | own_lips, np.float32(SAME_COLOR), alike)
    other = distance > OTHER_COLOR
    found = _connected(other, certain) | (other & own_lips & things.brighter & alike)
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
    return Overlay(found, things.certainty, things.vividness)


def measure_hidden_lips(overlay: Overlay, view: SceneView) -> float:
    """Measure the part of the scene's lips that solid things hide, 0 to 1.

    Args:
        overlay: what lies over the face.
        view: what the frame shows.
    """
    own_lips = view.own_lips
    if not (overlay.mask & own_lips).any():
        return 0.0
    solid = _open_square(overlay.mask, SOLID_PX)
    return float((solid & own_lips).sum() / max(own_lips.sum(), 1))


def cover_mouths(inputs: RenderInputs, view: SceneView) -> NDArray[np.bool_]:
    """Cover the lips of the scene and those of the new mouth, which are no skin. [S, S]

    Args:
        inputs: inputs of the frame (B = 1).
        view: what the frame shows.
    """
    opening = inputs.mouth_interior[0, 0].cpu().numpy() > 0
    return np.asarray(
        (view.beside_lips <= VIVID_LIP_BORDER_PX) | (city_distances(opening) <= JAW_REACH_PX)
    )


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


def _find_skin_hue(
    pictures: NDArray[np.float32],  # [K, 3, S, S]
    where: NDArray[np.bool_],  # [S, S]
) -> NDArray[np.bool_]:  # [S, S]
    """Find the places of a face in which at least one picture shows the hue of skin."""
    colors = torch.from_numpy(np.ascontiguousarray(pictures[:, :, where]))
    known = torch.ones(len(colors), colors.shape[2], dtype=torch.bool)
    shown = np.zeros(where.shape, np.bool_)
    shown[where] = find_skin(colors, known).any(0).numpy()
    return shown


def _open_square(found: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Keep what squares of an odd width fit into."""
    values = found.astype(np.uint8)
    # Along rows and columns by turns, which costs a tenth of the square.
    for extreme in (minimum_filter1d, maximum_filter1d):
        for axis in (0, 1):
            values = extreme(values, width, axis, mode="constant")
    return np.asarray(values > 0)


def _forgive_skin(
    distance: NDArray[np.float32],  # [S, S]
    seen: NDArray[np.float32],  # [3, S, S]
    expected: NDArray[np.float32],  # [K, 3, S, S]
    opening: NDArray[np.bool_],  # [S, S]
    skin: NDArray[np.bool_],  # [S, S]
    reach: int,
) -> None:
    """Lower the distances of skin that the scene shows where the new mouth opens, in place.

    The lips of the new mouth and its inside are drawn there, and the scene's mouth is another.

    Args:
        distance: how far colors lie beyond all that the references show. [S, S]
        seen: RGB of the scene. [3, S, S]
        expected: RGB of the references. [K, 3, S, S]
        opening: where the new mouth is open. [S, S]
        skin: part of the face that is painted. [S, S]
        reach: width of the new lips, px.
    """
    if not (distance[opening] > 0).any():  # as in most frames
        return
    near = city_distances(opening) <= reach
    skin = skin & ~near
    if not skin.any():
        return
    low, high = np.quantile(expected[:, :, skin], SKIN_QUANTILES, axis=(0, 2))
    colors = seen[:, near]
    beyond = np.maximum(colors - high[:, None], low[:, None] - colors).max(0)
    distance[near] = np.minimum(distance[near], np.maximum(beyond, 0))


def _is_shaded(
    seen: NDArray[np.float32], expected: NDArray[np.float32], certain: NDArray[np.bool_]
) -> bool:
    """Tell whether pixels show the face after all, in another light: its features are there."""
    both = np.stack([seen[:, certain].mean(0), expected[:, :, certain].mean((0, 1))])
    return bool(both.std(1).min() > 1e-3 and np.corrcoef(both)[0, 1] > SHADED_CORRELATION)


def _connected(found: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the pieces of a mask that hold a seed."""
    pieces, count = label(found, np.ones((3, 3)))
    seeded = np.zeros(count + 1, np.bool_)
    seeded[pieces[seeds]] = True
    seeded[0] = False
    return np.asarray(seeded[pieces])


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
