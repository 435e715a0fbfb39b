"""``render``: track the scene, move its mouth, paint it, write it, all streaming."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from dubfew.adapt.actor import pick_device, resized
from dubfew.adapt.artefact import TRACK, ActorAdapter
from dubfew.errors import DubfewError, MediaError
from dubfew.files import check_output, sha256_file
from dubfew.marks.certificate import signing_identity
from dubfew.marks.credentials import Rendering, place_of
from dubfew.marks.payload import new_id
from dubfew.marks.watermark import Marker
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_audio
from dubfew.media.codecs import choose_encoding
from dubfew.prior.checkpoint import Prior
from dubfew.prior.footage import Geometry, geometry, keys
from dubfew.prior.inputs import motion_window
from dubfew.progress import Progress, ProgressCallback, silent
from dubfew.reconstruction.head import HeadModel, load_head
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video
from dubfew.registry import Registry
from dubfew.registry.policy import Purpose
from dubfew.registry.revision import Revision
from dubfew.render.background import BackgroundKeeper
from dubfew.render.drive import audio_motion, check_drive, video_motion
from dubfew.render.finish import finish
from dubfew.render.flow import beside
from dubfew.render.paint import Drawn, Order, Painter
from dubfew.render.plot import check_plot, plot_motion
from dubfew.render.timing import plan
from dubfew.speech.align import align, known_language
from dubfew.speech.choice import model_of_actor
from dubfew.speech.motion import MouthMotion
from dubfew.speech.observe import motion_of_track
from dubfew.speech.retarget import retarget
from dubfew.speech.transcript import read_transcript
from dubfew.speech.visemes import Phone

BLOCK = 64  # frames whose meshes are held at once
BATCH = 4  # frames that go through the network together
# Distances to the references are smoothed over time, so that their order does not flicker.
CHOICE_SMOOTHING = 1.0


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
    drive: str = "audio",
    driver: Path | str | None = None,
    transcript: Path | str | None = None,
    language: str | None = None,
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
        audio: new speech; by default the scene's own sound.
        drive: "audio"; "video" (mouth of ``driver``); "self" (the scene's own mouth motion:
            re-enactment, for measuring).
        driver: video of another performance.
        transcript: what the audio says, as a script or subtitles (.srt, .vtt).
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
        MissingDependencyError: what a transcript needs is not installed.
    """
    began = time.monotonic()
    driver = Path(driver) if driver is not None else None
    transcript = Path(transcript) if transcript is not None else None
    check_drive(drive, driver, transcript, language)
    purpose = Purpose(use, language, territory, project)
    cues = read_transcript(transcript) if transcript is not None else ()
    if cues and language is not None:
        known_language(language)
    if not 0 < reach < math.inf:
        raise DubfewError(f"a mouth cannot reach {reach} times as far: give a number above 0")
    device = pick_device(device)
    registry = registry or Registry()
    stored = registry.open(actor, revision)
    consent_note = registry.check_render(stored, purpose)
    adapter = ActorAdapter.from_files({name: stored.read(name) for name in stored.names()})
    model = model_of_actor(adapter.config.get("speech"), Path(speech) if speech else None)
    prior = Prior.load(adapter.config["prior"]["name"])
    renderer = adapter.renderer(prior)
    head = load_head(adapter.config["head"])
    scene = scene_path(video, adapter)
    info = probe(scene)
    sound = Path(audio) if audio is not None else (scene if info.has_audio else None)
    if drive == "audio" and sound is None:
        raise MediaError(f"{scene} has no sound to speak: give --audio, or --drive self")
    output = Path(out) if out is not None else Path(f"{actor}-dubbed.mp4")
    # What was asked for wrongly is said before minutes of work.
    check_output(output, scene, sound, driver, transcript)
    plot = Path(plot) if plot is not None else None
    if plot is not None:
        check_plot(plot)
        check_output(plot, scene, sound, driver)
    choose_encoding(output, info, codec, crf, lossless)
    identity = signing_identity(registry.home)
    length = read_audio(sound).duration if audio is not None and sound is not None else None
    if driver is not None:
        probe(driver)
    phones: tuple[Phone, ...] = ()
    if cues and language is not None:
        assert sound is not None
        phones = align(read_audio(sound), cues, language).phones
    track = scene_track(scene, adapter, stored, head, progress)
    tracked = time.monotonic()

    shown = plan(track.times, info.fps, length, fit)
    track = dataclasses.replace(track.select(shown.rows), times=shown.times)
    if drive == "audio":
        assert sound is not None
        wanted = audio_motion(sound, shown.times, adapter.style, model, phones, reach)
        track = retarget(track, head, wanted)
    elif drive == "video":
        assert driver is not None
        own = MouthMotion(
            adapter.references.motion, np.arange(len(adapter.references), dtype=np.float64)
        )
        wanted = video_motion(driver, shown.times, own, head, progress)
        track = retarget(track, head, wanted)
    motion = motion_of_track(track, head)
    driven = time.monotonic()

    seconds = {"track": tracked - began, "drive": driven - tracked}
    source = None
    if sound is not None:
        end = float(shown.times[-1]) + float(1 / info.fps)
        source = AudioSource(sound, duration=end, pad=False)
    marker = Marker(new_id()) if watermark else None
    rendering = Rendering(
        scene=scene,
        sound=sound if sound != scene else None,
        drive=drive,
        prior=adapter.config["prior"]["name"],
        prior_sha256=adapter.config["prior"]["sha256"],
        consent_sha256=stored.consent.sha256 if stored.consent else None,
        watermark=marker.id if marker else None,
    )
    with (
        BackgroundKeeper() as background,
        VideoWriter(
            output,
            info,
            audio=source,
            codec=codec,
            crf=crf,
            lossless=lossless,
            seal=lambda file: finish(file, output, rendering, identity, purpose, registry, stored),
        ) as writer,
    ):
        painter = Painter(
            renderer,
            adapter.texture,
            adapter.references,
            resized(adapter.references, renderer.config.window),
            head,
            device,
            background,
            # Only here do the frames show the mouths that are wanted.
            aligns=drive == "self",
            marker=marker,
        )
        count = 0
        # Closed here, so that on an error no thread still paints with what is closed next.
        with (
            closing(beside(shown.frames(scene, info.fps))) as frames,
            closing(beside(drawn(frames, track, motion, head, painter))) as drawings,
            closing(beside(painted(drawings, painter))) as done,
        ):
            for frame in done:
                stored.check()  # once deleted, the actor is rendered no further
                writer.write(frame)
                count += 1
                progress(Progress("render", count, len(shown.rows)))
        stored.check()
    if plot is not None:
        plot_motion(plot, motion, read_audio(sound) if sound else None, output.name)
    return RenderResult(
        output=output,
        frames=count,
        edited_frames=int(track.valid[:count].sum()),
        fps=info.fps,
        seconds={**seconds, **painter.seconds, "total": time.monotonic() - began},
        peak_rss_mb=peak_rss_mb(),
        note="; ".join(note for note in (shown.note, consent_note) if note),
        watermark=rendering.watermark,
        credentials=place_of(output),
    )


def scene_path(video: Path | str | None, adapter: ActorAdapter) -> Path:
    """The scene to render.

    Raises:
        MediaError: the footage of the actor is no longer where it was.
    """
    if video is not None:
        return Path(video)
    path = Path(adapter.config["source"]["path"])
    if not path.exists():
        raise MediaError(f"the footage {path} is no longer there: give the scene with --video")
    return path


def scene_track(
    scene: Path,
    adapter: ActorAdapter,
    stored: Revision,
    head: HeadModel,
    progress: ProgressCallback,
) -> Track:
    """The scene's track; the actor's own footage was tracked when they were adapted."""
    source = adapter.config["source"]
    if sha256_file(scene) == source["sha256"]:
        own = Track.from_bytes(adapter.track, f"{TRACK} of {stored.actor}")
        if source["complete"]:
            return own
    return track_video(scene, head=head, progress=progress)


def drawn(
    frames: Iterator[Frame],
    track: Track,
    motion: MouthMotion,
    head: HeadModel,
    painter: Painter,
) -> Iterator[Frame | Drawn]:
    """What is to be painted into the frames; those where no face was found pass untouched."""
    rows, scores = choose_references(track, head, painter)
    block: Geometry | None = None
    waiting: list[Frame | Order] = []
    orders = 0
    for number, frame in enumerate(frames):
        if number >= len(track):
            break
        if number % BLOCK == 0:
            block = geometry(track.select(slice(number, number + BLOCK)), head)
        if track.valid[number]:
            assert block is not None
            waiting.append(
                Order(
                    frame,
                    block,
                    number % BLOCK,
                    motion_window(motion.displacement, number),
                    rows[number],
                    scores[number],
                )
            )
            orders += 1
        else:
            waiting.append(frame)
        if orders == BATCH or len(waiting) == 4 * BATCH:
            yield from _flush(waiting, painter)
            waiting, orders = [], 0
    yield from _flush(waiting, painter)


def _flush(waiting: list[Frame | Order], painter: Painter) -> Iterator[Frame | Drawn]:
    orders = [item for item in waiting if isinstance(item, Order)]
    drawings = iter(painter.draw(orders) if orders else [])
    for item in waiting:
        yield Drawn(item, next(drawings)) if isinstance(item, Order) else item


def painted(items: Iterable[Frame | Drawn], painter: Painter) -> Iterator[Frame]:
    """The frames with their mouths painted."""
    for item in items:
        yield painter.compose(item.order, item.drawing) if isinstance(item, Drawn) else item


def choose_references(
    track: Track, head: HeadModel, painter: Painter
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every frame the references whose mouth and pose are nearest. [N, K] each"""
    bank = painter.references.key
    wanted = np.concatenate(
        [keys(track.select(slice(i, i + BLOCK)), head) for i in range(0, len(track), BLOCK)]
    )
    squared = (wanted**2).sum(1)[:, None] + (bank**2).sum(1) - 2 * wanted @ bank.T
    distance = gaussian_filter1d(
        np.sqrt(np.maximum(squared, 0)), CHOICE_SMOOTHING, axis=0, mode="nearest"
    )
    count = painter.renderer.config.references
    rows = np.argsort(distance, axis=1, kind="stable")[:, :count]
    if rows.shape[1] < count:
        rows = np.concatenate([rows, np.repeat(rows[:, :1], count - rows.shape[1], 1)], 1)
    return rows, np.take_along_axis(distance, rows, 1).astype(np.float32)


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, MB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
