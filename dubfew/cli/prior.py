"""``dubfew prior``: the multi-person renderers that adaptation starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.console import emit, job, lines, plain, progress_bar, size
from dubfew.cli.options import Json

prior = typer.Typer(help="List, describe, train and prepare priors.", no_args_is_help=True)


@prior.command("list")
@job
def list_priors(as_json: Json = False) -> None:
    """List the priors that are there."""
    from dubfew.prior import list_priors as find

    found = find()
    emit(
        {
            "priors": [
                {
                    "name": each.name,
                    "path": each.path,
                    "sha256": each.sha256,
                    "bytes": each.bytes,
                }
                for each in found
            ]
        },
        as_json=as_json,
        text=lines({each.name: f"{size(each.bytes)}  {each.path}" for each in found})
        or "no priors",
    )


@prior.command("info")
@job
def show_prior(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or folder of a prior.")],
    as_json: Json = False,
) -> None:
    """Describe a prior: its card, its configuration, its hash."""
    from dubfew.prior import prior_info

    info = prior_info(name)
    facts = {"name": info.name, "path": info.path, "sha256": info.sha256, "size": size(info.bytes)}
    emit(info, as_json=as_json, text=f"{lines(facts | plain(info.config))}\n\n{info.card}")


@prior.command("prepare")
@job
def prepare_people(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Clips, one person each.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="Where training data goes.")
    ],
    split: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Only clips of this split, where FOLDER/manifest.json has splits."
        ),
    ] = "train",
    as_json: Json = False,
) -> None:
    """Turn a folder of clips into training data for a prior."""
    from dubfew.prior import prepare

    with progress_bar(as_json=as_json) as progress:
        result = prepare(folder, out, split=split, progress=progress)
    emit(result, as_json=as_json, text=lines(result))


@prior.command("train")
@job
def train_prior(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="Training configuration (JSON).")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="Default: what the config says."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: what the config says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a prior on prepared people; goes on where a stopped run left off."""
    import dataclasses

    from dubfew.prior.train import TrainConfig, train

    wanted = TrainConfig.load(config)
    if out is not None:
        wanted = dataclasses.replace(wanted, out=str(out))
    if steps is not None:
        wanted = dataclasses.replace(wanted, steps=steps)
    with progress_bar(as_json=as_json) as progress:
        folder = train(wanted, progress)
    emit({"prior": folder}, as_json=as_json, text=lines({"prior": folder}))


@prior.command("fetch-vgg")
@job
def fetch_vgg(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Default: in dubfew's cache."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download VGG-19's weights (575 MB), which some training losses need."""
    from dubfew.prior.losses import fetch_vgg19

    path = fetch_vgg19(out)
    emit({"path": path}, as_json=as_json, text=lines({"path": path}))
