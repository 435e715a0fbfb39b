"""Learning on: new footage joins what is stored of an actor, as a new revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from dubfew.adapt.artefact import MAX_ADDED_TRACKS, ActorAdapter
from dubfew.adapt.methods._base import AdaptationMethod, NamedTensors
from dubfew.adapt.options import AdaptOptions
from dubfew.errors import ActorNotFoundError, ArtefactError, DubfewError
from dubfew.prior.checkpoint import Prior
from dubfew.prior.locate import find_prior
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES, Footage, resize_footage
from dubfew.registry import Registry
from dubfew.registry.revision import Revision
from dubfew.speech.parameter_style import ParameterStyle
from dubfew.speech.style import SpeakingStyle
from dubfew.textures.neural import NeuralTexture

# Distance between the numbers of frames of different clips: more than any gap between a target and
# its references, so that the frames of another clip are always far enough.
CLIP_GAP_FRAMES = 1000


@dataclass(frozen=True)
class AdapterStart:
    """Where a training goes on.

    Attributes:
        weights: delta against the prior's weights, as the method stores it.
        texture: the actor's texture. [C, H, W]
    """

    weights: NamedTensors
    texture: Tensor

    def restore(self, model: nn.Module, texture: NeuralTexture, method: AdaptationMethod) -> None:
        """Set a trainable renderer and a new texture to this state.

        Raises:
            ArtefactError: The state does not fit, or the method cannot go on from one.
        """
        if method.restore_delta is None:
            raise ArtefactError("this method cannot learn on: adapt anew, without --add")
        try:
            method.restore_delta(model, self.weights)
            texture.features.data[0].copy_(self.texture)
        except (KeyError, RuntimeError) as error:
            raise ArtefactError(
                "the actor's weights do not fit its prior: adapt anew, without --add"
            ) from error


def open_known_actor(name: str, registry: Registry) -> Revision:
    """Open the revision that new footage is added to.

    Args:
        name: id of the actor.
        registry: registry that holds the actor.

    Raises:
        ActorNotFoundError: The actor does not exist.
        SuspendedError: The actor is suspended.
    """
    try:
        found = registry.open(name)
    except ActorNotFoundError as error:
        raise ActorNotFoundError(f"{error}; --add adds to an actor who is there") from error
    registry.check_suspension(found)
    return found


def follow_actor(
    options: AdaptOptions, base: ActorAdapter, registry: Registry
) -> tuple[AdaptOptions, Prior]:
    """Set the options that an actor's stored state decides, and load its prior.

    Args:
        options: options as the user gave them.
        base: what is stored.
        registry: registry of the actor, which knows where priors are.

    Raises:
        ArtefactError: The prior is not there or is another one.
        DubfewError: The prior paints, or the actor has learned from too many clips.
    """
    config = base.config
    if base.crops is not None:
        raise DubfewError("--add takes actors of priors that blend, this one's paints: adapt anew")
    if len(base.added_tracks) >= MAX_ADDED_TRACKS:
        raise DubfewError(
            f"this actor has learned from {MAX_ADDED_TRACKS + 1} clips: adapt anew with the best"
        )
    stored = config["prior"]
    # A prior without weights has no hash: it is found by its name.
    known = find_prior(registry.home, stored["sha256"]) if stored["sha256"] else None
    prior = Prior.load(options.prior or known or stored["name"])
    base.check_prior(prior)
    rank = config["options"].get("rank")
    return replace(options, method=config["method"], rank=rank, head=config["head"]), prior


def join_footage(base: Footage, new: Footage, size: int, *, same_clip: bool) -> Footage:
    """Put stored windows before new ones.

    Args:
        base: the stored windows.
        new: the new ones.
        size: edge of the joined windows, px.
        same_clip: whether both are frames of one file, whose numbers can be compared.
    """
    base, new = resize_footage(base, size), resize_footage(new, size)
    if not same_clip:
        shift = int(base.frames.max(initial=0)) + CLIP_GAP_FRAMES
        new = replace(new, frames=new.frames + shift)
    return Footage(
        *(np.concatenate([getattr(base, name), getattr(new, name)]) for name in FOOTAGE_ARRAY_NAMES)
    )


def join_styles(base: SpeakingStyle, new: SpeakingStyle, frames: tuple[int, int]) -> SpeakingStyle:
    """Average two styles by the lengths of their footage; the wider mouth of the two counts.

    Args:
        base: the stored style.
        new: that of the new footage.
        frames: number of frames that each was fitted to.

    Returns:
        The average; ``new`` where the two belong to different speech models.
    """
    if base.basis.shape != new.basis.shape or not np.allclose(base.basis, new.basis, atol=1e-5):
        return new
    share = np.float32(frames[1] / max(sum(frames), 1))
    return SpeakingStyle(
        new.basis,
        base.gain + share * (new.gain - base.gain),
        base.offset + share * (new.offset - base.offset),
        max(base.max_aperture, new.max_aperture),
        new.picture_lag,
        _join_parameters(base.parameters, new.parameters, share),
    )


def _join_parameters(
    base: ParameterStyle | None, new: ParameterStyle | None, share: np.float32
) -> ParameterStyle | None:
    """Average scales and shifts of parameters on the new footage's head and rest pose."""
    if base is None or new is None or base.head != new.head or len(base.scale) != len(new.scale):
        return new or base
    return replace(
        new,
        scale=base.scale + share * (new.scale - base.scale),
        shift=base.shift + share * (new.shift - base.shift),
    )


def is_same_clip(base: ActorAdapter, sha256: str) -> bool:
    """Return whether new footage is of the file that an actor was first learned from."""
    return bool(base.config["source"]["sha256"] == sha256)


def list_sources(base: ActorAdapter) -> Sequence[dict[str, object]]:
    """List the clips that were added before, as the configuration notes them."""
    return [dict(each) for each in base.config["source"].get("added", ())]


def describe_added(video: Path, sha256: str, first: int, frames: int) -> dict[str, object]:
    """Describe an added clip for the configuration."""
    return {"path": str(video.resolve()), "sha256": sha256, "first": first, "frames": frames}
