"""Making of a study: a folder with a page that shows blinded videos, and a key that stays here."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
# What every browser plays: containers, codecs, their profiles where some are not played, and the
# pixels. All else is copied as H.264 in MP4.
PLAYABLE_SUFFIXES = (".mp4", ".m4v", ".webm")
PLAYABLE_CODECS = ("h264", "vp8", "vp9", "av1")
PLAYABLE_H264_PROFILES = ("Constrained Baseline", "Baseline", "Main", "High")
PLAYABLE_FORMATS = ("yuv420p", "yuvj420p")
# Quality of such a copy, x264's scale: nobody sees a difference to its source.
COPY_CRF = 12
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

    Videos that a browser may not play are encoded anew, so near their source that nobody sees it.
    Every pair of systems is shown on every clip that both have, or, for grades, every system on
    every clip that all have. The page deals order and sides to each viewer at random. Names of
    files on the page say nothing; which is which stands in ``key.json``, which must not be
    given to viewers.

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
        MediaError: A file cannot be read as video.
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
            files[system, clip] = _publish(clips[system][clip], media, rng)
        return files[system, clip]

    trials = []
    groups: list[tuple[str, ...]] = (
        list(combinations(systems, 2)) if kind == "preference" else [(s,) for s in systems]
    )
    for group in groups:
        # Grades of different clips would not compare.
        compared = group if kind == "preference" else tuple(systems)
        for clip in sorted(set.intersection(*(set(clips[system]) for system in compared))):
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
        shown, systems = [f"{rng.getrandbits(64):016x}.mp4"], [CATCH_BAD]
        _write_copy(path, media / shown[0], _spoil)
        if kind == "preference":
            shown.insert(0, _publish(path, media, rng))
            systems.insert(0, CATCH_GOOD)
        trials.append(StudyTrial(f"{rng.getrandbits(64):016x}", clip, tuple(shown), tuple(systems)))
    return trials


def _publish(source: Path, media: Path, rng: random.Random) -> str:
    """Copy a video under a blind name, as something that browsers play; returns the name."""
    info = probe(source)
    plays = (
        source.suffix.lower() in PLAYABLE_SUFFIXES
        and info.codec in PLAYABLE_CODECS
        and (info.codec != "h264" or info.profile in PLAYABLE_H264_PROFILES)
        and info.stored_format in PLAYABLE_FORMATS
    )
    name = f"{rng.getrandbits(64):016x}{source.suffix.lower() if plays else '.mp4'}"
    if plays:
        shutil.copyfile(source, media / name)
    else:
        _write_copy(source, media / name)
    return name


def _spoil(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a picture [H, W, 3] to large blocks."""
    small = Image.fromarray(picture)
    size = (CATCH_PX, max(1, round(CATCH_PX * small.height / small.width)))
    return np.asarray(small.resize(size).resize(small.size, Image.Resampling.NEAREST))


def _write_copy(
    source: Path,
    path: Path,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda picture: picture,
) -> None:
    """Write a copy that browsers play, with its sound.

    Args:
        source: video to copy.
        path: file to write, with the suffix .mp4.
        change: makes the picture of the copy of that of the source. [H, W, 3] both
    """
    info = replace(probe(source), pix_fmt="yuv420p", stored_format="yuv420p", field_order=0)
    sound = AudioSource(source, pad=False) if info.has_audio else None
    with tempfile.TemporaryDirectory() as folder:
        # Beside its own notes, which viewers must not get.
        made = Path(folder) / "copy.mp4"
        with VideoWriter(made, info, codec="libx264", audio=sound, crf=COPY_CRF) as writer:
            for index, frame in enumerate(read_frames(source)):
                copy = Frame.from_rgb(change(frame.to_rgb()), index, info.fps)
                writer.write(copy.with_time(index, frame.stamp))
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
