"""A folder to begin a production with: settings, a consent record, places for footage."""

from __future__ import annotations

import json
from pathlib import Path

from dubfew.registry.consent import example_consent
from dubfew.utils.files import check_output_path, write_atomic

CONFIG_NAME, CONSENT_NAME = "dubfew.toml", "consent.json"
# Folders of the project.
FOLDERS = ("footage", "scenes", "speech", "dubbed")

CONFIG_TEXT = """\
# Options of dubfew's commands. A command reads its table with
#     dubfew render mary --config dubfew.toml
# or in all commands of a terminal with
#     export DUBFEW_CONFIG=dubfew.toml
# A key is a long option without the hyphens before it; 'dubfew render --help' lists them. Options
# that are typed count instead of those here. Paths are relative to the working folder.

[adapt]
consent = "consent.json"
# steps = 300

[render]
use = "dubbing"
language = "de"
# territory = "AT"
# project = "Title of the production"
# codec = "prores_ks"
# like-source = true

[dub]
use = "dubbing"
language = "de"
"""

GUIDE_TEXT = """\
# A dubbing project

1. Fill in `consent.json`, the record of what the actor agreed to, and check it with
   `dubfew consent check consent.json`.
2. Put a video of the actor into `footage/`, scenes into `scenes/`, new speech into `speech/`.
3. `dubfew adapt footage/mary.mp4 --config dubfew.toml` learns the actor.
4. `export DUBFEW_CONFIG=dubfew.toml`, then
   `dubfew render mary --video scenes/1.mp4 --audio speech/1.wav -o dubbed/1.mp4` makes them speak.
5. `dubfew verify dubbed/1.mp4` shows the marks of the output.
"""

# Footage and outputs do not belong into a repository.
IGNORE_TEXT = "".join(f"{name}/*\n!{name}/.gitkeep\n" for name in FOLDERS)


def create_project(folder: Path) -> list[Path]:
    """Write a new project.

    Args:
        folder: its folder, which may exist; no file of it is replaced.

    Returns:
        The files that were written.

    Raises:
        OutputExistsError: One of the files exists; then nothing is written.
        DubfewError: The folder cannot be written to.
    """
    consent = json.dumps(example_consent(), indent=2, ensure_ascii=False)
    texts = {
        CONFIG_NAME: CONFIG_TEXT,
        CONSENT_NAME: f"{consent}\n",
        "README.md": GUIDE_TEXT,
        ".gitignore": IGNORE_TEXT,
        **{f"{name}/.gitkeep": "" for name in FOLDERS},
    }
    for name in texts:
        check_output_path(folder / name)
    for name, text in texts.items():
        write_atomic(folder / name, text.encode())
    return [folder / name for name in texts]
