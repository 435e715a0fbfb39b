"""What the documentation names exists: files, and the functions and classes in them."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "integrations").rglob("*.md"),
    ]
)
# `render/pipeline.py: render`, `prior/training/` or `benchmarks/reenact.py` in backticks.
REFERENCE = re.compile(r"`([\w/-]+\.py)(?::\s+(\w+(?:\.\w+)*))?[^`]*`")
# Modules of the package by their dotted names.
DOTTED = re.compile(r"`(dubfew(?:\.[a-z_0-9]+)+)(?:\.[A-Z]\w*)?`")
# CHANGELOG.md names what was there once.
LEFT_OUT = {"CHANGELOG.md"}
# Files that the recipes of CONTRIBUTING.md have the reader write.
RECIPES = {"mae_mouth.py", "bias.py", "ellipse.py", "small.py"}
# Files of InsightFace and SyncNet, which pages cite.
FOREIGN = {"iresnet.py", "run_pipeline.py"}


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names that a module defines at its top level, and ``Class.member``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    found.add(f"{node.name}.{member.name}")
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    found.add(f"{node.name}.{member.target.id}")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def files_called(name: str) -> list[Path]:
    """Files of the repository that a page may mean by a name."""
    if (ROOT / name).is_file():
        return [ROOT / name]
    folders = ("dubfew", "benchmarks", "tools", "examples", "tests")
    return [path for folder in folders for path in (ROOT / folder).rglob(name)]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    if page.name in LEFT_OUT:
        pytest.skip("names what was there once")
    missing = []
    text = page.read_text(encoding="utf-8")
    for file, name in REFERENCE.findall(text):
        files = files_called(file)
        if "NAME" in file or Path(file).name.removeprefix("test_") in RECIPES | FOREIGN:
            continue
        if not files:
            missing.append(file)
        elif name and not any(name in names_in(path) for path in files):
            missing.append(f"{file}: {name}")
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_a_page_names_exist(page: Path) -> None:
    missing = []
    for module in DOTTED.findall(page.read_text(encoding="utf-8")):
        path = ROOT.joinpath(*module.split("."))
        if not ROOT.joinpath(*module.split(".")[:2]).is_dir():
            continue  # a key in a file, such as `dubfew.track`, or a name that dubfew exports
        parent = path.parent.with_suffix(".py")
        known = path.with_suffix(".py").is_file() or path.is_dir()
        known = known or (parent.is_file() and path.name in names_in(parent))
        if not known and page.name not in LEFT_OUT:
            missing.append(module)
    assert missing == []
