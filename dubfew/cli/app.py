"""The ``dubfew`` command, assembled from the commands and groups that have files of their own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dubfew.cli import exchange as exchange  # adds its commands to ``actors_app``
from dubfew.cli.actors import actors_app
from dubfew.cli.adapt import adapt
from dubfew.cli.assets import assets_app
from dubfew.cli.audit import audit_app
from dubfew.cli.batch import batch
from dubfew.cli.bench import bench_app
from dubfew.cli.commands import CommandGroup, FastHelpGroup
from dubfew.cli.compare import compare
from dubfew.cli.consent import consent_app
from dubfew.cli.demo import demo
from dubfew.cli.doctor import doctor
from dubfew.cli.dub import dub
from dubfew.cli.evaluate import evaluate
from dubfew.cli.init import init
from dubfew.cli.inspect import inspect
from dubfew.cli.motion import edit, motion
from dubfew.cli.page import app_page
from dubfew.cli.prior import prior_app
from dubfew.cli.render import render
from dubfew.cli.serve import serve_app
from dubfew.cli.speech import speech_app
from dubfew.cli.study import study_app
from dubfew.cli.track import track
from dubfew.cli.verify import verify
from dubfew.version import __version__

# Commands and groups in the order of the work; `dubfew --help` lists them so.
WORK_ORDER = (
    "dub",
    "adapt",
    "render",
    "actors",
    "consent",
    "motion",
    "edit",
    "batch",
    "evaluate",
    "compare",
    "study",
    "inspect",
    "track",
    "verify",
    "audit",
    "app",
    "serve",
    "init",
    "demo",
    "doctor",
    "assets",
    "speech",
    "prior",
    "bench",
)


class _WorkOrderGroup(FastHelpGroup):
    """The group of all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the work; names that it lacks come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=[*WORK_ORDER, *names].index)


app = CommandGroup(
    "Learn an actor from a few seconds of footage, then make them speak new audio.",
    cls=_WorkOrderGroup,
    add_completion=True,
)

for command in (
    init,
    verify,
    dub,
    adapt,
    render,
    motion,
    edit,
    batch,
    inspect,
    track,
    evaluate,
    compare,
    doctor,
    demo,
):
    app.command()(command)
app.command("app")(app_page)
app.add_typer(actors_app, name="actors")
app.add_typer(assets_app, name="assets")
app.add_typer(audit_app, name="audit")
app.add_typer(bench_app, name="bench")
app.add_typer(consent_app, name="consent")
app.add_typer(prior_app, name="prior")
app.add_typer(serve_app, name="serve")
app.add_typer(speech_app, name="speech")
app.add_typer(study_app, name="study")


def _print_version(value: bool) -> None:
    if value:
        print(f"dubfew {__version__}")
        raise typer.Exit


@app.callback()
def dubfew(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Learn an actor from a few seconds of footage, then make them speak new audio."""
