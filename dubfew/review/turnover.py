"""``dubfew turnover``: a folder for each shot, for compositors: plate, dub, mattes, motion, facts.

Compositing programs such as Nuke, Fusion and Resolve read all of it. ST-maps turn the face into a
still window and back: what is painted in the window lands on the face of the plate.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from dubfew.batch.state import DONE, BatchState
from dubfew.errors import DubfewError, OutputExistsError
from dubfew.marks.sidecar import credentials_path
from dubfew.media import Frame, VideoInfo, probe, read_frames
from dubfew.media.facts import read_facts
from dubfew.media.image_files import write_matte
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.reconstruction.detection.clip_detections import ClipDetections, detect_people
from dubfew.reconstruction.detection.people import DetectedPerson
from dubfew.reconstruction.heads.landmark_indices import EYE_CORNERS, INNER_LIPS
from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.render.cast import read_cast
from dubfew.review.uv_maps import find_same_person, make_uv_map, smooth_seen_frames
from dubfew.takes.record import record_motion
from dubfew.utils.files import atomic_path, sha256_file, write_atomic
from dubfew.utils.import_utils import import_optional

# Format of the facts, so that scripts know what they read.
TURNOVER_FORMAT, TURNOVER_FORMAT_VERSION = "dubfew-turnover", 1
FACTS_NAME = "shot.json"
# Number of the first frame of sequences: the custom of visual effects, which leaves room for frames
# before it.
FIRST_FRAME_NUMBER = 1001
# Share of a picture that a painted mouth never reaches: more differs where an encoder changed all.
_MAX_PAINTED_SHARE = 0.5
# With encoders that lose: blocks whose means differ by so many 8-bit levels are painted.
_BLOCK_PX, _PAINTED_LEVELS = 8, 5.0
# Landmarks that a mouth does not move: corners of the eyes, bridge of the nose.
_STILL_LANDMARKS = (*EYE_CORNERS, 133, 362, 168, 6, 197)
# The still window: edge, distance of the outer eye corners and height of the eyes in it, px. Mouth
# and chin of most faces lie 0.75 and 1.25 times that distance below the eyes.
WINDOW_PX, _WINDOW_EYES_PX, _WINDOW_EYES_Y = 512, 220.0, 110.0


@dataclass(frozen=True)
class TurnoverResult:
    """Folders that were written.

    Attributes:
        folder: folder of them all.
        shots: ids of the jobs.
        left_out: ids of jobs without an output.
        notes: what the user should know.
    """

    folder: Path
    shots: tuple[str, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FaceWindow:
    """A still window on a face that was painted.

    Attributes:
        face: number of the face in the shot.
        matrices: plate to window for each frame, in px with pixel centers at +0.5; NaN where the
            face is not seen. [N, 2, 3]
    """

    face: int
    matrices: NDArray[np.float64]


def write_turnover(
    folder: Path | str,
    out: Path | str,
    *,
    only: str | None = None,
    st_maps: bool = False,
    uv_maps: bool = False,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
) -> TurnoverResult:
    """Write a folder for each output of a batch or a conform.

    In it are copies of ``plate`` and ``dub``, ``matte/`` with a PNG for each frame, ``motion/``
    with the mouth motion of each line, and ``shot.json``.

    Args:
        folder: folder of ``dubfew batch`` or ``dubfew conform``.
        out: folder to write to.
        only: pattern of ids, such as "s01*"; None is all.
        st_maps: also write ST-maps of the painted faces, to a still window and back.
        uv_maps: also write UV maps of the painted faces, as they are in the dub.
        overwrite: write into folders that are there.
        progress: function that is called after every shot.

    Raises:
        DubfewError: No batch was done in the folder, or none of its outputs is there.
        OutputExistsError: A folder of a shot is there.
        MediaError: A file cannot be read.
        MissingDependencyError: OpenCV is not installed, or OpenEXR for maps.
    """
    folder, out = Path(folder).absolute(), Path(out).absolute()
    state = BatchState(folder)
    rows = state.read_rows()
    if not rows:
        raise DubfewError(f"{folder} is no folder of 'dubfew batch' or 'dubfew conform'")
    rows = [row for row in rows if only is None or fnmatch.fnmatchcase(row["id"], only)]
    ready = [row for row in rows if _is_ready(row, folder, state)]
    if not ready:
        raise DubfewError(f"{folder} has no such output: do its batch first")
    there = next((out / row["id"] for row in ready if (out / row["id"]).exists()), None)
    if there is not None and not overwrite:
        raise OutputExistsError(f"{there} exists: give --overwrite, or another folder")
    notes: list[str] = []
    for number, row in enumerate(ready):
        progress(Progress("turnover", number, len(ready)))
        notes += _write_shot(row, folder, out / row["id"], st_maps, uv_maps)
    progress(Progress("turnover", len(ready), len(ready)))
    names = tuple(row["id"] for row in ready)
    left_out = tuple(row["id"] for row in rows if row["id"] not in names)
    return TurnoverResult(out, names, left_out, tuple(notes))


def _is_ready(row: Mapping[str, Any], folder: Path, state: BatchState) -> bool:
    record = state.read_record(row["id"])
    video = row["video"]
    is_done = record is not None and record.state == DONE and (folder / row["out"]).exists()
    return is_done and video is not None and Path(video).exists()


def _write_shot(
    row: Mapping[str, Any], folder: Path, place: Path, st_maps: bool, uv_maps: bool
) -> list[str]:
    """Write the folder of a shot; return notes."""
    plate, dub = Path(row["video"]), folder / row["out"]
    place.mkdir(parents=True, exist_ok=True)
    names = {"plate": f"plate{plate.suffix}", "dub": f"dub{dub.suffix}"}
    _copy_file(plate, place / names["plate"])
    _copy_file(dub, place / names["dub"])
    if credentials_path(dub) != dub and credentials_path(dub).exists():
        _copy_file(credentials_path(dub), credentials_path(place / names["dub"]))
    info, facts = probe(dub), read_facts(dub)
    found = detect_people(plate)
    boxes, hits, is_exact = [], np.zeros((len(found.people), 2), int), True
    (place / "matte").mkdir(exist_ok=True)
    for number, (before, after) in enumerate(
        zip(read_frames(plate), read_frames(dub), strict=False)
    ):
        matte, exact = find_painted_pixels(before, after)
        is_exact &= exact
        write_matte(place / "matte" / f"matte.{FIRST_FRAME_NUMBER + number}.png", matte)
        boxes.append(_find_box(matte))
        if matte.any():
            hits += _count_hits(found.people, number, matte)
    notes = [] if is_exact else [f"{row['id']}: its encoder loses, so mattes are blocks of 8 px"]
    people = [
        person
        for person, (painted, seen) in zip(found.people, hits, strict=True)
        if painted and 2 * painted >= seen
    ]
    windows = [_make_window(person, found) for person in people]
    document = {
        "format": TURNOVER_FORMAT,
        "format_version": TURNOVER_FORMAT_VERSION,
        "shot": row["id"],
        "actors": row["actors"],
        **names,
        "sha256": {kind: sha256_file(place / name) for kind, name in names.items()},
        "width": info.width,
        "height": info.height,
        "fps": [info.fps.numerator, info.fps.denominator],
        "frames": len(boxes),
        "first_frame": FIRST_FRAME_NUMBER,
        "timecode": facts.timecode,
        "color": _describe_color(info),
        "matte": {"files": "matte/matte.%04d.png", "is_exact": is_exact},
        "painted": boxes,
        "lines": _write_motions(row, place),
        "window": {
            "edge": WINDOW_PX,
            "faces": [
                {"face": window.face, "plate_to_window": _plain_matrices(window)}
                for window in windows
            ],
        },
    }
    if st_maps:
        for window in windows:
            _write_maps(window, info, place / "stmap" / f"face{window.face}")
        document["stmap"] = {
            "to_window": "stmap/face%d/window.%04d.exr",
            "to_plate": "stmap/face%d/plate.%04d.exr",
        }
    if uv_maps:
        _write_uv_maps(people, dub, info, place / "uv")
        document["uv"] = {"files": "uv/face%d/uv.%04d.exr"}
    write_atomic(place / FACTS_NAME, json.dumps(document, ensure_ascii=False, indent=1).encode())
    return notes


def find_painted_pixels(before: Frame, after: Frame) -> tuple[NDArray[np.bool_], bool]:
    """Find the pixels that a render has changed.

    Args:
        before: picture of the plate.
        after: picture of the dub.

    Returns:
        True where a pixel is new [H, W]; and whether that is exact. It is not where the encoder
        has changed all of the picture: then blocks count whose mean has moved.

    Raises:
        DubfewError: The pictures have different sizes.
    """
    if (before.width, before.height) != (after.width, after.height):
        raise DubfewError("plate and dub have different sizes: they do not belong together")
    if before.pix_fmt == after.pix_fmt:
        changed = np.zeros(before.planes()[0].shape[:2], bool)
        for old, new in zip(before.planes(), after.planes(), strict=True):
            part = old != new
            part = part.any(axis=2) if part.ndim == 3 else part
            # A sample of subsampled chroma covers several pixels.
            rows, columns = (
                -(-whole // small) for whole, small in zip(changed.shape, part.shape, strict=True)
            )
            part = part.repeat(rows, axis=0).repeat(columns, axis=1)
            changed |= part[: changed.shape[0], : changed.shape[1]]
        if changed.mean() <= _MAX_PAINTED_SHARE and changed.shape == (before.height, before.width):
            return changed, True
    luma = [
        np.asarray(Image.fromarray(each.to_rgb()).convert("L"), np.float32)
        for each in (before, after)
    ]
    step = luma[1] - luma[0]
    height, width = step.shape
    padded = np.pad(step, ((0, -height % _BLOCK_PX), (0, -width % _BLOCK_PX)), mode="edge")
    rows, columns = (edge // _BLOCK_PX for edge in padded.shape)
    # What an encoder changes cancels out in the mean of a block.
    means = padded.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).mean(axis=(1, 3))
    blocks = np.abs(means) > _PAINTED_LEVELS
    blocks = binary_dilation(blocks)  # what is painted fades out in the blocks around
    return blocks.repeat(_BLOCK_PX, 0).repeat(_BLOCK_PX, 1)[:height, :width], False


def _find_box(matte: NDArray[np.bool_]) -> list[int] | None:
    """Find left, top, right and lower edge of what was painted, px; None if nothing was."""
    rows, columns = np.flatnonzero(matte.any(axis=1)), np.flatnonzero(matte.any(axis=0))
    if not rows.size:
        return None
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _count_hits(
    people: Sequence[DetectedPerson], number: int, matte: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Count for each face whether its mouth was painted in a frame, and whether it is seen."""
    counts = np.zeros((len(people), 2), int)
    for row, person in enumerate(people):
        place = np.searchsorted(person.frames, number)
        if place == len(person.frames) or person.frames[place] != number:
            continue
        x, y = person.landmarks[place, list(INNER_LIPS), :2].mean(axis=0)
        inside = 0 <= x < matte.shape[1] and 0 <= y < matte.shape[0]
        counts[row] = inside and matte[int(y), int(x)], 1
    return counts


def _make_window(person: DetectedPerson, found: ClipDetections) -> FaceWindow:
    """Make the still window of a face: the landmarks that no mouth moves stand still in it."""
    points = person.landmarks[:, list(_STILL_LANDMARKS), :2].astype(np.float64)
    # Where they stand: as in the middle of all frames, the eyes level and in their place.
    eyes = np.array([[-0.5, 0.0], [0.5, 0.0]]) * _WINDOW_EYES_PX
    eyes += (WINDOW_PX / 2, _WINDOW_EYES_Y)
    level = [_transform_points(fit_similarity_transform(each[:2], eyes), each) for each in points]
    target = np.median(level, axis=0)
    fitted = np.stack([fit_similarity_transform(each, target) for each in points])
    matrices = np.full((len(found.times), 2, 3), np.nan)
    matrices[person.frames] = smooth_seen_frames(fitted, person, found.shots)
    return FaceWindow(person.number, matrices)


def _transform_points(matrix: NDArray, points: NDArray) -> NDArray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def make_st_maps(
    matrix: NDArray[np.float64],  # [2, 3]
    width: int,
    height: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the ST-maps of one frame, as compositing programs read them.

    Red and green say where a pixel comes from: 0 to 1 from left to right, and from below to above.
    Blue is 1 where it comes from inside of the picture.

    Args:
        matrix: plate to window, px with pixel centers at +0.5. [2, 3]
        width: width of the plate, px.
        height: height of the plate, px.

    Returns:
        The map that makes the window of the plate [S, S, 3], and the one that brings the window
        back to the plate. [H, W, 3]
    """
    whole = np.vstack([matrix, (0, 0, 1)])

    def sample(inverse: NDArray, size: tuple[int, int], source: tuple[int, int]) -> NDArray:
        columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
        places = _transform_points(inverse[:2], np.stack([columns, rows], axis=2))
        u, v = places[..., 0] / source[0], 1 - places[..., 1] / source[1]
        inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
        return np.stack([u, v, inside], axis=2).astype(np.float32)

    window, plate = (WINDOW_PX, WINDOW_PX), (width, height)
    return sample(np.linalg.inv(whole), window, plate), sample(whole, plate, window)


def _write_maps(window: FaceWindow, info: VideoInfo, place: Path) -> None:
    """Write the ST-maps of a face, a pair for each frame in which it is seen."""
    place.mkdir(parents=True, exist_ok=True)
    for number, matrix in enumerate(window.matrices):
        if not np.isfinite(matrix).all():
            continue
        maps = make_st_maps(matrix, info.width, info.height)
        for name, values in zip(("window", "plate"), maps, strict=True):
            _write_map(place / f"{name}.{FIRST_FRAME_NUMBER + number}.exr", values)


def _write_uv_maps(
    people: Sequence[DetectedPerson], dub: Path, info: VideoInfo, place: Path
) -> None:
    """Write the UV maps of faces, one for each frame of the dub in which they are seen."""
    found = detect_people(dub)
    for person in people:
        # The same face with its new mouth.
        same = find_same_person(person, found, _STILL_LANDMARKS)
        if same is None:
            continue
        folder = place / f"face{person.number}"
        folder.mkdir(parents=True, exist_ok=True)
        points = smooth_seen_frames(same.landmarks, same, found.shots)
        for number, landmarks in zip(same.frames, points, strict=True):
            values = make_uv_map(landmarks, info.width, info.height)
            _write_map(folder / f"uv.{FIRST_FRAME_NUMBER + number}.exr", values)


def _write_map(path: Path, values: NDArray[np.float32]) -> None:
    """Write three channels [H, W, 3] as 32-bit EXR."""
    exr = import_optional("OpenEXR")
    channels = {c: np.ascontiguousarray(values[..., k]) for k, c in enumerate("RGB")}
    # A header of its own: OpenEXR writes the picture's size into it.
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    with exr.File(header, channels) as file:
        file.write(str(path))


def _plain_matrices(window: FaceWindow) -> list[list[list[float]] | None]:
    """Make plain JSON of the matrices; None where the face is not seen."""
    return [
        np.round(matrix, 6).tolist() if np.isfinite(matrix).all() else None
        for matrix in window.matrices
    ]


def _write_motions(row: Mapping[str, Any], place: Path) -> list[dict[str, Any]]:
    """Write the mouth motion of each line of a job; return what is said of the lines."""
    found = []
    (place / "motion").mkdir(exist_ok=True)
    for number, (actor, start, audio, motion) in enumerate(_list_lines(row), 1):
        target = place / "motion" / f"{number:02d}.motion"
        if motion is not None:
            _copy_file(motion, target)
        else:
            # What the render predicted before it took on the actor's style.
            record_motion(audio).save(target)
        found.append(
            {"actor": actor, "start": start, "audio": audio.name, "motion": f"motion/{target.name}"}
        )
    return found


def _list_lines(row: Mapping[str, Any]) -> Iterator[tuple[str, float, Path, Path | None]]:
    """List actor, begin in s, sound and motion of each line of a job whose files are there."""
    if row.get("cast"):
        for role in read_cast(row["cast"]).roles:
            for line in role.lines:
                motion = None if line.motion is None else Path(line.motion)
                yield role.actor, line.start, Path(line.audio), motion
    elif row.get("audio") and Path(row["audio"]).exists():
        motion = Path(row["motion"]) if row.get("motion") else None
        yield (row["actors"] or [""])[0], 0.0, Path(row["audio"]), motion


def _describe_color(info: VideoInfo) -> dict[str, int]:
    """Name the color tags by their code points (ITU-T H.273)."""
    return {
        "range": info.color_range,
        "matrix": info.colorspace,
        "primaries": info.color_primaries,
        "transfer": info.color_trc,
    }


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file. No link: whoever gets the folder may write into its files."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
