"""Export and import of archives, and hostile archives."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dubfew.errors import RegistryError
from dubfew.registry import Registry
from dubfew.registry.archive import unpack_archive

CONFIG = {"method": "texture", "seed": 3}
FILES = {"a.safetensors": b"alpha", "b.safetensors": b"beta" * 100}


def manifest_of(stored: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in stored.items()
    }
    manifest = {
        "format": "dubfew-actor",
        "format_version": 1,
        "actor": "mary",
        "config": CONFIG,
        "files": listed,
    }
    return manifest | changes


def zip_of(
    files: dict[str, bytes], manifest: object, compression: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        if manifest is not None:
            text = manifest if isinstance(manifest, str) else json.dumps(manifest)
            archive.writestr("manifest.json", text)
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_export_and_import_are_inverse(registry: Registry, tmp_path: Path) -> None:
    registry.create("mary", CONFIG, FILES)
    file = tmp_path / "new folder" / "märy.zip"
    assert registry.export("mary", file, plain=True).number == 1
    other = Registry(tmp_path / "other")
    imported = other.import_file(file)
    assert (imported.actor, imported.number, imported.method) == ("mary", 1, "texture")
    assert imported.config == CONFIG
    assert {name: imported.read(name) for name in imported.file_names()} == FILES
    assert other.import_file(file).number == 2
    assert other.import_file(file, "anna").actor == "anna"


def test_exports_are_reproducible_and_readable_by_any_zip_program(
    registry: Registry, tmp_path: Path
) -> None:
    registry.create("mary", CONFIG, FILES)
    registry.create("mary", CONFIG, {})
    for name in ("1.zip", "2.zip"):
        registry.export("mary", tmp_path / name, revision=1, plain=True)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", *FILES]
        assert json.loads(archive.read("manifest.json"))["format_version"] == 1


def test_export_of_a_damaged_actor_writes_no_file(registry: Registry, tmp_path: Path) -> None:
    registry.create("mary", CONFIG, FILES)
    next(registry.home.rglob("a.safetensors")).write_bytes(b"alphx")
    with pytest.raises(RegistryError, match="damaged"):
        registry.export("mary", tmp_path / "out" / "mary.zip", plain=True)
    assert not (tmp_path / "out").exists()


DEEP = "[" * 100_000
BAD = {
    "empty": (b"", "readable zip"),
    "text": (b"hello", "readable zip"),
    "no manifest": (zip_of(FILES, None), "no manifest"),
    "manifest is not JSON": (zip_of(FILES, "{"), "not JSON"),
    "manifest is deep": (zip_of(FILES, DEEP), "not JSON"),
    "manifest is a list": (zip_of(FILES, []), "format"),
    "other format": (zip_of(FILES, manifest_of(FILES, format="x")), "format"),
    "newer": (zip_of(FILES, manifest_of(FILES, format_version=2)), "update dubfew"),
    "version true": (zip_of(FILES, manifest_of(FILES, format_version=True)), "version .True."),
    "version 0": (zip_of(FILES, manifest_of(FILES, format_version=0)), "version .0."),
    "no actor": (zip_of(FILES, manifest_of(FILES, actor=None)), "'actor'"),
    "bad actor": (zip_of(FILES, manifest_of(FILES, actor="../x")), "path"),
    "config is a list": (zip_of(FILES, manifest_of(FILES, config=[])), "'config'"),
    "config is NaN": (zip_of(FILES, manifest_of(FILES, config={"a": float("nan")})), "JSON"),
    "method is odd": (zip_of(FILES, manifest_of(FILES, config={"method": "\ud800"})), "method"),
    "file missing": (zip_of({}, manifest_of(FILES)), "not both"),
    "file extra": (zip_of(FILES | {"c": b""}, manifest_of(FILES)), "not both"),
    "content differs": (zip_of(FILES | {"a.safetensors": b"x"}, manifest_of(FILES)), "SHA-256"),
    "entry is no object": (zip_of(FILES, manifest_of(FILES, files=dict.fromkeys(FILES))), "SHA"),
    "files is a list": (zip_of(FILES, manifest_of(FILES, files=[*FILES])), "'files'"),
    "takes the config's place": (
        zip_of({"config.json": b"{}"}, manifest_of({"config.json": b"{}"})),
        "kept for",
    ),
    "compressed": (
        zip_of(FILES, manifest_of(FILES), compression=zipfile.ZIP_DEFLATED),
        "compressed",
    ),
} | {
    f"name {name!r}": (zip_of({name: b""}, manifest_of({name: b""})), "cannot name|not a readable")
    for name in ("../evil", "/evil", "..\\evil", "C:evil", "a/b", "dir/", ".hidden", "ä")
}


@pytest.mark.parametrize("case", BAD)
def test_bad_exports_are_refused_and_nothing_enters(
    registry: Registry, tmp_path: Path, case: str
) -> None:
    data, message = BAD[case]
    file = tmp_path / "in.zip"
    file.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RegistryError, match=message) as caught:
        registry.import_file(file)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice_is_refused() -> None:
    buffer = io.BytesIO(zip_of(FILES, manifest_of(FILES)))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("a.safetensors", b"other")
    with pytest.raises(RegistryError, match="twice"):
        unpack_archive(buffer.getvalue(), "x.zip")


def test_a_file_that_cannot_be_read_is_named(registry: Registry, tmp_path: Path) -> None:
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(RegistryError, match=f"{path} cannot be read"):
            registry.import_file(path)


SOUND = zip_of(FILES, manifest_of(FILES))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    cut=st.integers(0, len(SOUND)),
)
@example(changes=[(0, SOUND[0])], cut=len(SOUND))
def test_altered_exports_are_refused_or_unchanged_in_content(
    changes: list[tuple[int, int]], cut: int
) -> None:
    altered = bytearray(SOUND)
    for place, value in changes:
        altered[place] = value
    try:
        content = unpack_archive(bytes(altered[:cut]), "x.zip")
    except RegistryError:
        return
    assert content.files == FILES


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(RegistryError):
        unpack_archive(data, "x.zip")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    manifest=st.fixed_dictionaries(
        {},
        optional={
            "format": st.just("dubfew-actor") | JSON,
            "format_version": st.just(1) | JSON,
            "actor": st.text(max_size=120) | JSON,
            "config": st.dictionaries(st.text(max_size=8), JSON, max_size=3) | JSON,
            "files": st.just(manifest_of(FILES)["files"]) | JSON,
        },
    )
)
def test_any_manifest_is_refused_or_stored_completely(manifest: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "in.zip"
        file.write_bytes(zip_of(FILES, manifest))
        registry = Registry(Path(folder) / "home")
        try:
            revision = registry.import_file(file)
        except RegistryError:
            assert registry.list() == []
            return
        assert {name: revision.read(name) for name in revision.file_names()} == FILES
