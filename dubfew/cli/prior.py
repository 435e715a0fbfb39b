"""``dubfew prior``: the multi-person renderers that adaptation starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import emit, job, lines, plain, progress_bar, shown, size
from dubfew.cli.options import Engine, IdentityBy, Json

prior = Commands("List, describe, train and prepare priors.")


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
    """Describe a prior: its card, its configuration, its hash, who it was learned from."""
    from dubfew.prior import prior_info

    info = prior_info(name)
    facts = {"name": info.name, "path": info.path, "sha256": info.sha256, "size": size(info.bytes)}
    told = plain(info.config)
    people = told.pop("people", [])
    who = "\n".join(
        "  " + ", ".join(shown(each.get(key)) for key in ("identity", "file", "source", "license"))
        for each in people
    )
    learned = f"learned from {len(people)} clips (--json has their SHA-256):\n{who}"
    emit(info, as_json=as_json, text=f"{lines(facts | told)}\n\n{learned}\n\n{info.card}")


@prior.command("prepare")
@job
def prepare_people(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Videos, nested as they come.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="OUT", help="Where the shards go, one split to each."),
    ],
    identities: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Whose the clips are: file, identity and any of source, license, "
            "weights_may_ship, split. Default: FOLDER/manifest.json, else the folders' names.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="People to leave out, and to remove from OUT: an identity, a file or a SHA-256 "
            "per line.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Which clips of a list that has splits.")
    ] = "train",
    by: Annotated[
        IdentityBy,
        typer.Option("--identity-by", help="Whose a clip is that no list names."),
    ] = IdentityBy.folder,
    edge: Annotated[
        int, typer.Option("--size", metavar="PX", min=32, max=1024, help="Edge of the windows.")
    ] = 160,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", metavar="N", min=1, help="Processes; default: one per core."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="This machine, or a Ray cluster (pip install 'dubfew[ray]').")
    ] = Engine.local,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail when any clip cannot be prepared.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn a folder of videos into shards for training; goes on where a stopped run left off."""
    from dubfew.data.prepare import prepare

    with progress_bar(as_json=as_json) as progress:
        result = prepare(
            folder,
            out,
            identities=identities,
            exclude=exclude,
            split=split,
            by=by.value,
            size=edge,
            jobs=jobs,
            engine=engine.value,
            strict=strict,
            progress=progress,
        )
    facts = plain(result) | {"written": len(result.written)}
    failed = [f"failed  {file}: {reason}" for file, reason in facts.pop("failed").items()]
    emit(result, as_json=as_json, text="\n".join([lines(facts), *failed]))


@prior.command("purge")
@job
def purge_people(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="What 'prior prepare' filled.")],
    exclude: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Whom to remove: an identity, a file or a SHA-256 per line."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Remove people from prepared data; their videos need not be there any more."""
    from dubfew.data.clip_index import read_exclude
    from dubfew.data.prepare import purge

    removed = purge(folder, read_exclude(exclude))
    emit({"removed": removed}, as_json=as_json, text=lines({"removed": removed}))


@prior.command("train")
@job
def train_prior(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="JSON; docs/training.md lists its keys.")
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
    """Train a prior on prepared people; goes on where a stopped run left off.

    Several GPUs: accelerate launch -m dubfew.prior.train CONFIG
    """
    import dataclasses

    from dubfew.prior.training.trainer import TrainConfig, train

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
