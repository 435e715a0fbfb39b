"""Whose mouth is rendered, and from what: loaded and checked before the work begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.adapt.artefact import ActorAdapter
from dubfew.errors import MediaError
from dubfew.media import VideoInfo, probe, read_audio
from dubfew.media.speech_span import SpeechSpan, find_speech_span
from dubfew.prior.checkpoint import Prior
from dubfew.prior.locate import find_prior
from dubfew.prior.renderers import Renderer
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.registry.revision import Revision
from dubfew.render.precheck import resolve_scene_path
from dubfew.speech.model import SpeechModel
from dubfew.speech.resolve_model import resolve_speech_model


@dataclass(frozen=True)
class RenderSources:
    """What a render is made from.

    Attributes:
        drive: "audio", "video" or "self".
        scene: the video to paint in.
        scene_info: of the scene.
        audio: that is heard with it, or None.
        new_sound: length of sound that is not the scene's own, and of the speech in it, or None.
        driver: the performance for "video".
    """

    drive: str
    scene: Path
    scene_info: VideoInfo
    audio: Path | None
    new_sound: SpeechSpan | None
    driver: Path | None


@dataclass(frozen=True)
class LoadedActor:
    """Whose mouth is rendered.

    Attributes:
        revision: in the registry.
        adapter: what was learned.
        speech_model: that moves their mouth from audio.
        renderer: the prior with what was learned.
        head: that they were tracked with.
        consent_note: one line about their consent, or "".
    """

    revision: Revision
    adapter: ActorAdapter
    speech_model: SpeechModel
    renderer: Renderer
    head: HeadModel
    consent_note: str


def load_actor(
    name: str,
    revision: int | None,
    registry: Registry,
    purpose: RenderPurpose,
    speech: Path | None,
) -> LoadedActor:
    """Load an actor who may be rendered for this purpose.

    Raises:
        ActorNotFoundError: no such actor.
        ConsentError: their consent does not cover it.
        SuspendedError: they are suspended.
        ArtefactError: their prior or speech model is not there, or another one.
    """
    stored = registry.open(name, revision)
    note = registry.check_render(stored, purpose)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.file_names()})
    model = resolve_speech_model(adapter.config.get("speech"), speech)
    prior = adapter.config["prior"]
    # One without weights is known by its name alone.
    known = find_prior(registry.home, prior["sha256"]) if prior["sha256"] else None
    renderer = adapter.merge_with_prior(Prior.load(known or prior["name"]))
    return LoadedActor(
        stored, adapter, model, renderer, load_head_model(adapter.config["head"]), note
    )


def resolve_sources(
    adapter: ActorAdapter,
    drive: str,
    video: Path | None,
    audio: Path | None,
    driver: Path | None,
) -> RenderSources:
    """Find what a render is made from; see ``render`` for what is taken by default.

    Raises:
        MediaError: something cannot be read, or there is nothing to speak.
    """
    scene = resolve_scene_path(video, adapter.config)
    info = probe(scene)
    sound = audio or (scene if info.has_audio else None)
    if drive == "audio" and sound is None:
        raise MediaError(f"{scene} has no sound to speak: give --audio, or --drive self")
    new_sound = find_speech_span(read_audio(audio)) if audio is not None else None
    if driver is not None:
        probe(driver)
    return RenderSources(drive, scene, info, sound, new_sound, driver)
