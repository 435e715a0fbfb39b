"""Hardware encoders write where they start, and software encoders where they do not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dubfew.errors import MediaError
from dubfew.media import Frame, VideoInfo, VideoWriter, probe
from dubfew.media import hardware_encoders as hardware
from dubfew.media.codecs import choose_encoding
from dubfew.media.hardware_encoders import (
    HARDWARE_ENCODERS,
    choose_hardware,
    hardware_options,
    starts_here,
)

INFO = VideoInfo(Path("scene.mp4"), 320, 240, Fraction(25))


@pytest.fixture
def machine(monkeypatch):
    """Let a machine have some encoders."""

    def have(*names: str) -> None:
        monkeypatch.setitem(choose_hardware.__kwdefaults__, "starts", lambda name: name in names)

    have()
    return have


def test_the_first_encoder_that_starts_writes(machine) -> None:
    machine("h264_qsv", "h264_amf", "hevc_nvenc")
    encoding = choose_encoding(Path("a.mp4"), INFO, "hardware")
    assert (encoding.codec.encoder, encoding.note) == ("h264_qsv", "")
    assert encoding.options == {"g": "100", "global_quality": "19"}
    encoding = choose_encoding(Path("a.mp4"), INFO, "hevc_nvenc", crf=23)
    assert encoding.tag == "hvc1"
    assert encoding.options == {"preset": "p4", "rc": "vbr", "b": "0", "g": "100", "cq": "23"}


def test_software_writes_where_none_starts_and_says_so(machine) -> None:
    encoding = choose_encoding(Path("a.mp4"), INFO, "hardware")
    assert encoding == replace(choose_encoding(Path("a.mp4"), INFO, "libx264"), note=encoding.note)
    assert encoding.note == "no hardware encoder starts on this machine: encoded by libx264"
    machine("h264_nvenc")
    named = choose_encoding(Path("a.mp4"), INFO, "hevc_qsv")
    assert named.codec.encoder == "libx265"
    assert named.note == "hevc_qsv does not start on this machine: encoded by libx265"


@pytest.mark.parametrize(
    ("change", "lossless", "word"),
    [
        ({"pix_fmt": "yuv422p"}, False, "yuv422p"),
        ({"pix_fmt": "yuv420p10le"}, False, "yuv420p10le"),
        ({"field_order": 3}, False, "such a picture"),
        ({}, True, "such a picture"),
    ],
)
def test_pictures_that_hardware_does_not_hold_go_to_software(
    machine, change: dict, lossless: bool, word: str
) -> None:
    machine(*HARDWARE_ENCODERS)
    info = replace(INFO, **change)
    encoding = choose_encoding(Path("a.mp4"), info, "hardware", lossless=lossless)
    assert encoding.codec.encoder == "libx264"
    assert encoding.note == f"hardware writes no {word}: encoded by libx264"


def test_a_container_without_the_format_refuses_it(machine) -> None:
    machine(*HARDWARE_ENCODERS)
    with pytest.raises(MediaError, match="does not go into"):
        choose_encoding(Path("a.webm"), INFO, "hardware")


def test_a_bit_rate_stands_before_a_quality() -> None:
    options = hardware_options(HARDWARE_ENCODERS["h264_nvenc"], {"b": "5000000", "crf": "9"}, None)
    assert options == {"preset": "p4", "rc": "vbr", "b": "5000000"}
    kinds = hardware_options(HARDWARE_ENCODERS["h264_amf"], {}, 20)
    assert kinds == {"rc": "cqp", "qp_i": "20", "qp_p": "20", "qp_b": "20"}


def test_an_attempt_tells_what_starts() -> None:
    assert starts_here("libx264")
    assert not starts_here("no_such_encoder")
    assert hardware.TRIAL_SIZE_PX % 16 == 0


def test_a_writer_tells_who_wrote(machine, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, INFO, codec="hardware") as writer:
        for index in range(2):
            writer.write(Frame.from_rgb(np.full((240, 320, 3), 90, np.uint8), index))
    assert writer.notes == ["no hardware encoder starts on this machine: encoded by libx264"]
    assert probe(path).codec == "h264"
