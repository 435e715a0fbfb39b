"""Look for smoke and shadows over a face, frame by frame, where the match of light leaves much.

`dubfew.references.veil` fits a veil to one frame. Here it is decided whether one acts at all: most
frames are clear, and a fit takes several milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dubfew.references.light_fit import LightFit, predict_scene_colors
from dubfew.references.skin_cells import FaceComparison, cell_positions
from dubfew.references.veil import (
    SHADOW_CELLS,
    VEIL_LEVELS,
    Veil,
    fit_veil,
    measure_smooth_difference,
)

# Mean difference that the light's match leaves from which smoke and shade are looked for.
VEILED_DIFFERENCE = 0.008
# Frames of a shot in which none is looked for after one that shows none, and in which a veil stays
# what it was: a look takes some ten milliseconds, and smoke drifts over more frames.
UNVEILED_FRAMES, REPEATED_FRAMES = 5, 1
# Difference of smooth colors up to which no veil acts, and from which it acts in full; and the part
# of it that a veil leaves, up to which it acts in full, and from which not at all. With the mouth
# that the frame shows, clean film has a difference of 0.003 to 0.005, of which 0.5 to 0.6 is left,
# thin smoke and half a face in the shade 0.010 to 0.016, and 0.22 to 0.43.
CLEAR_DIFFERENCE, SMOKY_DIFFERENCE = 0.005, 0.008
FULL_VEIL_REST, NO_VEIL_REST = 0.45, 0.55
# Part that is left below which nothing but a veil lies over the face. Half a face in the shade
# leaves 0.2 to 0.28, curtains of the color of skin 0.33 and more.
CERTAIN_VEIL_REST = 0.3
# Evenness up to which a veil acts in full, and from which not at all, because all places are hidden
# alike; and up to which it is reported: above it is a little shade, as heads that turn have it.
FULL_VEIL_EVENNESS, NO_VEIL_EVENNESS, REPORTED_EVENNESS = 0.96, 0.98, 0.85
# Mean difference that the match leaves up to which no shadow is looked for, and from which one acts
# in full; and the part of the smooth difference that it leaves, likewise. Shadows of blinds leave
# 0.025 to 0.036, of which 0.15 to 0.18 is left, clean film of heads that turn 0.020 at the most.
FAINT_SHADOW, DEEP_SHADOW = 0.02, 0.022
FULL_SHADOW_REST, NO_SHADOW_REST = 0.26, 0.29


class VeilTracker:
    """Find what veils the face in the frames of a stream.

    Attributes:
        veil: what veils a part of the face in the last frame; None for nothing.
        is_certain: whether it explains nearly all that the light's match leaves.
        veiled: painted frames with a veil that is to be seen.
    """

    def __init__(self) -> None:
        self.veil: Veil | None = None
        self.is_certain = False
        self.veiled = 0
        # That of the frame before, and for how many frames it has stayed what it was.
        self._before: Veil | None = None
        self._repeated = 0
        # Whether the veil is a shadow with edges, which no two frames have in one place.
        self._has_edges = False
        # Frames of the shot until one is looked for again.
        self._unveiled_frames = 0

    def begin_frame(self) -> None:
        """Take what was found before for the frame before."""
        self._before, self.veil = self.veil, None
        self.is_certain = self.is_certain and self._before is not None

    def look(
        self,
        compare_filmed: Callable[[], FaceComparison | None],
        fit: LightFit,
        *,
        goes_on: bool,
    ) -> None:
        """Find what veils the face of a frame.

        Args:
            compare_filmed: compares the face, with the mouth that the frame shows, with the
                references, if that is known. The chin of a dub lies elsewhere, and its shading
                would be taken for a veil.
            fit: match of the frame's light.
            goes_on: whether the shot began before.
        """
        self._unveiled_frames = max(self._unveiled_frames - 1, 0) if goes_on else 0
        if self._unveiled_frames > 0:
            return
        may_repeat = self._repeated < REPEATED_FRAMES and not self._has_edges
        if goes_on and self._before is not None and may_repeat:
            self.veil, self._repeated = self._before, self._repeated + 1
        else:
            self.is_certain, self._has_edges, self._repeated = False, False, 0
            self.veil = self._find(compare_filmed, fit)
        self._unveiled_frames = 0 if self.veil is not None else UNVEILED_FRAMES + 1

    def finish_frame(self, *, is_painted: bool) -> None:
        """Count the frame, or forget its veil.

        Args:
            is_painted: whether the mouth is painted after all.
        """
        if not is_painted:
            self.veil = None
        self.veiled += self.veil is not None and self.veil.evenness <= REPORTED_EVENNESS

    def _find(
        self, compare_filmed: Callable[[], FaceComparison | None], fit: LightFit
    ) -> Veil | None:
        """Find what veils a part of the face, where the match of the whole leaves much."""
        face = compare_filmed() if fit.residual >= VEILED_DIFFERENCE else None
        if face is None:
            return None
        actor_colors, seen, known = np.median(face.references, 0), face.scene, face.known
        positions = cell_positions(len(known))
        parameters = fit.parameters
        expected = predict_scene_colors(
            parameters, actor_colors.reshape(-1, 3), positions.reshape(-1, 2)
        ).reshape(seen.shape)
        # Nearly all clear faces end here, in a tenth of the time of a fit.
        if measure_smooth_difference(expected, seen, known) < CLEAR_DIFFERENCE:
            return None
        grays = np.repeat(VEIL_LEVELS[:, None], 3, 1)
        neutral = predict_scene_colors(parameters, grays, np.zeros((len(grays), 2)))
        depth = (fit.residual - FAINT_SHADOW) / (DEEP_SHADOW - FAINT_SHADOW)
        if depth > 0:
            # A shadow with edges, as blinds and leaves throw, is black in finer cells.
            shadow = fit_veil(expected, seen, known, neutral[:1], SHADOW_CELLS)
            rest = (NO_SHADOW_REST - shadow.rest) / (NO_SHADOW_REST - FULL_SHADOW_REST)
            strength = min(depth, rest, 1.0)
            if strength > 0:
                self.is_certain = self._has_edges = True
                return shadow.veil.weaken(strength)
        smoke = fit_veil(expected, seen, known, neutral)
        strength = min(
            (smoke.before - CLEAR_DIFFERENCE) / (SMOKY_DIFFERENCE - CLEAR_DIFFERENCE),
            (NO_VEIL_REST - smoke.rest) / (NO_VEIL_REST - FULL_VEIL_REST),
            (NO_VEIL_EVENNESS - smoke.evenness) / (NO_VEIL_EVENNESS - FULL_VEIL_EVENNESS),
            1.0,
        )
        if strength <= 0:
            return None
        self.is_certain = smoke.rest < CERTAIN_VEIL_REST
        return smoke.veil.weaken(strength)
