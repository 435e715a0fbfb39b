"""``dubfew serve``: the HTTP server and its keys."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dubfew.cli.commands import CommandGroup
from dubfew.cli.console import print_result, report_errors
from dubfew.cli.option_flags import accept_options
from dubfew.cli.options import JsonOption
from dubfew.server.options import ServeOptions

if TYPE_CHECKING:
    from dubfew.jobs.store import JobStore

serve_app = CommandGroup("Run an HTTP server that takes jobs from other programs.")
keys_app = CommandGroup("Make, list and remove the keys of the HTTP server.")
serve_app.add_typer(keys_app, name="keys")


@serve_app.callback(invoke_without_command=True, no_args_is_help=False)
@report_errors
@accept_options(ServeOptions)
def serve(ctx: typer.Context, options: ServeOptions) -> None:
    """Run an HTTP server that takes jobs from other programs, until Ctrl-C."""
    if ctx.invoked_subcommand is not None:
        return
    from dubfew.server.running import serve

    serve(options, on_ready=_print_ready)


def _print_ready(url: str) -> None:
    print(f"dubfew serves {url}, its page is {url}/docs; Ctrl-C ends it", file=sys.stderr)
    sys.stderr.flush()


@keys_app.command("add")
@report_errors
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold the key.")],
    scope: Annotated[
        list[str],
        typer.Option(
            metavar="SCOPE",
            help="What the key may do: render, adapt, delete or export. Repeat for more.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once; the server keeps a hash of it."""
    from dubfew.server import access

    key = access.add_key(_open_store(), name, scope)
    print_result({"name": name, "key": key, "scopes": scope}, as_json=as_json, text=key)


@keys_app.command("list")
@report_errors
def list_keys(as_json: JsonOption = False) -> None:
    """List names, scopes and dates of all keys."""
    keys = [
        {
            "name": each["name"],
            "scopes": each["scopes"],
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each["created"])),
        }
        for each in _open_store().list_keys()
    ]
    lines = [f"{each['name']}  {', '.join(each['scopes'])}  {each['created']}" for each in keys]
    print_result({"keys": keys}, as_json=as_json, text="\n".join(lines) or "no keys")


@keys_app.command("remove")
@report_errors
def remove_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who holds the key.")],
    as_json: JsonOption = False,
) -> None:
    """Remove a key. It is refused from the next request on; its jobs go on."""
    _open_store().remove_key(name)
    print_result({"removed": name}, as_json=as_json, text=f"removed the key {name}")


def _open_store() -> JobStore:
    """Open the server's store in DUBFEW_HOME."""
    from dubfew.jobs.pool import default_store_folder
    from dubfew.jobs.store import JobStore

    return JobStore(default_store_folder())
