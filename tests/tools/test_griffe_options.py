"""The documentation site's extension of griffe."""

from __future__ import annotations

import inspect

import pytest

import dubfew

options = pytest.importorskip("tools.griffe_options", reason="needs the extra docs")


def test_code_of_examples_is_not_read_as_markdown():
    text = "First line.\n\nExample:\n    >>> names[0][:12]\n\n  Example::\n\n      call()"
    assert options.name_example_sections(text) == (
        "First line.\n\nExamples:\n    >>> names[0][:12]\n\n  Example:\n\n      call()"
    )
    assert options.name_example_sections("An Example: of text.") == "An Example: of text."


@pytest.mark.parametrize("name", ["adapt", "dub", "render", "track", "plan_dub"])
def test_every_function_of_the_package_has_its_options(name):
    found = options.GENERATED[f"dubfew.api.{name}"]
    assert found is getattr(dubfew, name)
    assert "device" in inspect.signature(found).parameters or name == "track"
