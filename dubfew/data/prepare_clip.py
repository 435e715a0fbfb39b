"""One video -> one tar of prepared segments, in memory that does not grow with its length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.data.audio_io import Listener, Sound, sound_bytes
from dubfew.data.footage_io import footage_bytes
from dubfew.data.shards import FORMAT_VERSION, header_bytes, sample_bytes
from dubfew.data.tar import end_tar
from dubfew.data.workers import ClipJob, Outcome
from dubfew.errors import DubfewError, MediaError, NoFaceError
from dubfew.media import Frame, VideoInfo, probe, read_frames
from dubfew.reconstruction.detection.landmarks import LANDMARKS, FaceLandmarker
from dubfew.reconstruction.detection.shots import face_jumps
from dubfew.reconstruction.heads.head_model import HeadModel, load_head
from dubfew.reconstruction.track import COVERED, Camera, Track
from dubfew.reconstruction.tracking import FOCAL_PER_LONG_SIDE, fit_track
from dubfew.reconstruction.visibility.temporal_occlusion import HEIGHT, WIDTH, covered, face_patch
from dubfew.references.alignment import align_footage
from dubfew.references.footage import Footage, cut_window, geometry
from dubfew.utils.files import atomic_path, sha256_file

# Frames that are tracked together: fitting takes 85 kB for each. A minute shows enough of a face
# to fit its shape; longer clips are tracked a passage at a time.
PASSAGE = 1500
# Frames that are aligned together and make a sample: 20 MB. Ten seconds hold the mouth shapes
# that a frame is compared with.
SEGMENT = 256
# Training takes a frame's references from frames at least ten away, on either side.
FEWEST = 25


def prepare_clip(job: ClipJob, progress: Callable[[int], None] = lambda frames: None) -> Outcome:
    """Track, cut, align and store one clip.

    Never raises for what is wrong with the clip: the outcome says it.

    Args:
        job: what to do.
        progress: told the number of its frames after each segment.
    """
    path = Path(job.path)
    try:
        sha256 = sha256_file(path)
        if sha256 in job.excluded:
            return Outcome(excluded=sha256)
        info = probe(path)
        with atomic_path(Path(job.out)) as temporary, open(temporary, "wb") as file:
            frames = 0
            for number, piece in enumerate(_pieces(path, info, sha256, job.size)):
                facts = {**job.facts, "clip": job.key, "sha256": sha256, "segment": number}
                file.write(_sample(f"{job.key}_{number:05d}", facts, piece, info))
                frames += len(piece.footage)
                progress(len(piece.footage))
            if frames < FEWEST:
                raise NoFaceError(
                    f"{path} shows a face in {frames} frames, expected {FEWEST} or more: give a "
                    "second or more of a face seen from the front"
                )
            end_tar(file)
    except (DubfewError, OSError) as error:
        return Outcome(error=" ".join(str(error).splitlines()))
    return Outcome(frames=frames)


@dataclass(frozen=True)
class _Piece:
    """A segment: its windows, its rows of the track and its sound."""

    footage: Footage
    track: Track
    sound: Sound | None


def _sample(key: str, facts: dict[str, Any], piece: _Piece, info: VideoInfo) -> bytes:
    frames, track = piece.footage.frames, piece.track
    header = {
        "format_version": FORMAT_VERSION,
        **facts,
        "start": int(frames[0]),
        "stop": int(frames[-1]) + 1,
        "frames": len(frames),
        "seconds": float(len(frames) / info.fps),
        "fps": str(info.fps),
        "width": track.width,
        "height": track.height,
        "head": track.head,
        "size": piece.footage.size,
        "sound": piece.sound is not None,
    }
    files = {
        "json": header_bytes(header),
        "footage.safetensors": footage_bytes(piece.footage, {}),
        "track.safetensors": track.to_bytes(),
    }
    if piece.sound is not None:
        files["audio.safetensors"] = sound_bytes(piece.sound)
    return sample_bytes(key, files)


def _pieces(path: Path, info: VideoInfo, sha256: str, size: int) -> Iterator[_Piece]:
    from dubfew.motion.extraction import motion_of_track

    head = load_head()
    pictures = read_frames(path)
    with closing(Listener(path, info)) as sound:
        for start, track in _passages(path, info, sha256, head):
            motion = motion_of_track(track, head).displacement
            step = 1 / float(info.fps)
            heard = sound.between(float(track.times[0]), float(track.times[-1]) + step)
            rows = np.nonzero(track.usable)[0]
            if not len(rows):
                continue
            for wanted in np.array_split(rows, -(-len(rows) // SEGMENT)):
                part = track.select(wanted)
                footage = _cut(pictures, part, wanted + start, motion[wanted], head, size)
                times = part.times
                yield _Piece(
                    align_footage(footage, head),
                    part,
                    None if heard is None else heard.part(times, float(times[-1]) + step),
                )


def _passages(
    path: Path, info: VideoInfo, sha256: str, head: HeadModel
) -> Iterator[tuple[int, Track]]:
    """Tracks of a clip's passages and the number of their first frames."""
    for seen in _looked_at(path):
        valid = np.isfinite(seen.landmarks[:, 0, 0])
        if not valid.any():
            continue
        check_one_face(path, seen.start, seen.landmarks)
        track = fit_track(
            seen.landmarks,
            seen.times,
            head,
            Camera(FOCAL_PER_LONG_SIDE * max(seen.size), seen.size[0] / 2, seen.size[1] / 2),
            fps=info.fps,
            size=seen.size,
            source=str(path),
            sha256=sha256,
        )
        hidden = covered(seen.patches[valid], seen.landmarks[valid], np.flatnonzero(valid))
        flags = track.flags.copy()
        flags[valid] |= np.where(hidden, COVERED, 0).astype(np.uint8)
        yield seen.start, replace(track, flags=flags)


@dataclass(frozen=True)
class _Passage:
    """What the detector says of some frames: number of the first, landmarks (px, NaN rows without
    a face), times (s), small pictures of the face, and the frames' size (px)."""

    start: int
    landmarks: NDArray[np.float32]
    times: NDArray[np.float64]
    patches: NDArray[np.uint8]
    size: tuple[int, int]


def _looked_at(path: Path) -> Iterator[_Passage]:
    """Passages of like length."""
    rows: list[tuple[NDArray[np.float32], float, NDArray[np.uint8]]] = []
    nobody = np.full((LANDMARKS, 3), np.nan, np.float32)
    nothing = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    start, size = 0, (0, 0)

    def passage(first: int, stop: int) -> _Passage:
        landmarks, times, patches = zip(*rows[first:stop], strict=True)
        return _Passage(
            start + first, np.stack(landmarks), np.array(times), np.stack(patches), size
        )

    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            size = (frame.width, frame.height)
            rgb = frame.to_rgb(fast=True)
            found = landmarker(rgb)
            rows.append(
                (nobody, frame.time, nothing)
                if found is None
                else (found, frame.time, face_patch(rgb, found))
            )
            if len(rows) == 2 * PASSAGE:  # so the last passage is never a scrap
                yield passage(0, PASSAGE)
                del rows[:PASSAGE]
                start += PASSAGE
    for part in np.array_split(np.arange(len(rows)), max(1, -(-len(rows) // PASSAGE))):
        if len(part):
            yield passage(int(part[0]), int(part[-1]) + 1)


def check_one_face(path: Path, start: int, landmarks: NDArray[np.float32]) -> None:
    """Refuse a clip whose face jumps: a cut, or the detector went over to a second person.

    Args:
        path: named in the error.
        start: number of the first row's frame.
        landmarks: px, NaN rows without a face. [N, 478, 3]

    Raises:
        DubfewError: naming the two frames.
    """
    jumps = face_jumps(landmarks)
    if jumps:
        frames = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
        before = frames[np.searchsorted(frames, jumps[0]) - 1]
        raise DubfewError(
            f"in {path} the face jumps between the frames {start + before} and "
            f"{start + jumps[0]} (a cut, or a second person): split the clip there"
        )


def _cut(
    pictures: Iterator[Frame],
    track: Track,
    frames: NDArray[np.int64],
    motion: NDArray[np.float32],
    head: HeadModel,
    size: int,
) -> Footage:
    """Windows of some frames, which come later in the stream than any cut before."""
    shapes = geometry(track, head)
    images = []
    for row, number in enumerate(frames):
        picture = next((p for p in pictures if p.index == number), None)
        if picture is None:
            raise MediaError(f"frame {number} was there once and is not any more: try again")
        images.append(cut_window(picture, shapes.regions.window[row], size))
    return Footage(
        images=np.stack(images),
        vertices=np.stack([shapes.in_window(row, size) for row in range(len(frames))]),
        hulls=np.stack([shapes.hull_in_window(row, size) for row in range(len(frames))]),
        key=shapes.key,
        motion=motion,
        frames=np.asarray(frames, np.int64),
    )
