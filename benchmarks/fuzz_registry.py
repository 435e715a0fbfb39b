"""Feed the registry with harm: every input is refused with one typed line, or it is sound.

    python -m benchmarks.fuzz_registry --inputs 30000

Each family of inputs begins with something sound and changes it: bytes, places, names, numbers, the
structure. Inputs are hypothesis's, so a failure is shown as the smallest one that fails.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.common import machine_line
from benchmarks.fuzz_adapter import SoundAdapter, changed_adapters
from dubfew.errors import ConsentError, DubfewError
from dubfew.registry import cipher, sealing, strict_json
from dubfew.registry.archive import pack_archive, unpack_archive
from dubfew.registry.audit import AuditLog
from dubfew.registry.consent import ConsentRecord, example_consent
from dubfew.registry.envelope import DecryptionSecrets, decrypt_export, encrypt_export
from dubfew.registry.names import lookalike_key, normalize_actor_id
from dubfew.registry.receipt import ErasureReceipt
from dubfew.registry.registry import Registry

WORDS = "correct horse battery"
FILES = {"a.safetensors": b"alpha" * 30, "b.safetensors": b""}
LONGEST_ERROR = 700
# scrypt costs above this are obeyed, and take seconds; the envelope's byte 12 holds the cost.
COST_PLACE, CHEAP = 12, 10

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1 << 16), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.integers(1, 60)),
        st.tuples(st.just("put"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("move"), st.integers(0, 1 << 16), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


def changed(data: bytes, changes: list[tuple[str, int, Any]]) -> bytes:
    """Bytes with some of them set, cut out, put in, or the whole turned round a place."""
    altered = bytearray(data)
    for kind, place, value in changes:
        place %= len(altered) or 1
        if kind == "set" and altered:
            altered[place] = value
        elif kind == "cut":
            del altered[place : place + value]
        elif kind == "put":
            altered[place:place] = value
        elif kind == "move":
            altered = altered[place:] + altered[:place]
    return bytes(altered)


def changed_json(value: Any, steps: list[int], new: Any, kind: str) -> Any:
    """A JSON value with one thing in it replaced, removed or added."""
    if not steps or not isinstance(value, dict | list) or not value:
        return new
    keys: list[Any] = sorted(value) if isinstance(value, dict) else [*range(len(value))]
    key, rest = keys[steps[0] % len(keys)], steps[1:]
    copy: Any = value.copy()
    if rest:
        copy[key] = changed_json(value[key], rest, new, kind)
    elif kind == "replace":
        copy[key] = new
    elif kind == "remove":
        del copy[key]
    elif isinstance(copy, dict):
        copy[str(new)[:30]] = new
    else:
        copy.append(new)
    return copy


JSON_CHANGE = st.tuples(
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    JSON,
    st.sampled_from(["replace", "remove", "add"]),
)


class Fuzz:
    """The families, and how many inputs of each were tried and refused."""

    def __init__(self, folder: Path) -> None:
        self.tried: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._folder = folder
        sealing.SCRYPT_LOG2_N = 4  # or scrypt is all that is measured
        registry = Registry(folder / "home")
        self._plain = pack_archive(registry.create("mary", {"method": "lora"}, FILES), FILES)
        self._sealed = encrypt_export(self._plain, "x", secret=WORDS)
        self._key, self._content = bytes(32), b"content" * 20_000
        self._file = cipher.seal_bytes(self._key, b"place", self._content)
        self._log = AuditLog(folder / "log", folder / "head")
        for number in range(8):
            self._log.append("render", {"watermark": f"{number:08x}", "use": None})
        self._lines = self._log.path.read_bytes()
        self._head = self._log.head_path.read_bytes()
        self._adapter = SoundAdapter(folder)
        receipt = registry.delete("mary")
        self._receipt = receipt.to_bytes()

    def _refused(self, family: str, attempt: Callable[[], object]) -> bool:
        """Try one input. Whether it was refused, properly; anything but a typed error is raised."""
        self.tried[family] += 1
        try:
            attempt()
        except DubfewError as error:
            said = str(error)
        else:
            return False
        self.refused[family] += 1
        assert len(said) <= LONGEST_ERROR, f"a long error: {said}"
        assert said.isprintable(), f"an error that is no line: {said!r}"
        return True

    def archives(self, changes: list[tuple[str, int, Any]]) -> None:
        """An export with changed bytes is refused, or holds what it held."""
        data = changed(self._plain, changes)
        if not self._refused("archives", lambda: unpack_archive(data, "x")):
            assert unpack_archive(data, "x").files == FILES

    def manifests(self, change: tuple[list[int], Any, str], name: str) -> None:
        """A sound zip, whose manifest says something else, or whose member has another name."""
        with zipfile.ZipFile(io.BytesIO(self._plain)) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        manifest = changed_json(json.loads(members.pop("manifest.json")), *change)
        buffer = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
            warnings.simplefilter("ignore")  # two members of one name
            archive.writestr("manifest.json", json.dumps(manifest))
            for each, content in members.items():
                archive.writestr(name if name and each == "b.safetensors" else each, content)
        data = buffer.getvalue()
        if not self._refused("manifests", lambda: unpack_archive(data, "x")):
            found = unpack_archive(data, "x")
            assert all(content in FILES.values() for content in found.files.values())
            assert found.actor == normalize_actor_id(found.actor)

    def envelopes(self, changes: list[tuple[str, int, Any]]) -> None:
        """An encrypted export with changed bytes is refused, or is the same."""
        data = changed(self._sealed, changes)
        if data[COST_PLACE : COST_PLACE + 1] > bytes([CHEAP]):
            data = data[:COST_PLACE] + bytes([CHEAP]) + data[COST_PLACE + 1 :]
        if not self._refused(
            "envelopes", lambda: decrypt_export(data, "x", DecryptionSecrets(WORDS))
        ):
            assert decrypt_export(data, "x", DecryptionSecrets(WORDS)) == self._plain

    def sealed_files(self, changes: list[tuple[str, int, Any]]) -> None:
        """A stored file with changed bytes is refused, or is the same."""
        data = changed(self._file, changes)
        if not self._refused(
            "sealed files", lambda: cipher.unseal_bytes(self._key, b"place", data)
        ):
            assert data == self._file

    def adapters(self, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
        """An adapter that is let in can be rendered: all its numbers are finite."""
        files = change(dict(self._adapter.files))
        if not self._refused("adapters", lambda: self._adapter.admit(files)):
            self._adapter.assert_renders(files)

    def records(self, change: tuple[list[int], Any, str]) -> None:
        """A changed consent record is refused, or is the record that it says."""
        record = changed_json(example_consent(), *change)
        data = json.dumps(record).encode()
        if not self._refused("consent records", lambda: _consent(data)):
            assert _consent(data).record == record

    def record_bytes(self, changes: list[tuple[str, int, Any]]) -> None:
        """A consent file with changed bytes."""
        data = changed(json.dumps(example_consent()).encode(), changes)
        self._refused("consent files", lambda: _consent(data))

    def logs(self, changes: list[tuple[str, int, Any]], order: list[int] | None) -> None:
        """A changed audit log is noticed, or becomes again what it was."""
        data = changed(self._lines, changes) if order is None else self._lines
        if order is not None:
            lines = self._lines.splitlines(keepends=True)
            data = b"".join(lines[place] for place in order)
        self._log.path.write_bytes(data)
        self._log.head_path.write_bytes(self._head)
        self.tried["audit logs"] += 1
        report = self._log.verify()
        assert all(each.isprintable() for each in report.faults)
        if report.faults:
            self.refused["audit logs"] += 1
        else:
            assert self._log.path.read_bytes() == self._lines
            assert report.restored or data == self._lines

    def ids(self, actor: str) -> None:
        """An id is refused, or printable and no path; its look-alike form is stable."""
        assert lookalike_key(lookalike_key(actor)) == lookalike_key(actor)
        if not self._refused("ids", lambda: normalize_actor_id(actor)):
            name = normalize_actor_id(actor)
            assert name == normalize_actor_id(name)
            assert 1 <= len(name) <= 100
            assert not {"/", "\\", "\n", "\x00"} & {*name}
            assert lookalike_key(name) == lookalike_key(actor)

    def receipts(self, change: tuple[list[int], Any, str]) -> None:
        """A changed note of a deletion is refused, or names a file in the folder of receipts."""
        data = json.dumps(changed_json(json.loads(self._receipt), *change)).encode()
        if not self._refused("notes of deletions", lambda: ErasureReceipt.from_bytes(data, "x")):
            name = ErasureReceipt.from_bytes(data, "x").file_name
            assert Path(name).name == name
            assert len(name) < 60

    def families(self) -> dict[Callable[..., None], tuple[int, dict[str, st.SearchStrategy]]]:
        """Share of all inputs, in %, and where a family's inputs come from."""
        # zipfile itself cuts names at a zero byte.
        names = st.text(st.characters(exclude_characters="\0"), max_size=40) | st.sampled_from(
            ["../x", "/etc/x", "a\\b", "con", "x."]
        )
        orders = st.none() | st.lists(st.integers(0, 7), max_size=9)
        bytes_of = {"changes": CHANGES}
        return {
            self.archives: (18, bytes_of),
            self.manifests: (12, {"change": JSON_CHANGE, "name": st.just("") | names}),
            self.envelopes: (10, bytes_of),
            self.sealed_files: (10, bytes_of),
            self.adapters: (8, {"change": changed_adapters()}),
            self.records: (10, {"change": JSON_CHANGE}),
            self.record_bytes: (7, bytes_of),
            self.logs: (8, {**bytes_of, "order": orders}),
            self.ids: (12, {"actor": st.text(max_size=120) | names}),
            self.receipts: (5, {"change": JSON_CHANGE}),
        }

    def run(self, inputs: int, number: int = 0) -> None:
        """Try so many inputs, in all.

        Raises:
            AssertionError, or what should not have been raised: shown with the smallest input.
        """
        for family, (share, given_by) in self.families().items():
            wanted = max(1, inputs * share // 100)
            plan = settings(
                max_examples=wanted,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )

            plan(seed(number)(given(**given_by)(_calling(family))))()


def _consent(data: bytes) -> ConsentRecord:
    """As `read_consent` reads it."""
    try:
        found = strict_json.parse_strict_json(data)
    except ValueError as error:
        raise ConsentError(str(error)) from None
    return ConsentRecord.from_record(found, "x")


def _calling(family: Callable[..., None]) -> Callable[..., None]:
    """A function, which hypothesis needs, that is no method."""

    def attempt(**values: Any) -> None:
        family(**values)

    return attempt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine_line())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder))
        fuzz.run(options.inputs, options.seed)
    for family, tried in fuzz.tried.items():
        print(f"{family:20} {tried:6} inputs, {fuzz.refused[family]:6} refused, 0 failures")
    total = sum(fuzz.tried.values())
    print(f"{'all':20} {total:6} inputs in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
