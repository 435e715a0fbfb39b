"""``dubfew doctor``: its checks, and its advice where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dubfew import doctor
from dubfew.assets import add_asset
from dubfew.cli.app import app
from tests.commands import CommandRunner


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "deep" / "home"))
    return tmp_path / "deep" / "home"


@pytest.mark.slow
def test_this_installation_has_everything_that_is_needed(home: Path) -> None:
    result = CommandRunner().invoke(app, ["doctor", "--full", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout.splitlines()[-1])
    checks = {check["name"]: check for check in report["checks"]}
    assert report["ok"] is True
    for name in ("python", "torch", "av", "mediapipe", "numba", "DUBFEW_HOME", "speech encoder"):
        assert checks[name]["ok"], checks[name]
    assert "libx264" in checks["encoders"]["found"]
    assert not home.parent.exists()  # the check creates nothing


def test_missing_packages_come_with_the_command_that_installs_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "REQUIRED_PACKAGES", {"no_such_module": "no-such-package"})
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    result = CommandRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    *checks, _, verdict = result.stdout.splitlines()
    assert verdict.startswith("NOT READY: no-such-package: run what")
    lines = {line.split()[1]: line for line in checks}
    # Those for more users come first.
    names = list(lines)
    assert names.index("espeakng-loader") < names.index("keyring") < names.index("ray")
    assert lines["no-such-package"].startswith("MISSING")
    assert lines["no-such-package"].endswith("pip install --force-reinstall no-such-package")
    assert lines["espeakng-loader"].startswith("absent")
    assert lines["espeakng-loader"].endswith("pip install 'dubfew[transcript]'")


@pytest.mark.slow
def test_a_quick_check_imports_no_large_package(home: Path) -> None:
    program = (
        "import sys\n"
        "from dubfew.doctor import check_installation\n"
        "report = check_installation()\n"
        "print({'torch', 'mediapipe', 'kornia', 'accelerate', 'peft'} & {*sys.modules})\n"
        "print(report.ok, report.verdict)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    loaded, verdict = done.stdout.splitlines()
    assert loaded == "set()"
    assert verdict.startswith("True READY")


def test_low_resources_are_said_and_do_not_fail(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_total_memory_bytes", lambda: 2_000_000_000)
    monkeypatch.setattr(doctor, "MIN_FREE_DISK_BYTES", 0)
    report = doctor.check_installation()
    (memory,) = (check for check in report.checks if check.name == "memory")
    assert memory.format_line().startswith("LOW      memory                 2.0 GB  ->  4 GB or")
    assert report.ok
    assert report.verdict.startswith("READY, but memory may be short")


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_home_that_cannot_be_written_to_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", "/proc/dubfew")
    check = next(
        check for check in doctor.check_installation().checks if check.name == "DUBFEW_HOME"
    )
    assert not check.ok
    assert "make /proc writable" in check.install


def test_registered_assets_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUBFEW_HOME", str(tmp_path / "home"))
    assert not doctor._check_assets().ok
    np.save(tmp_path / "lid.npy", np.zeros((5023, 3)))
    added = add_asset("flame-eyelid-left", tmp_path / "lid.npy")
    assert doctor._check_assets().found == "flame-eyelid-left"
    added.path.write_bytes(b"changed")
    check = doctor._check_assets()
    assert not check.ok
    assert "no longer" in check.found
