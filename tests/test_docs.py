"""What the documentation names exists: files, functions and classes in them, and commands."""

from __future__ import annotations

import ast
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dubfew.cli.app import app

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


# Pages whose names of classes stand without a file, too.
PAPER_PAGES = ("papers", "stylesync", "dinet", "sidgan", "iptalker", "renderers")
# `DINet.encode`, `StyleSyncLoss`: a class of the package, and one of its members.
CLASS = re.compile(r"`([A-Z][a-z0-9A-Z]*[a-z][A-Za-z0-9]*)(?:\.([a-z_]\w*))?`")
# Classes of others, which the pages name with their owner.
FOREIGN_CLASSES = {"StyleGAN2"}


@cache
def classes_of_package() -> dict[str, set[str]]:
    """Members of every class of the package, inherited ones too, by the class's name."""
    members: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in (ROOT / "dubfew").rglob("*.py"):
        classes = ast.parse(path.read_text(encoding="utf-8")).body
        for node in (each for each in classes if isinstance(each, ast.ClassDef)):
            parents = (ast.unparse(base).partition("[")[0] for base in node.bases)
            bases.setdefault(node.name, set()).update(parents)
            own = members.setdefault(node.name, set())
            for part in ast.walk(node):
                if isinstance(part, ast.FunctionDef):
                    own.add(part.name)
                elif isinstance(part, ast.Attribute) and ast.unparse(part.value) == "self":
                    own.add(part.attr)
                elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    own.add(part.id)

    # Two modules may have classes of one name, so bases are not followed twice.
    found = {}
    for name in members:
        lines, seen = [name], set[str]()
        while lines:
            each = lines.pop()
            if each not in seen:
                seen.add(each)
                lines += bases.get(each, ())
        found[name] = set().union(*(members.get(each, set()) for each in seen))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", PAPER_PAGES)
def test_classes_that_a_page_of_a_paper_names_exist(page: str) -> None:
    known = classes_of_package()
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    missing = [
        f"{name}.{member}" if member else name
        for name, member in CLASS.findall(text)
        if name not in FOREIGN_CLASSES and member not in ("", *known.get(name, ()))
    ] + [name for name, _ in CLASS.findall(text) if name not in (*known, *FOREIGN_CLASSES)]
    assert missing == []


def read_paper_rows() -> list[list[str]]:
    """Cells of every row of docs/papers.md: row, where, what, state, here."""
    text = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\| 00\d-\d\d \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_papers_rows_are_complete_and_counted() -> None:
    rows = read_paper_rows()
    names = [row[0] for row in rows]
    papers = {"003": 59, "001": 25, "000": 13, "002": 28, "004": 22}
    assert names == [f"{p}-{n:02d}" for p, count in papers.items() for n in range(1, count + 1)]
    assert all(len(row) == 5 and row[4] for row in rows)
    files = [file for row in rows for file, _ in REFERENCE.findall(row[4])]
    assert [
        f for f in files if not any((base / f).is_file() for base in (ROOT, ROOT / "dubfew"))
    ] == []
    states = ("done", "done, files", "in part", "missing")
    text = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| [^|]+((?:\| \d+ ){5})\|$", text, re.MULTILINE)
    counted = [[int(number) for number in re.findall(r"\d+", line)] for line in table]
    expected = [
        [*(sum(r[0][:3] == p and r[3] == state for r in rows) for state in states), papers[p]]
        for p in papers
    ]
    assert counted == [*expected, [sum(column) for column in zip(*expected, strict=True)]]


# Options that every command has.
ANYWHERE = ("--help", "--config")
# What a page has in a block or in backticks.
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)


root_command = cache(partial(get_command, app))


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Find the command of the command line that some words call, and the words after it."""
    command = root_command()
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def shown_commands(page: Path) -> list[list[str]]:
    """Commands of dubfew that a page shows, with or without the first word."""
    known = set(root_command().commands)
    found = []
    for block, inline in CODE.findall(page.read_text(encoding="utf-8")):
        for line in (block or inline).replace("\\\n", " ").splitlines():
            words = line.split("#")[0].replace("...", "").split()
            if "dubfew" in words and (block or words[0] == "dubfew"):
                words = words[words.index("dubfew") + 1 :]
            elif block or not words or words[0] not in known or len(words) < 2:
                continue
            if words and words[0] in known:
                found.append(words)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_that_a_page_shows_exist(page: Path) -> None:
    wrong = []
    for shown in shown_commands(page):
        command, words = find_command(shown)
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        if hasattr(command, "commands") and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            wrong.append(" ".join(shown))  # a command that its group does not have
        given = [
            word.split("=")[0].strip("[]|,;:.")
            for word in words
            if word.strip("[").startswith("--")
        ]
        wrong += [
            f"{' '.join(shown[:3])}: {word}" for word in given if word not in {*options, *ANYWHERE}
        ]
    assert page.name in LEFT_OUT or wrong == []
