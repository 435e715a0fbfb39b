"""Filmed speakers to train on, from the shards that ``dubfew prior prepare`` wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dubfew.data.audio_io import SegmentAudio, deserialize_audio
from dubfew.data.clip_index import exclusion_keys, is_excluded, normalize_excluded_names
from dubfew.data.shards import (
    ShardSample,
    group_by_clip,
    legacy_clip_paths,
    read_shard,
    shard_paths,
)
from dubfew.data.tar import TarMember
from dubfew.errors import ArtefactError, DubfewError, NoFaceError
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.reconstruction.track import Track
from dubfew.speech.training.speech_clip import SpeechClip

# Frames without a face are not stored. Motion is bridged over a blink of the detector; over
# more than this it would be invented, and the clip is taken apart there, s.
MAX_FACE_GAP_SECONDS = 0.5
# A stretch that is left must hold a few syllables to say whether sound and picture agree, s.
MIN_STRETCH_SECONDS = 1.0


@dataclass(frozen=True)
class FilmedClips:
    """The speakers of a folder of shards.

    Attributes:
        train: clips to train on.
        held_out: clips of the identities to leave out, for measuring.
        skipped: clips that cannot be used, and why.
    """

    train: list[SpeechClip]
    held_out: list[SpeechClip]
    skipped: dict[str, str]


def load_filmed_clips(
    folder: Path, *, excluded_people: Collection[str] = (), held_out_people: Collection[str] = ()
) -> FilmedClips:
    """Read sound and mouth motion of every clip; the windows are not looked at.

    The rest pose is estimated from the whole clip. A clip is taken apart where no face was seen for
    long (`MAX_FACE_GAP_SECONDS`) and where it has no sound.

    Args:
        folder: what `dubfew prior prepare` made.
        excluded_people: identities, files or SHA-256 sums of people who are not to be touched at
            all.
        held_out_people: those of people to measure on instead of training on them.

    Raises:
        ArtefactError: something in the folder is damaged.
        DubfewError: nobody can be heard and seen there, or ``held_out_people`` names nobody.
    """
    excluded, measured = (
        normalize_excluded_names(excluded_people),
        normalize_excluded_names(held_out_people),
    )
    found = FilmedClips([], [], {})
    clips = known = 0
    unknown = set(measured)
    for path in shard_paths(folder):
        with open(path, "rb") as file:
            for samples in group_by_clip(read_shard(path)):
                header = samples[0].header
                clips += 1
                unknown -= exclusion_keys(header)
                if is_excluded(header, excluded):
                    continue
                known += 1
                try:
                    stretches = list(_continuous_clips(samples, file))
                except NoFaceError as error:
                    found.skipped[header["file"]] = str(error)
                    continue
                if not stretches:
                    heard = any("audio.safetensors" in each.members for each in samples)
                    found.skipped[header["file"]] = (
                        "no second of it has both sound and a face" if heard else "it has no sound"
                    )
                (found.held_out if is_excluded(header, measured) else found.train).extend(stretches)
    old = [path.name for path in legacy_clip_paths(folder)]
    found.skipped.update(dict.fromkeys(old, "stored without sound by an earlier dubfew"))
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


def _continuous_clips(samples: list[ShardSample], file: BinaryIO) -> Iterator[SpeechClip]:
    """The parts of one clip in which sound and face go on without a break."""
    parts: list[tuple[Track, SegmentAudio]] = []
    for sample in samples:
        name = f"{sample.shard_path}: {sample.key}"
        if {"track.safetensors", "audio.safetensors"} <= sample.members.keys():
            track = Track.from_bytes(_read_member(file, sample.members["track.safetensors"]), name)
            sound = deserialize_audio(_read_member(file, sample.members["audio.safetensors"]), name)
            if (
                not len(track)
                or abs(sound.start_seconds - track.times[0])
                > MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
            ):
                raise ArtefactError(
                    f"{name} has sound from {sound.start_seconds} s on, which is not where its "
                    "frames "
                    "begin: prepare the data again"
                )
            parts.append((track, sound))
    if not parts:
        return
    header: dict[str, Any] = samples[0].header
    times = np.concatenate([track.times for track, _ in parts])
    motion = motion_from_landmarks(np.concatenate([track.landmarks for track, _ in parts]), times)
    step = 1 / float(parts[0][0].fps)
    first = round(parts[0][1].start_seconds * SPEECH_SAMPLE_RATE_HZ)
    ends = [
        round(sound.start_seconds * SPEECH_SAMPLE_RATE_HZ) + len(sound.samples)
        for _, sound in parts
    ]
    heard = np.zeros(max(ends) - first, np.float32)
    for (_, sound), end in zip(parts, ends, strict=True):
        heard[end - len(sound.samples) - first : end - first] = sound.samples
    breaks = np.flatnonzero(np.diff(times) > MAX_FACE_GAP_SECONDS) + 1
    number = 0
    for rows in np.split(np.arange(len(times)), breaks):
        start, stop = float(times[rows[0]]), float(times[rows[-1]]) + step
        if stop - start < MIN_STRETCH_SECONDS:
            continue
        # Whole steps of the features, so that a stretch sounds as it did in its place.
        low = int(start * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES + 1e-6) * MEL_HOP_SAMPLES
        moved = motion.select(rows)
        number += 1
        yield SpeechClip(
            header["file"] if number == 1 else f"{header['file']} ({number})",
            heard[low - first : round(stop * SPEECH_SAMPLE_RATE_HZ) - first],
            type(motion)(moved.displacement, moved.times - low / SPEECH_SAMPLE_RATE_HZ),
            header["identity"],
        )


def _read_member(file: BinaryIO, member: TarMember) -> bytes:
    file.seek(member.data_offset)
    return file.read(member.num_bytes)
