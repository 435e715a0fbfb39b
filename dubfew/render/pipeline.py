"""``render``: track the scene, move its mouth, paint it, write it, all streaming."""

from __future__ import annotations

import dataclasses
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

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
from dubfew.reconstruction.segmenters import load_face_parser
from dubfew.reconstruction.track import Track
from dubfew.references.footage import resize_footage
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.driving import (
    check_drive,
    motion_from_audio,
    motion_from_video,
    phones_from_audio,
)
from dubfew.render.load import LoadedActor, RenderSources, load_actor, resolve_sources, track_scene
from dubfew.render.options import RenderOptions
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
from dubfew.utils.device import resolve_device
from dubfew.utils.files import check_output_path
from dubfew.utils.options import document_options, merge_options
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


@document_options(RenderOptions)
def render(
    actor: str,
    options: RenderOptions | None = None,
    *,
    registry: Registry | None = None,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> RenderResult:
    """Track the scene, move its mouth, composite the frames, and write them, all as streams.

    ``dubfew.render`` is this function; its documentation lists the errors.

    Args:
        actor: id of the actor in the registry.
        options: the options below as one object; those given as keywords override it.
        registry: registry that holds the actor; default: the user's own.
        progress: function that is called with the state of every stage.
    """
    options = merge_options(RenderOptions, options, overrides)
    began = time.monotonic()
    drive, language = options.drive, options.language
    driver, transcript = _to_path(options.driver), _to_path(options.transcript)
    # What was asked for wrongly is said before minutes of work.
    check_drive(drive, driver, transcript, language, options.recognise)
    cues = read_transcript(transcript) if transcript is not None else ()
    if cues and language is not None:
        resolve_language(language)
    device = resolve_device(options.device)
    registry = registry or Registry()
    purpose = RenderPurpose(options.use, language, options.territory, options.project)
    who = load_actor(actor, options.revision, registry, purpose, _to_path(options.speech))
    sources = resolve_sources(
        who.adapter, drive, _to_path(options.video), _to_path(options.audio), driver
    )
    info, sound = sources.scene_info, sources.audio
    output = _to_path(options.out) or Path(f"{actor}-dubbed.mp4")
    check_output_path(output, sources.scene, sound, driver, transcript)
    plot = _to_path(options.plot)
    if plot is not None:
        check_plot_path(plot)
        check_output_path(plot, sources.scene, sound, driver)
    choose_encoding(output, info, options.codec, options.crf, options.lossless)
    parser = load_face_parser(options.segmenter)
    identity = load_signing_identity(registry.home)
    phones = (
        phones_from_audio(sound, cues, language, options.recognise) if sound is not None else ()
    )
    track, whose = track_scene(sources.scene, who, options.face, parser, progress)
    tracked = time.monotonic()

    shown = schedule_frames(track.times, info.fps, sources.new_speech_seconds, options.fit)
    track = dataclasses.replace(track.select(shown.scene_rows), times=shown.times)
    track = _retarget_track(track, sources, who, phones, options.reach, progress)
    motion = motion_from_track(track, who.head)
    driven = time.monotonic()

    seconds = {"track": tracked - began, "drive": driven - tracked}
    track_of_sound = None
    if sound is not None:
        end = float(shown.times[-1]) + float(1 / info.fps)
        track_of_sound = AudioSource(sound, duration=end, pad=False)
    marker = WatermarkEmbedder(generate_watermark_id()) if options.watermark else None
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
            codec=options.codec,
            crf=options.crf,
            lossless=options.lossless,
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
