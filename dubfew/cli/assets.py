"""``dubfew assets``: files under licences of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import Commands
from dubfew.cli.console import emit, job
from dubfew.cli.options import Json

assets = Commands("Register files that dubfew may not ship, such as FLAME and MICA.")

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="'assets list' shows all.")]


@assets.command("add")
@job
def add(
    kind: KindArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="It is checked and copied.")],
    as_json: Json = False,
) -> None:
    """Check a file and keep a copy of it."""
    from dubfew.assets import add_asset

    asset = add_asset(kind, file)
    emit(asset, as_json=as_json, text=f"{kind}: {asset.path} ({asset.sha256[:16]})")


@assets.command("list")
@job
def show(as_json: Json = False) -> None:
    """Show every kind of file, and which are there."""
    from dubfew.assets import KINDS, list_assets

    found = list_assets()
    width = max(map(len, found))
    text = "\n".join(
        f"{kind:<{width}}  {asset.path if asset else f'- {KINDS[kind].what}; {KINDS[kind].page}'}"
        for kind, asset in found.items()
    )
    emit(found, as_json=as_json, text=text)


@assets.command("remove")
@job
def remove(kind: KindArgument, as_json: Json = False) -> None:
    """Delete the copy of a file."""
    from dubfew.assets import remove_asset

    remove_asset(kind)
    emit({"removed": kind}, as_json=as_json, text=f"{kind} removed")
