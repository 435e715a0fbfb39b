"""Match the light of an actor's references to a scene's, frame by frame.

`LightTracker` fits a `LightMatch` to the skin of each frame (`dubfew.references.skin_cells`,
`dubfew.references.light_fit`), and decides which frames are left as they are.

The scene is brought into the actor's light, in which the renderer was trained; the mouth is painted
there, and what is painted goes back by the exact inverse. A black and white scene therefore gets a
gray mouth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from torch import Tensor
from torch.nn import functional as F

from dubfew.references.chin_agreement import ChinTracker
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
    MIN_VIVID_FRACTION,
    Overlay,
    QuickLook,
    SceneView,
    cover_mouths,
    look_quickly,
)
from dubfew.references.skin_cells import (
    CELL_PX,
    FaceComparison,
    FrameCells,
    SkinCells,
    SkinComparison,
    cell_positions,
    window_positions,
)
from dubfew.references.thing_tracking import MIN_REPORTED_FRAMES, SHOWN_CHIN, ThingTracker
from dubfew.references.veil_tracking import VeilTracker
from dubfew.utils.counts import count_things
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
# Correlation above which nothing of the color of skin lies over the face. A curtain from the lips
# down had 0.69 at the most.
CERTAIN_AGREEMENT = 0.75
# Correlation below which a frame is left at once. Above it a head that turns or smiles as no
# reference does may be seen for some frames (0.41 on the actor's own footage), so what was seen
# before in the shot counts on. It falls by that much a frame: as in a dissolve of a second.
CERTAIN_DISAGREEMENT, AGREEMENT_FALL = 0.25, 0.04
# Mean difference, in levels of [0, 1], from which a cell beside the mouth shows another thing than
# the footage does there, in the light that a shot's own mouths tell: a bare neck where the footage
# has a turtleneck, and its shadow. Skin lies below it in any grade.
OTHER_THING_DIFFERENCE = 0.1
# Rise of the correlation without what was found over the face, from which it is believed. Without
# captions it was 0.40 to 0.78 where with them it was 0.30 to 0.47.
OVERLAY_GAIN = 0.06
# The bounds above for what is left of a face beside things: less skin agrees less by chance.
COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT = 0.3, 0.4
# Rise of the opacity per frame after a frame that was left: the paint does not pop up.
OPACITY_RISE = 1 / 3
# Mean difference that is left after the match from which the frame is reported; in clean film it is
# 0.020 at the most.
UNMATCHED_DIFFERENCE = 0.03


@dataclass(frozen=True)
class _SkinMatch:
    """Skin of a frame beside that of the references, the light fitted to it, and the correlation
    with that reference which resembles it most."""

    cells: SkinCells
    fit: LightFit
    agreement: float


class LightTracker:
    """Match the light of a stream of frames; what a frame does not show is as in those before."""

    def __init__(self) -> None:
        self._fit = start_fit()
        # What is known of all frames of a stretch, and before its first one; and the stretch: its
        # shot, and whether it is gray.
        self._known = self._before = start_fit()
        self._known_stretch: tuple[int, bool] | None = None
        # Cells of that shot that show other things than the footage, and tell nothing of its light.
        self._others: NDArray[np.bool_] | None = None
        # Shot of the last frame, and whether it was gray.
        self._stretch: tuple[int, bool] | None = None
        # What lies over the face, whether its chin is one, and what veils it.
        self.things = ThingTracker()
        self._chins = ChinTracker()
        self.veils = VeilTracker()
        # Frames in which the match leaves too much, and frames whose skin is not the references'.
        self.unmatched = 0
        self.disagreeing = 0
        # Painted frames whose light is clearly not that of the footage.
        self.relit = 0
        # Opacity of the paint in the last frame that was matched, from how well its skin agrees.
        self.opacity = 1.0
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
        skins = [FrameCells(inputs).compare_skin() for inputs in frames]
        known = [
            (skin, inputs, cache(look))
            for skin, inputs, look in zip(skins, frames, mouths, strict=True)
            if skin is not None
        ]
        self._others = None
        if not known:
            return
        fit, is_gray, pairs = _fit_begin(known, None)
        others = _find_other_things(pairs, gray=is_gray)
        if others is not None:
            self._others = others
            fit, is_gray, _ = _fit_begin(known, others)
        self._known, self._before = settle_fit(fit), fit
        self._known_stretch = (shot, is_gray)

    def has_met(self, shot: int) -> bool:
        """Tell whether frames of a shot were matched already."""
        return self._stretch is not None and self._stretch[0] == shot

    def match(
        self,
        inputs: RenderInputs,
        shot: int,
        view: SceneView | None = None,
        show_filmed: Callable[[], RenderInputs | None] | None = None,
    ) -> LightMatch | None:
        """Fit the match of one frame.

        Args:
            inputs: inputs of the frame (B = 1).
            shot: number of the frame's shot; light is not carried over a cut.
            view: what the frame shows, in which things before the face are found; None to look for
                none.
            show_filmed: returns the inputs with the mouth that the frame shows, if they are known;
                called only where the face may be covered, or veiled. None where ``inputs`` are
                they.

        Returns:
            The match, or None where the light is that of the footage.
        """
        frame = FrameCells(inputs)
        skin = frame.compare_skin()
        self.things.begin_frame()
        self.veils.begin_frame()
        if skin is None:
            # Too little to see, such as a face at the frame's edge: the light stays what it was.
            self.opacity = 1.0
            if not self.has_met(shot):
                return None
            return self._strengthen(np.full((1, 3), 0.5), np.zeros((1, 2)), inputs)
        others = self._others if self._known_shot == shot else None
        cells = skin.pair_with_typical(others)
        gray = _is_gray(cells)
        goes_on = self.has_met(shot)
        self._enter_stretch((shot, gray))
        before = predict_fit(self._fit, *cells, gray=gray, known=self._known)
        found, look = _match_skin(skin, cells, before), None
        if view is not None and found.agreement >= CERTAIN_DISAGREEMENT:
            found, look = self._look_beside_things(
                frame, inputs, view, found, before, others, goes_on
            )
        self._fit = found.fit
        self._update_opacity(found.agreement, goes_on)
        chin = None
        if view is not None and self.opacity > 0:
            compare = cache(
                partial(_compare_filmed, show_filmed or (lambda: inputs), view, self.things.overlay)
            )
            self.veils.look(compare, self._fit, goes_on=goes_on)
            chin = self._look_at_chin(compare, view, found.agreement, goes_on=goes_on)
        self.things.finish_frame(look, inputs, view, goes_on, chin)
        if self.things.hides_mouth:
            self.opacity = 0.0
        is_painted = self.opacity > 0
        self.disagreeing += not is_painted and not self.things.hides_mouth
        self.veils.finish_frame(is_painted=is_painted)
        is_unmatched = self.veils.veil is None and self._fit.residual > UNMATCHED_DIFFERENCE
        self.unmatched += is_painted and is_unmatched
        match = self._strengthen(found.cells[0], found.cells[2], inputs)
        if match is not None and gray:
            return without_color(match)
        return match

    def _enter_stretch(self, stretch: tuple[int, bool]) -> None:
        """Forget the light of the frame before if it is of another shot, or if one is gray."""
        if self._stretch == stretch:
            return
        self._stretch = stretch
        if self._known_stretch != stretch:
            self._known = self._before = start_fit(gray=stretch[1])
            self._known_stretch = stretch
        self._fit = self._before

    def _look_beside_things(
        self,
        frame: FrameCells,
        inputs: RenderInputs,
        view: SceneView,
        found: _SkinMatch,
        before: LightFit,
        others: NDArray[np.bool_] | None,
        goes_on: bool,
    ) -> tuple[_SkinMatch, QuickLook]:
        """Find things before the face, and match what they leave of it."""
        look = look_quickly(inputs, view, frame.bring_to_scene(found.fit, half=True))
        agrees = found.agreement >= OPAQUE_AGREEMENT
        overlay = self.things.search(
            look,
            inputs,
            view,
            partial(frame.bring_to_scene, found.fit),
            agrees=agrees,
            goes_on=goes_on,
        )
        clear = None if overlay is None else frame.compare_skin(overlay)
        if overlay is None or clear is None:
            return found, look
        other = _match_skin(clear, clear.pair_with_typical(others), before)
        explains = other.agreement >= found.agreement + OVERLAY_GAIN
        if not overlay.is_sure and (agrees or not explains):
            return found, look
        self.things.overlay = overlay
        if look.strange is not None:
            # What looked strange may be skin in a light that the thing had altered.
            look = look_quickly(inputs, view, frame.bring_to_scene(other.fit, half=True))
        return other, look

    def _look_at_chin(
        self,
        compare_filmed: Callable[[], FaceComparison | None],
        view: SceneView,
        agreement: float,
        *,
        goes_on: bool,
    ) -> float | None:
        """Measure how well the chin agrees, where the face around it leaves doubt."""
        overlay = self.things.overlay
        is_vivid = overlay is not None and overlay.vividness >= MIN_VIVID_FRACTION
        # A shadow has features of its own, which its fit explains.
        if agreement > CERTAIN_AGREEMENT or is_vivid or self.veils.is_certain:
            return None
        # Beside things less of a chin is seen, so that no earlier one tells enough.
        known = goes_on and overlay is None
        return self._chins.measure(
            compare_filmed, view, self._fit, goes_on=known, enough=SHOWN_CHIN
        )

    def _update_opacity(self, agreement: float, goes_on: bool) -> None:
        """Set the opacity of the paint by how well the skin agrees."""
        if goes_on and agreement >= CERTAIN_DISAGREEMENT:
            agreement = max(agreement, self._agreement - AGREEMENT_FALL)
        self._agreement = agreement
        left, opaque = LEFT_AGREEMENT, OPAQUE_AGREEMENT
        if self.things.overlay is not None:
            left, opaque = COVERED_LEFT_AGREEMENT, COVERED_OPAQUE_AGREEMENT
        share = (agreement - left) / (opaque - left)
        rise = OPACITY_RISE if goes_on else 1.0
        self.opacity = float(np.clip(share, 0, min(1.0, self.opacity + rise)))

    @property
    def _known_shot(self) -> int | None:
        """Return the shot of which something is known before its frames are matched."""
        return None if self._known_stretch is None else self._known_stretch[0]

    @property
    def left_reason(self) -> str:
        """Return why the last frame was left as it is, or ""."""
        if self.opacity > 0:
            return ""
        return "mouth hidden" if self.things.hides_mouth else "not the actor's skin"

    def describe_unmatched(self) -> str:
        """Describe the frames that were not or hardly matched in one line; empty if all were."""
        parts = []
        hidden, overlaid, veiled = self.things.hidden, self.things.overlaid, self.veils.veiled
        if self.disagreeing:
            parts.append(
                f"{count_things(self.disagreeing, 'frame')} left as filmed: what is seen around "
                "the mouth is not the actor's face where it was tracked (captions or things before "
                "it, a dissolve, a head upside down)"
            )
        if hidden:
            parts.append(
                f"{count_things(hidden, 'frame')} left as filmed: something before the face hides "
                "the mouth, or has the color of skin"
            )
        if overlaid:
            parts.append(
                "captions or other things lie over the face in "
                f"{count_things(overlaid, 'frame')}, and were kept: look at the mouths beside them"
            )
        if veiled >= MIN_REPORTED_FRAMES:
            parts.append(
                f"smoke or a shadow lies over a part of the face in {veiled} frames, and over "
                "the painted mouth as well: look at it"
            )
        if self.unmatched:
            parts.append(
                f"the light of {count_things(self.unmatched, 'frame')} is unlike the actor's "
                "footage beyond what can be matched: look at their mouths"
            )
        return "; ".join(parts)

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


def _compare_filmed(
    show_filmed: Callable[[], RenderInputs | None], view: SceneView, overlay: Overlay | None
) -> FaceComparison | None:
    """Compare the face of a frame with the references by the mouth that it shows.

    Args:
        show_filmed: returns the inputs with that mouth, if they are known.
        view: what the frame shows.
        overlay: what lies over the face, and is not compared; None for nothing.

    Returns:
        The cells; None where the mouth is not known, or too little is seen.
    """
    own = show_filmed()
    if own is None:
        return None
    hidden = cover_mouths(own, view)
    if overlay is not None:
        hidden |= overlay.mask
    return FrameCells(own).compare_face(view.planes, hidden)


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


# Skin of a frame at the begin of a shot, its inputs, and what returns the cells of its own
# mouth.
_BeginFrame = tuple[SkinComparison, RenderInputs, Callable[[], SkinCells | None]]


def _fit_begin(
    frames: Sequence[_BeginFrame], others: NDArray[np.bool_] | None
) -> tuple[LightFit, bool, list[tuple[SkinComparison, SkinCells]]]:
    """Fit the light of a shot to its first frames, at least one.

    Args:
        frames: the frames.
        others: cells that show other things than the footage, or None. [H, W]

    Returns:
        The fit; whether the scene is gray at its end; skin and mouth of the frames whose mouth
        helped.
    """
    fit, was_gray = None, False
    pairs = []
    for skin, inputs, look in frames:
        cells = skin.pair_with_typical(others)
        gray = _is_gray(cells)
        if fit is None or was_gray != gray:
            before = start_fit(gray=gray)
        else:
            before = predict_fit(fit, *cells, gray=gray)
        fit, was_gray = fit_light(*cells, before), gray
        if _measure_strength(fit, cells[0], cells[2], inputs) > 0:
            mouth = look()
            if mouth is not None and _agrees(fit, mouth):
                fit = fit_light(*_join_cells(cells, mouth), before)
                pairs.append((skin, mouth))
    assert fit is not None
    return fit, was_gray, pairs


def _find_other_things(
    pairs: Sequence[tuple[SkinComparison, SkinCells]], *, gray: bool
) -> NDArray[np.bool_] | None:
    """Find the cells that show other things than the footage, in most of some frames. [H, W]

    The mouths tell the light: beside them all of it may be another collar, or its shadow.

    Args:
        pairs: skin and mouths of the frames.
        gray: whether the scene is black and white.

    Returns:
        The cells, and those beside them; None where there are none.
    """
    if not pairs:
        return None
    votes = np.zeros(pairs[0][0].known.shape)
    for skin, mouth in pairs:
        cells = skin.pair_with_typical()
        fit = fit_light(*_join_cells(cells, mouth), start_fit(gray=gray))
        predicted = predict_scene_colors(fit.parameters, cells[0], cells[2])
        votes += skin.draw(np.abs(predicted - cells[1]).mean(1) > OTHER_THING_DIFFERENCE, cells)
    others = 2 * votes >= len(pairs)
    return np.asarray(binary_dilation(others)) if others.any() else None


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


def _match_skin(skin: SkinComparison, cells: SkinCells, before: LightFit) -> _SkinMatch:
    """Fit the light to cells of typical skin, and measure how well the face agrees in it."""
    fit = fit_light(*cells, before)
    agreements = []
    for actor_colors, scene_colors, positions in skin.pair_with_each():
        predicted = predict_scene_colors(fit.parameters, actor_colors, positions)
        agreements.append(measure_agreement(predicted, scene_colors, positions))
    return _SkinMatch(cells, fit, max(agreements))


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
