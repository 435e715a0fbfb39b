"""The experiments of papers, as far as dubfew can repeat them: who, how long, how driven."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

# File of the published tables.
PUBLISHED_FILE = "published.json"
# Variants of dubfew that a table has: as it is, and without the training of the actor.
VARIANTS = {"dubfew": None, "dubfew, zero steps": 0}
# Number of known frames that stands for the first frame of the test, as a reference alone.
FIRST_FRAME = 1


@dataclass(frozen=True)
class PaperProtocol:
    """One experiment.

    Attributes:
        title: what it is.
        dataset: data set on which a run may be compared with the published table.
        subjects: number of clips, one person each.
        known_frames: lengths of the footage that the actor is learned from, frames; the last
            frames before the test. `FIRST_FRAME` is the first frame of the test itself, from
            which nothing is trained.
        test_frames: number of frames at the end of the clip that are measured.
        drive: source of the mouth's motion: "self" is the true motion, "audio" the own sound.
        published: id of the published table.
        measures: columns.
        note: what differs from the paper.
    """

    title: str
    dataset: str
    subjects: int
    known_frames: tuple[int, ...]
    test_frames: int
    drive: str
    published: str
    measures: tuple[str, ...]
    note: str


# Protocols by the number of the paper and of its table. Papers: 000 DINet on little data,
# 001 DINet, 002 SIDGAN, 003 Dubbing for Everyone, 004 IPTalker. All are of 25 fps.
PROTOCOLS: dict[str, PaperProtocol] = {
    "003.1": PaperProtocol(
        "Dubbing for Everyone, table 1: re-enactment with 100 and 1000 known frames",
        "HDTF",
        20,
        (100, 1000),
        250,
        "self",
        "003.1",
        ("psnr", "ssim", "fid", "fvd"),
        "Known are the last frames before the test, of the first 1250 of 1500. The rows of the "
        "other systems and the grades by people are not repeated (dubfew study asks people).",
    ),
    "003.5": PaperProtocol(
        "Dubbing for Everyone, table 5: one actor, more and more footage",
        "HDTF",
        1,
        (100, 250, 500, 1000),
        250,
        "self",
        "003.5",
        ("fid",),
        "One actor, 10 s of test.",
    ),
    "001.1": PaperProtocol(
        "DINet, table 1: own sound",
        "HDTF",
        20,
        (100,),
        250,
        "audio",
        "001.1",
        ("ssim", "psnr", "lpips_alex", "lse_d", "lse_c"),
        "DINet takes five reference frames and no training of the actor; dubfew learns the actor "
        "from 4 s. LPIPS with AlexNet; the paper does not name the network.",
    ),
    "002.1": PaperProtocol(
        "SIDGAN, table 1: own sound",
        "HDTF",
        171,
        (FIRST_FRAME, 100),
        250,
        "audio",
        "002.1",
        ("fid", "ssim", "psnr", "identity", "lmd", "lse_d", "lse_c"),
        "With 1 known frame the first frame of the test is the only reference, as in the paper, "
        "and nothing is trained; with 100 dubfew learns the actor from 4 s. LMD is in % "
        "of the eye-corner distance, the paper's unit is not said.",
    ),
    "004.1": PaperProtocol(
        "IPTalker, table I: own sound",
        "HDTF",
        30,
        (100,),
        250,
        "audio",
        "004.1",
        ("ssim", "psnr", "lpips_vgg", "lse_c", "lse_d"),
        "IPTalker takes reference frames and no training of the actor; dubfew learns the actor "
        "from 4 s.",
    ),
}


def load_published() -> Mapping[str, Any]:
    """Load the published tables: title, columns and rows (system, set, values) by id."""
    file = resources.files("dubfew.evaluate.papers") / PUBLISHED_FILE
    return dict(json.loads(file.read_text("utf-8")))
