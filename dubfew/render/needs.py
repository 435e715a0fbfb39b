"""What a dub needs that the actor's footage never showed, in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dubfew.adapt.artefact import ActorAdapter
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.track import Track
from dubfew.render.coverage import (
    GAP_LIMITS,
    MIN_TEETH_SHARE,
    POSE_MARGIN_DEGREES,
    find_calmest_row,
    find_missing_sounds,
    measure_teeth,
    read_footage_tracks,
)
from dubfew.render.report import measure_unseen_mouths
from dubfew.speech.visemes import Phone
from dubfew.utils.arrays import FloatArray

# Part of the painted frames, and their number, from which a need is named: fewer are a moment in
# which the tracker may err.
MIN_NEEDED_PART, MIN_NEEDED_FRAMES = 0.02, 3
# Factor over the widest gap of the footage from which an opening is wider: landmarks err by less.
WIDER_FACTOR = 1.05
# Gap of the lips from which teeth can be seen, inter-ocular distances: "half open".
TEETH_GAP = GAP_LIMITS[1]


@dataclass(frozen=True)
class DubNeeds:
    """What the painted frames of a dub need beyond the actor's footage.

    Attributes:
        frames: painted frames.
        wider: frames whose lips open wider than the footage.
        widest_gap: widest gap of these frames, inter-ocular distances.
        shown_gap: widest gap of the footage.
        shapes: frames whose mouth the footage lacks, see `measure_unseen_mouths`.
        teeth: frames open enough for teeth, where no stored picture shows any; else 0.
        turned: frames in which the head is turned or nods farther than the footage shows and a mesh
            carries well.
        farthest: how much farther, degrees.
        sounds: sounds of the line that the footage lacks, where its phonemes are known.
        relit: frames in another light than the footage.
    """

    frames: int
    wider: int
    widest_gap: float
    shown_gap: float
    shapes: int
    teeth: int
    turned: int
    farthest: float
    sounds: tuple[str, ...]
    relit: int

    def describe(self) -> str:
        """Describe the needs in one line; empty where the footage shows all."""
        parts = []
        if self._is_worth(self.wider):
            parts.append(
                f"wider openings ({self.wider} frames, to {self.widest_gap:.2f} of the eyes' "
                f"distance, the footage to {self.shown_gap:.2f})"
            )
        if self._is_worth(self.shapes):
            parts.append(f"other shapes of the mouth ({self.shapes})")
        if self._is_worth(self.teeth):
            parts.append(f"teeth, which no stored picture shows ({self.teeth} open frames)")
        if self.sounds:
            parts.append(f"the sounds {' '.join(self.sounds)}")
        if self._is_worth(self.turned):
            parts.append(f"heads turned {self.farthest:.0f} degrees farther ({self.turned})")
        if self._is_worth(self.relit):
            parts.append(f"another light ({self.relit}, matched)")
        if not parts:
            return ""
        return (
            f"of {self.frames} painted frames some need what the actor's footage never showed: "
            f"{', '.join(parts)}"
        )

    def _is_worth(self, count: int) -> bool:
        """Return whether so many frames are worth naming."""
        return count >= max(MIN_NEEDED_FRAMES, MIN_NEEDED_PART * self.frames)


def measure_needs(
    adapter: ActorAdapter,
    head: HeadModel,
    track: Track,
    motion: MouthMotion,
    painted: NDArray[np.bool_],
    *,
    relit: int,
    mouth_in_scene: bool,
    phones: Sequence[Phone] = (),
) -> DubNeeds:
    """Measure what the painted frames of a render need beyond the actor's footage.

    Args:
        adapter: everything that is stored of the actor.
        head: the actor's head model.
        track: N frames with their new mouths.
        motion: mouth motion of that track.
        painted: True for each frame in which a mouth was painted, from the first on; later ones
            were not. [M], M at most N
        relit: frames in another light than the footage.
        mouth_in_scene: whether the frames' own mouths are rendered, see `choose_references`.
        phones: phonemes of the line; empty where they are not known.
    """
    footage = read_footage_tracks(adapter)
    rows = np.flatnonzero(painted)
    if not len(rows):
        return DubNeeds(0, 0, 0.0, 0.0, 0, 0, 0, 0.0, (), 0)
    track = track.select(rows)
    gaps = motion.aperture()[rows]
    shown_gap = max(float(motion_from_track(each, head).aperture().max()) for each in footage)
    # Poses are counted apart: here all heads are turned as the actor's usually is.
    calm = footage[0].rotation[[find_calmest_row(footage[0])]]
    unseen = measure_unseen_mouths(
        dataclasses.replace(track, rotation=calm.repeat(len(track), 0)),
        footage[0],
        head,
        adapter.references,
        mouth_in_scene=mouth_in_scene,
    )
    beyond = _measure_turn_beyond(
        track.rotation, np.concatenate([each.rotation for each in footage])
    )
    turned = beyond > POSE_MARGIN_DEGREES
    open_frames = int((gaps > TEETH_GAP).sum())
    lacks_teeth = open_frames > 0 and measure_teeth(adapter, head) < MIN_TEETH_SHARE
    return DubNeeds(
        frames=len(rows),
        wider=int((gaps > WIDER_FACTOR * shown_gap).sum()),
        widest_gap=float(gaps.max()),
        shown_gap=shown_gap,
        shapes=int((unseen > 1).sum()),
        teeth=open_frames if lacks_teeth else 0,
        turned=int(turned.sum()),
        farthest=float(beyond.max()),
        sounds=_find_spoken_sounds(phones, adapter, head),
        relit=relit,
    )


def _measure_turn_beyond(
    rotations: FloatArray,  # [N, 3]
    shown: FloatArray,  # [M, 3]
) -> NDArray[np.float64]:  # [N]
    """Measure how far heads are turned or nod beyond those that were shown, degrees.

    A tilt is left out: it turns the picture, which the mesh does without loss.
    """
    needed, known = (
        Rotation.from_rotvec(each).as_euler("YXZ", degrees=True)[:, :2]
        for each in (rotations, shown)
    )
    beyond = np.maximum(known.min(0) - needed, needed - known.max(0))
    return np.maximum(beyond, 0).max(1)


def _find_spoken_sounds(
    phones: Sequence[Phone], adapter: ActorAdapter, head: HeadModel
) -> tuple[str, ...]:
    """Find the sounds of a line that the footage lacks; none where phonemes are not known."""
    return find_missing_sounds(adapter, head, {each.symbol for each in phones}) if phones else ()
