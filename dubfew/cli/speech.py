"""``dubfew speech``: the model that hears what a mouth does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import emit, job, lines, plain, progress_bar, shown, size
from dubfew.cli.options import Json, Seed

speech = Commands("Describe and train the speech model.")


@speech.command("info")
@job
def show_model(
    model: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Default: the model that ships.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe a speech model: its sizes, how it was trained, its card."""
    from dubfew.speech.model_info import speech_info

    info = speech_info(model)
    facts = {
        "path": info.path,
        "sha256": info.sha256,
        "size": size(info.bytes),
        "weights": info.weights,
    }
    emit(info, as_json=as_json, text=f"{lines(facts | info.header)}\n\n{info.card}".rstrip())


@speech.command("train")
@job
def train_speech(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="The model, a .safetensors file."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="What 'prior prepare' filled; default: synthetic speech alone.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Steps of each network; default: 700."),
    ] = None,
    seed: Seed = 0,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="ID",
            help="Measure on this identity instead of training on it; may be given repeatedly.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="People not to be touched: an identity, a file or a SHA-256 per line.",
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the network hears: mel, or a wav2vec 2.0, HuBERT or Whisper of "
            "transformers, a folder or a name on the Hugging Face hub (pip install "
            "'dubfew[speech-encoders]').",
        ),
    ] = "mel",
    as_json: Json = False,
) -> None:
    """Train the speech model anew, and measure it on every clip.

    Needs espeak-ng: pip install 'dubfew[speech-train]'
    """
    from dubfew.speech.training.run import train_model

    with progress_bar(as_json=as_json) as progress:
        result = train_model(
            out,
            data=data,
            steps=steps,
            seed=seed,
            exclude=exclude,
            leave_out=leave_out or (),
            encoder=encoder,
            progress=progress,
        )
    facts = plain(result)
    clips, passed = facts.pop("clips"), facts.pop("passed")
    text = [lines(facts), *map(_clip_line, clips)]
    text += [f"passed over  {file}: {reason}" for file, reason in passed.items()]
    emit(result, as_json=as_json, text="\n".join(text))


def _clip_line(clip: dict[str, Any]) -> str:
    figures = {name: shown(clip[name]) for name in ("r", "r_best", "lag_ms")}
    said = "r {r}, best {r_best} at {lag_ms} ms".format(**figures)
    return f"{clip['part']:<8}  {said}  {clip['clip']} ({clip['identity']})"
