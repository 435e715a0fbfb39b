"""``dubfew assets``: files that dubfew may not distribute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.options import JsonOption

assets_app = CommandGroup("Register files that dubfew may not ship, such as FLAME and MICA.")

KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="Kind of file; 'assets list' shows all.")
]


@assets_app.command("add")
@report_errors
def register_asset(
    kind: KindArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to check and copy.")],
    as_json: JsonOption = False,
) -> None:
    """Check a file and store a copy of it."""
    from dubfew.assets import add_asset

    asset = add_asset(kind, file)
    print_result(asset, as_json=as_json, text=f"{kind}: {asset.path} ({asset.sha256[:16]})")


@assets_app.command("list")
@report_errors
def show_assets(as_json: JsonOption = False) -> None:
    """Show every kind of file, and which are registered."""
    from dubfew.assets import asset_kinds, list_assets

    found = list_assets()
    width = max(map(len, found))
    lines = []
    for kind, asset in found.items():
        known = asset_kinds()[kind]
        where = asset.path if asset else f"- {known.description}; {known.license_page}"
        lines.append(f"{kind:<{width}}  {where}")
    text = "\n".join(lines)
    print_result(found, as_json=as_json, text=text)


@assets_app.command("remove")
@report_errors
def unregister_asset(kind: KindArgument, as_json: JsonOption = False) -> None:
    """Delete the stored copy of a file."""
    from dubfew.assets import remove_asset

    remove_asset(kind)
    print_result({"removed": kind}, as_json=as_json, text=f"{kind} removed")
