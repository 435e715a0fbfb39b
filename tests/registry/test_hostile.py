"""Hostile ids and exports: each ends in a typed error of one line and changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import unicodedata
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_registry import BYTE_MUTATIONS, mutate_bytes
from dubfew.errors import RegistryError
from dubfew.registry import Registry, sealing
from dubfew.registry.archive import pack_archive
from dubfew.registry.envelope import encrypt_export
from dubfew.registry.names import (
    check_distinct,
    check_file_names,
    lookalike_key,
    normalize_actor_id,
)

WORDS = "correct horse battery"
FILES = {"a.safetensors": b"alpha" * 30, "b.safetensors": b""}

DEVICES = [
    "CON",
    "con",
    "NUL",
    "nul.txt",
    "Aux",
    "PRN.tar.gz",
    "COM1",
    "lpt9",
    "COM¹",
    "con ",
    "CONIN$",
]
BAD_IDS = [
    "../../x", "..", ".", "/etc/passwd", "\\\\server\\share", "C:\\x", "a/../b", "~/../x",
    "a" * 101, "a" * 300, "ä" * 5000, "a\x00", "a\nb", "\x1b[31mred", "\u202egnp.exe", "a\u200bb",
    "\ufeffmary", "", " ", "\t", "\ud800", "a\u2028b", *DEVICES,
]  # fmt: skip
# With letters of Cyrillic, Greek, full width, Roman numbers and mathematics, a joiner, and spaces.
LOOK_ALIKES = ["Mary", "MARY", "m\u0430ry", "m\u03b1ry", "\uff4dary", "\u217fary", "\U0001d4c2ary"]
LOOK_ALIKES += ["ma\u200dry", " mary", "mary ", "mar\u0443", "rnary", "RNary", "M\u13aary"]
# Of Armenian, Cherokee, Lisu and Coptic, and figures.
OTHER_LOOK_ALIKES = [("Tessa", "\ua4d4essa"), ("Hugo", "\u13bbugo"), ("Otto 1", "Otto l")]
OTHER_LOOK_ALIKES += [
    ("Otto", "0tto"),
    ("actor I", "actor 1"),
    ("Sou", "S\u0585u"),
    ("o", "\u2c9f"),
]
OTHER_LOOK_ALIKES += [("Zo\u00eb", "Zo\u0451"), ("\u5de5", "\u30a8"), ("S\u00f8ren", "So\u0337ren")]


def short(value: object) -> str:
    return ascii(value)[:30]


@pytest.mark.parametrize("actor", BAD_IDS, ids=short)
def test_bad_ids_are_refused_everywhere(home: Path, tmp_path: Path, actor: str) -> None:
    registry = Registry(home)
    attempts = (
        lambda: registry.create(actor, {}, FILES),
        lambda: registry.check_create(actor),
        lambda: registry.open(actor),
        lambda: registry.delete(actor),
        lambda: registry.prune(actor, 1),
        lambda: registry.export(actor, tmp_path / "x", passphrase=WORDS),
    )
    for attempt in attempts:
        with pytest.raises(RegistryError) as caught:
            attempt()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("actor", LOOK_ALIKES, ids=short)
def test_ids_that_look_like_one_that_exists_are_refused(registry: Registry, actor: str) -> None:
    registry.create("mary", {}, FILES)
    for attempt in (registry.check_create, lambda it: registry.create(it, {}, FILES)):
        with pytest.raises(RegistryError, match="looks like 'mary'") as caught:
            attempt(actor)
        assert str(caught.value).isascii()
    assert [each.actor for each in registry.list()] == ["mary"]
    assert registry.create("mary", {}, FILES).number == 2
    # Alone in a registry it is a name like any other.
    assert Registry(registry.home.with_name("second")).create(actor, {}, FILES).number == 1


@pytest.mark.parametrize(("one", "other"), OTHER_LOOK_ALIKES, ids=short)
def test_look_alikes_of_other_scripts(one: str, other: str) -> None:
    for actor, known in ((one, other), (other, one)):
        with pytest.raises(RegistryError, match="looks like"):
            check_distinct(actor, [known])


def test_existing_confusable_ids_stay(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry may have been filled before dubfew compared confusable ids."""
    with monkeypatch.context() as patch:
        patch.setattr("dubfew.registry.store.check_distinct", lambda actor, others: None)
        for actor in ("mary", "rnary"):
            registry.create(actor, {}, FILES)
    for actor in ("mary", "rnary"):
        assert registry.create(actor, {}, FILES).number == 2
        registry.delete(actor)
    assert registry.verify().ok


def test_different_names_do_not_look_alike() -> None:
    names = [
        "mary",
        "marie",
        "Анна",
        "Anna",
        "山田",
        "山口",
        "Zoë",
        "Zoe",
        "\u0395\u03bb\u03ad\u03bd\u03b7",
        "\u0418\u0432\u0430\u043d",
        "actor 1",
        "actor 11",
        "x",
        "X1",
    ]
    for name in names:
        check_distinct(name, [other for other in names if other != name])


@pytest.mark.parametrize("name", ["CON", "nul.safetensors", "aux.", "a.", "com1.json", "LPT3"])
def test_file_names_that_windows_takes_for_something_else(name: str) -> None:
    with pytest.raises(RegistryError, match="Windows"):
        check_file_names([name])


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40))
@example("ﬁ")
@example("İ")
@example("ΐ")
def test_the_look_alike_form_is_stable(actor: str) -> None:
    form = lookalike_key(actor)
    assert lookalike_key(form) == form
    for other in ("NFC", "NFD", "NFKC", "NFKD"):
        assert lookalike_key(unicodedata.normalize(other, actor)) == form
    if actor.isascii():
        assert lookalike_key(actor.upper()) == form


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.text(max_size=120))
def test_an_allowed_id_is_one_printable_line_and_stays_itself(actor: str) -> None:
    try:
        name = normalize_actor_id(actor)
    except RegistryError:
        return
    assert name == normalize_actor_id(name)
    assert 1 <= len(name) <= 100
    assert not {"/", "\\", "\n", "\x00"} & {*name}


# --- exports

with TemporaryDirectory() as _folder:
    _registry = Registry(Path(_folder) / "home")
    PLAIN = pack_archive(_registry.create("mary", {"method": "lora"}, FILES), FILES)
_cost, sealing.SCRYPT_LOG2_N = sealing.SCRYPT_LOG2_N, 4
SEALED = encrypt_export(PLAIN, "x", secret=WORDS)
sealing.SCRYPT_LOG2_N = _cost


@pytest.mark.parametrize("sound", [PLAIN, SEALED], ids=["plain", "encrypted"])
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=BYTE_MUTATIONS)
@pytest.mark.slow
def test_a_mutated_export_is_refused_or_changes_nothing(
    sound: bytes, tmp_path: Path, changes: list[tuple[str, int, int | bytes]]
) -> None:
    data = mutate_bytes(sound, changes)
    if sound is SEALED and data[12:13] > b"\x0a":
        return  # an allowed cost of scrypt: obeyed, and too slow here
    with TemporaryDirectory(dir=tmp_path) as folder:
        file, registry = Path(folder) / "in", Registry(Path(folder) / "home")
        file.write_bytes(data)
        try:
            revision = registry.import_file(file, passphrase=WORDS)
        except RegistryError:
            assert {path.name for path in Path(folder).iterdir()} <= {"in", "home"}
            assert registry.list() == []
            return
        # Zip's own fields, such as dates, may differ; what is stored may not.
        assert {name: revision.read(name) for name in revision.file_names()} == FILES


def zip_with(name: str, mode: int = 0, **manifest: object) -> bytes:
    """Return an export that is sound except for one member."""
    content = b"harm"
    files = {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    head = {"format": "dubfew-actor", "format_version": 1, "actor": "mary", "config": {}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", json.dumps(head | {"files": files} | manifest))
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return buffer.getvalue()


SLIPS = [
    "../evil", "../../../../../../tmp/evil", "/etc/evil", "a/../../evil", "..\\evil", "C:\\evil",
    "C:evil", "\\\\server\\evil", "~/evil", "./evil", ".bashrc", "evil\x00.txt", "NUL", "evil.",
    "config.json", "manifest.json", "a" * 300, "évil", "evil/", " evil", "evil\n",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", SLIPS, ids=short)
@pytest.mark.parametrize("encrypted", [False, True])
def test_no_member_slips_out(
    registry: Registry, tmp_path: Path, name: str, encrypted: bool
) -> None:
    data = zip_with(name)
    (tmp_path / "in").write_bytes(encrypt_export(data, "x", secret=WORDS) if encrypted else data)
    with pytest.raises(RegistryError) as caught:
        registry.import_file(tmp_path / "in", passphrase=WORDS)
    assert str(caught.value).isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_link_in_an_export_is_stored_as_the_bytes_that_it_is(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(zip_with("link", stat.S_IFLNK | 0o777))
    assert registry.import_file(tmp_path / "in").read("link") == b"harm"
    assert not any(path.is_symlink() for path in registry.home.rglob("*"))


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("big", bytes(50_000_000))
    return buffer.getvalue()


def overlapping() -> bytes:
    """Return a zip with many members that share their bytes: together larger than the file."""
    data = bytearray(zip_with("a"))
    end = data.rindex(b"PK\x05\x06")
    start = data.index(b"PK\x01\x02")
    last = data.rindex(b"PK\x01\x02")
    entry = bytes(data[last:end])
    copies = b"".join(entry.replace(b"a", bytes([letter]), 1) for letter in range(98, 110))
    body = bytes(data[:end]) + copies
    tail = bytearray(data[end:])
    tail[8:12] = (2 + 12).to_bytes(2, "little") * 2
    tail[12:16] = (len(body) - start).to_bytes(4, "little")
    return body + bytes(tail)


@pytest.mark.slow
@pytest.mark.parametrize("make", [bomb, overlapping])
def test_no_small_file_fills_the_memory(registry: Registry, tmp_path: Path, make: object) -> None:
    data = make()  # type: ignore[operator]
    assert len(data) < 100_000
    (tmp_path / "in").write_bytes(data)
    with pytest.raises(RegistryError):
        registry.import_file(tmp_path / "in")
    assert not registry.home.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_planted_link_leads_a_deletion_nowhere(registry: Registry, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    registry.create("mary", {}, FILES)
    (folder,) = registry.home.glob("actors/*/1")
    (folder / "link").symlink_to(outside)
    (registry.home / "actors" / "planted").symlink_to(outside)
    (registry.home / "staging").mkdir(exist_ok=True)
    (registry.home / "staging" / "planted.1").symlink_to(outside)
    registry.delete("mary")
    assert registry.verify().ok
    assert [path.name for path in outside.iterdir()] == ["precious"]
