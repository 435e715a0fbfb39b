"""Lent actors: sealed to one process, erased with it, and logged by their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubfew.errors import RegistryError, SuspendedError
from dubfew.registry import Registry
from dubfew.registry.guest import GuestRegistry

CONTENT = b"a face in numbers" * 100


@pytest.fixture
def owner(tmp_path: Path) -> Registry:
    made = Registry(tmp_path / "home")
    made.create("mary", {"method": "lora", "note": "first"}, {"texture": b"older"})
    made.create("mary", {"method": "lora", "note": "second"}, {"texture": CONTENT})
    return made


def test_a_guest_reads_the_revision_that_it_was_lent(owner, tmp_path):
    with GuestRegistry(tmp_path) as guest:
        assert guest.receive(owner.lend("mary", guest.public_key)).read("texture") == CONTENT
    with GuestRegistry(tmp_path) as guest:
        first = guest.receive(owner.lend("mary", guest.public_key, 1))
        assert (first.read("texture"), first.config["note"]) == (b"older", "first")


def test_nobody_else_can_open_a_loan(owner, tmp_path):
    with GuestRegistry(tmp_path) as guest, GuestRegistry(tmp_path) as thief:
        sealed = owner.lend("mary", guest.public_key)
        assert CONTENT not in sealed
        with pytest.raises(RegistryError, match="another key"):
            thief.receive(sealed)


def test_nothing_is_left_on_the_disk(owner, tmp_path):
    guest = GuestRegistry(tmp_path)
    guest.receive(owner.lend("mary", guest.public_key))
    files = [path for path in guest.home.parent.rglob("*") if path.is_file()]
    # Encrypted as in every registry; the master key lies there wrapped by a key that lies nowhere.
    assert files
    assert not any(CONTENT[:17] in path.read_bytes() for path in files)
    assert guest.wrapping() == "process"
    folder = guest.home.parent
    assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"
    guest.close()
    assert not folder.exists()


def test_a_loan_is_in_the_log_and_a_suspended_actor_is_not_lent(owner, tmp_path):
    with GuestRegistry(tmp_path) as guest:
        owner.lend("mary", guest.public_key)
        log = owner.audit()
        assert log is not None
        assert [entry.event for entry in log.iter_entries()][-1] == "export"
        owner.suspend("mary")
        with pytest.raises(SuspendedError):
            owner.lend("mary", guest.public_key)


KILLED = """
import sys, time
from pathlib import Path
from dubfew.registry import Registry
from dubfew.registry.guest import GuestRegistry
guest = GuestRegistry(Path(sys.argv[1]))
guest.receive(Registry(Path(sys.argv[2])).lend("mary", guest.public_key))
print(guest.home, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_a_killed_process_leaves_cannot_be_read_and_is_removed(owner, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    command = [sys.executable, "-c", KILLED, str(place), str(owner.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        home = Path(process.stdout.readline().strip())
        process.kill()
    # Whoever finds data and keys on the disk has the key of neither.
    found = Registry(home, home.parent / "keys")
    with pytest.raises(RegistryError, match="has ended"):
        found.open("mary").read("texture")
    # One that was just made may be about to take its lock.
    with GuestRegistry(place):
        assert home.exists()
    old = time.time() - 3600
    os.utime(home.parent, (old, old))
    with GuestRegistry(place):
        assert not home.parent.exists()
