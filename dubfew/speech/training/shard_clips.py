"""Filmed speakers to train on, read from the shards of ``dubfew prior prepare``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dubfew.data.array_cache import ArrayCache
from dubfew.data.audio_io import SegmentAudio, deserialize_audio
from dubfew.data.clip_index import exclusion_keys, is_excluded, normalize_excluded_names
from dubfew.data.shards import (
    ShardSample,
    group_by_clip,
    legacy_clip_paths,
    read_shard,
    shard_paths,
)
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.data.tar import TarMember
from dubfew.errors import ArtefactError, DubfewError, NoFaceError
from dubfew.media.mel import MEL_HOP_SAMPLES, SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.extraction import motion_from_landmarks
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.reconstruction.track import Track
from dubfew.speech.training.speech_clip import FilmedSpeech, SpeechClip, store_clip

# Longest gap between stored frames over which motion is interpolated, s. (Frames without a face are
# not stored.) Over a blink of the detector that is harmless; over more, motion would be invented,
# so the clip is split there.
MAX_FACE_GAP_SECONDS = 0.5
# Shortest piece that is kept, s: it must hold a few syllables, or its lag cannot be measured.
MIN_PIECE_SECONDS = 1.0
# Longest piece, s: what is in memory at a time. A minute is many times what a lag or an amplitude
# is measured from, and an hour's clock may drift against its picture's.
MAX_PIECE_SECONDS = 60.0
# Largest difference between the starts of a segment's sound and frames, s: one mel frame.
_MAX_START_DIFFERENCE_SECONDS = MEL_HOP_SAMPLES / SPEECH_SAMPLE_RATE_HZ
# The same for crops at 25 fps, whose sound begins with a picture: half of its duration.
_MAX_CROP_START_DIFFERENCE_SECONDS = 0.5 / CLIP_FPS + 1e-6
# Members of a sample, by extension, that a clip is read from.
_TRACK_MEMBER, _AUDIO_MEMBER = "track.safetensors", "audio.safetensors"


@dataclass(frozen=True)
class FilmedClips:
    """The filmed speakers in a folder of shards.

    Attributes:
        train: clips to train on.
        held_out: clips of held-out identities, to measure on.
        skipped: reason for each clip that cannot be used, by file name.
    """

    train: list[FilmedSpeech]
    held_out: list[FilmedSpeech]
    skipped: dict[str, str]


def load_filmed_clips(
    folder: Path,
    *,
    excluded_people: Collection[str] = (),
    held_out_people: Collection[str] = (),
    cache: ArrayCache | None = None,
) -> FilmedClips:
    """Read sound and mouth motion of every prepared clip; its images are not read.

    The rest pose is estimated from the whole clip. A clip is split where no face was found for more
    than `MAX_FACE_GAP_SECONDS`, where it has no sound, and into equal pieces of at most
    `MAX_PIECE_SECONDS`.

    Args:
        folder: output of ``dubfew prior prepare``.
        excluded_people: identities, files or SHA-256 sums of people whose data must not be used at
            all.
        held_out_people: the same for people to measure on instead of training on them.
        cache: cache that the clips are moved to, one prepared clip after the other; None keeps
            all of them in memory.

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: The folder has no clip with sound and a face, or ``held_out_people`` names
            someone who is not in it.
    """
    # Names are compared in one Unicode form, hashes in small letters.
    excluded = normalize_excluded_names(excluded_people)
    held_out = normalize_excluded_names(held_out_people)
    found = FilmedClips([], [], {})
    num_clips = num_allowed = 0
    unknown_people = set(held_out)
    for path in shard_paths(folder):
        with open(path, "rb") as file:
            for samples in group_by_clip(read_shard(path)):
                header = samples[0].header
                num_clips += 1
                unknown_people -= exclusion_keys(header)
                if is_excluded(header, excluded):
                    continue
                num_allowed += 1
                try:
                    found_pieces = _continuous_clips(samples, file)
                    pieces: list[FilmedSpeech] = [
                        piece if cache is None else store_clip(piece, cache)
                        for piece in found_pieces
                    ]
                except NoFaceError as error:
                    found.skipped[header["file"]] = str(error)
                    continue
                if not pieces:
                    found.skipped[header["file"]] = _missing_part(samples)
                target = found.held_out if is_excluded(header, held_out) else found.train
                target.extend(pieces)
    # Data of early versions has no sound.
    legacy = [path.name for path in legacy_clip_paths(folder)]
    found.skipped.update(dict.fromkeys(legacy, "stored without sound by an earlier dubfew"))
    # A misspelled name must not silently train on the person it meant.
    if unknown_people:
        raise DubfewError(
            f"{sorted(unknown_people)[0]!r} is not in {folder}: leave out an identity that "
            f"{folder / 'manifest.json'} lists"
        )
    if not num_clips + len(legacy):
        raise DubfewError(f"no prepared footage in {folder}: make it with `dubfew prior prepare`")
    if not found.train and not found.held_out:
        reason = (
            f"all {num_clips} clips in {folder} are on the exclude list"
            if not num_allowed and not legacy
            else f"none of the {num_allowed + len(legacy)} clips in {folder} has sound with a face"
        )
        raise DubfewError(f"{reason}: prepare footage of people who speak")
    return found


def _missing_part(samples: list[ShardSample]) -> str:
    """Explain why a clip gave no piece to train on."""
    if any(_AUDIO_MEMBER in sample.members for sample in samples):
        return "no second of it has both sound and a face"
    return "it has no sound"


def _continuous_clips(samples: list[ShardSample], file: BinaryIO) -> Iterator[SpeechClip]:
    """Yield the pieces of one clip in which sound and face go on without a break."""
    segments = _read_segments(samples, file)
    if not segments:
        return
    header = samples[0].header
    times = np.concatenate([track.times for track, _ in segments])
    landmarks = np.concatenate([track.landmarks for track, _ in segments])
    # One rest pose for the whole clip; pieces alone could be too short for it.
    motion = motion_from_landmarks(landmarks, times)
    joined, first = _join_audio([audio for _, audio in segments])
    frame_seconds = 1 / float(segments[0][0].fps)
    breaks = np.flatnonzero(np.diff(times) > MAX_FACE_GAP_SECONDS) + 1
    number = 0
    for rows in _split_long_runs(np.split(np.arange(len(times)), breaks), times):
        start, stop = float(times[rows[0]]), float(times[rows[-1]]) + frame_seconds
        if stop - start < MIN_PIECE_SECONDS:
            continue
        # Start at a whole mel frame, so that a piece has the features that it had in the clip. The
        # small number keeps rounded times from starting a frame early.
        low = int(start * SPEECH_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES + 1e-6) * MEL_HOP_SAMPLES
        piece = motion.select(rows)
        number += 1
        yield SpeechClip(
            header["file"] if number == 1 else f"{header['file']} ({number})",
            joined[low - first : round(stop * SPEECH_SAMPLE_RATE_HZ) - first],
            MouthMotion(piece.displacement, piece.times - low / SPEECH_SAMPLE_RATE_HZ),
            header["identity"],
        )


def _split_long_runs(
    runs: Iterable[NDArray[np.int64]], times: NDArray[np.float64]
) -> Iterator[NDArray[np.int64]]:
    """Split runs of frames into equal parts of at most `MAX_PIECE_SECONDS`."""
    for rows in runs:
        seconds = times[rows[-1]] - times[rows[0]]
        yield from np.array_split(rows, max(1, int(np.ceil(seconds / MAX_PIECE_SECONDS))))


def _read_segments(samples: list[ShardSample], file: BinaryIO) -> list[tuple[Track, SegmentAudio]]:
    """Read track and audio of the segments that have both."""
    segments = []
    for sample in samples:
        if not {_TRACK_MEMBER, _AUDIO_MEMBER} <= sample.members.keys():
            continue
        name = f"{sample.shard_path}: {sample.key}"
        track = Track.from_bytes(_read_member(file, sample.members[_TRACK_MEMBER]), name)
        audio = deserialize_audio(_read_member(file, sample.members[_AUDIO_MEMBER]), name)
        is_crop = bool(sample.header.get("layout"))
        allowed = _MAX_CROP_START_DIFFERENCE_SECONDS if is_crop else _MAX_START_DIFFERENCE_SECONDS
        if (
            # Sound that begins elsewhere would teach a delay.
            not len(track) or abs(audio.start_seconds - track.times[0]) > allowed
        ):
            raise ArtefactError(
                f"{name} has sound from {audio.start_seconds} s on, which is not where its frames "
                "begin: prepare the data again"
            )
        segments.append((track, audio))
    return segments


def _join_audio(parts: list[SegmentAudio]) -> tuple[NDArray[np.float32], int]:
    """Put the audio of segments on one clock, with silence between them.

    Returns:
        Samples [n], and the number of the first one in the clip.
    """
    starts = [round(part.start_seconds * SPEECH_SAMPLE_RATE_HZ) for part in parts]
    ends = [start + len(part.samples) for start, part in zip(starts, parts, strict=True)]
    first = starts[0]
    joined = np.zeros(max(ends) - first, np.float32)
    for part, start, end in zip(parts, starts, ends, strict=True):
        joined[start - first : end - first] = part.samples
    return joined, first


def _read_member(file: BinaryIO, member: TarMember) -> bytes:
    """Read one member of an opened shard."""
    file.seek(member.data_offset)
    return file.read(member.num_bytes)
