"""Prepare one video as a tar of segments, in memory that does not grow with its length.

The video is decoded twice, side by side: once for the detector, which fills chunks of frames that
are tracked together, and once for the windows, which are cut where the track says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.data.audio_io import AudioChunkReader, SegmentAudio, serialize_audio
from dubfew.data.clip_footage import ClipFootage, cut_clip_footage, schedule_clip_frames
from dubfew.data.clip_shards import CLIP_MEMBER, serialize_clip
from dubfew.data.footage_io import serialize_footage
from dubfew.data.jobs import ClipJob, ClipOutcome, PreparedForm
from dubfew.data.shards import SHARD_FORMAT_VERSION, serialize_header, serialize_sample
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.data.tar import write_tar_end
from dubfew.errors import DubfewError, MediaError, NoFaceError
from dubfew.media import VideoInfo, probe, read_frames
from dubfew.motion.extraction import motion_from_track
from dubfew.progress import no_progress
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS, FaceLandmarker
from dubfew.reconstruction.detection.shots import find_face_jumps
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED, Camera, Track
from dubfew.reconstruction.tracking import DEFAULT_FOCAL_PER_LONG_SIDE, fit_track
from dubfew.reconstruction.visibility.temporal_occlusion import (
    PATCH_HEIGHT_PX,
    PATCH_WIDTH_PX,
    detect_occluded_frames,
    extract_face_patch,
)
from dubfew.references.alignment import align_footage
from dubfew.references.cropping import footage_from_frames
from dubfew.references.footage import Footage
from dubfew.utils.counts import count_things
from dubfew.utils.files import atomic_path, sha256_file

# Frames that are tracked together, a minute at 25 fps: enough of a face to fit its shape, of which
# each chunk of a longer clip gets its own. Fitting takes 85 kB for each frame.
TRACKING_CHUNK_FRAMES = 1500
# Frames that are aligned together and make a sample of a shard, 20 MB. Ten seconds hold the mouth
# shapes that alignment compares a frame with; longer segments only take more memory.
SEGMENT_FRAMES = 256
# Fewest frames of a clip. Training takes references that are at least ten frames away, and every
# frame should have some of them.
MIN_CLIP_FRAMES = 25


def prepare_clip(
    job: ClipJob, on_frames: Callable[[int], None] = lambda frames: None
) -> ClipOutcome:
    """Track, cut, align and store one clip.

    A clip that cannot be prepared raises nothing: the outcome has the reason.

    Args:
        job: the clip and the tar to write.
        on_frames: called after each segment with the number of its frames.

    Returns:
        Number of prepared frames, or the reason why there are none.
    """
    path = Path(job.video_path)
    try:
        # Hash first: clips of excluded people are never decoded.
        sha256 = sha256_file(path)
        if sha256 in job.excluded:
            return ClipOutcome(excluded_sha256=sha256)
        info = probe(path)
        # The tar appears under its name only when it is whole.
        with atomic_path(Path(job.output_path)) as temporary, open(temporary, "wb") as file:
            frames = 0
            segments = (
                _iter_crop_segments(path, info, sha256, job.form)
                if job.form.layout
                else _iter_segments(path, info, sha256, job.window_size, job.form)
            )
            for number, piece in enumerate(segments):
                facts = {
                    **job.metadata,
                    "clip": job.sample_key,
                    "sha256": sha256,
                    "segment": number,
                }
                file.write(_serialize_segment(f"{job.sample_key}_{number:05d}", facts, piece))
                frames += len(piece.pictures)
                on_frames(len(piece.pictures))
            if frames < MIN_CLIP_FRAMES:
                raise NoFaceError(
                    f"{path} shows a face in {count_things(frames, 'frame')}, expected "
                    f"{MIN_CLIP_FRAMES} or more: "
                    "give a second or more of a face seen from the front"
                )
            write_tar_end(file)
    except (DubfewError, OSError) as error:
        return ClipOutcome(error=" ".join(str(error).splitlines()))
    return ClipOutcome(num_frames=frames)


@dataclass(frozen=True)
class _Segment:
    """Windows or crops, rows of the track and audio of one segment."""

    pictures: Footage | ClipFootage
    track: Track
    audio: SegmentAudio | None
    fps: Fraction


def _serialize_segment(sample_key: str, metadata: dict[str, Any], segment: _Segment) -> bytes:
    """Write the sample of one segment as it lies in a tar."""
    # Everything that readers need to choose samples without opening the arrays.
    pictures, track = segment.pictures, segment.track
    frames = pictures.frames
    header = {
        "format_version": SHARD_FORMAT_VERSION,
        **metadata,
        "start": int(frames[0]),
        "stop": int(frames[-1]) + 1,
        "frames": len(frames),
        "seconds": float(len(frames) / segment.fps),
        "fps": str(segment.fps),
        "width": track.width,
        "height": track.height,
        "head": track.head,
        "sound": segment.audio is not None,
    }
    if track.method != "landmarks":
        header["method"] = track.method
    files = {"track.safetensors": track.to_bytes()}
    if isinstance(pictures, ClipFootage):
        header["layout"] = pictures.layout
        files[CLIP_MEMBER] = serialize_clip(pictures)
    else:
        header["size"] = pictures.window_size
        files["footage.safetensors"] = serialize_footage(pictures, {})
    files["json"] = serialize_header(header)
    if segment.audio is not None:
        files["audio.safetensors"] = serialize_audio(segment.audio)
    return serialize_sample(sample_key, files)


def _iter_segments(
    path: Path, video_info: VideoInfo, sha256: str, window_size: int, form: PreparedForm
) -> Iterator[_Segment]:
    """Track, cut and align a clip, segment by segment.

    Raises:
        DubfewError: The video cannot be read, or its face jumps.
    """
    head = load_head_model(form.head)
    video_frames = read_frames(path)
    with closing(AudioChunkReader(path, video_info)) as audio:
        for start, track in _track_chunks(path, video_info, sha256, head, form.method):
            # Motion and audio level are those of the whole chunk: a segment may be one long vowel.
            motion = motion_from_track(track, head).displacement
            step = 1 / float(video_info.fps)
            chunk = audio.read_between(float(track.times[0]), float(track.times[-1]) + step)
            rows = np.nonzero(track.usable)[0]
            if not len(rows):
                continue
            # Segments of equal length rather than full ones and a short rest.
            for segment_rows in np.array_split(rows, -(-len(rows) // SEGMENT_FRAMES)):
                part = track.select(segment_rows)
                numbers = segment_rows + start
                footage = footage_from_frames(
                    video_frames,
                    part,
                    head,
                    motion[segment_rows],
                    window_size=window_size,
                    rows=range(len(part)),
                    frame_numbers=numbers,
                )
                # Both passes read the same file: a frame that is gone means that it changed.
                if len(footage) < len(part):
                    missing = np.setdiff1d(numbers, footage.frames)[0]
                    raise MediaError(
                        f"frame {missing} was there once and is not any more: try again"
                    )
                times = part.times
                yield _Segment(
                    align_footage(footage, head),
                    part,
                    None if chunk is None else chunk.segment_audio(times, float(times[-1]) + step),
                    video_info.fps,
                )


def _iter_crop_segments(
    path: Path, video_info: VideoInfo, sha256: str, form: PreparedForm
) -> Iterator[_Segment]:
    """Track a clip and cut its crops at 25 fps, segment by segment.

    Raises:
        DubfewError: The video cannot be read, or its face jumps.
    """
    head = load_head_model(form.head)
    video_frames = read_frames(path)
    last_number = -1
    with closing(AudioChunkReader(path, video_info)) as audio:
        for start, track in _track_chunks(path, video_info, sha256, head, form.method):
            numbers, rows = schedule_clip_frames(track.times)
            # Two chunks may both be nearest to the picture between them.
            kept = track.usable[rows] & (numbers > last_number)
            numbers, rows = numbers[kept], rows[kept]
            if not len(numbers):
                continue
            last_number = int(numbers[-1])
            # Sound up to the end of the last frame.
            begin, end = float(track.times[0]), float(track.times[-1]) + 1 / float(video_info.fps)
            chunk = audio.read_between(begin, end)
            for part in _split_rows(rows):
                clip = cut_clip_footage(
                    video_frames,
                    track,
                    head,
                    form.layout,
                    frame_numbers=start + np.arange(len(track)),
                    numbers=numbers[part],
                    rows=rows[part],
                )
                times = np.clip(clip.frames / CLIP_FPS, begin, end)
                stop = min(float(times[-1]) + 1 / CLIP_FPS, end)
                yield _Segment(
                    clip,
                    track.select(np.unique(rows[part])),
                    None if chunk is None else chunk.segment_audio(times, stop),
                    Fraction(CLIP_FPS),
                )


def _split_rows(rows: NDArray[np.int64]) -> Iterator[slice]:
    """Split pictures into segments of equal length; those that show one frame stay together."""
    count = -(-len(rows) // SEGMENT_FRAMES)
    ends = [round(len(rows) * (k + 1) / count) for k in range(count)]
    first = 0
    for end in ends:
        # The stream of frames has passed a frame that an earlier segment showed.
        while end < len(rows) and rows[end] == rows[end - 1]:
            end += 1
        if end > first:
            yield slice(first, end)
            first = end


def _track_chunks(
    path: Path, video_info: VideoInfo, sha256: str, head: HeadModel, method: str
) -> Iterator[tuple[int, Track]]:
    """Track each chunk of a clip that shows a face; gives the number of its first frame, too.

    Raises:
        DubfewError: The video cannot be read, or its face jumps.
    """
    for chunk in _detect_chunks(path):
        valid = np.isfinite(chunk.landmarks[:, 0, 0])
        if not valid.any():
            continue
        check_one_face(path, chunk.first_frame, chunk.landmarks)
        # The focal length is assumed: one face tells little about it.
        track = fit_track(
            chunk.landmarks,
            chunk.times,
            head,
            Camera(
                DEFAULT_FOCAL_PER_LONG_SIDE * max(chunk.frame_size),
                chunk.frame_size[0] / 2,
                chunk.frame_size[1] / 2,
            ),
            fps=video_info.fps,
            frame_size=chunk.frame_size,
            source=str(path),
            sha256=sha256,
        )
        track = TRACKING_METHODS.load(method)(
            path, track, head=head, first_frame=chunk.first_frame, progress=no_progress
        )
        # Frames with a covered mouth are tracked, but not usable: they would teach hands and
        # microphones.
        covered = detect_occluded_frames(
            chunk.face_patches[valid], chunk.landmarks[valid], np.flatnonzero(valid)
        )
        flags = track.flags.copy()
        flags[valid] |= np.where(covered, FLAG_MOUTH_COVERED, 0).astype(np.uint8)
        yield chunk.first_frame, replace(track, flags=flags)


@dataclass(frozen=True)
class _DetectedChunk:
    """Detections in some consecutive frames.

    Attributes:
        first_frame: number of the first frame.
        landmarks: px, NaN where a frame shows no face. [N, 478, 3]
        times: times of the frames, s. [N]
        face_patches: small images of the face, black without one. [N, h, w, 3]
        frame_size: width and height of the frames, px.
    """

    first_frame: int
    landmarks: NDArray[np.float32]
    times: NDArray[np.float64]
    face_patches: NDArray[np.uint8]
    frame_size: tuple[int, int]


def _detect_chunks(path: Path) -> Iterator[_DetectedChunk]:
    """Detect the face in every frame, in chunks of similar length.

    Raises:
        MediaError: The video cannot be read.
    """
    rows: list[tuple[NDArray[np.float32], float, NDArray[np.uint8]]] = []
    no_landmarks = np.full((NUM_LANDMARKS, 3), np.nan, np.float32)
    no_patch = np.zeros((PATCH_HEIGHT_PX, PATCH_WIDTH_PX, 3), np.uint8)
    start, size = 0, (0, 0)

    # ``rows`` holds the frames that are not in a chunk yet, the first of them number ``start``.
    def make_chunk(first_row: int, stop_row: int) -> _DetectedChunk:
        landmarks, times, patches = zip(*rows[first_row:stop_row], strict=True)
        return _DetectedChunk(
            start + first_row, np.stack(landmarks), np.array(times), np.stack(patches), size
        )

    with FaceLandmarker() as landmarker:
        for frame in read_frames(path):
            size = (frame.width, frame.height)
            rgb = frame.to_rgb(fast=True)
            found = landmarker(rgb)
            rows.append(
                (no_landmarks, frame.time, no_patch)
                if found is None
                else (found, frame.time, extract_face_patch(rgb, found))
            )
            # Keep a whole chunk back, so that the last one is never a short rest.
            if len(rows) == 2 * TRACKING_CHUNK_FRAMES:
                yield make_chunk(0, TRACKING_CHUNK_FRAMES)
                del rows[:TRACKING_CHUNK_FRAMES]
                start += TRACKING_CHUNK_FRAMES
    # The rest is up to two chunks long: split it evenly.
    for part in np.array_split(
        np.arange(len(rows)), max(1, -(-len(rows) // TRACKING_CHUNK_FRAMES))
    ):
        if len(part):
            yield make_chunk(int(part[0]), int(part[-1]) + 1)


def check_one_face(path: Path, first_frame: int, landmarks: NDArray[np.float32]) -> None:
    """Refuse a clip whose face jumps: at a cut, or where the detector changes to another person.

    Args:
        path: the clip, for the error.
        first_frame: number of the first row's frame.
        landmarks: px, NaN where a frame shows no face. [N, 478, 3]

    Raises:
        DubfewError: The face jumps; the message names the two frames.
    """
    jumps = find_face_jumps(landmarks)
    if jumps:
        frames = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
        before = frames[np.searchsorted(frames, jumps[0]) - 1]
        raise DubfewError(
            f"in {path} the face jumps between the frames {first_frame + before} and "
            f"{first_frame + jumps[0]} (a cut, or a second person): split the clip there"
        )
