"""``render``: track the scene, move its mouth, paint it, write it, all streaming."""

from __future__ import annotations

import dataclasses
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dubfew.adapt.pipeline import pick_device, resized
from dubfew.marks.certificate import signing_identity
from dubfew.marks.credentials import Rendering, place_of
from dubfew.marks.payload import new_id
from dubfew.marks.watermark import Marker
from dubfew.media import AudioSource, VideoWriter, read_audio
from dubfew.media.codecs import choose_encoding
from dubfew.motion.extraction import motion_of_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.detection.segmentation import DEFAULT, face_parser
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.registry.policy import Purpose
from dubfew.render.background import BackgroundKeeper
from dubfew.render.compositing import Painter
from dubfew.render.driving import audio_motion, check_drive, check_reach, known_sounds, video_motion
from dubfew.render.load import Actor, Sources, choose_sources, open_actor, scene_track
from dubfew.render.plot import check_plot, plot_motion
from dubfew.render.publish import finish
from dubfew.render.schedule import plan
from dubfew.render.streaming import drawn, painted
from dubfew.render.transitions import eased, left_as_is, presence
from dubfew.speech.transcript.align import known_language
from dubfew.speech.transcript.transcript import read_transcript
from dubfew.speech.visemes import Phone
from dubfew.utils.files import check_output
from dubfew.utils.prefetch import beside


@dataclass(frozen=True)
class RenderResult:
    """What ``render`` did.

    Attributes:
        output: the file.
        frames: written.
        edited_frames: in which a mouth was painted.
        fps: frame rate, exact.
        seconds: track, drive, inputs, align, network, composite, total (stages run side by side, so
            they may add up to more than the total).
        peak_rss_mb: largest resident memory of the process so far.
        note: one line about what was decided, or "".
        watermark: id of the one in the mouth, or None where it was switched off.
        credentials: the file that holds the Content Credentials: the output, or one beside it.
    """

    output: Path
    frames: int
    edited_frames: int
    fps: Fraction
    seconds: dict[str, float]
    peak_rss_mb: float
    note: str
    watermark: str | None
    credentials: Path


def render(
    actor: str,
    *,
    video: Path | str | None = None,
    audio: Path | str | None = None,
    face: str | None = None,
    segmenter: str = DEFAULT,
    drive: str = "audio",
    driver: Path | str | None = None,
    transcript: Path | str | None = None,
    language: str | None = None,
    recognise: bool = False,
    use: str | None = None,
    territory: str | None = None,
    project: str | None = None,
    reach: float = 1.0,
    fit: str | None = None,
    out: Path | str | None = None,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    revision: int | None = None,
    registry: Registry | None = None,
    plot: Path | str | None = None,
    speech: Path | str | None = None,
    watermark: bool = True,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> RenderResult:
    """Make an actor speak new audio in a scene.

    Args:
        actor: id in the registry.
        video: the scene; by default the footage that the actor was adapted on.
        face: whose mouth it is in the scene, as ``choose_person`` reads it; by default who is most
            like the actor, see ``most_like``, and where nobody is, who is seen most.
        segmenter: one of ``SEGMENTERS``; with "facer", frames with something before the mouth that
            it sees are left as they are, too.
        audio: new speech; by default the scene's own sound.
        drive: "audio"; "video" (mouth of ``driver``); "self" (the scene's own mouth motion:
            re-enactment, for measuring).
        driver: video of another performance.
        transcript: what the audio says, as a script or subtitles (.srt, .vtt).
        recognise: let PocketSphinx listen as well, which sharpens the motion; it knows American
            English, and hears the nearest of its sounds in other languages.
        language: what is spoken, such as "de" or "pt-BR"; a transcript needs it.
        use: what the output is for, as the actor's consent record calls it, such as "dubbing".
        territory: the country that it is for, such as "AT".
        project: the production that it is for. These four are checked against the record.
        reach: how far audio may open the mouth, as a multiple of the widest opening that the
            actor's footage supports.
        fit: "trim", "loop" or "hold", see `plan`.
        out: where to; ``<actor>-dubbed.mp4`` in the working directory by default.
        codec: video encoder.
        crf: its quality.
        lossless: lose nothing.
        revision: of the actor; the newest by default.
        speech: where the actor's own speech model is now, if it has moved since they were adapted.
        plot: a picture to draw the opening of the lips over the sound into, .png, .svg or .pdf.
        watermark: mark the mouth invisibly; the credentials say so where it is switched off.
        registry: where the actor is; the user's own by default.
        device: "auto", "cpu" or "cuda".
        progress: told of every stage.

    Raises:
        ActorNotFoundError: no such actor, or it was deleted meanwhile; no output is left then.
        ConsentError: the actor's consent does not cover it.
        SuspendedError: the actor is suspended, or was meanwhile; no output is left then.
        AuditError: the audit log cannot be written; no output is left then.
        MediaError: a file cannot be read or written.
        NoFaceError: the scene shows no face.
        DubfewError: the wishes contradict each other, or the transcript is not what is said.
        MissingDependencyError: what a transcript, recognition or the segmenter needs is not there.
    """
    began = time.monotonic()
    driver, transcript = _path(driver), _path(transcript)
    # What was asked for wrongly is said before minutes of work.
    check_drive(drive, driver, transcript, language, recognise)
    cues = read_transcript(transcript) if transcript is not None else ()
    if cues and language is not None:
        known_language(language)
    check_reach(reach)
    device = pick_device(device)
    registry = registry or Registry()
    purpose = Purpose(use, language, territory, project)
    who = open_actor(actor, revision, registry, purpose, _path(speech))
    sources = choose_sources(who.adapter, drive, _path(video), _path(audio), driver)
    info, sound = sources.info, sources.sound
    output = _path(out) or Path(f"{actor}-dubbed.mp4")
    check_output(output, sources.scene, sound, driver, transcript)
    plot = _path(plot)
    if plot is not None:
        check_plot(plot)
        check_output(plot, sources.scene, sound, driver)
    choose_encoding(output, info, codec, crf, lossless)
    parser = face_parser(segmenter)
    identity = signing_identity(registry.home)
    phones = known_sounds(sound, cues, language, recognise) if sound is not None else ()
    track, whose = scene_track(sources.scene, who, face, parser, progress)
    tracked = time.monotonic()

    shown = plan(track.times, info.fps, sources.new_seconds, fit)
    track = dataclasses.replace(track.select(shown.rows), times=shown.times)
    track = _driven(track, sources, who, phones, reach, progress)
    motion = motion_of_track(track, who.head)
    driven = time.monotonic()

    seconds = {"track": tracked - began, "drive": driven - tracked}
    track_of_sound = None
    if sound is not None:
        end = float(shown.times[-1]) + float(1 / info.fps)
        track_of_sound = AudioSource(sound, duration=end, pad=False)
    marker = Marker(new_id()) if watermark else None
    prior = who.adapter.config["prior"]
    consent = who.stored.consent
    rendering = Rendering(
        scene=sources.scene,
        sound=sound if sound != sources.scene else None,
        drive=drive,
        prior=prior["name"],
        prior_sha256=prior["sha256"],
        consent_sha256=consent.sha256 if consent else None,
        watermark=marker.id if marker else None,
    )

    def seal(file: Path) -> None:
        finish(file, output, rendering, identity, purpose, registry, who.stored)

    with (
        BackgroundKeeper() as background,
        VideoWriter(
            output,
            info,
            audio=track_of_sound,
            codec=codec,
            crf=crf,
            lossless=lossless,
            seal=seal,
        ) as writer,
    ):
        painter = Painter(
            who.renderer,
            who.adapter.texture,
            who.adapter.references,
            resized(who.adapter.references, who.renderer.config.window),
            who.head,
            device,
            background,
            # Only here do the frames show the mouths that are wanted.
            aligns=drive == "self",
            marker=marker,
        )
        count = 0
        # Closed here, so that on an error no thread still paints with what is closed next.
        with (
            closing(beside(shown.frames(sources.scene, info.fps))) as frames,
            closing(beside(drawn(frames, track, motion, who.head, painter))) as drawings,
            closing(beside(painted(drawings, painter))) as done,
        ):
            for frame in done:
                who.stored.check()  # once deleted, the actor is rendered no further
                writer.write(frame)
                count += 1
                progress(Progress("render", count, len(shown.rows)))
        who.stored.check()
    if plot is not None:
        plot_motion(plot, motion, read_audio(sound) if sound else None, output.name)
    return RenderResult(
        output=output,
        frames=count,
        edited_frames=int(track.usable[:count].sum()),
        fps=info.fps,
        seconds={**seconds, **painter.seconds, "total": time.monotonic() - began},
        peak_rss_mb=peak_rss_mb(),
        note="; ".join(note for note in (shown.note, who.note, whose, left_as_is(track)) if note),
        watermark=rendering.watermark,
        credentials=place_of(output),
    )


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _driven(
    track: Track,
    sources: Sources,
    who: Actor,
    phones: tuple[Phone, ...],
    reach: float,
    progress: ProgressCallback,
) -> Track:
    """The scene's track with the mouth that is wanted."""
    if sources.drive == "audio" and sources.sound is not None:
        wanted = audio_motion(
            sources.sound, track.times, who.adapter.style, who.model, phones, reach
        )
        return eased(track, retarget(track, who.head, wanted), presence(track))
    if sources.drive == "video" and sources.driver is not None:
        shown = who.adapter.references.motion
        own = MouthMotion(shown, np.arange(len(shown), dtype=np.float64))
        wanted = video_motion(sources.driver, track.times, own, who.head, progress)
        return eased(track, retarget(track, who.head, wanted), presence(track))
    return track


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
