"""Find turns of phrase that readers stumble over, in the documentation and in docstrings.

    python tools/check_words.py

Prints one line per finding, ``file:line: phrase: what to write instead``, and exits with 1 if there
is any. Code and comments are not looked at.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Phrase -> what to write instead. Case does not matter; a line break counts as a space.
UNWANTED_PHRASES = {
    "foreseen": "say expected, supported or predicted",
    "told of": "say reported, or name who is informed",
    "is none": "say what is wrong with the value, or that there is no such thing",
}


def find_phrases(text: str) -> Iterator[tuple[int, str]]:
    """Yield every unwanted phrase in a text.

    Args:
        text: any text; lines may be wrapped anywhere.

    Yields:
        The line that the phrase begins on, counted from 1, and the phrase.
    """
    for phrase in UNWANTED_PHRASES:
        pattern = r"\b" + r"\s+".join(map(re.escape, phrase.split())) + r"\b"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield text.count("\n", 0, match.start()) + 1, phrase


def find_in_docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield every unwanted phrase in the docstrings of a module.

    Args:
        source: Python source.

    Yields:
        The line of the source, counted from 1, and the phrase.
    """
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, documented) or ast.get_docstring(node, clean=False) is None:
            continue
        docstring = node.body[0]
        text = "\n".join(source.splitlines()[docstring.lineno - 1 : docstring.end_lineno])
        for line, phrase in find_phrases(text):
            yield docstring.lineno + line - 1, phrase


def main() -> int:
    """Look at all of docs/ and dubfew/.

    Returns:
        The exit code: 1 if anything was found.
    """
    findings = [
        (path, line, phrase)
        for folder, pattern, find in (
            ("docs", "*.md", find_phrases),
            ("dubfew", "*.py", find_in_docstrings),
        )
        for path in sorted((ROOT / folder).rglob(pattern))
        for line, phrase in find(path.read_text(encoding="utf-8"))
    ]
    for path, line, phrase in findings:
        print(f"{path.relative_to(ROOT)}:{line}: {phrase!r}: {UNWANTED_PHRASES[phrase]}")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
