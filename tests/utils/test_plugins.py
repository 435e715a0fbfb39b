"""Parts that other packages add by entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubfew.errors import ArtefactError
from dubfew.utils import extension_table
from dubfew.utils.extension_table import ExtensionTable

ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path, package: str, entries: str) -> None:
    """Write what pip writes of a package's entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[toy.parts]\n{entries}")


def clear_caches() -> None:
    """Have the next table look at the installed packages again."""
    extension_table._list_plugins.cache_clear()
    extension_table._read_entry_points.cache_clear()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExtensionTable[int]]:
    (tmp_path / "plugged").mkdir()
    (tmp_path / "plugged" / "__init__.py").write_text("")
    (tmp_path / "plugged" / "own.py").write_text("PART = 1\n")
    (tmp_path / "three.py").write_text("PART = 3\n")
    (tmp_path / "broken.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    clear_caches()
    yield ExtensionTable("toy part", "plugged", "PART", ArtefactError, entry_points="toy.parts")
    clear_caches()
    for name in ("plugged", "plugged.own", "three", "broken"):
        sys.modules.pop(name, None)


def test_a_package_adds_a_part(table: ExtensionTable[int], tmp_path: Path) -> None:
    install(tmp_path, "toy", "number-three = three\n")
    assert table.names == ("number-three", "own")
    assert "three" not in sys.modules
    assert dict(table) == {"number-three": 3, "own": 1}


def test_a_broken_part_names_its_package(table: ExtensionTable[int], tmp_path: Path) -> None:
    install(tmp_path, "toy", "bad = broken\n")
    with pytest.raises(ArtefactError, match=r"'bad' of the package toy .*no_such_module_at_all"):
        table.load("bad")
    assert table.load("own") == 1


@pytest.mark.parametrize("entry", ["own = three", "../x = three", "Two Words = three"])
def test_names_that_are_left_out(table: ExtensionTable[int], tmp_path: Path, entry: str) -> None:
    install(tmp_path, "toy", f"{entry}\n")
    with pytest.warns(UserWarning, match="package toy is left out"):
        assert table.names == ("own",)
    assert table.load("own") == 1


def test_two_packages_with_one_name(table: ExtensionTable[int], tmp_path: Path) -> None:
    install(tmp_path, "toy", "more = three\n")
    install(tmp_path, "toy2", "more = broken\n")
    with pytest.warns(UserWarning, match="has one of this name"):
        assert table.names == ("more", "own")


PROGRAM = """
import sys
from dubfew.adapt.options import AdaptOptions
from dubfew.evaluate.metrics import METRICS
assert AdaptOptions(method="bias", segmenter="ellipse").method == "bias"
assert "mae-mouth" in METRICS.names
assert "torch" not in sys.modules, "names need no torch"
from dubfew.adapt.methods import METHODS
from dubfew.reconstruction.segmenters import load_segmenter
print(METHODS.load("bias").learning_rate, METRICS.load("mae-mouth").unit)
print(load_segmenter("ellipse").name)
"""


@pytest.mark.slow
def test_the_example_package(tmp_path: Path) -> None:
    """Installed as a user installs it, into a folder of its own."""
    pytest.importorskip("setuptools", "77")
    source = tmp_path / "plugin"
    (source / "dubfew_example_plugin").mkdir(parents=True)
    for path in (ROOT / "examples" / "plugin").rglob("*.*"):
        if path.suffix in (".py", ".toml"):
            (source / path.relative_to(ROOT / "examples" / "plugin")).write_bytes(path.read_bytes())
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True)
    path = os.pathsep.join([str(target), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0.001 8-bit levels", "ellipse"]
