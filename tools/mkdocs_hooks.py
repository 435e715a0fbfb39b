"""Pages of the documentation site that are kept in the root of the repository."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
REPOSITORY = "https://github.com/dubfew/dubfew/blob/main/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root to the site, as contributing.md and so on.

    Args:
        files: all files of ``docs/``.
        config: of the site.

    Returns:
        The same files and the added ones.
    """
    root = Path(config.config_file_path).parent
    for name in ROOT_PAGES:
        text = (root / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name.lower(), content=move_links(text)))
    return files


def move_links(text: str) -> str:
    """Rewrite the links of a page of the root so that they work in the site.

    Args:
        text: Markdown whose links are relative to the root.

    Returns:
        The text; links into ``docs/`` are relative to it, links to other pages of the root lead to
        their pages in the site, and all other relative links lead to the repository.
    """

    def moved(match: re.Match[str]) -> str:
        target = match[1]
        page, separator, anchor = target.partition("#")
        if re.match(r"[a-z]+:|#", target):
            new = target
        elif page in ROOT_PAGES:
            new = page.lower() + separator + anchor
        elif page.startswith("docs/"):
            new = target.removeprefix("docs/")
        else:
            new = REPOSITORY + target
        return f"]({new})"

    return re.sub(r"\]\(([^)\s]+)\)", moved, text)
