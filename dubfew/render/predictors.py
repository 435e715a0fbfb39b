"""The predictor of an actor's renderer, whichever family it is of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dubfew.errors import ArtefactError
from dubfew.prior.renderers import PaintingRenderer
from dubfew.prior.renderers._painting import NO_SOUND
from dubfew.reconstruction.track import Track
from dubfew.render.load import LoadedActor
from dubfew.render.painting import DrivingSound, PaintingPredictor
from dubfew.render.prediction import MouthPredictor
from dubfew.render.tasks import ReferenceSet


def make_predictor(
    actor: LoadedActor,
    device: str,
    track: Track,
    read_sound: Callable[[], DrivingSound],
    *,
    align_meshes: bool = False,
) -> MouthPredictor | PaintingPredictor:
    """Make what predicts an actor's mouths.

    Args:
        actor: the actor.
        device: "cpu" or "cuda".
        track: the output's frames with the mouths to render.
        read_sound: reads what a painting renderer hears; called for those that hear something.
        align_meshes: whether the frames show the mouths that are rendered. A painting renderer has
            no use for it.

    Raises:
        ArtefactError: The actor's prior paints crops that the actor does not have.
    """
    renderer, adapter = actor.renderer, actor.adapter
    stored = adapter.references
    if not isinstance(renderer, PaintingRenderer):
        return MouthPredictor(
            renderer,
            adapter.texture,
            ReferenceSet.from_footage(stored, renderer.config.window),
            actor.head,
            device,
            align_meshes=align_meshes,
        )
    crops = adapter.crops
    if crops is None or crops.layout != renderer.config.layout:
        raise ArtefactError(
            f"the actor {actor.revision.actor} has no crops of {renderer.config.layout!r}, which "
            "this prior paints: adapt anew"
        )
    hears = renderer.config.sound != NO_SOUND
    silence = DrivingSound(np.zeros(0, np.float32), track.times)
    return PaintingPredictor(
        renderer,
        adapter.texture,
        crops,
        ReferenceSet(stored, stored),
        actor.head,
        device,
        track,
        read_sound() if hears else silence,
    )
