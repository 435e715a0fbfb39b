"""Follow what lies over a face from frame to frame.

`dubfew.references.overlays` finds things in one frame. Here a thing that is not found for a frame
or two is there nevertheless, frames whose mouth it hides are left, and frames are counted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dubfew.references.inputs import RenderInputs
from dubfew.references.overlays import (
    COVERED_STRANGE_PART,
    MIN_STRANGE_PART,
    Overlay,
    QuickLook,
    SceneView,
    find_things,
    measure_hidden_lips,
    outline_things,
)

# Part of the scene's lips under solid things from which a frame is left, because no paint fits
# around them, and down to which the frames that follow are left, too. Two lines of a caption
# cover half of the lips at times, and paint above them looks right.
HIDDEN_LIPS, SHOWN_LIPS = 0.65, 0.4
# Part of the skin around the lips under one strange piece from which a frame is left, and down to
# which the frames that follow are. A gray microphone covers all of it; in clean film, and with a
# microphone beside the mouth, it is 0.02 at most.
AROUND_LIPS, KEPT_AROUND_LIPS = 0.7, 0.5
# Correlation of the chin below which a frame is left, because it is none, and up to which the
# frames that follow are. Curtains of the color of skin have 0.15 to 0.68, shadows of blinds 0.73,
# thick smoke 0.81, film of heads that turn 0.88.
HIDDEN_CHIN, SHOWN_CHIN = 0.7, 0.76
# Correlation from which on one such frame is not enough: a wide smile in a quick turn has 0.67 in
# one frame between clean ones.
DOUBTFUL_CHIN = 0.6
# Frames for which a thing that was found stays where it was.
MAX_LOST_FRAMES = 2
# Frames for which places that were searched in vain are not searched again, as long as no others
# come to them. Hair and the background beside a turned jaw are searched in most frames of a clip.
DISMISSED_FRAMES = 3
# Frames in a row from which things before the face are reported: captions and microphones stay for
# longer. At the far side of a turned jaw the background is taken for a thing in a frame or two, and
# kept, which is right.
MIN_REPORTED_FRAMES = 4


class ThingTracker:
    """Follow things before the face through a stream of frames.

    Attributes:
        overlay: what lies over the face in the last frame; None for nothing.
        hides_mouth: whether something hid the mouth in the last frame.
        overlaid: frames in which something lies over the face for long enough.
        hidden: frames whose mouth it hides.
    """

    def __init__(self) -> None:
        self.overlay: Overlay | None = None
        self.hides_mouth = False
        self.overlaid = 0
        self.hidden = 0
        # Whether the chin of the last frame was hardly one.
        self._chin_is_doubtful = False
        self._last_overlay: Overlay | None = None
        # Places that were searched in vain at half the size, and frames since then.
        self._dismissed: NDArray[np.bool_] | None = None
        self._dismissed_frames = 0
        # Frames since something was found, and frames in a row that something lies over the face.
        self._lost_frames = 0
        self._overlaid_run = 0
        # Frames for which the mouth stays hidden after the last one that is certain.
        self._hidden_frames_left = 0

    def begin_frame(self) -> None:
        """Take what was found before for the frame before."""
        self._last_overlay, self.overlay = self.overlay, None

    def search(
        self,
        look: QuickLook,
        inputs: RenderInputs,
        view: SceneView,
        bring_to_scene: Callable[[], NDArray[np.float32]],
        *,
        agrees: bool,
        goes_on: bool,
    ) -> Overlay | None:
        """Find what may lie over the face of a frame.

        Args:
            look: what a quick look has told.
            inputs: inputs of the frame (B = 1).
            view: what the frame shows.
            bring_to_scene: returns the references in the frame's pose and light, RGB in [0, 1].
                [K, 3, S, S]
            agrees: whether the face agrees as it is: then there is hair or a shadow before it,
                unless things are sure.
            goes_on: whether the shot began before.
        """
        if not (agrees and goes_on) or self._dismissed_frames >= DISMISSED_FRAMES:
            self._dismissed = None
        self._dismissed_frames += 1
        things = None
        if look.may_be_covered(self._dismissed):
            things = find_things(inputs, view, bring_to_scene())
            self._dismissed = None
        self._lost_frames = 0 if things is not None else self._lost_frames + 1
        found = None
        if things is not None and (things.is_sure or not agrees):
            found = outline_things(things)
        if found is None and goes_on and 0 < self._lost_frames <= MAX_LOST_FRAMES:
            # A thing that is not found for a frame is there nevertheless.
            found = self._last_overlay
        if found is None and agrees and self._dismissed is None:
            # A pixel around them, by which edges tremble.
            self._dismissed = np.asarray(binary_dilation(look.certain, np.ones((3, 3))))
            self._dismissed_frames = 0
        return found

    def finish_frame(
        self,
        look: QuickLook | None,
        inputs: RenderInputs,
        view: SceneView | None,
        goes_on: bool,
        chin: float | None = None,
    ) -> None:
        """Decide whether the mouth is hidden, once `overlay` is known, and count the frame.

        Args:
            look: what a quick look has told; None for no look.
            inputs: inputs of the frame (B = 1).
            view: what the frame shows, None if that is unknown.
            goes_on: whether the shot began before.
            chin: how well the chin agrees with the references; None where that is not in doubt.
        """
        is_hidden = self._hides_mouth(look, view, goes_on, chin)
        if is_hidden:
            self._hidden_frames_left = MAX_LOST_FRAMES
        elif goes_on and self.overlay is not None and self._hidden_frames_left > 0:
            # A thing whose upper edge is not found for a frame hides the lips nevertheless.
            self._hidden_frames_left -= 1
            is_hidden = True
        else:
            self._hidden_frames_left = 0
        is_overlaid = False
        if not is_hidden and self.overlay is not None and view is not None:
            # Hair and collars at the jaw's border count for the light alone.
            inside = inputs.alpha[0, 0].cpu().numpy() > 0
            is_overlaid = bool((self.overlay.mask & inside).any())
        self._count_overlaid(is_overlaid)
        self.hidden += is_hidden
        self.hides_mouth = is_hidden

    def _hides_mouth(
        self,
        look: QuickLook | None,
        view: SceneView | None,
        goes_on: bool,
        chin: float | None,
    ) -> bool:
        """Tell whether something certainly hides the mouth."""
        stays = self.hides_mouth and goes_on
        was_doubtful = self._chin_is_doubtful and goes_on
        self._chin_is_doubtful = chin is not None and chin < HIDDEN_CHIN
        limit = HIDDEN_CHIN if was_doubtful else DOUBTFUL_CHIN
        if chin is not None and chin < (SHOWN_CHIN if stays else limit):
            return True
        if look is not None:
            # A thing of the color of skin has no outline that could be kept.
            limit = MIN_STRANGE_PART if stays else COVERED_STRANGE_PART
            if look.measure_strange_part(self.overlay) > limit:
                return True
            # A thing before the lips hides them however small it is, and however dark: what lies
            # around them may be any color between those of skin and of an open mouth.
            if look.around_lips > (KEPT_AROUND_LIPS if stays else AROUND_LIPS):
                return True
        if self.overlay is None or view is None:
            return False
        return measure_hidden_lips(self.overlay, view) > (SHOWN_LIPS if stays else HIDDEN_LIPS)

    def _count_overlaid(self, is_overlaid: bool) -> None:
        """Count a frame that something lies over, with those before it once they are enough."""
        self._overlaid_run = self._overlaid_run + 1 if is_overlaid else 0
        if self._overlaid_run == MIN_REPORTED_FRAMES:
            self.overlaid += MIN_REPORTED_FRAMES
        elif self._overlaid_run > MIN_REPORTED_FRAMES:
            self.overlaid += 1
