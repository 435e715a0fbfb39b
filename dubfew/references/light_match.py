"""Match the light of an actor's references to a scene's, frame by frame.

`LightTracker` fits a `LightMatch` to the skin of each frame (`dubfew.references.skin_cells`,
`dubfew.references.light_fit`), and decides which frames are left as they are.

The scene is brought into the actor's light, in which the renderer was trained; the mouth is painted
there, and what is painted goes back by the exact inverse. A black and white scene therefore gets a
gray mouth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.inputs import RenderInputs
from dubfew.references.light_fit import (
    IDENTITY,
    LightFit,
    LightMatch,
    fit_light,
    make_match,
    measure_agreement,
    predict_colors,
    predict_fit,
    predict_scene_colors,
    settle_fit,
    start_fit,
    without_color,
)
from dubfew.references.light_kernels import (
    measure_deviations,
    sample_planes,
    shrink_images,
    shrink_planes,
    to_array,
)
from dubfew.references.overlays import (
    COVERED_STRANGE_PART,
    MIN_STRANGE_PART,
    Overlay,
    SceneView,
    cover_mouths,
    find_things,
    look_quickly,
    measure_hidden_lips,
    outline_things,
)
from dubfew.references.skin_cells import (
    CELL_PX,
    FrameCells,
    SkinCells,
    SkinComparison,
    cell_positions,
    window_positions,
)
from dubfew.references.veil import (
    SHADOW_CELLS,
    VEIL_LEVELS,
    Veil,
    fit_veil,
    measure_smooth_difference,
)
from dubfew.utils.luma import LUMA_BT709

# Mean difference, in levels of [0, 1], up to which the scene counts as lit as the footage, and from
# which the match acts in full. Renders of an actor's own footage stay what they were.
UNCHANGED_DIFFERENCE, CHANGED_DIFFERENCE = 0.02, 0.04
# The same for the certain change of what is painted: half the saturation changed the lips of pale
# skin by 0.027, where the unaltered scene had 0.
UNCHANGED_MOUTH, CHANGED_MOUTH = 0.01, 0.02
# Standard deviations of a predicted color that may be chance, and the quantile of the mask's cells
# whose change counts: lips are a sixth of the mask.
CHANCE_DEVIATIONS, MOST_CHANGED_QUANTILE = 2.0, 0.9
# Chroma, in levels of [0, 1], below which all of a scene's skin is gray.
GRAY_CHROMA = 0.012
# Correlation of scene and that matched reference which resembles it most, around the mask and
# inside of the border, up to which a frame is left as it is, and from which the paint is opaque.
# In clean film of a head that turns and gestures 0.45 and more in 95 of 100 frames, 0.32 at least
# for a frame or two; captions over the chin 0.36 to 0.48; a dissolve from another face rises from
# 0.12.
LEFT_AGREEMENT, OPAQUE_AGREEMENT = 0.4, 0.5
# Correlation below which a frame is left at once. Above it a head that turns or smiles as no
# reference does may be seen for some frames (0.41 on the actor's own footage), so what was seen
# before in the shot counts on. It falls by that much a frame: as in a dissolve of a second.
CERTAIN_DISAGREEMENT, AGREEMENT_FALL = 0.25, 0.04
# Rise of the correlation without what was found over the face, from which it is believed. Without
# captions it was 0.40 to 0.78 where with them it was 0.30 to 0.47.
OVERLAY_GAIN = 0.06
# Part of the scene's lips under solid things from which a frame is left, because no paint fits
# around them, and down to which the frames that follow are left, too. Two lines of a caption
# cover half of the lips at times, and paint above them looks right.
HIDDEN_LIPS, SHOWN_LIPS = 0.65, 0.4
# Part of the skin around the lips under one strange piece from which a frame is left, and down to
# which the frames that follow are. A gray microphone covers all of it; in clean film, and with a
# microphone beside the mouth, it is 0.02 at most.
AROUND_LIPS, KEPT_AROUND_LIPS = 0.7, 0.5
# Frames for which a thing that was found stays where it was, and goes on to hide the mouth.
MAX_LOST_FRAMES = 2
# Frames in a row from which things before the face are reported: captions and microphones stay for
# longer. At the far side of a turned jaw the background is taken for a thing in a frame or two, and
# kept, which is right.
MIN_REPORTED_FRAMES = 4
# The bounds above for what is left of a face beside things: less skin agrees less by chance.
COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT = 0.3, 0.4
# Rise of the opacity per frame after a frame that was left: the paint does not pop up.
OPACITY_RISE = 1 / 3
# Mean difference that is left after the match from which the frame is reported; in clean film it is
# 0.020 at the most.
UNMATCHED_DIFFERENCE = 0.03
# The same from which smoke is looked for.
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


class LightTracker:
    """Match the light of a stream of frames; what a frame does not show is as in those before."""

    def __init__(self) -> None:
        self._fit = start_fit()
        # What is known of all frames of a stretch, and before its first one; and the stretch: its
        # shot, and whether it is gray.
        self._known = self._before = start_fit()
        self._known_stretch: tuple[int, bool] | None = None
        # Shot of the last frame, and whether it was gray.
        self._stretch: tuple[int, bool] | None = None
        # Frames in which the match leaves too much, and frames whose skin is not the references'.
        self.unmatched = 0
        self.disagreeing = 0
        # Painted frames whose light is clearly not that of the footage.
        self.relit = 0
        # Opacity of the paint in the last frame that was matched, from how well its skin agrees.
        self.opacity = 1.0
        # What lies over the face in the last frame, and what veils it.
        self.overlay: Overlay | None = None
        self.veil: Veil | None = None
        # Painted frames with such a veil, and frames until one is looked for again.
        self.veiled = 0
        self._unveiled_frames = 0
        # Whether it hid the mouth, and frames for which it does so after the last certain one.
        self._was_hidden = False
        self._hidden_frames_left = 0
        # Frames since it was found.
        self._lost_frames = 0
        # Frames in which something lies over the face for long enough, frames in a row that it does
        # so up to the last one, and frames whose mouth it hides.
        self.overlaid = 0
        self._overlaid_run = 0
        self.hidden = 0
        # How well the skin agrees, with what was seen before in the shot.
        self._agreement = 0.0

    def begin_shot(
        self,
        frames: Sequence[RenderInputs],
        mouths: Sequence[Callable[[], SkinCells | None]],
        shot: int,
    ) -> None:
        """Learn the light of a shot from its first frames, before the first of them is matched.

        Args:
            frames: inputs of the frames (B = 1 each).
            mouths: functions that return the cells of each frame's own mouth, called only where
                the light is another one than that of the footage.
            shot: number of the shot.
        """
        fit, stretch = None, None
        for inputs, look in zip(frames, mouths, strict=True):
            skin = FrameCells(inputs).compare_skin()
            if skin is None:
                continue
            cells = skin.pair_with_typical()
            gray = _is_gray(cells)
            if fit is None or stretch != (shot, gray):
                stretch, before = (shot, gray), start_fit(gray=gray)
            else:
                before = predict_fit(fit, *cells, gray=gray)
            fit = fit_light(*cells, before)
            if _measure_strength(fit, cells[0], cells[2], inputs) > 0:
                mouth = look()
                if mouth is not None and _agrees(fit, mouth):
                    fit = fit_light(*_join_cells(cells, mouth), before)
        if fit is not None:
            self._known, self._before, self._known_stretch = settle_fit(fit), fit, stretch

    def has_met(self, shot: int) -> bool:
        """Tell whether frames of a shot were matched already."""
        return self._stretch is not None and self._stretch[0] == shot

    def match(
        self, inputs: RenderInputs, shot: int, view: SceneView | None = None
    ) -> LightMatch | None:
        """Fit the match of one frame.

        Args:
            inputs: inputs of the frame (B = 1).
            shot: number of the frame's shot; light is not carried over a cut.
            view: what the frame shows, in which things before the face are found; None to look for
                none.

        Returns:
            The match, or None where the light is that of the footage.
        """
        frame = FrameCells(inputs)
        skin = frame.compare_skin()
        last_overlay, self.overlay, self.veil = self.overlay, None, None
        if skin is None:
            # Too little to see, such as a face at the frame's edge: the light stays what it was.
            self.opacity = 1.0
            if not self.has_met(shot):
                return None
            return self._strengthen(np.full((1, 3), 0.5), np.zeros((1, 2)), inputs)
        cells = skin.pair_with_typical()
        gray = _is_gray(cells)
        goes_on = self.has_met(shot)
        rise = OPACITY_RISE if goes_on else 1.0
        if self._stretch != (shot, gray):
            self._stretch = (shot, gray)
            if self._known_stretch != self._stretch:
                self._known = self._before = start_fit(gray=gray)
                self._known_stretch = self._stretch
            self._fit = self._before
        before = predict_fit(self._fit, *cells, gray=gray, known=self._known)
        fit, agreement = _fit_and_compare(skin, cells, before)
        look = None
        if view is not None and agreement >= CERTAIN_DISAGREEMENT:
            found, things = None, None
            look = look_quickly(inputs, view, frame.bring_to_scene(fit, half=True))
            if look.may_be_covered:
                things = find_things(inputs, view, frame.bring_to_scene(fit))
            # A face that agrees as it is has hair or a shadow before it, unless things are sure.
            agrees = agreement >= OPAQUE_AGREEMENT
            if things is not None and (things.is_sure or not agrees):
                found = outline_things(things)
            self._lost_frames = 0 if things is not None else self._lost_frames + 1
            if found is None and goes_on and 0 < self._lost_frames <= MAX_LOST_FRAMES:
                # A thing that is not found for a frame is there nevertheless.
                found = last_overlay
            clear = None if found is None else frame.compare_skin(found)
            if found is not None and clear is not None:
                clear_cells = clear.pair_with_typical()
                other_fit, other_agreement = _fit_and_compare(clear, clear_cells, before)
                explains = other_agreement >= agreement + OVERLAY_GAIN
                if found.is_sure or (explains and not agrees):
                    cells, self.overlay = clear_cells, found
                    fit, agreement = other_fit, other_agreement
                    if look.strange is not None:
                        # What looked strange may be skin in a light that the thing had altered.
                        look = look_quickly(inputs, view, frame.bring_to_scene(fit, half=True))
        self._fit = fit
        if goes_on and agreement >= CERTAIN_DISAGREEMENT:
            agreement = max(agreement, self._agreement - AGREEMENT_FALL)
        self._agreement = agreement
        left, opaque = LEFT_AGREEMENT, OPAQUE_AGREEMENT
        if self.overlay is not None:
            left, opaque = COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT
        share = (agreement - left) / (opaque - left)
        self.opacity = float(np.clip(share, 0, min(1.0, self.opacity + rise)))
        is_hidden = is_overlaid = False
        if look is not None:
            # A thing of the color of skin has no outline that could be kept.
            limit = MIN_STRANGE_PART if self._was_hidden and goes_on else COVERED_STRANGE_PART
            is_hidden = look.measure_strange_part(self.overlay) > limit
            # A thing before the lips hides them however small it is, and however dark: what lies
            # around them may be any color between those of skin and of an open mouth.
            share = KEPT_AROUND_LIPS if self._was_hidden and goes_on else AROUND_LIPS
            is_hidden = is_hidden or look.around_lips > share
        if self.overlay is not None and view is not None:
            share = SHOWN_LIPS if self._was_hidden and goes_on else HIDDEN_LIPS
            is_hidden = is_hidden or measure_hidden_lips(self.overlay, view) > share
            # Hair and collars at the jaw's border count for the light alone.
            inside = inputs.alpha[0, 0].cpu().numpy() > 0
            is_overlaid = not is_hidden and bool((self.overlay.mask & inside).any())
        if is_hidden:
            self._hidden_frames_left = MAX_LOST_FRAMES
        elif goes_on and self.overlay is not None and self._hidden_frames_left > 0:
            # A thing whose upper edge is not found for a frame hides the lips nevertheless.
            self._hidden_frames_left -= 1
            is_hidden = True
        else:
            self._hidden_frames_left = 0
        self._count_overlaid(is_overlaid and not is_hidden)
        self.hidden += is_hidden
        self.opacity = 0.0 if is_hidden else self.opacity
        self._was_hidden = is_hidden
        self.disagreeing += self.opacity == 0 and not is_hidden
        self._unveiled_frames = max(self._unveiled_frames - 1, 0) if goes_on else 0
        if view is not None and self.opacity > 0 and self._unveiled_frames == 0:
            self.veil = self._find_veil(frame, inputs, view)
            self._unveiled_frames = 0 if self.veil is not None else UNVEILED_FRAMES + 1
        self.veiled += self.veil is not None
        is_unmatched = self.veil is None and self._fit.residual > UNMATCHED_DIFFERENCE
        self.unmatched += self.opacity > 0 and is_unmatched
        match = self._strengthen(cells[0], cells[2], inputs)
        if match is not None and gray:
            return without_color(match)
        return match

    @property
    def left_reason(self) -> str:
        """Return why the last frame was left as it is, or ""."""
        if self.opacity > 0:
            return ""
        return "mouth hidden" if self._was_hidden else "not the actor's skin"

    def describe_unmatched(self) -> str:
        """Describe the frames that were not or hardly matched in one line; empty if all were."""
        parts = []
        if self.disagreeing:
            parts.append(
                f"{self.disagreeing} frames left as they are: what is seen around the mouth is not "
                "the actor's face where it was tracked (captions or things before it, a dissolve, "
                "a head upside down)"
            )
        if self.hidden:
            parts.append(
                f"{self.hidden} frames left as they are: something before the face hides the "
                "mouth, or has the color of skin"
            )
        if self.overlaid:
            parts.append(
                f"captions or other things lie over the face in {self.overlaid} frames, and were "
                "kept: look at the mouths beside them"
            )
        if self.veiled >= MIN_REPORTED_FRAMES:
            parts.append(
                f"smoke or a shadow lies over a part of the face in {self.veiled} frames, and over "
                "the painted mouth as well: look at it"
            )
        if self.unmatched:
            parts.append(
                f"the light of {self.unmatched} frames is unlike the actor's footage beyond what "
                "can be matched: look at their mouths"
            )
        return "; ".join(parts)

    def _find_veil(self, frame: FrameCells, inputs: RenderInputs, view: SceneView) -> Veil | None:
        """Find what veils a part of the face, where the match of the whole leaves much."""
        if self._fit.residual < VEILED_DIFFERENCE:
            return None
        hidden = cover_mouths(inputs, view)
        if self.overlay is not None:
            hidden |= self.overlay.mask
        compared = frame.compare_face(view.window, hidden)
        if compared is None:
            return None
        actor_colors, seen, known = compared
        positions = cell_positions(len(known))
        parameters = self._fit.parameters
        expected = predict_scene_colors(
            parameters, actor_colors.reshape(-1, 3), positions.reshape(-1, 2)
        ).reshape(seen.shape)
        # Nearly all clear faces end here, in a tenth of the time of a fit.
        if measure_smooth_difference(expected, seen, known) < CLEAR_DIFFERENCE:
            return None
        grays = np.repeat(VEIL_LEVELS[:, None], 3, 1)
        neutral = predict_scene_colors(parameters, grays, np.zeros((len(grays), 2)))
        depth = (self._fit.residual - FAINT_SHADOW) / (DEEP_SHADOW - FAINT_SHADOW)
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

    def _count_overlaid(self, is_overlaid: bool) -> None:
        """Count a frame that something lies over, with those before it once they are enough."""
        self._overlaid_run = self._overlaid_run + 1 if is_overlaid else 0
        if self._overlaid_run == MIN_REPORTED_FRAMES:
            self.overlaid += MIN_REPORTED_FRAMES
        elif self._overlaid_run > MIN_REPORTED_FRAMES:
            self.overlaid += 1

    def _strengthen(
        self,
        actor_colors: NDArray[np.float64],
        positions: NDArray[np.float64],
        inputs: RenderInputs,
    ) -> LightMatch | None:
        """The match as it acts: not at all where the light is that of the footage."""
        share = _measure_strength(self._fit, actor_colors, positions, inputs)
        if share <= 0:
            return None
        self.relit += share == 1 and self.opacity > 0
        parameters = IDENTITY + share * (self._fit.parameters - IDENTITY)
        return make_match(parameters, actor_colors.mean(0))


def _measure_strength(
    fit: LightFit,
    actor_colors: NDArray[np.float64],
    positions: NDArray[np.float64],
    inputs: RenderInputs,
) -> float:
    """How far a match acts: 0 where the light is that of the footage, to 1."""
    predicted = predict_scene_colors(fit.parameters, actor_colors, positions)
    difference = float(np.abs(predicted - actor_colors).mean())
    share = (difference - UNCHANGED_DIFFERENCE) / (CHANGED_DIFFERENCE - UNCHANGED_DIFFERENCE)
    if share < 1:
        # Pale skin hardly shows another saturation, and red lips do.
        certain = measure_mouth_change(fit, inputs) - UNCHANGED_MOUTH
        share = max(share, certain / (CHANGED_MOUTH - UNCHANGED_MOUTH))
    return min(max(share, 0.0), 1.0)


def measure_mouth_change(fit: LightFit, inputs: RenderInputs) -> float:
    """Measure how far a match certainly changes what is painted, in levels of [0, 1].

    Args:
        fit: the match and its certainty.
        inputs: inputs of the frame (B = 1).

    Returns:
        Mean absolute difference, less what it may be by chance, of the cells of the mask that
        change most.
    """
    mask = shrink_planes(to_array(inputs.alpha[:1]), CELL_PX)[0, 0] > 0.5
    if not mask.any():
        return 0.0
    grid = shrink_images(to_array(inputs.sampling_grid[0, :1]), CELL_PX)[:, mask]
    sampled = sample_planes(to_array(inputs.references[0, :1]), grid[:, None])
    colors = sampled[0, :, 0].T.astype(np.float64)
    positions = cell_positions(len(mask))[mask]
    predicted, slopes = predict_colors(fit.parameters, colors, positions)
    deviation = np.empty(predicted.shape)
    measure_deviations(slopes, np.linalg.inv(fit.information), deviation)
    certain = np.maximum(np.abs(predicted - colors) - CHANCE_DEVIATIONS * deviation, 0).mean(1)
    return float(np.quantile(certain, MOST_CHANGED_QUANTILE))


def _is_gray(cells: SkinCells) -> bool:
    """Tell whether all skin of the scene is gray."""
    return bool(np.ptp(cells[1], axis=1).max() < GRAY_CHROMA)


def _join_cells(first: SkinCells, second: SkinCells) -> SkinCells:
    colors, seen, positions = (np.concatenate(p) for p in zip(first, second, strict=True))
    return colors, seen, positions


def _agrees(fit: LightFit, mouth: SkinCells) -> bool:
    """Tell whether a mouth is that of the references: nothing hides it, and the mesh is right."""
    predicted = predict_scene_colors(fit.parameters, mouth[0], mouth[2])
    return measure_agreement(predicted, mouth[1], mouth[2]) >= OPAQUE_AGREEMENT


def _fit_and_compare(
    skin: SkinComparison, typical: SkinCells, before: LightFit
) -> tuple[LightFit, float]:
    """Fit the light to cells of typical skin, and measure how well the face agrees in it."""
    fit = fit_light(*typical, before)
    agreements = []
    for actor_colors, scene_colors, positions in skin.pair_with_each():
        predicted = predict_scene_colors(fit.parameters, actor_colors, positions)
        agreements.append(measure_agreement(predicted, scene_colors, positions))
    return fit, max(agreements)


def bring_to_actor_light(
    window: NDArray[np.uint8],  # [S, S, 3]
    inputs: RenderInputs,
    light: LightMatch,
) -> NDArray[np.uint8]:  # [S, S, 3]
    """Bring a frame's window from the scene's light into that of the actor's footage.

    Args:
        window: RGB, mouth included. [S, S, 3]
        inputs: inputs of the frame (B = 1).
        light: match of the frame.

    Returns:
        RGB. [S, S, 3]
    """
    colors = torch.from_numpy(window).to(inputs.scene).permute(2, 0, 1) / 255
    positions = window_positions(len(window)).to(colors)
    mean = torch.from_numpy(light.actor_color).to(colors)[:, None, None]
    if light.is_gray:
        # The hue of skin at the brightness of the scene. Hues of the references would show where
        # they lie, and the mesh would be aligned with them.
        expected = light.to_actor(colors, positions, mean.expand_as(colors))
        brightness = _luma(expected) / _luma(mean)
        return _to_window(mean * brightness)
    nearest = F.grid_sample(
        inputs.references[0, :1],
        inputs.sampling_grid[0, :1],
        padding_mode="border",
        align_corners=False,
    )[0]
    # Beside the face the references show nothing: there the face's mean color has to do.
    expected = torch.where(inputs.mesh_mask[0] > 0, nearest, mean)
    return _to_window(light.to_actor(colors, positions, expected))


def _luma(colors: Tensor) -> Tensor:
    """Luma of [3, H, W]. [H, W]"""
    return (colors * torch.from_numpy(LUMA_BT709).to(colors)[:, None, None]).sum(0)


def _to_window(colors: Tensor) -> NDArray[np.uint8]:
    """Convert [3, S, S] in [0, 1] to [S, S, 3] in 0 to 255, rounded."""
    levels = colors.clamp(0, 1) * 255 + 0.5
    return np.asarray(levels.byte().permute(1, 2, 0).cpu().numpy())
