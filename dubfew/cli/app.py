"""The commands that do the work: adapt, render, track, evaluate, doctor, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew import __version__
from dubfew.cli import exchange as exchange  # adds its commands to ``actors_app``
from dubfew.cli.actors import actors_app
from dubfew.cli.assets import assets_app
from dubfew.cli.audit import audit_app
from dubfew.cli.bench import bench_app
from dubfew.cli.commands import CommandGroup
from dubfew.cli.consent import consent_app as consent_commands
from dubfew.cli.console import (
    format_fields,
    print_result,
    progress_bar,
    report_errors,
)
from dubfew.cli.options import (
    DeviceOption,
    DriveChoice,
    FaceOption,
    FitChoice,
    HeadOption,
    IdentityChoice,
    JsonOption,
    MethodChoice,
    PriorOption,
    SceneFaceOption,
    SecondsOption,
    SeedOption,
    SegmenterChoice,
    SegmenterOption,
    TrackMethodChoice,
    VideoArgument,
)
from dubfew.cli.prior import prior_app
from dubfew.cli.speech import speech_app as speech_commands
from dubfew.cli.verify import verify

app = CommandGroup("Learn an actor from a few seconds of footage, then make them speak new audio.")
app.add_typer(actors_app, name="actors")
app.add_typer(assets_app, name="assets")
app.add_typer(audit_app, name="audit")
app.add_typer(bench_app, name="bench")
app.add_typer(consent_commands, name="consent")
app.add_typer(prior_app, name="prior")
app.add_typer(speech_commands, name="speech")
app.command()(verify)


def _print_version(value: bool) -> None:
    if value:
        print(f"dubfew {__version__}")
        raise typer.Exit


@app.callback()
def dubfew(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Learn an actor from a few seconds of footage, then make them speak new audio."""


@app.command()
@report_errors
def adapt(
    video: VideoArgument,
    actor: Annotated[
        str | None, typer.Option(metavar="ID", help="Default: the file's name without its ending.")
    ] = None,
    method: Annotated[MethodChoice, typer.Option(help="What is learned.")] = MethodChoice.lora,
    rank: Annotated[
        int | None, typer.Option(metavar="R", min=1, help="Of the lora method's updates.")
    ] = None,
    seconds: SecondsOption = None,
    start: Annotated[
        float | None,
        typer.Option(metavar="T", min=0, help="Begin there rather than at the best part, s."),
    ] = None,
    face: FaceOption = None,
    segmenter: SegmenterOption = SegmenterChoice.mediapipe,
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
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
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
    print_result(result, as_json=as_json, text=format_fields(result))


@app.command()
@report_errors
def render(
    actor: Annotated[str, typer.Option(metavar="ID", help="Whose mouth to render.")],
    video: Annotated[
        Path | None,
        typer.Option(metavar="V", help="The scene; default: the footage adapted on."),
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(metavar="A", help="New speech; default: the scene's own sound.")
    ] = None,
    face: SceneFaceOption = None,
    segmenter: SegmenterOption = SegmenterChoice.mediapipe,
    drive: Annotated[
        DriveChoice,
        typer.Option(help="The mouth follows the audio, a driver, or the scene itself."),
    ] = DriveChoice.audio,
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
    fit: Annotated[
        FitChoice | None, typer.Option(help="When audio and video differ in length.")
    ] = None,
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
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="Default: <ID>-dubbed.mp4 here."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an actor speak new audio in any footage of theirs."""
    if lossless and crf is not None:
        raise typer.BadParameter("--lossless has no quality to choose: leave out --crf")
    if (drive is DriveChoice.video) != (driver is not None):
        raise typer.BadParameter("--drive video and --driver FILE need each other")
    if transcript is not None and language is None:
        raise typer.BadParameter("--transcript FILE needs --language CODE")
    if transcript is not None and drive is not DriveChoice.audio:
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
    print_result(result, as_json=as_json, text=format_fields(result))


@app.command()
@report_errors
def track(
    video: VideoArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="TRACK", help="A .safetensors file.")],
    head: HeadOption = "lite",
    method: Annotated[
        TrackMethodChoice, typer.Option(help="Fit to the landmarks alone, or on to the pictures.")
    ] = TrackMethodChoice.landmarks,
    face: FaceOption = None,
    segmenter: SegmenterOption = SegmenterChoice.mediapipe,
    faces: Annotated[bool, typer.Option("--faces", help="Say who is seen where, too.")] = False,
    identity: Annotated[
        IdentityChoice,
        typer.Option(help="Where the head's shape comes from; auto: MICA where it is registered."),
    ] = IdentityChoice.auto,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page that shows how well it fits (.html)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reconstruct a clip: head, pose, expression and camera of every frame."""
    if out.suffix != ".safetensors":
        raise typer.BadParameter("--out: a file name that ends in .safetensors is needed")
    if report is not None and report.suffix != ".html":
        raise typer.BadParameter("--report: a file name that ends in .html is needed")
    from dubfew.reconstruction.detection.detection import ClipDetections
    from dubfew.reconstruction.tracking import track_video
    from dubfew.utils.files import check_output_path

    check_output_path(out, video)
    if report is not None:
        check_output_path(report, video)
    with progress_bar(as_json=as_json) as progress:
        sightings: list[ClipDetections] = []
        found = track_video(
            video,
            head=head,
            method=method.value,
            identity=identity.value,
            face=face,
            segmenter=segmenter.value,
            on_detection=sightings.append,
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
    print_result(result, as_json=as_json, text=format_fields(result))


@app.command()
@report_errors
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
    as_json: JsonOption = False,
) -> None:
    """Measure an output against its original."""
    from dubfew.evaluate.compare import evaluate as compare

    with progress_bar(as_json=as_json) as progress:
        result = compare(reference, output, syncnet=syncnet, listen=listen, progress=progress)
    measured = {name: value for name, value in vars(result).items() if value is not None}
    print_result(result, as_json=as_json, text=format_fields(measured))


@app.command()
@report_errors
def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed, what is missing, and the line that installs it."""
    from dubfew.doctor import check_installation

    report = check_installation()
    print_result(
        {"ok": report.ok, "checks": report.checks},
        as_json=as_json,
        text="\n".join(check.format_line() for check in report.checks),
    )
    if not report.ok:
        raise typer.Exit(1)


@app.command()
@report_errors
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("demo"),
    as_json: JsonOption = False,
) -> None:
    """Adapt to the bundled clip of a synthetic person and dub it with the bundled audio."""
    from dubfew.demo import run_demo

    with progress_bar(as_json=as_json) as progress:
        result = run_demo(out, progress=progress)
    print_result(result, as_json=as_json, text=format_fields(result))
