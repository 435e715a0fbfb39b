"""Plan of a render: what will be made from what, known before any of the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from dubfew.media.audio import AudioReader, MixedSound
from dubfew.media.codecs import choose_encoding
from dubfew.media.facts import read_facts
from dubfew.media.forecast import forecast_output
from dubfew.media.info import format_video
from dubfew.media.log_curves import stated_input_transform
from dubfew.media.speech_span import SpeechSpan
from dubfew.registry import Registry
from dubfew.render.losses import find_replaced_track
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import resolve_output
from dubfew.render.preview import find_preview_part, shrink_info
from dubfew.render.schedule import count_output_seconds, describe_fit
from dubfew.render.sound import describe_mix_peak, list_output_sounds, parse_mix
from dubfew.render.sources import RenderSources, find_input_transform, resolve_sources
from dubfew.render.take_notes import describe_take
from dubfew.takes.take import Take
from dubfew.utils.options import document_options, merge_options
from dubfew.utils.work_pace import WorkPace, count_frame_units, format_estimate


@dataclass(frozen=True)
class SoundFacts:
    """Properties of a sound track, from its header.

    Attributes:
        path: file that holds it.
        seconds: length that the file states, s; None where it states none.
        rate: sample rate, Hz.
        layout: FFmpeg's name of the channel layout, such as "stereo".
    """

    path: Path
    seconds: float | None
    rate: int
    layout: str


@dataclass(frozen=True)
class RenderPlan:
    """What a render will do. Nothing was tracked or rendered for it.

    Attributes:
        actor: id of the actor.
        revision: number of the revision that is rendered.
        scene: video whose mouth is painted.
        width: width of the scene, px.
        height: height of the scene, px.
        fps: frame rate of the scene.
        scene_seconds: length of the scene, s.
        face: which face of the scene is painted, in words.
        mouth: what moves it, in words.
        sound: main sound of the output, or None.
        mix: sound that is mixed into it, or None.
        mix_note: what happens where the mix is louder than a sound file can hold, or "".
        kept_tracks: numbers of the scene's other sound tracks, which stay tracks of the output.
        new_sound: length of sound that is not the scene's own, and of the speech in it, or None.
        length_note: what happens where sound and picture differ in length, or "".
        preview_start: time in the scene at which the preview begins, s; None for the whole scene.
        into: earlier output of which a passage is rendered anew, or None.
        passage: that passage in words, or "".
        warnings: what of the scene will be converted, dropped or replaced, one line each.
        output: file to write, absolute.
        output_seconds: length of the output, s.
        seconds: estimated time of the work, s.
        is_measured: True if the estimate rests on earlier renders on this machine.
    """

    actor: str
    revision: int
    scene: Path
    width: int
    height: int
    fps: Fraction
    scene_seconds: float
    face: str
    mouth: str
    sound: SoundFacts | None
    mix: MixedSound | None
    mix_note: str
    kept_tracks: tuple[int, ...]
    new_sound: SpeechSpan | None
    length_note: str
    preview_start: float | None
    into: Path | None
    passage: str
    warnings: tuple[str, ...]
    output: Path
    output_seconds: float
    seconds: float
    is_measured: bool

    def describe(self) -> list[tuple[str, str]]:
        """Describe the plan for readers, as pairs of a title and one line."""
        lines = [
            ("Actor", f"{self.actor}, revision {self.revision}"),
            (
                "Scene",
                format_video(self.scene, self.scene_seconds, self.width, self.height, self.fps),
            ),
            ("Face", self.face),
            ("Mouth", self.mouth),
            ("Sound", _describe_sound(self.sound)),
        ]
        # Only what differs from a plain render is shown, so that what is unusual can be seen.
        if self.mix is not None:
            track = "" if self.mix.track is None else f", track {self.mix.track}"
            lines.append(
                ("Mixed in", f"{self.mix.path.absolute()}{track}, {self.mix.gain_db:+g} dB")
            )
        if self.mix_note:
            lines.append(("Level", self.mix_note))
        if self.kept_tracks:
            numbers = ", ".join(map(str, self.kept_tracks))
            lines.append(("Kept", f"sound tracks of the scene as tracks of their own: {numbers}"))
        if self.preview_start is not None:
            lines.append(
                (
                    "Preview",
                    f"{self.output_seconds:.1f} s from {self.preview_start:.1f} s on, at half the "
                    "size: not the final",
                )
            )
        if self.into is not None:
            lines.append(("Passage", f"{self.passage}; all else is {self.into.absolute()}"))
        if self.length_note:
            lines.append(("Length", self.length_note))
        # Notes stand near the end: the last lines are those that a terminal shows.
        lines += [("Note", line) for line in self.warnings]
        lines.append(("Time", format_estimate(self.seconds, is_measured=self.is_measured)))
        lines.append(("Output", f"{self.output} ({self.output_seconds:.1f} s)"))
        return lines


@document_options(RenderOptions)
def plan_render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    **overrides: Any,
) -> RenderPlan:
    """Plan a render from the headers of its files and the length of its sound.

    ``dubfew.plan_render`` is this function; its documentation lists the errors.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own.
    """
    options = merge_options(RenderOptions, options, overrides)
    registry = registry or Registry()
    stored = registry.open(actor, options.revision)
    return plan_render_of(stored.actor, stored.number, stored.config, options, registry)


def plan_render_of(
    actor: str,
    revision: int,
    config: Mapping[str, Any],
    options: RenderOptions,
    registry: Registry,
) -> RenderPlan:
    """Plan a render of a revision that is known, or of one that is still to be learned.

    Args:
        actor: id of the actor.
        revision: number of the revision.
        config: config of the revision, of which the footage counts.
        options: options of the render.
        registry: registry that has measured paces of this machine.

    Raises:
        MediaError: A file cannot be read.
    """
    sources = resolve_sources(
        config,
        options.chosen_drive,
        _to_path(options.video),
        _to_path(options.audio),
        _to_path(options.driver),
        options.audio_track,
        options.fit,
    )
    output = resolve_output(actor, options, sources.scene, sources.audio, sources.driver)
    info = sources.scene_info
    # Containers without a stated length are as long as their frames say.
    seconds = info.duration or (info.frames or 0) / float(info.fps)
    output_seconds = count_output_seconds(seconds, sources.new_sound, options.fit)
    length_note = describe_fit(seconds, sources.new_sound, options.fit)
    mix = None if options.mix is None else parse_mix(options.mix, sources.scene)
    sounds = list_output_sounds(sources, mix, output_seconds)
    # What is tracked and painted: the scene, or a small part of it.
    painted, tracked_seconds, preview_start = info, seconds, None
    if options.preview:
        preview_start, end = find_preview_part(sources, options.from_seconds, options.to_seconds)
        painted, length_note, sounds = shrink_info(info), "", sounds[:1]
        output_seconds = tracked_seconds = end - preview_start
    frame_units = count_frame_units(float(info.fps), painted.width, painted.height)
    pace = WorkPace(registry.home)
    # Around a passage the frames of the earlier output are kept.
    painted_seconds = output_seconds
    if options.into is not None and None not in (options.from_seconds, options.to_seconds):
        last = min(options.to_seconds or 0.0, output_seconds)
        painted_seconds = max(0.0, last - (options.from_seconds or 0.0))
    work = {
        "start": 1.0,
        "paint": painted_seconds * frame_units,
        "keep": (output_seconds - painted_seconds) * frame_units,
    }
    # The track of the actor's own footage is stored with them.
    if options.preview or options.face is not None or not _is_own_footage(config, sources):
        work["track"] = tracked_seconds * frame_units
    return RenderPlan(
        actor=actor,
        revision=revision,
        scene=sources.scene,
        width=info.width,
        height=info.height,
        fps=info.fps,
        scene_seconds=seconds,
        face=f"the one that is most like {actor}"
        if options.face is None
        else f"--face {options.face}",
        mouth=_describe_mouth(options, sources),
        sound=None
        if sources.audio is None
        else read_sound_facts(sources.audio, sources.audio_track),
        mix=mix,
        mix_note=describe_mix_peak(sounds),
        kept_tracks=tuple(each.track for each in sounds if each.track is not None),
        new_sound=sources.new_sound,
        length_note=length_note,
        preview_start=preview_start,
        into=_to_path(options.into),
        passage=f"{options.from_seconds:g} s to {options.to_seconds:g} s"
        if options.into is not None
        else "",
        warnings=_list_warnings(
            options, sources, output, find_input_transform(options, sources, config), output_seconds
        )
        + describe_take(
            None if options.motion is None else Take.load(options.motion), sources, config
        ),
        output=output.absolute(),
        output_seconds=output_seconds,
        seconds=pace.estimate_seconds(work),
        is_measured=pace.is_measured("paint"),
    )


def _is_own_footage(config: Mapping[str, Any], sources: RenderSources) -> bool:
    """Return whether the scene is the footage that the actor was learned from, used as a whole."""
    source = config["source"]
    return bool(source["complete"]) and sources.scene == Path(source["path"])


def _list_warnings(
    options: RenderOptions,
    sources: RenderSources,
    output: Path,
    input_transform: str | None,
    seconds: float,
) -> tuple[str, ...]:
    """List what of a scene will be converted, dropped or replaced."""
    encoding = choose_encoding(
        output,
        sources.scene_info,
        options.codec,
        options.crf,
        options.lossless,
        like_source=options.like_source,
    )
    lines = [sources.note] if sources.note else []
    if not options.preview:
        with stated_input_transform(sources.scene, input_transform):
            scene = read_facts(sources.scene, fields=True)
            lines += forecast_output(
                scene,
                output,
                encoding,
                seconds=seconds,
                replaced=find_replaced_track(sources, scene),
            )
    return tuple(lines)


def read_sound_facts(path: Path, track: int | None = None) -> SoundFacts:
    """Read the properties of a file's sound track.

    Args:
        path: video or audio file.
        track: number of the sound track, from 1; None is the main one.

    Raises:
        MediaError: The file is unreadable or has no sound track.
    """
    with AudioReader(path, track) as reader:
        return SoundFacts(path, reader.duration, reader.rate, reader.layout)


def _describe_sound(sound: SoundFacts | None) -> str:
    """Describe the sound of the output in one line."""
    if sound is None:
        return "none"
    length = "" if sound.seconds is None else f"{sound.seconds:.1f} s, "
    return f"{sound.path.absolute()} ({length}{sound.rate} Hz, {sound.layout})"


def _describe_mouth(options: RenderOptions, sources: RenderSources) -> str:
    """Describe what moves the mouth, and the corrections that the user asked for."""
    if sources.drive == "self":
        return "as in the scene"
    leaders = {"audio": "the sound", "video": sources.driver, "motion": options.motion}
    words = [f"follows {leaders[sources.drive]}"]
    if options.offset:
        when = "later" if options.offset > 0 else "earlier"
        words.append(f"{abs(options.offset):g} ms {when}")
    if options.open != 1:
        words.append(f"opening x {options.open:g}")
    return ", ".join(words)


def _to_path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
