"""Look for smoke and shadows over a face, frame by frame, where the match of light leaves much.

`dubfew.references.veil` fits a veil to one frame. Here it is decided whether one acts at all: most
frames are clear, and a fit takes several milliseconds.
"""

from __future__ import annotations

import numpy as np

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_fit import LightFit, predict_scene_colors
from dubfew.references.overlays import Overlay, SceneView, cover_mouths
from dubfew.references.skin_cells import FrameCells, cell_positions
from dubfew.references.veil import (
    SHADOW_CELLS,
    VEIL_LEVELS,
    Veil,
    fit_veil,
    measure_smooth_difference,
)

# Mean difference that the light's match leaves from which smoke is looked for.
VEILED_DIFFERENCE = 0.009
# Frames of a shot in which none is looked for after one that shows none: a look takes several
# milliseconds, and smoke drifts in over more frames.
UNVEILED_FRAMES = 3
# Difference of smooth colors up to which no veil acts, and from which it acts in full; and the part
# of it that a veil leaves, up to which it acts in full, and from which not at all. Thick smoke has
# a difference of 0.018, of which the veil leaves 0.28; clean film 0.005 and 0.5, and a head that
# turns 0.019 and 0.34 at the most.
CLEAR_DIFFERENCE, SMOKY_DIFFERENCE = 0.011, 0.015
FULL_VEIL_REST, NO_VEIL_REST = 0.3, 0.33
# Evenness of the veil up to which it acts in full, and from which not at all. Thick smoke has 0.74
# to 0.81, shading that a vivid face alters (em_a of the benchmark clips) 0.84 to 0.94.
FULL_VEIL_EVENNESS, NO_VEIL_EVENNESS = 0.81, 0.835
# Mean difference that the match leaves up to which no shadow is looked for, and from which one acts
# in full; and the part of the smooth difference that it leaves, likewise. Shadows of blinds leave
# 0.025 to 0.036, of which 0.15 to 0.18 is left, clean film of heads that turn 0.020 at the most.
FAINT_SHADOW, DEEP_SHADOW = 0.022, 0.026
FULL_SHADOW_REST, NO_SHADOW_REST = 0.26, 0.29


class VeilTracker:
    """Find what veils the face in the frames of a stream.

    Attributes:
        veil: what veils a part of the face in the last frame; None for nothing.
        veiled: painted frames with a veil.
    """

    def __init__(self) -> None:
        self.veil: Veil | None = None
        self.veiled = 0
        # Frames of the shot until one is looked for again.
        self._unveiled_frames = 0

    def begin_frame(self) -> None:
        """Forget the frame before."""
        self.veil = None

    def look(
        self,
        frame: FrameCells,
        inputs: RenderInputs,
        view: SceneView | None,
        fit: LightFit,
        overlay: Overlay | None,
        *,
        goes_on: bool,
    ) -> None:
        """Find what veils the face of a frame.

        Args:
            frame: its cells.
            inputs: inputs of the frame (B = 1).
            view: what the frame shows; None for a frame that is left, or not to be looked at.
            fit: match of its light.
            overlay: what lies over the face.
            goes_on: whether the shot began before.
        """
        self._unveiled_frames = max(self._unveiled_frames - 1, 0) if goes_on else 0
        if view is None or self._unveiled_frames > 0:
            return
        self.veil = self._find(frame, inputs, view, fit, overlay)
        self._unveiled_frames = 0 if self.veil is not None else UNVEILED_FRAMES + 1
        self.veiled += self.veil is not None

    def _find(
        self,
        frame: FrameCells,
        inputs: RenderInputs,
        view: SceneView,
        fit: LightFit,
        overlay: Overlay | None,
    ) -> Veil | None:
        """Find what veils a part of the face, where the match of the whole leaves much."""
        if fit.residual < VEILED_DIFFERENCE:
            return None
        hidden = cover_mouths(inputs, view)
        if overlay is not None:
            hidden |= overlay.mask
        compared = frame.compare_face(view.window, hidden)
        if compared is None:
            return None
        actor_colors, seen, known = compared
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
                return shadow.veil.weaken(strength)
        smoke = fit_veil(expected, seen, known, neutral)
        strength = min(
            (smoke.before - CLEAR_DIFFERENCE) / (SMOKY_DIFFERENCE - CLEAR_DIFFERENCE),
            (NO_VEIL_REST - smoke.rest) / (NO_VEIL_REST - FULL_VEIL_REST),
            (NO_VEIL_EVENNESS - smoke.evenness) / (NO_VEIL_EVENNESS - FULL_VEIL_EVENNESS),
            1.0,
        )
        return smoke.veil.weaken(strength) if strength > 0 else None
