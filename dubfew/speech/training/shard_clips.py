"""Filmed speakers to train on, from the shards that ``dubfew prior prepare`` wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dubfew.data.audio_io import Sound, sound_of_bytes
from dubfew.data.clip_index import excluded_names, is_excluded, names_of
from dubfew.data.shards import StoredSample, read_shard, shard_paths, single_paths
from dubfew.data.tar import Member
from dubfew.errors import ArtefactError, DubfewError, NoFaceError
from dubfew.media.mel import HOP, RATE
from dubfew.motion.extraction import motion_of_landmarks
from dubfew.reconstruction.track import Track
from dubfew.speech.corpus import Clip

# Frames without a face are not stored. Motion is bridged over a blink of the detector; over
# more than this it would be invented, and the clip is taken apart there, s.
LONGEST_BRIDGE = 0.5
# A stretch that is left must hold a few syllables to say whether sound and picture agree, s.
SHORTEST_STRETCH = 1.0


@dataclass(frozen=True)
class Filmed:
    """The speakers of a folder of shards.

    Attributes:
        train: clips to train on.
        held_out: clips of the identities to leave out, for measuring.
        passed: clips that cannot be used, and why.
    """

    train: list[Clip]
    held_out: list[Clip]
    passed: dict[str, str]


def filmed_speakers(
    folder: Path, *, exclude: Collection[str] = (), leave_out: Collection[str] = ()
) -> Filmed:
    """Read sound and mouth motion of every clip; the windows are not looked at.

    The rest pose is estimated from the whole clip. A clip is taken apart where no face was seen
    for long (`LONGEST_BRIDGE`) and where it has no sound.

    Args:
        folder: what `dubfew prior prepare` made.
        exclude: identities, files or SHA-256 sums of people who are not to be touched at all.
        leave_out: those of people to measure on instead of training on them.

    Raises:
        ArtefactError: something in the folder is damaged.
        DubfewError: nobody can be heard and seen there, or ``leave_out`` names nobody.
    """
    excluded, measured = excluded_names(exclude), excluded_names(leave_out)
    found = Filmed([], [], {})
    clips = known = 0
    unknown = set(measured)
    for path in shard_paths(folder):
        with open(path, "rb") as file:
            for samples in _by_clip(read_shard(path)):
                header = samples[0].header
                clips += 1
                unknown -= names_of(header)
                if is_excluded(header, excluded):
                    continue
                known += 1
                try:
                    stretches = list(_stretches(samples, file))
                except NoFaceError as error:
                    found.passed[header["file"]] = str(error)
                    continue
                if not stretches:
                    heard = any("audio.safetensors" in each.members for each in samples)
                    found.passed[header["file"]] = (
                        "no second of it has both sound and a face" if heard else "it has no sound"
                    )
                (found.held_out if is_excluded(header, measured) else found.train).extend(stretches)
    old = [path.name for path in single_paths(folder)]
    found.passed.update(dict.fromkeys(old, "stored without sound by an earlier dubfew"))
    if unknown:
        raise DubfewError(
            f"{sorted(unknown)[0]!r} is nobody in {folder}: leave out an identity that "
            f"{folder / 'manifest.json'} lists"
        )
    if not clips + len(old):
        raise DubfewError(f"no prepared footage in {folder}: make it with `dubfew prior prepare`")
    if not found.train and not found.held_out:
        reason = (
            f"all {clips} clips in {folder} are on the exclude list"
            if not known and not old
            else f"none of the {known + len(old)} clips in {folder} has sound with a face"
        )
        raise DubfewError(f"{reason}: prepare footage of people who speak")
    return found


def _by_clip(samples: list[StoredSample]) -> list[list[StoredSample]]:
    clips: dict[str, list[StoredSample]] = {}
    for sample in samples:
        clips.setdefault(sample.header["clip"], []).append(sample)
    return [sorted(clip, key=lambda sample: sample.header["start"]) for clip in clips.values()]


def _stretches(samples: list[StoredSample], file: BinaryIO) -> Iterator[Clip]:
    """The parts of one clip in which sound and face go on without a break."""
    parts: list[tuple[Track, Sound]] = []
    for sample in samples:
        name = f"{sample.shard}: {sample.key}"
        if {"track.safetensors", "audio.safetensors"} <= sample.members.keys():
            track = Track.from_bytes(_read(file, sample.members["track.safetensors"]), name)
            sound = sound_of_bytes(_read(file, sample.members["audio.safetensors"]), name)
            if not len(track) or abs(sound.start - track.times[0]) > HOP / RATE:
                raise ArtefactError(
                    f"{name} has sound from {sound.start} s on, which is not where its frames "
                    "begin: prepare the data again"
                )
            parts.append((track, sound))
    if not parts:
        return
    header: dict[str, Any] = samples[0].header
    times = np.concatenate([track.times for track, _ in parts])
    motion = motion_of_landmarks(np.concatenate([track.landmarks for track, _ in parts]), times)
    step = 1 / float(parts[0][0].fps)
    first = round(parts[0][1].start * RATE)
    ends = [round(sound.start * RATE) + len(sound.samples) for _, sound in parts]
    heard = np.zeros(max(ends) - first, np.float32)
    for (_, sound), end in zip(parts, ends, strict=True):
        heard[end - len(sound.samples) - first : end - first] = sound.samples
    breaks = np.flatnonzero(np.diff(times) > LONGEST_BRIDGE) + 1
    number = 0
    for rows in np.split(np.arange(len(times)), breaks):
        start, stop = float(times[rows[0]]), float(times[rows[-1]]) + step
        if stop - start < SHORTEST_STRETCH:
            continue
        # Whole steps of the features, so that a stretch sounds as it did in its place.
        low = int(start * RATE / HOP + 1e-6) * HOP
        moved = motion.select(rows)
        number += 1
        yield Clip(
            header["file"] if number == 1 else f"{header['file']} ({number})",
            heard[low - first : round(stop * RATE) - first],
            type(motion)(moved.displacement, moved.times - low / RATE),
            header["identity"],
        )


def _read(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)
