"""Load the actor whose mouth is rendered, and check that they may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.adapt.artefact import ActorAdapter
from dubfew.prior.checkpoint import Prior
from dubfew.prior.locate import find_prior
from dubfew.prior.renderers import PaintingRenderer, Renderer
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.revision import Revision
from dubfew.speech.model import SpeechModel
from dubfew.speech.resolve_model import resolve_speech_model


@dataclass(frozen=True)
class LoadedActor:
    """An actor whose mouth can be rendered.

    Attributes:
        revision: the actor's revision in the registry.
        adapter: everything that is stored of the actor.
        speech_model: model that predicts mouth motion from audio.
        renderer: the prior's renderer with the actor's delta merged in.
        head: head model that the actor was tracked with.
        consent_note: one line about the actor's consent, or "".
    """

    revision: Revision
    adapter: ActorAdapter
    speech_model: SpeechModel
    renderer: Renderer | PaintingRenderer
    head: HeadModel
    consent_note: str


def load_actor(
    name: str,
    revision: int | None,
    registry: Registry,
    purpose: RenderPurpose,
    speech: Path | None,
) -> LoadedActor:
    """Load an actor, if a purpose is covered by the actor's consent.

    Args:
        name: id of the actor.
        revision: number of the revision; None for the newest.
        registry: registry that holds the actor.
        purpose: use, language, territory and project of the output.
        speech: place of the actor's speech model, if it was moved; None for where it was.

    Returns:
        The actor with a renderer, on the CPU.

    Raises:
        ActorNotFoundError: The actor or the revision does not exist.
        ConsentError: The actor's consent does not cover the purpose.
        SuspendedError: The actor is suspended.
        ArtefactError: The actor's prior or speech model is not there, or is another one.
    """
    stored, note = open_actor(name, revision, registry, purpose)
    return load_checked_actor(stored, note, registry, speech)


def open_actor(
    name: str, revision: int | None, registry: Registry, purpose: RenderPurpose
) -> tuple[Revision, str]:
    """Open an actor's revision, if a purpose is covered by the actor's consent.

    Args:
        name: id of the actor.
        revision: number of the revision; None for the newest.
        registry: registry that holds the actor.
        purpose: use, language, territory and project of the output.

    Returns:
        The revision, none of whose files was read, and one line about the actor's consent, or "".

    Raises:
        ActorNotFoundError: The actor or the revision does not exist.
        ConsentError: The actor's consent does not cover the purpose.
        SuspendedError: The actor is suspended.
    """
    stored = registry.open(name, revision)
    return stored, registry.check_render(stored, purpose)


def load_checked_actor(
    stored: Revision, consent_note: str, registry: Registry, speech: Path | None
) -> LoadedActor:
    """Load the files of an actor who may be rendered, with the prior and the speech model.

    Args:
        stored: the revision, from `open_actor`.
        consent_note: the line that came with it.
        registry: registry that holds the actor.
        speech: place of the actor's speech model, if it was moved; None for where it was.

    Returns:
        The actor with a renderer, on the CPU.

    Raises:
        ArtefactError: The actor's prior or speech model is not there, or is another one.
    """
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    model = resolve_speech_model(adapter.config.get("speech"), speech)
    prior = adapter.config["prior"]
    # A prior without weights, such as "warp", has no hash: it is found by its name.
    known = find_prior(registry.home, prior["sha256"]) if prior["sha256"] else None
    renderer = adapter.merge_with_prior(Prior.load(known or prior["name"]))
    head = load_head_model(adapter.config["head"])
    return LoadedActor(stored, adapter, model, renderer, head, consent_note)
