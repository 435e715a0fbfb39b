"""The commands that do the work: adapt, render, track, evaluate, doctor, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew import __version__
from dubfew.cli import exchange as exchange  # adds its commands to ``actors``
from dubfew.cli.actors import actors
from dubfew.cli.assets import assets
from dubfew.cli.audit import audit
from dubfew.cli.bench import bench
from dubfew.cli.commands import Commands
from dubfew.cli.consent import consent as consent_commands
from dubfew.cli.console import (
    emit,
    job,
    lines,
    progress_bar,
)
from dubfew.cli.options import (
    Device,
    Drive,
    Face,
    Fit,
    HeadOption,
    Identity,
    Json,
    Method,
    PriorOption,
    SceneFace,
    Seconds,
    Seed,
    SegmenterName,
    SegmenterOption,
    TrackMethod,
    Video,
)
from dubfew.cli.prior import prior
from dubfew.cli.speech import speech as speech_commands
from dubfew.cli.verify import verify

app = Commands("Learn an actor from a few seconds of footage, then make them speak new audio.")
app.add_typer(actors, name="actors")
app.add_typer(assets, name="assets")
app.add_typer(audit, name="audit")
app.add_typer(bench, name="bench")
app.add_typer(consent_commands, name="consent")
app.add_typer(prior, name="prior")
app.add_typer(speech_commands, name="speech")
app.command()(verify)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"dubfew {__version__}")
        raise typer.Exit


@app.callback()
def dubfew(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Learn an actor from a few seconds of footage, then make them speak new audio."""


@app.command()
@job
def adapt(
    video: Video,
    actor: Annotated[
        str | None, typer.Option(metavar="ID", help="Default: the file's name without its ending.")
    ] = None,
    method: Annotated[Method, typer.Option(help="What is learned.")] = Method.lora,
    rank: Annotated[
        int | None, typer.Option(metavar="R", min=1, help="Of the lora method's updates.")
    ] = None,
    seconds: Seconds = None,
    start: Annotated[
        float | None,
        typer.Option(metavar="T", min=0, help="Begin there rather than at the best part, s."),
    ] = None,
    face: Face = None,
    segmenter: SegmenterOption = SegmenterName.mediapipe,
    replay: Annotated[
        bool | None,
        typer.Option(
            "--replay/--no-replay", help="Show the network other people, too.", show_default=False
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Training steps; default: until enough.")
    ] = None,
    prior: PriorOption = None,
    head: Annotated[
        str | None, typer.Option(metavar="NAME", help="lite, or flame; default: the prior's.")
    ] = None,
    consent: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Record of the actor's consent; default: that of the last time."
        ),
    ] = None,
    speech: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of 'dubfew speech train'; default: the one that ships."),
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn an actor from a few seconds of footage."""
    from dubfew.adapt import adapt as learn

    with progress_bar(as_json=as_json) as progress:
        result = learn(
            video,
            actor=actor,
            method=method.value,
            rank=rank,
            seconds=seconds,
            start=start,
            face=face,
            segmenter=segmenter.value,
            replay=replay,
            steps=steps,
            prior=prior,
            head=head,
            consent=consent,
            speech=speech,
            device=device,
            seed=seed,
            progress=progress,
        )
    emit(result, as_json=as_json, text=lines(result))


@app.command()
@job
def render(
    actor: Annotated[str, typer.Option(metavar="ID", help="Whose mouth to render.")],
    video: Annotated[
        Path | None,
        typer.Option(metavar="V", help="The scene; default: the footage adapted on."),
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(metavar="A", help="New speech; default: the scene's own sound.")
    ] = None,
    face: SceneFace = None,
    segmenter: SegmenterOption = SegmenterName.mediapipe,
    drive: Annotated[
        Drive, typer.Option(help="The mouth follows the audio, a driver, or the scene itself.")
    ] = Drive.audio,
    driver: Annotated[
        Path | None, typer.Option(metavar="V", help="The performance for --drive video.")
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What the audio says (text, .srt, .vtt): sharpens the timing."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "--lang",
            metavar="CODE",
            help="What is spoken: en, de-AT, pt-BR. Checked against the consent; a transcript "
            "needs it.",
        ),
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(metavar="USE", help="What it is for, as the consent record calls it."),
    ] = None,
    territory: Annotated[
        str | None, typer.Option(metavar="CC", help="Country it is for: AT. As --use.")
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Production it is for. As --use.")
    ] = None,
    recognise: Annotated[
        bool,
        typer.Option("--recognise", help="Let PocketSphinx listen, too: sharper for English."),
    ] = False,
    reach: Annotated[
        float,
        typer.Option(
            metavar="R", min=0.1, max=10, help="Let audio open the mouth R times as far as filmed."
        ),
    ] = 1.0,
    fit: Annotated[Fit | None, typer.Option(help="When audio and video differ in length.")] = None,
    revision: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: the newest.")
    ] = None,
    codec: Annotated[
        str | None, typer.Option(metavar="C", help="Video encoder, as FFmpeg calls it.")
    ] = None,
    crf: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=63, help="Quality; less is better.")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Lose nothing.")] = False,
    speech: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the actor's speech model is, if it moved."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="P", help="Draw the lips' opening over the sound: .png, .svg, .pdf."),
    ] = None,
    watermark: Annotated[
        bool,
        typer.Option(
            "--watermark/--no-watermark",
            help="Mark the mouth invisibly; the credentials say it when not.",
        ),
    ] = True,
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="Default: <ID>-dubbed.mp4 here."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an actor speak new audio in any footage of theirs."""
    if lossless and crf is not None:
        raise typer.BadParameter("--lossless has no quality to choose: leave out --crf")
    if (drive is Drive.video) != (driver is not None):
        raise typer.BadParameter("--drive video and --driver FILE need each other")
    if transcript is not None and language is None:
        raise typer.BadParameter("--transcript FILE needs --language CODE")
    if transcript is not None and drive is not Drive.audio:
        raise typer.BadParameter("--transcript says what the audio says: it needs --drive audio")
    from dubfew.render import render as dub

    with progress_bar(as_json=as_json) as progress:
        result = dub(
            actor,
            video=video,
            audio=audio,
            face=face,
            segmenter=segmenter.value,
            drive=drive.value,
            driver=driver,
            transcript=transcript,
            language=language,
            use=use,
            territory=territory,
            project=project,
            recognise=recognise,
            reach=reach,
            fit=fit.value if fit else None,
            out=out,
            codec=codec,
            crf=crf,
            lossless=lossless,
            revision=revision,
            speech=speech,
            plot=plot,
            watermark=watermark,
            device=device,
            progress=progress,
        )
    emit(result, as_json=as_json, text=lines(result))


@app.command()
@job
def track(
    video: Video,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="TRACK", help="A .safetensors file.")],
    head: HeadOption = "lite",
    method: Annotated[
        TrackMethod, typer.Option(help="Fit to the landmarks alone, or on to the pictures.")
    ] = TrackMethod.landmarks,
    face: Face = None,
    segmenter: SegmenterOption = SegmenterName.mediapipe,
    faces: Annotated[bool, typer.Option("--faces", help="Say who is seen where, too.")] = False,
    identity: Annotated[
        Identity,
        typer.Option(help="Where the head's shape comes from; auto: MICA where it is registered."),
    ] = Identity.auto,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that shows how well it fits (.html)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Reconstruct a clip: head, pose, expression and camera of every frame."""
    if out.suffix != ".safetensors":
        raise typer.BadParameter("--out: a file name that ends in .safetensors is needed")
    if report is not None and report.suffix != ".html":
        raise typer.BadParameter("--report: a file name that ends in .html is needed")
    from dubfew.reconstruction.detection.detection import Detection
    from dubfew.reconstruction.tracking import track_video
    from dubfew.utils.files import check_output

    check_output(out, video)
    if report is not None:
        check_output(report, video)
    with progress_bar(as_json=as_json) as progress:
        sightings: list[Detection] = []
        found = track_video(
            video,
            head=head,
            method=method.value,
            identity=identity.value,
            face=face,
            segmenter=segmenter.value,
            sighted=sightings.append,
            progress=progress,
        )
    found.save(out)
    if report is not None:
        from dubfew.reconstruction.track_report import write_track_report

        write_track_report(report, video, found)
    result = {
        "output": out,
        **({"report": report} if report else {}),
        "frames": len(found),
        "valid_frames": int(found.valid.sum()),
        "usable_frames": int(found.usable.sum()),
        "left_out": found.reasons(),
        "shots": int(found.shot[-1]) + 1,
        "face": found.face,
        "faces": sightings[0].summary() if faces else len(sightings[0].people),
        "fps": found.fps,
        "head": found.head,
        "method": found.method,
        "shape_from": found.shape_from,
    }
    emit(result, as_json=as_json, text=lines(result))


@app.command()
@job
def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="The original video.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="What render made of it.")],
    syncnet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="DUBFEW_SYNCNET",
            help="SyncNet's weights (syncnet_v2.model), to measure LSE-C and LSE-D as well.",
        ),
    ] = None,
    listen: Annotated[
        bool,
        typer.Option("--listen", help="Compare the mouth with the phonemes PocketSphinx hears."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure an output against its original."""
    from dubfew.evaluate.compare import evaluate as compare

    with progress_bar(as_json=as_json) as progress:
        result = compare(reference, output, syncnet=syncnet, listen=listen, progress=progress)
    measured = {name: value for name, value in vars(result).items() if value is not None}
    emit(result, as_json=as_json, text=lines(measured))


@app.command()
@job
def doctor(as_json: Json = False) -> None:
    """Say what is installed, what is missing, and the line that installs it."""
    from dubfew.doctor import examine

    report = examine()
    emit(
        {"ok": report.ok, "checks": report.checks},
        as_json=as_json,
        text="\n".join(check.line() for check in report.checks),
    )
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@job
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("demo"),
    as_json: Json = False,
) -> None:
    """Adapt to the bundled clip of a synthetic person and dub it with the bundled audio."""
    from dubfew.demo import run_demo

    with progress_bar(as_json=as_json) as progress:
        result = run_demo(out, progress=progress)
    emit(result, as_json=as_json, text=lines(result))
