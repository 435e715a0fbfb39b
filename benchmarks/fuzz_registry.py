"""Fuzz everything that the registry reads: each input is refused with one typed line, or is sound.

    python -m benchmarks.fuzz_registry --inputs 30000

Each family of inputs starts with a sound one and mutates its bytes, order, names, numbers or
structure. Hypothesis generates the inputs, so a failure is shown with the smallest failing input.
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
from benchmarks.fuzz_adapter import SoundAdapter, adapter_mutations
from dubfew.errors import ConsentError, DubfewError
from dubfew.registry import cipher, sealing, strict_json
from dubfew.registry.archive import pack_archive, unpack_archive
from dubfew.registry.audit import AuditLog
from dubfew.registry.consent import ConsentRecord, example_consent
from dubfew.registry.envelope import DecryptionSecrets, decrypt_export, encrypt_export
from dubfew.registry.names import lookalike_key, normalize_actor_id
from dubfew.registry.receipt import ErasureReceipt
from dubfew.registry.registry import Registry

# Passphrase of the encrypted export.
PASSPHRASE = "correct horse battery"
# Files of the actor that is exported.
FILES = {"a.safetensors": b"alpha" * 30, "b.safetensors": b""}
# Longest error message, characters: it must stay one readable line.
MAX_ERROR_LENGTH = 700
# Byte of an encrypted export that holds the cost of scrypt, log2 of n.
SCRYPT_COST_BYTE = 12
# Largest cost that is tried. Higher ones are allowed and take seconds.
MAX_SCRYPT_LOG2_N = 10

# Any small JSON value.
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
# Mutations of bytes: kind, position (modulo the length) and value.
BYTE_MUTATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1 << 16), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.integers(0, 1 << 16), st.integers(1, 60)),
        st.tuples(st.just("put"), st.integers(0, 1 << 16), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("move"), st.integers(0, 1 << 16), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


def mutate_bytes(data: bytes, changes: list[tuple[str, int, Any]]) -> bytes:
    """Set, cut out or insert bytes, or rotate the whole, once for each mutation."""
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


def mutate_json(value: Any, steps: list[int], new: Any, kind: str) -> Any:
    """Replace, remove or add one element of a JSON value.

    Args:
        value: the value, which stays as it is.
        steps: path to the element, as positions among the sorted keys.
        new: the new element.
        kind: "replace", "remove" or "add".
    """
    if not steps or not isinstance(value, dict | list) or not value:
        return new
    keys: list[Any] = sorted(value) if isinstance(value, dict) else [*range(len(value))]
    key, rest = keys[steps[0] % len(keys)], steps[1:]
    copy: Any = value.copy()
    if rest:
        copy[key] = mutate_json(value[key], rest, new, kind)
    elif kind == "replace":
        copy[key] = new
    elif kind == "remove":
        del copy[key]
    elif isinstance(copy, dict):
        copy[str(new)[:30]] = new
    else:
        copy.append(new)
    return copy


# Mutations of JSON: path, new element and kind.
JSON_MUTATIONS = st.tuples(
    st.lists(st.integers(0, 40), min_size=1, max_size=4),
    JSON_VALUES,
    st.sampled_from(["replace", "remove", "add"]),
)


class RegistryFuzzer:
    """Families of inputs, with the numbers of inputs that were tried and refused.

    Args:
        folder: empty folder for the sound inputs.
    """

    def __init__(self, folder: Path) -> None:
        self.tried: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._folder = folder
        sealing.SCRYPT_LOG2_N = 4  # scrypt would take nearly all of the time
        registry = Registry(folder / "home")
        self._plain = pack_archive(registry.create("mary", {"method": "lora"}, FILES), FILES)
        self._sealed = encrypt_export(self._plain, "x", secret=PASSPHRASE)
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
        """Try one input; return whether it was refused. Any other exception is raised."""
        self.tried[family] += 1
        try:
            attempt()
        except DubfewError as error:
            message = str(error)
        else:
            return False
        self.refused[family] += 1
        assert len(message) <= MAX_ERROR_LENGTH, f"a long error: {message}"
        assert message.isprintable(), f"an error of several lines: {message!r}"
        return True

    def archives(self, changes: list[tuple[str, int, Any]]) -> None:
        """Check that an export with changed bytes is refused or unchanged in content."""
        data = mutate_bytes(self._plain, changes)
        if not self._refused("archives", lambda: unpack_archive(data, "x")):
            assert unpack_archive(data, "x").files == FILES

    def manifests(self, change: tuple[list[int], Any, str], name: str) -> None:
        """Check a sound zip with a mutated manifest or another name of a member."""
        with zipfile.ZipFile(io.BytesIO(self._plain)) as archive:
            members = {each: archive.read(each) for each in archive.namelist()}
        manifest = mutate_json(json.loads(members.pop("manifest.json")), *change)
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
        """Check that an encrypted export with changed bytes is refused or the same."""
        data = mutate_bytes(self._sealed, changes)
        if data[SCRYPT_COST_BYTE : SCRYPT_COST_BYTE + 1] > bytes([MAX_SCRYPT_LOG2_N]):
            data = (
                data[:SCRYPT_COST_BYTE] + bytes([MAX_SCRYPT_LOG2_N]) + data[SCRYPT_COST_BYTE + 1 :]
            )
        if not self._refused(
            "envelopes", lambda: decrypt_export(data, "x", DecryptionSecrets(PASSPHRASE))
        ):
            assert decrypt_export(data, "x", DecryptionSecrets(PASSPHRASE)) == self._plain

    def sealed_files(self, changes: list[tuple[str, int, Any]]) -> None:
        """Check that a stored file with changed bytes is refused or the same."""
        data = mutate_bytes(self._file, changes)
        if not self._refused(
            "sealed files", lambda: cipher.unseal_bytes(self._key, b"place", data)
        ):
            assert data == self._file

    def adapters(self, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
        """Check that an adapter which passes the import check can be rendered."""
        files = change(dict(self._adapter.files))
        if not self._refused("adapters", lambda: self._adapter.admit(files)):
            self._adapter.assert_renders(files)

    def records(self, change: tuple[list[int], Any, str]) -> None:
        """Check that a mutated consent record is refused or read as it is."""
        record = mutate_json(example_consent(), *change)
        data = json.dumps(record).encode()
        if not self._refused("consent records", lambda: _consent(data)):
            assert _consent(data).record == record

    def record_bytes(self, changes: list[tuple[str, int, Any]]) -> None:
        """Check a consent file with changed bytes."""
        data = mutate_bytes(json.dumps(example_consent()).encode(), changes)
        self._refused("consent files", lambda: _consent(data))

    def logs(self, changes: list[tuple[str, int, Any]], order: list[int] | None) -> None:
        """Check that a changed audit log is detected or restored."""
        data = mutate_bytes(self._lines, changes) if order is None else self._lines
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
        """Check that an id is refused or printable and not a path, and its key stable."""
        assert lookalike_key(lookalike_key(actor)) == lookalike_key(actor)
        if not self._refused("ids", lambda: normalize_actor_id(actor)):
            name = normalize_actor_id(actor)
            assert name == normalize_actor_id(name)
            assert 1 <= len(name) <= 100
            assert not {"/", "\\", "\n", "\x00"} & {*name}
            assert lookalike_key(name) == lookalike_key(actor)

    def receipts(self, change: tuple[list[int], Any, str]) -> None:
        """Check that a mutated note of a deletion is refused or names a file in its folder."""
        data = json.dumps(mutate_json(json.loads(self._receipt), *change)).encode()
        if not self._refused("notes of deletions", lambda: ErasureReceipt.from_bytes(data, "x")):
            name = ErasureReceipt.from_bytes(data, "x").file_name
            assert Path(name).name == name
            assert len(name) < 60

    def families(self) -> dict[Callable[..., None], tuple[int, dict[str, st.SearchStrategy]]]:
        """Return for each family its share of all inputs, in %, and its strategies."""
        # zipfile cuts names at a zero byte when it writes them.
        names = st.text(st.characters(exclude_characters="\0"), max_size=40) | st.sampled_from(
            ["../x", "/etc/x", "a\\b", "con", "x."]
        )
        orders = st.none() | st.lists(st.integers(0, 7), max_size=9)
        bytes_of = {"changes": BYTE_MUTATIONS}
        return {
            self.archives: (18, bytes_of),
            self.manifests: (12, {"change": JSON_MUTATIONS, "name": st.just("") | names}),
            self.envelopes: (10, bytes_of),
            self.sealed_files: (10, bytes_of),
            self.adapters: (8, {"change": adapter_mutations()}),
            self.records: (10, {"change": JSON_MUTATIONS}),
            self.record_bytes: (7, bytes_of),
            self.logs: (8, {**bytes_of, "order": orders}),
            self.ids: (12, {"actor": st.text(max_size=120) | names}),
            self.receipts: (5, {"change": JSON_MUTATIONS}),
        }

    def run(self, inputs: int, number: int = 0) -> None:
        """Try inputs of all families.

        Args:
            inputs: number of inputs of all families together.
            number: seed.

        Raises:
            AssertionError: An input was accepted that is not sound, or the error is not one line.
        """
        for family, (share, given_by) in self.families().items():
            examples = max(1, inputs * share // 100)
            plan = settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )

            plan(seed(number)(given(**given_by)(_calling(family))))()


def _consent(data: bytes) -> ConsentRecord:
    """Parse a consent record as `read_consent` does."""
    try:
        found = strict_json.parse_strict_json(data)
    except ValueError as error:
        raise ConsentError(str(error)) from None
    return ConsentRecord.from_record(found, "x")


def _calling(family: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method in a function, which hypothesis needs."""

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
        fuzz = RegistryFuzzer(Path(folder))
        fuzz.run(options.inputs, options.seed)
    for family, tried in fuzz.tried.items():
        print(f"{family:20} {tried:6} inputs, {fuzz.refused[family]:6} refused, 0 failures")
    total = sum(fuzz.tried.values())
    print(f"{'all':20} {total:6} inputs in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
