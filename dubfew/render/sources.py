"""Find the files that a render is made from; they are probed, not read through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubfew.errors import MediaError
from dubfew.media import VideoInfo, probe
from dubfew.media.field_search import find_field_order
from dubfew.media.fields import stated_fields
from dubfew.media.log_curves import stated_input_transform
from dubfew.media.speech_span import SpeechSpan, read_speech_span
from dubfew.media.speech_track import SpeechTrack, find_speech_track
from dubfew.render.options import RenderOptions
from dubfew.render.precheck import resolve_scene_path

# Sound after the last frame that a render reads, s: speech models look half a second ahead, and
# measure the level of a sentence over the whole of it.
SOUND_AFTER_SECONDS = 30.0


@dataclass(frozen=True)
class RenderSources:
    """Files that a render is made from.

    Attributes:
        drive: source of the mouth's motion: "audio", "video" or "self".
        scene: video whose mouth is painted.
        scene_info: properties of the scene.
        audio: sound of the output, or None.
        new_sound: length of sound that is not the scene's own, and of the speech in it, or None.
        driver: performance that drives the mouth, for "video" alone.
        start: time of the scene's first frame on the clock of sound and driver, s; above 0 for the
            excerpt of a preview.
        original: scene that an excerpt was cut from, or None.
        audio_track: number of the track of ``audio`` that moves the mouth, from 1; None is its main
            one.
        scene_track: number of the scene's track that new sound takes the place of, from 1; None is
            its main one.
        note: one line about the choice of tracks, or "".
        field_order: order of the scene's fields where each is painted as a frame, and
            ``scene_info`` counts them as frames; 0 where frames are painted.
        written_aspect: shape of pixels that the scene states and the output keeps, where the face
            shows that it is another one; None where it is right.
        needed_seconds: time up to which ``audio`` is read, s; None is all of it.
    """

    drive: str
    scene: Path
    scene_info: VideoInfo
    audio: Path | None
    new_sound: SpeechSpan | None
    driver: Path | None
    start: float = 0.0
    original: Path | None = None
    audio_track: int | None = None
    scene_track: int | None = None
    note: str = ""
    field_order: int = 0
    written_aspect: Fraction | None = None
    needed_seconds: float | None = None

    @property
    def written_info(self) -> VideoInfo:
        """Return the properties of the video to write: fields are woven into frames again."""
        info = replace(
            self.scene_info, sample_aspect=self.written_aspect or self.scene_info.sample_aspect
        )
        if not self.field_order:
            return info
        return replace(info, fps=info.fps / 2, field_order=self.field_order, frames=None)

    @property
    def filmed(self) -> Path:
        """Return the video that the user named, whether or not an excerpt of it is painted."""
        return self.original or self.scene

    @property
    def replacing_sound(self) -> Path | None:
        """Return the file whose sound takes the place of the scene's own; None without one."""
        return self.audio if self.audio != self.filmed else None


@contextmanager
def stated_scene(sources: RenderSources, curve: str | None) -> Iterator[RenderSources]:
    """State how a render's scene is read: its log curve, and whether its fields are frames.

    Args:
        sources: files of the render.
        curve: name of the log curve, or None.

    Yields:
        The same files with the properties that the scene has when it is read like that.

    Raises:
        MediaError: The scene cannot be read.
    """
    order = find_field_order(sources.scene_info)
    with stated_input_transform(sources.scene, curve), stated_fields(sources.scene, order):
        info = probe(sources.scene) if order else sources.scene_info
        info = replace(info, log_curve=curve or "")
        yield replace(sources, scene_info=info, field_order=order)


def find_input_transform(
    options: RenderOptions, sources: RenderSources, config: Mapping[str, Any]
) -> str | None:
    """Return the log curve of the scene: as stated now, or when the actor was learned from it.

    Args:
        options: options of the render.
        sources: files of the render.
        config: config of the actor.
    """
    source = config["source"]
    if options.input_transform is None and sources.filmed == Path(source["path"]):
        stored = source.get("input_transform")
        return None if stored is None else str(stored)
    return options.input_transform


def resolve_sources(
    config: Mapping[str, Any],
    drive: str,
    video: Path | None,
    audio: Path | None,
    driver: Path | None,
    audio_track: int | None = None,
    fit: str | None = None,
) -> RenderSources:
    """Find the files that a render is made from, with the defaults of ``RenderOptions``.

    Args:
        config: config of the actor, which names the footage that they were adapted on.
        drive: source of the mouth's motion.
        video: the scene; None for that footage.
        audio: new speech; None for the scene's own sound.
        driver: performance that drives the mouth, or None.
        audio_track: number of the track that is spoken, from 1, in ``audio`` or else in the scene;
            None searches.
        fit: what happens where new sound is longer than the scene. With "trim" the sound is read no
            farther than a render needs it: a mix of three hours may lie on a scene of seconds.

    Raises:
        MediaError: A file cannot be read, or there is nothing to speak.
    """
    scene = resolve_scene_path(video, config)
    info = probe(scene)
    # The scene's own sound stays unless there is a new one, whatever moves the mouth.
    sound = audio or (scene if info.has_audio else None)
    if drive == "audio" and sound is None:
        raise MediaError(f"{scene} has no sound to speak: give --audio, or --drive self")
    # The track that is spoken, and the one of the scene that it takes the place of.
    spoken = replaced = SpeechTrack(None)
    if sound is not None:
        spoken = replaced = find_speech_track(sound, audio_track)
    if audio is not None and info.has_audio:
        replaced = find_speech_track(scene)
    # Only new sound may be longer than the picture.
    # Without a stated length of the scene nobody knows yet where its sound is cut.
    needed = info.duration + SOUND_AFTER_SECONDS if fit == "trim" and info.duration else None
    new_sound = (
        read_speech_span(audio, track=spoken.number, seconds=needed) if audio is not None else None
    )
    is_whole = new_sound is None or new_sound.is_whole
    if driver is not None:
        # Raises if the file is no video, before minutes of work.
        probe(driver)
    return RenderSources(
        drive,
        scene,
        info,
        sound,
        new_sound,
        driver,
        audio_track=spoken.number,
        scene_track=replaced.number,
        note=spoken.note,
        needed_seconds=None if is_whole else needed,
    )
