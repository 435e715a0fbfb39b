"""Whose mouth is rendered, and from what: loaded and checked before the work begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.adapt.artefact import TRACK, ActorAdapter
from dubfew.errors import MediaError
from dubfew.media import VideoInfo, probe, read_audio
from dubfew.prior.checkpoint import Prior
from dubfew.prior.locate import find_prior
from dubfew.prior.renderers import Renderer
from dubfew.progress import ProgressCallback
from dubfew.reconstruction.detection.detection import detect
from dubfew.reconstruction.detection.segmentation import Segmenter
from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_person
from dubfew.reconstruction.visibility.parsed_occlusion import with_occluders
from dubfew.registry import Registry
from dubfew.registry.policy import Purpose
from dubfew.registry.revision import Revision
from dubfew.render.actor_matching import most_like
from dubfew.speech.model import SpeechModel
from dubfew.speech.resolve_model import model_of_actor
from dubfew.utils.files import sha256_file


@dataclass(frozen=True)
class Sources:
    """What a render is made from.

    Attributes:
        drive: "audio", "video" or "self".
        scene: the video to paint in.
        info: of the scene.
        sound: that is heard with it, or None.
        new_seconds: of speech that is not the scene's own, or None.
        driver: the performance for "video".
    """

    drive: str
    scene: Path
    info: VideoInfo
    sound: Path | None
    new_seconds: float | None
    driver: Path | None


@dataclass(frozen=True)
class Actor:
    """Whose mouth is rendered.

    Attributes:
        stored: in the registry.
        adapter: what was learned.
        model: that moves their mouth from audio.
        renderer: the prior with what was learned.
        head: that they were tracked with.
        note: one line about their consent, or "".
    """

    stored: Revision
    adapter: ActorAdapter
    model: SpeechModel
    renderer: Renderer
    head: HeadModel
    note: str


def open_actor(
    name: str,
    revision: int | None,
    registry: Registry,
    purpose: Purpose,
    speech: Path | None,
) -> Actor:
    """Load an actor who may be rendered for this purpose.

    Raises:
        ActorNotFoundError: no such actor.
        ConsentError: their consent does not cover it.
        SuspendedError: they are suspended.
        ArtefactError: their prior or speech model is not there, or another one.
    """
    stored = registry.open(name, revision)
    note = registry.check_render(stored, purpose)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.names()})
    model = model_of_actor(adapter.config.get("speech"), speech)
    prior = adapter.config["prior"]
    # One without weights is known by its name alone.
    known = find_prior(registry.home, prior["sha256"]) if prior["sha256"] else None
    renderer = adapter.renderer(Prior.load(known or prior["name"]))
    return Actor(stored, adapter, model, renderer, load_head(adapter.config["head"]), note)


def choose_sources(
    adapter: ActorAdapter,
    drive: str,
    video: Path | None,
    audio: Path | None,
    driver: Path | None,
) -> Sources:
    """Find what a render is made from; see ``render`` for what is taken by default.

    Raises:
        MediaError: something cannot be read, or there is nothing to speak.
    """
    scene = scene_path(video, adapter)
    info = probe(scene)
    sound = audio or (scene if info.has_audio else None)
    if drive == "audio" and sound is None:
        raise MediaError(f"{scene} has no sound to speak: give --audio, or --drive self")
    seconds = read_audio(audio).duration if audio is not None else None
    if driver is not None:
        probe(driver)
    return Sources(drive, scene, info, sound, seconds, driver)


def scene_path(video: Path | None, adapter: ActorAdapter) -> Path:
    """The scene to render.

    Raises:
        MediaError: the footage of the actor is no longer where it was.
    """
    if video is not None:
        return video
    path = Path(adapter.config["source"]["path"])
    if not path.exists():
        raise MediaError(f"the footage {path} is no longer there: give the scene with --video")
    return path


def scene_track(
    scene: Path,
    who: Actor,
    face: str | None,
    parser: Segmenter | None,
    progress: ProgressCallback,
) -> tuple[Track, str]:
    """The scene's track, and one line about whose it is, or "".

    The actor's own footage was tracked when they were adapted. Where a scene shows several people
    and ``face`` does not say which, it is who is most like the actor. A ``parser`` of faces looks
    for things before the mouth, too.
    """
    track, note = _tracked(scene, who, face, progress)
    if parser is not None:
        track = with_occluders(scene, track, parser, who.head, progress=progress)
    return track, note


def _tracked(
    scene: Path, who: Actor, face: str | None, progress: ProgressCallback
) -> tuple[Track, str]:
    source = who.adapter.config["source"]
    if face is None and sha256_file(scene) == source["sha256"]:
        own = Track.from_bytes(who.adapter.track, f"{TRACK} of {who.stored.actor}")
        if source["complete"]:
            return own, ""
    seen = detect(scene, progress=progress)
    note = ""
    if face is None and len(seen.people) > 1:
        person, note = most_like(seen.people, who.stored.actor, who.adapter, who.head)
        face = str(person.number)
    return track_person(scene, seen, face, head=who.head), note
