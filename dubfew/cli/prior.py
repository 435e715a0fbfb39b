"""``dubfew prior``: renderers of many people, from which adaptation starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import (
    format_byte_count,
    format_fields,
    format_value,
    print_fields,
    print_result,
    report_errors,
    to_jsonable,
)
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption, OverwriteOption, PriorOption
from dubfew.cli.progress_display import ProgressMode, ProgressOption, show_progress
from dubfew.data.options import PrepareOptions

prior_app = CommandGroup("List, describe, train and prepare priors.")


@prior_app.command("list")
@report_errors
def list_priors(as_json: JsonOption = False) -> None:
    """List the available priors."""
    from dubfew.prior import list_priors as find_priors

    found = find_priors()
    # Card and configuration, which are long, are left to `prior info`.
    entries = [
        {"name": each.name, "path": each.path, "sha256": each.sha256, "bytes": each.bytes}
        for each in found
    ]
    lines = {each.name: f"{format_byte_count(each.bytes)}  {each.path}" for each in found}
    print_result({"priors": entries}, as_json=as_json, text=format_fields(lines) or "no priors")


@prior_app.command("info")
@report_errors
def show_prior(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or folder of a prior.")],
    as_json: JsonOption = False,
) -> None:
    """Describe a prior: hash, configuration, training clips and card."""
    from dubfew.prior import prior_info

    info = prior_info(name)
    facts = {
        "name": info.name,
        "path": info.path,
        "sha256": info.sha256,
        "size": format_byte_count(info.bytes),
    }
    # Training clips are one line each, apart from the rest of the configuration.
    config = to_jsonable(info.config)
    people = config.pop("people", [])
    clips = "\n".join(
        "  "
        + ", ".join(
            format_value(each.get(key)) for key in ("identity", "file", "source", "license")
        )
        for each in people
    )
    learned = f"learned from {len(people)} clips (--json has their SHA-256):\n{clips}"
    print_result(
        info, as_json=as_json, text=f"{format_fields(facts | config)}\n\n{learned}\n\n{info.card}"
    )


@prior_app.command("prepare")
@report_errors
@accept_options(PrepareOptions)
def prepare_people(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of videos, at any depth.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="Folder for the shards of one split."),
    ],
    options: PrepareOptions,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Turn a folder of videos into shards for training, or continue a run that was stopped."""
    from dubfew.data.prepare import prepare_footage

    with show_progress(progress_mode, as_json=as_json) as progress:
        result = prepare_footage(folder, out, options, progress=progress)
    # Thousands of clips may have been written; their number is enough.
    facts = to_jsonable(result) | {"written": len(result.written)}
    failed = [f"failed  {file}: {reason}" for file, reason in facts.pop("failed").items()]
    print_result(result, as_json=as_json, text="\n".join([format_fields(facts), *failed]))


@prior_app.command("purge")
@report_errors
def purge_people(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Folder that 'prior prepare' filled, or that of a training."
        ),
    ],
    exclude: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="List of people to remove: an identity, a file or a SHA-256 per line.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Remove people from prepared data, or their textures from a training; no video is needed."""
    from dubfew.data.clip_index import read_exclude_list
    from dubfew.data.prepare import purge_footage

    names = read_exclude_list(exclude)
    if (folder / "textures").is_dir():
        from dubfew.prior.training.textures import purge_run

        removed = purge_run(folder, names)
    else:
        removed = purge_footage(folder, names)
    print_fields({"removed": removed}, as_json=as_json)


@prior_app.command("align")
@report_errors
def align_people(
    folder: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder that 'prior prepare --layout' filled.")
    ],
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Measure how late pictures are against their sound; trainings that hear remove it.

    A lag that the clip does not tell clearly stays. Videos are not needed.
    """
    from dubfew.data.prepare import store_clip_lags
    from dubfew.speech.model import SpeechModel
    from dubfew.speech.training.clip_sync import measure_picture_lags
    from dubfew.speech.training.shard_clips import load_filmed_clips

    clips = load_filmed_clips(folder)
    with show_progress(progress_mode, as_json=as_json) as progress:
        lags = measure_picture_lags(SpeechModel.load_default(), clips.train, progress)
    store_clip_lags(folder, {file: lag.correction_seconds for file, lag in lags.items()})
    moved = {
        file: f"{1000 * lag.lag_seconds:+.0f} ms" for file, lag in lags.items() if lag.is_clear
    }
    text = format_fields({"clips": len(lags), "with a clear lag": len(moved)} | moved)
    print_result({"folder": folder, "lags": lags, "skipped": clips.skipped}, as_json=as_json,
                 text=text)  # fmt: skip


@prior_app.command("push")
@report_errors
def push_prior(
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hugging Face Hub.")
    ],
    prior: PriorOption = None,
    license: Annotated[
        str, typer.Option(metavar="NAME", help="License of the weights, as the Hub names it.")
    ] = "other",
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see a repository that is made.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Push a prior to the Hugging Face Hub, with a model card that lists its people."""
    from dubfew.prior.hub import push_to_hub

    url = push_to_hub(repository, prior, license=license, private=not public)
    print_result({"pushed": repository, "url": url}, as_json=as_json, text=f"pushed: {url}")


@prior_app.command("train")
@report_errors
def train_prior(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="JSON file; docs/training.md lists its keys.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Folder to write; default: that in CONFIG."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Training steps; default: those in CONFIG."),
    ] = None,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train a prior on prepared people, or continue a run that was stopped.

    Several GPUs: accelerate launch -m dubfew.prior.train CONFIG
    """
    import dataclasses

    from dubfew.prior.training.trainer import PriorTrainConfig, train_renderer

    # Options of the command line replace those of the file.
    settings = PriorTrainConfig.load(config)
    if out is not None:
        settings = dataclasses.replace(settings, out=str(out))
    if steps is not None:
        settings = dataclasses.replace(settings, steps=steps)
    with show_progress(progress_mode, as_json=as_json) as progress:
        folder = train_renderer(settings, progress)
    print_fields({"prior": folder}, as_json=as_json)


@prior_app.command("sync")
@report_errors
def train_sync(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="JSON file; docs/sidgan.md lists its keys.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Folder to write; default: that in CONFIG."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Training steps; default: those in CONFIG."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Write it even if it tells too few held-out pairs right."),
    ] = False,
    progress_mode: ProgressOption = ProgressMode.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Train a SyncNet on prepared people, or continue a run that was stopped.

    It judges in the training of other networks whether a mouth and its sound fit.
    """
    import dataclasses

    from dubfew.prior.training.sync import SyncTrainConfig, train_syncnet

    settings = SyncTrainConfig.load(config)
    if out is not None:
        settings = dataclasses.replace(settings, out=str(out))
    if steps is not None:
        settings = dataclasses.replace(settings, steps=steps)
    with show_progress(progress_mode, as_json=as_json) as progress:
        path, info = train_syncnet(settings, progress, force=force)
    facts = {"syncnet": path, "network": info.name, "steps": info.steps}
    accuracy = "not measured" if info.accuracy is None else f"{info.accuracy:.3f}"
    print_fields({**facts, "held-out accuracy": accuracy}, as_json=as_json)


@prior_app.command("fetch-vgg")
@report_errors
def fetch_vgg(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="File to write; default: one in dubfew's cache."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download VGG-19's weights (575 MB), which some training losses need."""
    from dubfew.prior.losses import fetch_vgg19

    path = fetch_vgg19(out, overwrite=overwrite)
    print_fields({"path": path}, as_json=as_json)
