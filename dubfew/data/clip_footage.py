"""Crops of one person at 25 fps with meshes, masks and sound: what painting renderers train on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dubfew.data.layouts import LAYOUTS, CropLayout
from dubfew.data.sound_features._base import CLIP_FPS
from dubfew.errors import MediaError, ShapeError
from dubfew.media import Frame
from dubfew.media.mel import SPEECH_SAMPLE_RATE_HZ
from dubfew.motion.mouth_motion import INNER_LIP_PAIRS, MOUTH_CORNERS
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS
from dubfew.reconstruction.projection import project_head_points
from dubfew.reconstruction.track import Track
from dubfew.references.cropping import crop_box

# Quality of stored crops, whose colors keep their full resolution: lower shows blocks in the
# targets, which a network learns; raw crops of a public data set would take 240 GB.
CROP_JPEG_QUALITY = 95
# Frames whose meshes are in memory at once while crops are cut.
GEOMETRY_BLOCK_FRAMES = 64
# Arrays of `ClipFootage` with one row per frame, and all arrays, as files name them.
CLIP_ROW_ARRAYS = ("vertices", "masks", "landmarks", "frames")


class ImageRows(Protocol):
    """Pictures by row, in memory or on the disk."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """Return the pictures of some rows. [M, H, W, 3]"""
        ...


class JpegRows:
    """Pictures that are stored as JPEG and decoded when they are indexed."""

    def __init__(self, parts: Sequence[tuple[Any, NDArray[np.int64]]]) -> None:
        """Join parts.

        Args:
            parts: bytes of the pictures of each part, one after the other, as an array or as
                something with an attribute ``array``; and the end of each picture in them.
        """
        self._parts = list(parts)
        self._stops = np.cumsum([len(ends) for _, ends in self._parts])

    def __len__(self) -> int:
        return int(self._stops[-1]) if len(self._stops) else 0

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        index = np.arange(len(self))[rows]
        return np.stack([self._decode(int(row)) for row in np.atleast_1d(index)])

    def _decode(self, row: int) -> NDArray[np.uint8]:
        part = int(np.searchsorted(self._stops, row, "right"))
        content, ends = self._parts[part]
        row -= int(self._stops[part]) - len(ends)
        start = int(ends[row - 1]) if row else 0
        data = getattr(content, "array", content)[start : int(ends[row])]
        return np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB"))


@dataclass(frozen=True)
class ClipFootage:
    """Crops of N frames of one person at 25 fps.

    Attributes:
        layout: name of the crop layout.
        head: name of the head model.
        images: RGB crops. [N, H, W, 3]
        vertices: projected mesh, x and y in crop px, depth in m. [N, V, 3]
        masks: the blanked part, eight pixels to a byte, see ``numpy.packbits``. [N, H * W / 8]
        landmarks: detected landmarks, crop px. [N, 478, 2]
        frames: number of each frame on a clock of 25 fps; consecutive frames follow each other.
            [N]
        samples: sound, mono at 16 kHz; empty for clips without sound. [n]
        sound_start: time of the first sample on the same clock, s.

    Raises:
        ShapeError: The arrays do not fit together.
    """

    layout: str
    head: str
    images: ImageRows
    vertices: NDArray[np.float32]
    masks: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    frames: NDArray[np.int64]
    samples: NDArray[np.float32]
    sound_start: float

    def __post_init__(self) -> None:
        count = len(self.images)
        layout = self.load_layout()
        for name, shape in {
            "vertices": (count, None, 3),
            "masks": (count, -(-layout.height * layout.width // 8)),
            "landmarks": (count, 478, 2),
            "frames": (count,),
        }.items():
            found = getattr(self, name).shape
            if len(found) != len(shape) or any(
                e not in (None, f) for e, f in zip(shape, found, strict=True)
            ):
                raise ShapeError(f"clip footage {name} have shape {found}, expected {shape}")

    def __len__(self) -> int:
        return len(self.images)

    def load_layout(self) -> CropLayout:
        """Load the crop layout."""
        return LAYOUTS.load(self.layout)

    def unpack_masks(self, rows: NDArray) -> NDArray[np.bool_]:
        """Return the blanked parts of some rows. [M, H, W]"""
        layout = self.load_layout()
        bits = np.unpackbits(np.asarray(self.masks[rows]), axis=1)
        bits = bits[:, : layout.height * layout.width]
        return bits.reshape(-1, layout.height, layout.width).astype(bool)

    def measure_lips(self) -> NDArray[np.float32]:
        """Measure gap and width of the lips, in parts of the distance between the eyes' corners.

        As the camera sees them: a face that turns gets narrower.

        Returns:
            Gap and width. [N, 2]
        """
        landmarks = np.asarray(self.landmarks, np.float64)

        def distance(a: int, b: int) -> NDArray[np.float64]:
            return np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=1)

        gap = np.mean([distance(upper, lower) for upper, lower in INNER_LIP_PAIRS], 0)
        eyes = np.maximum(distance(*EYE_CORNERS), 1e-6)
        lips = np.stack([gap, distance(*MOUTH_CORNERS)], 1) / eyes[:, None]
        return lips.astype(np.float32)

    def select_frames(self, rows: NDArray | Sequence[int]) -> ClipFootage:
        """Return only these rows, in this order, in memory; the sound stays whole.

        Args:
            rows: numbers of the frames, in the new order. [n]
        """
        index = np.asarray(rows, np.int64)
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name)[index]) for name in CLIP_ROW_ARRAYS
        }
        return replace(self, images=self.images[index], **arrays)


def schedule_clip_frames(times: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the frames of a clip that a clock of 25 fps shows, the nearest in time.

    Args:
        times: presentation times of the clip's frames, rising, s. [N]

    Returns:
        Numbers of the pictures on a clock that begins at 0 s, and the row of the frame that each
        shows. [K] and [K]

    Example:
        >>> numbers, rows = schedule_clip_frames(np.arange(5) / 50)
        >>> numbers.tolist(), rows.tolist()
        ([0, 1, 2], [0, 2, 4])
    """
    # A picture whose time lies a rounding error before the first frame shows that frame.
    first = int(np.ceil(times[0] * CLIP_FPS - 0.5))
    last = int(np.floor(times[-1] * CLIP_FPS + 0.5))
    numbers = np.arange(first, last + 1)
    moments = numbers / CLIP_FPS
    after = np.clip(np.searchsorted(times, moments), 1, max(len(times) - 1, 1))
    if len(times) == 1:
        return numbers, np.zeros(len(numbers), np.int64)
    earlier = moments - times[after - 1] <= times[after] - moments
    return numbers, np.where(earlier, after - 1, after).astype(np.int64)


def cut_clip_footage(
    frames: Iterator[Frame],
    track: Track,
    head: HeadModel,
    layout_name: str,
    *,
    frame_numbers: NDArray | None = None,
    numbers: NDArray | None = None,
    rows: NDArray | None = None,
    samples: NDArray[np.float32] | None = None,
    sound_start: float = 0.0,
    progress: ProgressCallback = no_progress,
) -> ClipFootage:
    """Cut the crops of a tracked clip at 25 fps out of a stream of frames.

    Reads no frame beyond the last one that it needs, so that a caller can go on with the stream.

    Args:
        frames: the tracked clip, from the track's first frame or earlier.
        track: the clip's track, N rows.
        head: the track's head model.
        layout_name: entry of ``LAYOUTS``.
        frame_numbers: number in the clip of each row of the track; by default the track begins
            at frame 0 and leaves no frame out. [N]
        numbers: pictures to cut, as `schedule_clip_frames` numbers them; all by default. [K]
        rows: row of the track that each of them shows. [K]
        samples: sound of the clip, mono at 16 kHz. [n]
        sound_start: time of its first sample, s.
        progress: called while the work goes on.

    Returns:
        The crops of all pictures whose frame is usable.

    Raises:
        MediaError: The stream has none of the frames.
    """
    layout = LAYOUTS.load(layout_name)
    if numbers is None or rows is None:
        numbers, rows = schedule_clip_frames(track.times)
    # Frames without a usable face would teach a mask that lies elsewhere.
    kept = track.usable[rows]
    numbers, rows = numbers[kept], rows[kept]
    # The track may be a part of the clip, whose frames are counted from the file's begin.
    in_clip = np.arange(len(track)) if frame_numbers is None else np.asarray(frame_numbers)
    wanted = {int(in_clip[row]): int(row) for row in rows}
    cut: dict[int, tuple[NDArray[Any], ...]] = {}
    block, block_start = None, -1
    for frame in frames if wanted else ():
        row = wanted.get(frame.index)
        if row is not None:
            # Geometry of a block of rows at a time: meshes of a long clip would fill the memory.
            if row // GEOMETRY_BLOCK_FRAMES != block_start:
                block_start = row // GEOMETRY_BLOCK_FRAMES
                start = block_start * GEOMETRY_BLOCK_FRAMES
                part = track.select(slice(start, start + GEOMETRY_BLOCK_FRAMES))
                block = layout.compute_geometry(part, head)
                meshes = project_head_points(
                    head.vertices(part.shape, part.expression, part.jaw, part.neck), part
                )
            assert block is not None
            local = row - block_start * GEOMETRY_BLOCK_FRAMES
            box = block.boxes[local]
            cut[row] = (
                crop_box(frame, box, (layout.width, layout.height)),
                layout.to_crop(meshes[local], box),
                # One bit a pixel: masks of a long clip would be larger than its pictures.
                np.packbits(layout.render_mask(block, local)),
                layout.to_crop(track.landmarks[row, :, :2], box),
            )
            progress(Progress("crop", len(cut), len(wanted)))
            # The rest of the file is not decoded, and a caller may go on from here.
            if len(cut) == len(wanted):
                break
    # Damaged files may give fewer frames than were tracked.
    found = [k for k, row in enumerate(rows) if int(row) in cut]
    if not found:
        raise MediaError(f"none of {len(wanted)} tracked frames can be read again: try again")
    images, vertices, masks, landmarks = zip(*(cut[int(rows[k])] for k in found), strict=True)
    return ClipFootage(
        layout=layout_name,
        head=track.head,
        images=np.stack(images),
        vertices=np.stack(vertices),
        masks=np.stack(masks),
        landmarks=np.stack(landmarks).astype(np.float32),
        frames=numbers[found].astype(np.int64),
        samples=np.zeros(0, np.float32) if samples is None else samples,
        sound_start=sound_start,
    )


def encode_jpegs(images: ImageRows) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode crops as JPEG.

    Args:
        images: RGB crops. [N, H, W, 3]

    Returns:
        The bytes of all pictures, one after the other, and where each ends.
    """
    files = []
    for row in range(len(images)):
        file = io.BytesIO()
        picture = Image.fromarray(np.asarray(images[[row]])[0])
        picture.save(file, "JPEG", quality=CROP_JPEG_QUALITY, subsampling=0)
        files.append(file.getvalue())
    ends = np.cumsum([len(data) for data in files], dtype=np.int64)
    return np.frombuffer(b"".join(files), np.uint8), ends


def join_sounds(
    parts: Sequence[tuple[float, NDArray[np.float32]]],
) -> tuple[NDArray[np.float32], float]:
    """Join the sounds of a clip's segments to one, with silence in between.

    Args:
        parts: start of each sound, s, and its samples at 16 kHz.

    Returns:
        Samples, and the time of the first of them, s; no samples without parts.
    """
    if not parts:
        return np.zeros(0, np.float32), 0.0
    begin = min(start for start, _ in parts)
    places = [round((start - begin) * SPEECH_SAMPLE_RATE_HZ) for start, _ in parts]
    length = max(place + len(samples) for place, (_, samples) in zip(places, parts, strict=True))
    joined = np.zeros(length, np.float32)
    for place, (_, samples) in zip(places, parts, strict=True):
        joined[place : place + len(samples)] = samples
    return joined, begin
