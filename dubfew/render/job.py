"""Everything that a render needs, loaded and checked before the first minutes of work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubfew.marks.certificate import SigningIdentity, load_signing_identity
from dubfew.media.audio import MixedSound
from dubfew.media.codecs import choose_encoding
from dubfew.reconstruction.segmenters import Segmenter, load_face_parser
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.render.corrections import check_corrections
from dubfew.render.driving import check_drive
from dubfew.render.load import LoadedActor, load_actor
from dubfew.render.options import RenderOptions
from dubfew.render.output_name import check_outputs, resolve_output
from dubfew.render.redo import Passage, resolve_passage
from dubfew.render.sound import parse_mix
from dubfew.render.sources import RenderSources, resolve_sources
from dubfew.speech.style import SpeakingStyle
from dubfew.speech.transcript.align import resolve_language
from dubfew.speech.transcript.find_phones import phones_from_audio
from dubfew.speech.transcript.transcript import TranscriptCue, read_transcript
from dubfew.speech.visemes import Phone
from dubfew.takes.take import Take
from dubfew.utils.device import resolve_device


@dataclass(frozen=True)
class RenderJob:
    """One render, ready to begin.

    Attributes:
        options: options as the user gave them.
        registry: registry that holds the actor.
        purpose: use, language, territory and project that the actor's consent was checked for.
        actor: the actor whose mouth is rendered.
        sources: files that the render is made from.
        output: file to write.
        plot: picture of the mouth's motion to write, or None.
        mix: sound that is mixed into the new speech, or None.
        passage: passage of an earlier output that is rendered anew, or None for the whole scene.
        device: "cpu" or "cuda".
        parser: segmenter that finds objects before the mouth, or None.
        identity: key and certificate that sign the output.
        phones: phonemes of the audio with their times; empty if they are not known.
        take: mouth motion to render, for the drive "motion" alone.
    """

    options: RenderOptions
    registry: Registry
    purpose: RenderPurpose
    actor: LoadedActor
    sources: RenderSources
    output: Path
    plot: Path | None
    mix: MixedSound | None
    passage: Passage | None
    device: str
    parser: Segmenter | None
    identity: SigningIdentity
    phones: tuple[Phone, ...]
    take: Take | None = None

    @property
    def style(self) -> SpeakingStyle:
        """The actor's speaking style in the form that the options name.

        Raises:
            ArtefactError: The actor has none of this form.
        """
        return self.actor.adapter.style.with_form(self.options.style)


def prepare_job(
    actor: str,
    options: RenderOptions,
    registry: Registry,
    load: Callable[..., LoadedActor] = load_actor,
) -> RenderJob:
    """Load and check everything that a render needs.

    Args:
        actor: id of the actor in the registry.
        options: options of the render.
        registry: registry that holds the actor.
        load: loads the actor, with the arguments of `load_actor`.

    Returns:
        The job.

    Raises:
        DubfewError: Options contradict each other, or the transcript does not match the audio.
        ActorNotFoundError: The actor does not exist.
        ConsentError: The actor's consent does not cover this use.
        SuspendedError: The actor is suspended.
        ArtefactError: The actor's prior or speech model is not there, or is another one.
        MediaError: A file cannot be read, or the output cannot be written.
        MissingDependencyError: A package that an option needs is not installed.
    """
    driver, transcript = _to_path(options.driver), _to_path(options.transcript)
    motion = _to_path(options.motion)
    check_drive(options.drive, driver, transcript, options.language, options.recognise, motion)
    check_corrections(options)
    cues = read_transcript(transcript) if transcript is not None else ()
    if cues and options.language is not None:
        resolve_language(options.language)
    # Everything below reads files; the cheap checks of options come first.
    take = None if motion is None else Take.load(motion)
    device = resolve_device(options.device)
    purpose = RenderPurpose(options.use, options.language, options.territory, options.project)
    # Consent is checked before the scene is opened.
    loaded = load(actor, options.revision, registry, purpose, _to_path(options.speech))
    loaded.adapter.style.with_form(options.style)  # raises where the actor has none of this form
    sources = resolve_sources(
        loaded.adapter.config,
        options.chosen_drive,
        _to_path(options.video),
        _to_path(options.audio),
        driver,
        options.audio_track,
        options.fit,
    )
    output = resolve_output(loaded.revision.actor, options, sources.scene, sources.audio, driver)
    plot = _to_path(options.plot)
    # No output may overwrite an input, or a file that is there unless the user allows it.
    others = (driver, transcript, _to_path(options.into), motion, _to_path(options.proxy))
    check_outputs(output, plot, options, sources.scene, sources.audio, *others)
    # Raises if container, encoder and quality do not go together.
    choose_encoding(
        output,
        sources.scene_info,
        options.codec,
        options.crf,
        options.lossless,
        options.preset,
        like_source=options.like_source,
    )
    return RenderJob(
        options=options,
        registry=registry,
        purpose=purpose,
        actor=loaded,
        sources=sources,
        output=output,
        plot=plot,
        passage=resolve_passage(options, sources.scene_info, sources.replacing_sound),
        mix=None if options.mix is None else parse_mix(options.mix, sources.scene),
        device=device,
        parser=load_face_parser(options.segmenter),
        identity=load_signing_identity(registry.home),
        phones=_find_phones(sources, cues, options),
        take=take,
    )


def _find_phones(
    sources: RenderSources, cues: Sequence[TranscriptCue], options: RenderOptions
) -> tuple[Phone, ...]:
    """Phonemes of the audio, from its transcript or by recognition."""
    if sources.audio is None or sources.drive != "audio":
        return ()
    return phones_from_audio(
        sources.audio,
        cues,
        options.language,
        options.recognise,
        track=sources.audio_track,
        seconds=sources.needed_seconds,
    )


def _to_path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
