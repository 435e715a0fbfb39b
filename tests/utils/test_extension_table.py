"""Tables of interchangeable parts: names without imports, loading, registration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dubfew.errors import ArtefactError
from dubfew.utils.extension_table import ExtensionTable


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExtensionTable[int]:
    """Two parts and a shared module, in a package made for the test."""
    folder = tmp_path / "toy_parts"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "_shared.py").write_text("PART = 0\n")
    (folder / "one.py").write_text("PART = 1\n")
    (folder / "two.py").write_text("PART = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield ExtensionTable("toy part", "toy_parts", "PART", ArtefactError)
    for name in [name for name in sys.modules if name.startswith("toy_parts")]:
        del sys.modules[name]


def test_names_import_no_part(table):
    assert table.names == ("one", "two")
    assert "toy_parts.one" not in sys.modules


def test_load_value(table):
    assert table.load("two") == 2
    assert dict(table) == {"one": 1, "two": 2}
    assert len(table) == 2
    assert "one" in table


@pytest.mark.parametrize("name", ["three", "_shared", ""])
def test_unknown_name_raises_the_error_of_the_table(table, name):
    with pytest.raises(ArtefactError, match=r"toy part.*one, two"):
        table.load(name)
    with pytest.raises(KeyError):
        table[name]


def test_register_and_unregister(table):
    table.register("three", 3)
    assert table.load("three") == 3
    assert table.names == ("one", "three", "two")
    with pytest.raises(ValueError, match="toy part"):
        table.register("one", 7)
    table.unregister("three")
    assert "three" not in table


def test_a_part_that_was_loaded_is_known_without_listing_the_folder(table, monkeypatch):
    assert table["one"] == 1
    monkeypatch.setattr("pkgutil.iter_modules", lambda *a: pytest.fail("listed"))
    assert "one" in table
