"""Log lines of native libraries: the noise goes, every other line stays, in its order."""

from __future__ import annotations

import os
import re
import tempfile
import threading

import pytest

from dubfew.utils.native_logs import hide_native_logs

NOISE = re.compile(rb"W0000 |INFO: made")


def write(text: str) -> None:
    os.write(2, text.encode())


def test_only_the_noise_is_left_out(capfd):
    write("before\n")
    with hide_native_logs(NOISE):
        write("INFO: made a thing\nfirst ")
        write("line\nW0000 00:00 file.cc:1] warning\n")
        thread = threading.Thread(target=write, args=("E0000 of another thread W0000 \n",))
        thread.start()
        thread.join()
        assert capfd.readouterr().err == "before\n"
        write("end without a line")
    write(", after\n")
    expected = "first line\nE0000 of another thread W0000 \nend without a line, after\n"
    assert capfd.readouterr().err == expected


def test_blocks_in_blocks_and_errors_leave_stderr_as_it_was(capfd):
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    def fail() -> None:
        with hide_native_logs(NOISE), hide_native_logs(NOISE):
            write("W0000 a\nreason\n")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    write("W0000 b\n")
    assert capfd.readouterr().err == "reason\nW0000 b\n"
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_debugging_shows_all(capfd, monkeypatch):
    monkeypatch.setenv("DUBFEW_DEBUG", "1")
    with hide_native_logs(NOISE):
        write("W0000 a\n")
        assert capfd.readouterr().err == "W0000 a\n"


@pytest.mark.parametrize("what", ["stderr", "folder"])
def test_the_work_goes_on_without_stderr_or_a_folder_for_the_lines(what, capfd, monkeypatch):
    def refuse(*given):
        raise OSError(9, "Bad file descriptor")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "dup") if what == "stderr" else (tempfile, "TemporaryFile")), refuse)
        with hide_native_logs(NOISE):
            write("W0000 a\n")
    assert capfd.readouterr().err == "W0000 a\n"
