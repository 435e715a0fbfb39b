"""What ``dubfew doctor`` finds, and what it says when something is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dubfew import doctor
from dubfew.assets import add_asset
from dubfew.cli.app import app
from dubfew.errors import MissingDependencyError
from dubfew.utils import import_utils


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "deep" / "home"))
    return tmp_path / "deep" / "home"


def test_this_installation_is_sound(home: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout.splitlines()[-1])
    checks = {check["name"]: check for check in report["checks"]}
    assert report["ok"] is True
    for name in ("python", "torch", "av", "mediapipe", "numba", "DUBFEW_HOME"):
        assert checks[name]["ok"], checks[name]
    assert "libx264" in checks["encoders"]["found"]
    assert not home.parent.exists()  # looking creates nothing


def test_missing_parts_come_with_the_line_that_installs_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "REQUIRED_PACKAGES", {"no_such_module": "no-such-package"})
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    lines = {line.split()[1]: line for line in result.stdout.splitlines()}
    assert lines["no-such-package"].startswith("MISSING")
    assert lines["no-such-package"].endswith("pip install --force-reinstall no-such-package")
    assert lines["espeakng-loader"].startswith("absent")
    assert lines["espeakng-loader"].endswith("pip install 'dubfew[transcript]'")


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_home_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", "/proc/dubfew")
    check = next(
        check for check in doctor.check_installation().checks if check.name == "DUBFEW_HOME"
    )
    assert not check.ok
    assert "make /proc writable" in check.install


def test_require_gives_the_module_or_the_line() -> None:
    part = import_utils.OptionalPackage(
        "json", "json-package", "reading", "pip install json-package"
    )
    missing = import_utils.OptionalPackage("no_such", "no-such", "testing", "pip install no-such")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(import_utils.OPTIONAL_PACKAGES, "json", part)
        patch.setitem(import_utils.OPTIONAL_PACKAGES, "no_such", missing)
        assert import_utils.import_optional("json") is json
        assert (
            import_utils.installed_version("json") == "unknown"
        )  # no such distribution in pip's records
        assert import_utils.installed_version("no_such") is None
        with pytest.raises(MissingDependencyError, match=r"testing.*pip install no-such"):
            import_utils.import_optional("no_such")


def test_registered_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    assert not doctor._check_assets().ok
    np.save(tmp_path / "lid.npy", np.zeros((5023, 3)))
    added = add_asset("flame-eyelid-left", tmp_path / "lid.npy")
    assert doctor._check_assets().found == "flame-eyelid-left"
    added.path.write_bytes(b"changed")
    check = doctor._check_assets()
    assert not check.ok
    assert "no longer" in check.found
