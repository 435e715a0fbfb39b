"""The same skin in the references and in a scene, outside of the mask, in small cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_fit import MIN_LEVEL, LightFit, make_match
from dubfew.references.light_kernels import (
    average_cells,
    relight_planes,
    sample_planes,
    shrink_images,
    shrink_planes,
    to_array,
)
from dubfew.references.overlays import SILHOUETTE_PX, Overlay
from dubfew.references.skin_hue import find_skin

# Factor by which window and references are shrunk before colors are compared: meshes lie a pixel
# beside the truth, and noise in the references would lower the contrast of the fit.
CELL_PX = 4
# Part of a cell that has to be known skin.
MIN_KNOWN_FRACTION = 0.75
# Cells per parameter, at least, or the match stays as it was.
MIN_CELLS = 24

# Colors in the references, colors in the scene, and positions of cells. [N, 3], [N, 3], [N, 2]
SkinCells = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class SkinComparison:
    """The same skin in references and scene, in cells outside of the mask.

    Attributes:
        references: RGB in the scene's pose. [K, 3, H, W]
        scene: RGB. [3, H, W]
        known: where both show skin. [H, W]
        inner: where they do inside of the mesh's border. [H, W]
    """

    references: NDArray[np.float32]
    scene: NDArray[np.float32]
    known: NDArray[np.bool_]
    inner: NDArray[np.bool_]

    def pair_with_typical(self, without: NDArray[np.bool_] | None = None) -> SkinCells:
        """Pair the middle one of the references, or the mean of two, with the scene.

        Where a reference shows something of another color than skin it does not count.

        Args:
            without: cells that are left out if enough others are known. [H, W]
        """
        if without is not None and int((self.known & ~without).sum()) >= MIN_CELLS:
            return replace(self, known=self.known & ~without).pair_with_typical()
        colors = self.references[:, :, self.known]
        everywhere = torch.ones(len(colors), colors.shape[2], dtype=torch.bool)
        shown = find_skin(torch.from_numpy(colors), everywhere).numpy()
        kept = shown.any(0)
        if int(kept.sum()) < MIN_CELLS:
            shown, kept = np.ones_like(shown), np.ones_like(kept)
        colors, shown, known = colors[:, :, kept], shown[:, kept], self.known.copy()
        known[self.known] = kept
        if len(colors) > 2:
            # Of an even number the lower one of the two in the middle: a mean would blur them.
            ordered = np.sort(np.where(shown[:, None], colors, np.inf), 0)
            middle = (shown.sum(0) - 1) // 2
            typical = np.take_along_axis(ordered, middle[None, None], 0)[0]
        else:
            typical = np.where(shown[:, None], colors, 0).sum(0) / shown.sum(0)
        return self._pair(typical, known)

    def pair_with_each(self) -> list[SkinCells]:
        """Pair every reference with the scene, inside of the mesh's border if enough is known."""
        inside = self.inner if int(self.inner.sum()) >= MIN_CELLS else self.known
        return [self._pair(reference[:, inside], inside) for reference in self.references]

    def draw(self, values: NDArray[np.bool_], cells: SkinCells) -> NDArray[np.bool_]:
        """Put values of cells [N] to their places; False elsewhere. [H, W]

        Args:
            values: one for each of the cells. [N]
            cells: as `pair_with_typical` returns them.
        """
        drawn = np.zeros(self.known.shape, np.bool_)
        columns, rows = np.floor((cells[2].T + 1) / 2 * len(drawn)).astype(np.int64)
        drawn[rows, columns] = values
        return drawn

    def _pair(self, colors: NDArray[np.float32], where: NDArray[np.bool_]) -> SkinCells:
        """Colors of a reference [3, N] and of the scene, and positions, of N cells [H, W]."""
        return (
            np.ascontiguousarray(colors.T, np.float64),
            np.ascontiguousarray(self.scene[:, where].T, np.float64),
            cell_positions(len(where))[where],
        )


@dataclass(frozen=True)
class FaceComparison:
    """The whole face in references and scene, the mask included, in cells.

    Attributes:
        references: RGB in [0, 1], in the scene's pose. [K, h, w, 3]
        scene: RGB in [0, 1]. [h, w, 3]
        known: where both show skin, and nothing hides it. [h, w]
        painted: what is painted. [h, w]
    """

    references: NDArray[np.float64]
    scene: NDArray[np.float64]
    known: NDArray[np.bool_]
    painted: NDArray[np.bool_]


class FrameCells:
    """A frame's window, and its references in the frame's pose, in several sizes.

    Args:
        inputs: inputs of the frame (B = 1).
    """

    def __init__(self, inputs: RenderInputs) -> None:
        self._planes = tuple(
            to_array(plane)
            for plane in (inputs.scene[0], inputs.alpha[0, 0], inputs.mesh_mask[0, 0])
        )
        grid, references = to_array(inputs.sampling_grid[0]), to_array(inputs.references[0])
        # Places and pictures at full and at half the size. Cells are averages of the latter.
        self._full = references, grid
        self._half = shrink_planes(references, 2), shrink_images(grid, 2)
        factor = max(1, references.shape[-1] * CELL_PX // grid.shape[1])
        if factor % 2:
            small = shrink_planes(references, factor)
        else:
            small = shrink_planes(self._half[0], factor // 2)
        cells = shrink_images(self._half[1], CELL_PX // 2)
        self._sampled = sample_planes(small, cells)
        # A cell that looks beyond a reference's window is not known.
        self._seen = (np.abs(cells) < 1).all((0, 3))

    def pair_mouth(self, window: NDArray[np.uint8]) -> SkinCells | None:
        """Pair the nearest reference with what a frame shows inside of the mask.

        Lips, teeth and the dark of a mouth have colors that the skin around does not have. The
        inputs have to be those of the frame's own mouth.

        Args:
            window: RGB, mouth included. [S, S, 3]

        Returns:
            The cells of the mask; None where there are too few.
        """
        _, alpha, mesh = self._planes
        scene = np.ascontiguousarray(window.transpose(2, 0, 1), np.float32) / 255
        colors, known = self._average_window(scene, np.zeros(mesh.shape, np.bool_))
        chosen = (shrink_planes(alpha[None, None], CELL_PX)[0, 0] > 0.5) & known
        if int(chosen.sum()) < MIN_CELLS:
            return None
        nearest = SkinComparison(self._sampled[:1], colors, chosen, chosen)
        return nearest.pair_with_each()[0]

    def compare_face(
        self, scene: NDArray[np.float32], hidden: NDArray[np.bool_]
    ) -> FaceComparison | None:
        """Compare the whole face with the references, the mask included.

        Args:
            scene: RGB in [0, 1], the mouth included. [3, S, S]
            hidden: where one of them shows no skin: mouths, and things before the face. [S, S]

        Returns:
            The cells; None where nearly none show skin in both.
        """
        _, alpha, _ = self._planes
        colors, known = self._average_window(scene, hidden)
        if int(known.sum()) < MIN_CELLS:
            return None
        return FaceComparison(
            self._sampled.transpose(0, 2, 3, 1).astype(np.float64),
            colors.transpose(1, 2, 0).astype(np.float64),
            known,
            shrink_planes(alpha[None, None], CELL_PX)[0, 0] > 0.5,
        )

    def _average_window(
        self, scene: NDArray[np.float32], covered: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Cells of a window [3, S, S] [3, h, w], the mask included, and where they are known."""
        _, alpha, mesh = self._planes
        colors = np.empty((3, *self._seen.shape), np.float32)
        part, beside = np.empty((2, *self._seen.shape), np.float32)
        average_cells(scene, np.zeros_like(alpha), mesh, covered, CELL_PX, colors, part, beside)
        return colors, (part >= MIN_KNOWN_FRACTION) & self._seen

    def bring_to_scene(self, fit: LightFit, *, half: bool = False) -> NDArray[np.float32]:
        """Bring all references into the pose and the light of the frame.

        Args:
            fit: match of the frame.
            half: whether at half the size, s = 2; otherwise s = 1.

        Returns:
            RGB in [0, 1]. [K, 3, S / s, S / s]
        """
        sampled = sample_planes(*(self._half if half else self._full))
        match = make_match(fit.parameters, np.zeros(3))
        relight_planes(sampled, match.matrix, match.offset, match.power, match.slope, MIN_LEVEL)
        return sampled

    def compare_skin(self, overlay: Overlay | None = None) -> SkinComparison | None:
        """Find colors of the same skin in references and scene, outside of the mask.

        Args:
            overlay: what lies over the face and does not count.

        Returns:
            The cells that show skin in both; None where there are too few.
        """
        scene, alpha, mesh = self._planes
        covered = np.zeros(mesh.shape, np.bool_) if overlay is None else overlay.mask
        colors = np.empty((3, *self._seen.shape), np.float32)
        part, beside = np.empty((2, *self._seen.shape), np.float32)
        average_cells(scene, alpha, mesh, covered, CELL_PX, colors, part, beside)
        chosen = (part >= MIN_KNOWN_FRACTION) & self._seen
        if int(chosen.sum()) < MIN_CELLS:
            return None
        reach = SILHOUETTE_PX // CELL_PX
        border = maximum_filter(beside > 0, 2 * reach + 1, mode="constant")
        return SkinComparison(self._sampled, colors, chosen, chosen & ~border)


@cache
def window_positions(size: int) -> Tensor:
    """Positions of the centers of a window's pixels or cells, -1 to 1; not to be changed.

    [size, size, 2]
    """
    centers = (torch.arange(size) + 0.5) * (2 / size) - 1
    return torch.stack(torch.meshgrid(centers, centers, indexing="xy"), -1)


@cache
def cell_positions(size: int) -> NDArray[np.float64]:
    """Positions of the centers of a window's cells, -1 to 1; not to be changed. [size, size, 2]"""
    return np.asarray(window_positions(size).double().numpy())
