"""A program of three shots at 29.97 with dropped numbers, and an actor for its second one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubfew.batch import run as batch_run
from dubfew.batch.worker import RowJob, RowOutcome, do_row
from dubfew.media import Audio, Frame, VideoWriter, probe, read_frames
from dubfew.media.in_memory import write_audio
from dubfew.registry import Registry
from dubfew.render.preview import shrink_frame, shrink_info
from tests.actors import mary_folder
from tests.footage import ACTOR

NTSC = Fraction(30000, 1001)
# Frames of each file of media.
LENGTH = 16
EDL = """TITLE: PROGRAM
FCM: DROP FRAME

001  CAM2     V     C        00:00:10;02 00:00:10;07 01:00:00;00 01:00:00;05
* FROM CLIP NAME: two.mov
002  CAM1     V     C        00:59:59;29 01:00:00;08 01:00:00;05 01:00:00;14
* FROM CLIP NAME: one.mov
003  CAM2     V     C        00:00:10;00 00:00:10;04 01:00:00;14 01:00:00;18
* FROM CLIP NAME: two.mov
"""


class LocalWorker:
    """Does jobs in this process, which has torch already."""

    def run_job(
        self, job: RowJob, on_frames: Callable[[int], None], answer: Callable[[Any], Any]
    ) -> RowOutcome:
        return do_row(job, on_frames, answer)

    def close(self) -> None:
        pass


def write_media(path: Path, first: int, timecode: str) -> Path:
    """Frames of the bundled clip at 29.97 and half its size, without loss, with a timecode."""
    info = shrink_info(replace(probe(ACTOR), fps=NTSC))
    with VideoWriter(path, info, lossless=True, preset="ultrafast", timecode=timecode) as writer:
        for number, frame in enumerate(read_frames(ACTOR, start=first, stop=first + LENGTH)):
            picture = shrink_frame(frame, info).picture
            writer.write(Frame(picture, number, number / NTSC, 1 / NTSC, frame.color))
    return path


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry(mary_folder() / "home")


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the cuts of the timeline come from, and a sound of 0.1 s."""
    folder = tmp_path_factory.mktemp("media")
    write_media(folder / "one.mov", 0, "00:59:59;24")
    write_media(folder / "two.mov", 20, "00:00:10;00")
    tone = np.sin(np.arange(1600) / 4).astype(np.float32) / 4
    write_audio(folder / "line.wav", Audio(tone, 16000))
    return folder


@pytest.fixture
def timeline(tmp_path: Path) -> Path:
    path = tmp_path / "program.edl"
    path.write_text(EDL)
    return path


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_run, "BatchWorker", LocalWorker)
