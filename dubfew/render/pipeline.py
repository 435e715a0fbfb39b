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

from dubfew.adapt.pipeline import resize_footage, resolve_device
from dubfew.marks.certificate import load_signing_identity
from dubfew.marks.credentials import RenderProvenance, credentials_path
from dubfew.marks.payload import generate_watermark_id
from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import AudioSource, VideoWriter, read_audio
from dubfew.media.codecs import choose_encoding
from dubfew.motion.extraction import motion_from_track
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.motion.retargeting import retarget_mouth
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.segmenters import DEFAULT_SEGMENTER, load_face_parser
from dubfew.reconstruction.track import Track
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.driving import (
    check_drive,
    check_mouth_gain,
    motion_from_audio,
    motion_from_video,
    phones_from_audio,
)
from dubfew.render.load import LoadedActor, RenderSources, load_actor, resolve_sources, track_scene
from dubfew.render.plot import check_plot_path, plot_motion
from dubfew.render.publish import sign_and_log
from dubfew.render.schedule import schedule_frames
from dubfew.render.streaming import composite_frames, predict_frames
from dubfew.render.transitions import (
    blend_mouth_motion,
    describe_skipped_frames,
    transition_weights,
)
from dubfew.speech.transcript.align import resolve_language
from dubfew.speech.transcript.transcript import read_transcript
from dubfew.speech.visemes import Phone
from dubfew.utils.files import check_output_path
from dubfew.utils.prefetch import prefetch


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
    segmenter: str = DEFAULT_SEGMENTER,
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
    progress: ProgressCallback = no_progress,
) -> RenderResult:
    """Make an actor speak new audio in a scene.

    Args:
        actor: id in the registry.
        video: the scene; by default the footage that the actor was adapted on.
        face: whose mouth it is in the scene, as ``choose_person`` reads it; by default who is most
            like the actor, see ``match_actor``, and where nobody is, who is seen most.
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
        fit: "trim", "loop" or "hold", see `schedule_frames`.
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
    driver, transcript = _to_path(driver), _to_path(transcript)
    # What was asked for wrongly is said before minutes of work.
    check_drive(drive, driver, transcript, language, recognise)
    cues = read_transcript(transcript) if transcript is not None else ()
    if cues and language is not None:
        resolve_language(language)
    check_mouth_gain(reach)
    device = resolve_device(device)
    registry = registry or Registry()
    purpose = RenderPurpose(use, language, territory, project)
    who = load_actor(actor, revision, registry, purpose, _to_path(speech))
    sources = resolve_sources(who.adapter, drive, _to_path(video), _to_path(audio), driver)
    info, sound = sources.scene_info, sources.audio
    output = _to_path(out) or Path(f"{actor}-dubbed.mp4")
    check_output_path(output, sources.scene, sound, driver, transcript)
    plot = _to_path(plot)
    if plot is not None:
        check_plot_path(plot)
        check_output_path(plot, sources.scene, sound, driver)
    choose_encoding(output, info, codec, crf, lossless)
    parser = load_face_parser(segmenter)
    identity = load_signing_identity(registry.home)
    phones = phones_from_audio(sound, cues, language, recognise) if sound is not None else ()
    track, whose = track_scene(sources.scene, who, face, parser, progress)
    tracked = time.monotonic()

    shown = schedule_frames(track.times, info.fps, sources.new_speech_seconds, fit)
    track = dataclasses.replace(track.select(shown.scene_rows), times=shown.times)
    track = _retarget_track(track, sources, who, phones, reach, progress)
    motion = motion_from_track(track, who.head)
    driven = time.monotonic()

    seconds = {"track": tracked - began, "drive": driven - tracked}
    track_of_sound = None
    if sound is not None:
        end = float(shown.times[-1]) + float(1 / info.fps)
        track_of_sound = AudioSource(sound, duration=end, pad=False)
    marker = WatermarkEmbedder(generate_watermark_id()) if watermark else None
    prior = who.adapter.config["prior"]
    consent = who.revision.consent
    rendering = RenderProvenance(
        scene=sources.scene,
        sound=sound if sound != sources.scene else None,
        drive=drive,
        prior=prior["name"],
        prior_sha256=prior["sha256"],
        consent_sha256=consent.sha256 if consent else None,
        watermark=marker.watermark_id if marker else None,
    )

    def seal_output(file: Path) -> None:
        sign_and_log(file, output, rendering, identity, purpose, registry, who.revision)

    with (
        BackgroundPreserver() as background,
        VideoWriter(
            output,
            info,
            audio=track_of_sound,
            codec=codec,
            crf=crf,
            lossless=lossless,
            before_publish=seal_output,
        ) as writer,
    ):
        painter = MouthCompositor(
            who.renderer,
            who.adapter.texture,
            who.adapter.references,
            resize_footage(who.adapter.references, who.renderer.config.window),
            who.head,
            device,
            background,
            # Only here do the frames show the mouths that are wanted.
            align_meshes=drive == "self",
            marker=marker,
        )
        count = 0
        # Closed here, so that on an error no thread still paints with what is closed next.
        with (
            closing(prefetch(shown.iter_frames(sources.scene, info.fps))) as frames,
            closing(prefetch(predict_frames(frames, track, motion, who.head, painter))) as drawings,
            closing(prefetch(composite_frames(drawings, painter))) as done,
        ):
            for frame in done:
                who.revision.check_exists()  # once deleted, the actor is rendered no further
                writer.write(frame)
                count += 1
                progress(Progress("render", count, len(shown.scene_rows)))
        who.revision.check_exists()
    if plot is not None:
        plot_motion(plot, motion, read_audio(sound) if sound else None, output.name)
    return RenderResult(
        output=output,
        frames=count,
        edited_frames=int(track.usable[:count].sum()),
        fps=info.fps,
        seconds={**seconds, **painter.stage_seconds, "total": time.monotonic() - began},
        peak_rss_mb=measure_peak_rss_mb(),
        note="; ".join(
            note
            for note in (shown.note, who.consent_note, whose, describe_skipped_frames(track))
            if note
        ),
        watermark=rendering.watermark,
        credentials=credentials_path(output),
    )


def _to_path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def _retarget_track(
    track: Track,
    sources: RenderSources,
    actor: LoadedActor,
    phones: tuple[Phone, ...],
    mouth_gain: float,
    progress: ProgressCallback,
) -> Track:
    """The scene's track with the mouth that is wanted."""
    if sources.drive == "audio" and sources.audio is not None:
        wanted = motion_from_audio(
            sources.audio, track.times, actor.adapter.style, actor.speech_model, phones, mouth_gain
        )
        return blend_mouth_motion(
            track, retarget_mouth(track, actor.head, wanted), transition_weights(track)
        )
    if sources.drive == "video" and sources.driver is not None:
        shown = actor.adapter.references.motion
        own = MouthMotion(shown, np.arange(len(shown), dtype=np.float64))
        wanted = motion_from_video(sources.driver, track.times, own, actor.head, progress)
        return blend_mouth_motion(
            track, retarget_mouth(track, actor.head, wanted), transition_weights(track)
        )
    return track


def measure_peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
