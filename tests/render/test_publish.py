"""An output takes its place signed and logged, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dubfew.errors import ActorNotFoundError, AuditError, SuspendedError
from dubfew.marks.certificate import load_signing_identity
from dubfew.marks.credentials import RenderProvenance
from dubfew.registry import Registry
from dubfew.registry.policy import RenderPurpose
from dubfew.render.publish import sign_and_log
from dubfew.utils.files import sha256_file

pytestmark = pytest.mark.slow

PURPOSE = RenderPurpose("dubbing", "de-AT", "AT", "a title that names somebody")


@pytest.fixture
def home(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "home")
    registry.create("mary", {}, {"a": b"content"})
    return registry


def finished(clip: Path, folder: Path, registry: Registry, name: str, watermark: str | None):
    """Finish a copy of the clip as ``name``. The file that was to become it."""
    file, output = folder / f"unfinished{Path(name).suffix}", folder / name
    shutil.copy(clip, file)
    rendering = RenderProvenance(
        scene=clip,
        sound=None,
        drive="self",
        prior="warp",
        prior_sha256="",
        consent_sha256=None,
        watermark=watermark,
    )
    identity = load_signing_identity(registry.home)
    sign_and_log(file, output, rendering, identity, PURPOSE, registry, registry.open("mary"))
    return file


@pytest.mark.parametrize(("watermark", "overrides"), [("0123456789", []), (None, ["no-watermark"])])
def test_the_line_is_of_the_signed_file(clip, tmp_path, home, watermark, overrides):
    file = finished(clip, tmp_path, home, "out.mp4", watermark)
    assert file.stat().st_size > clip.stat().st_size
    *_, entry = home.audit().iter_entries()
    assert entry.event == "render"
    assert entry.fields == {
        "actor": next(iter(home.pseudonyms())),
        "revision": 1,
        "output_sha256": sha256_file(file),
        "watermark": watermark,
        "drive": "self",
        "consent_sha256": None,
        "use": "dubbing",
        "language": "de-AT",
        "territory": "AT",
        "overrides": overrides,
    }
    assert "title" not in home.audit().path.read_text()


def test_what_cannot_be_logged_leaves_no_credentials(clip, tmp_path, home):
    finished(clip, tmp_path, home, "one.mkv", None)
    assert (tmp_path / "one.c2pa").exists()
    home.audit().path.write_bytes(b"damaged")
    with pytest.raises(AuditError):
        finished(clip, tmp_path, home, "two.mkv", None)
    assert not (tmp_path / "two.c2pa").exists()


def test_consent_may_be_withdrawn_while_it_is_rendered(clip, tmp_path, home):
    home.suspend("mary")
    with pytest.raises(SuspendedError):
        finished(clip, tmp_path, home, "out.mkv", None)
    assert not (tmp_path / "out.c2pa").exists()
    home.resume("mary")
    stored = home.open("mary")
    home.delete("mary")
    with pytest.raises(ActorNotFoundError):
        sign_and_log(clip, tmp_path / "out.mkv", None, None, PURPOSE, home, stored)
