"""Write docs/options.md, the tables of all options, from the dataclasses that describe them.

python -m tools.write_options           # write the page
python -m tools.write_options --check   # exit with 1 if the page is not up to date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dubfew.adapt.options import AdaptOptions
from dubfew.batch.options import BatchOptions
from dubfew.conform.options import ConformOptions
from dubfew.data.options import PrepareOptions
from dubfew.dubbing.options import DubOptions
from dubfew.evaluate.options import EvaluateOptions
from dubfew.page.options import PageOptions
from dubfew.reconstruction.options import TrackOptions
from dubfew.render.options import RenderOptions
from dubfew.server.options import ServeOptions
from dubfew.takes.options import MotionOptions
from dubfew.utils.extension_table import ExtensionTable
from dubfew.utils.options import Option, list_options

OPTIONS_PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"

# Command, Python call and dataclass of each section of the page, in its order.
SECTIONS: tuple[tuple[str, str, type], ...] = (
    ("dubfew dub SCENE SOUND", 'dubfew.dub("SCENE", "SOUND")', DubOptions),
    ("dubfew adapt VIDEO", 'dubfew.adapt("VIDEO")', AdaptOptions),
    ("dubfew render --actor ID", 'dubfew.render("ID")', RenderOptions),
    ("dubfew batch TABLE", 'dubfew.batch.run_batch("TABLE", "FOLDER")', BatchOptions),
    (
        "dubfew conform TIMELINE --lines FILE",
        'dubfew.conform.conform_timeline("TIMELINE", "LINES", "FOLDER")',
        ConformOptions,
    ),
    ("dubfew motion SOURCE", 'dubfew.record_motion("SOURCE")', MotionOptions),
    ("dubfew track VIDEO --out TRACK", 'dubfew.track("VIDEO")', TrackOptions),
    (
        "dubfew evaluate REFERENCE OUTPUT",
        'dubfew.evaluate("REFERENCE", "OUTPUT")',
        EvaluateOptions,
    ),
    (
        "dubfew prior prepare FOLDER --out OUT",
        "dubfew.prepare_footage(folder, out)",
        PrepareOptions,
    ),
    ("dubfew app", "dubfew.page.running.show_page(options)", PageOptions),
    ("dubfew serve", "dubfew.server.running.serve(options)", ServeOptions),
)

INTRODUCTION = """\
# Options

<!-- Written by `python -m tools.write_options` from the dataclasses of options. Do not edit. -->

Each command that works on footage has a function in Python and a dataclass that holds its options.
All three have the same names, defaults and checks:

```python
import dubfew

dubfew.render("mary", audio="dub.wav", lossless=True)  # options as keywords
options = dubfew.RenderOptions(audio="dub.wav", lossless=True)  # or as one object
dubfew.render("mary", options)
dubfew.render("mary", options, video="scene.mp4")  # keywords override the object
```

A value that is not allowed is a `DubfewError`, before any work. On the command line it ends with
exit code 2, or with 1 where only the work shows it. An option without a default is not set; its
meaning says what happens then.
"""


def render_page() -> str:
    """Return the whole page as Markdown."""
    return "\n".join([INTRODUCTION, *(render_section(*section) for section in SECTIONS)])


def render_section(command: str, call: str, options_class: type) -> str:
    """Return the section of one command.

    Args:
        command: the command line without its options.
        call: the call in Python without its options.
        options_class: dataclass of the options.

    Returns:
        A heading, a sentence and a table with one row per option, as Markdown.
    """
    name = options_class.__name__
    lines = [
        f"## {name}",
        "",
        f"For `{command}` and `{call}`.",
        "",
        "| option | command line | default | allowed | meaning |",
        "|---|---|---|---|---|",
        *(_render_row(option) for option in list_options(options_class)),
        "",
    ]
    return "\n".join(lines)


def _render_row(option: Option) -> str:
    flags = list(option.flags) if option.rules.on_command_line else []
    if option.types[0] is bool and option.default is not False:
        flags.append(f"--no-{option.flags[0].removeprefix('--')}")
    default = "" if option.default is None else f"`{option.default}`"
    if isinstance(option.rules.choices, ExtensionTable):
        # The names are files: the page would change with every new one.
        allowed = "see `--help`"
    else:
        allowed = ", ".join(f"`{name}`" for name in option.choices) or option.describe_limits()
    meaning = option.rules.help.replace("<", "&lt;").replace("|", r"\|")
    words = ", ".join(f"`{flag}`" for flag in flags)
    return f"| `{option.name}` | {words} | {default} | {allowed} | {meaning} |"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page.

    Args:
        arguments: words of the command line; default: those of this process.

    Returns:
        Exit code: 1 if ``--check`` finds the page out of date.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    if parser.parse_args(arguments).check:
        if OPTIONS_PAGE.read_text("utf-8") == render_page():
            return 0
        print(f"{OPTIONS_PAGE} is out of date: run python -m tools.write_options", file=sys.stderr)
        return 1
    OPTIONS_PAGE.write_text(render_page(), "utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
