"""Making of a study: a folder with a page that shows blinded videos, and a key that stays here."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dubfew.errors import DubfewError
from dubfew.evaluate.folders import list_videos
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames
from dubfew.utils.files import write_atomic

# Files of a study: the key stays with its maker, the folder is what people get.
KEY_FILE, PAGE_FOLDER, MEDIA_FOLDER = "key.json", "page", "media"
# Version of the key's form.
KEY_FORMAT_VERSION = 1
# Kinds of studies: which of two is better, or grades from 1 to 5 of one after the other.
KINDS = ("preference", "grades")
# What is asked where the maker names nothing.
PREFERENCE_QUESTION = "Which of the two looks and sounds more like a real recording?"
GRADE_QUESTIONS = (
    "How real does the picture look?",
    "How well do the lips fit the words?",
)
# Systems of catch trials: a clip as it is, and a copy that nobody who looks would choose.
CATCH_GOOD, CATCH_BAD = "catch-good", "catch-bad"
# Width to which a catch trial's bad copy is reduced before it is enlarged again, px.
CATCH_PX = 24


@dataclass(frozen=True)
class StudyTrial:
    """One question to a viewer.

    Attributes:
        id: blind name of the trial.
        clip: name of the clip, without suffix.
        media: blind names of the videos: two for a preference, one for grades.
        systems: the system of each of them.
    """

    id: str
    clip: str
    media: tuple[str, ...]
    systems: tuple[str, ...]


def make_study(
    systems: Mapping[str, Path],
    folder: Path,
    *,
    kind: str = "preference",
    questions: Sequence[str] = (),
    catch: int = 2,
    title: str = "Which one is real?",
    seed: int = 0,
) -> int:
    """Make a study of clips that several systems made.

    Every pair of systems is shown on every clip that both have (or every system on every clip, for
    grades). The page deals order and sides to each viewer at random. Names of files on the page
    say nothing; which is which stands in ``key.json``, which must not be given to viewers.

    Args:
        systems: folder of each system's videos, by its name; clips have the same names in all.
        folder: folder to make; it must not exist or be empty.
        kind: one of ``KINDS``.
        questions: what is asked; one for a preference, any number for grades.
        catch: number of trials whose answer is known, to find viewers who do not look.
        title: heading of the page.
        seed: seed of names and of the choice of catch trials.

    Returns:
        Number of trials that each viewer sees.

    Raises:
        DubfewError: There are too few systems or no common clips, or the folder is in use.
    """
    asked = list(questions) or (
        [PREFERENCE_QUESTION] if kind == "preference" else list(GRADE_QUESTIONS)
    )
    _check(systems, folder, kind, asked, catch)
    clips = {
        name: {path.stem: path for path in list_videos(place)} for name, place in systems.items()
    }
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    media = folder / PAGE_FOLDER / MEDIA_FOLDER
    media.mkdir(parents=True)
    files: dict[tuple[str, str], str] = {}

    def publish(system: str, clip: str) -> str:
        """Copy a video under a blind name, once."""
        if (system, clip) not in files:
            source = clips[system][clip]
            name = f"{rng.getrandbits(64):016x}{source.suffix.lower()}"
            shutil.copyfile(source, media / name)
            files[system, clip] = name
        return files[system, clip]

    trials = []
    groups: list[tuple[str, ...]] = (
        list(combinations(systems, 2)) if kind == "preference" else [(s,) for s in systems]
    )
    for group in groups:
        common = sorted(set.intersection(*(set(clips[system]) for system in group)))
        for clip in common:
            names = tuple(publish(system, clip) for system in group)
            trials.append(StudyTrial(f"{rng.getrandbits(64):016x}", clip, names, group))
    if not trials:
        raise DubfewError("the systems have no clip in common: name the videos alike")
    trials += _make_catch_trials(clips, media, kind, catch, rng)
    identity = f"{rng.getrandbits(64):016x}"
    key = {
        "format_version": KEY_FORMAT_VERSION,
        "study": identity,
        "kind": kind,
        "questions": asked,
        "trials": [asdict(trial) for trial in trials],
    }
    write_atomic(folder / KEY_FILE, json.dumps(key, indent=1).encode())
    # Viewers get blind names alone.
    shown = {
        "study": identity,
        "kind": kind,
        "title": title,
        "questions": asked,
        "trials": [{"id": trial.id, "media": trial.media} for trial in trials],
    }
    # A script and no JSON file: a page that is opened from a folder may not fetch files.
    script = f"const STUDY = {json.dumps(shown)};\n"
    write_atomic(folder / PAGE_FOLDER / "study.js", script.encode())
    page = resources.files("dubfew.evaluate.study") / "page.html"
    write_atomic(folder / PAGE_FOLDER / "index.html", page.read_bytes())
    return len(trials)


def _check(
    systems: Mapping[str, Path], folder: Path, kind: str, questions: Sequence[str], catch: int
) -> None:
    """Raise DubfewError if a study cannot be made so."""
    if kind not in KINDS:
        raise DubfewError(f"no kind of study {kind!r}: there are {', '.join(KINDS)}")
    if kind == "preference" and len(systems) < 2:
        raise DubfewError("a preference needs two systems: give --system NAME=FOLDER twice")
    if not systems:
        raise DubfewError("no system is named: give --system NAME=FOLDER")
    if {CATCH_GOOD, CATCH_BAD} & set(systems):
        raise DubfewError(f"{CATCH_GOOD} and {CATCH_BAD} name catch trials: use other names")
    if kind == "preference" and len(questions) != 1:
        raise DubfewError(f"a preference asks one question, not {len(questions)}")
    if catch < 0:
        raise DubfewError(f"--catch is {catch}: give 0 or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DubfewError(f"{folder} exists already and is not empty: name another folder")


def _make_catch_trials(
    clips: Mapping[str, Mapping[str, Path]],
    media: Path,
    kind: str,
    count: int,
    rng: random.Random,
) -> list[StudyTrial]:
    """Make trials with a copy that nobody who looks would prefer or grade high."""
    pool = sorted({(clip, path) for found in clips.values() for clip, path in found.items()})
    trials = []
    for clip, path in (rng.choice(pool) for _ in range(count)):
        names = [f"{rng.getrandbits(64):016x}{suffix}" for suffix in (path.suffix.lower(), ".mp4")]
        _spoil(path, media / names[1])
        systems: tuple[str, ...] = (CATCH_BAD,)
        if kind == "preference":
            shutil.copyfile(path, media / names[0])
            systems = (CATCH_GOOD, CATCH_BAD)
        shown = tuple(names[-len(systems) :])
        trials.append(StudyTrial(f"{rng.getrandbits(64):016x}", clip, shown, systems))
    return trials


def _spoil(source: Path, path: Path) -> None:
    """Write a copy in large blocks, with its sound."""
    info = probe(source)
    sound = AudioSource(source, pad=False) if info.has_audio else None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "spoilt.mp4"
        with VideoWriter(made, info, audio=sound) as writer:
            for index, frame in enumerate(read_frames(source)):
                small = Image.fromarray(frame.to_rgb())
                size = (CATCH_PX, max(1, round(CATCH_PX * small.height / small.width)))
                blocks = small.resize(size).resize(small.size, Image.Resampling.NEAREST)
                spoilt = Frame.from_rgb(np.asarray(blocks), index, info.fps)
                writer.write(spoilt.with_time(index, frame.stamp))
        shutil.copyfile(made, path)


def read_key(path: Path) -> dict[str, Any]:
    """Read the key of a study.

    Args:
        path: folder of the study, or its key.

    Raises:
        DubfewError: There is no key, or it is of another form.
    """
    file = path / KEY_FILE if path.is_dir() else path
    try:
        key = json.loads(file.read_text("utf-8"))
        known = key["format_version"] <= KEY_FORMAT_VERSION and isinstance(key["trials"], list)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DubfewError(f"{file} is no key of a study: give the folder that was made") from error
    if not known:
        raise DubfewError(f"{file} is of a newer dubfew: update dubfew")
    return dict(key)
