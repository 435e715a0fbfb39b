"""Known faults: which measure reacts to which fault, and to nothing else.

Each fault is made on purpose in a clip, the result is compared with the clip, and the value of each
measure is divided by what re-encoding the untouched clip gives. A measure is worth something for a
fault if it rises far above that noise, and worth more if it does so for few faults.

    python -m benchmarks.known_faults [CLIP ...] --out FOLDER

Without a clip, the bundled synthetic person is used. Every fault changes only the mouth region of
dubfew's own mask, with a feathered edge, unless it is about the edge or the sound. In the tables a
value is bold that is at least three times as far from the clip's own as that of the clip encoded
again.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from benchmarks.common import DEMO_CLIP, RESULTS, cell, markdown_table, run_clips
from dubfew.evaluate.clip_landmarks import detect_landmarks
from dubfew.evaluate.compare import evaluate
from dubfew.evaluate.face_geometry import (
    STILL_POINTS,
    eye_corner_distance,
    freeze_lips,
    has_face,
    mouth_opening,
)
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.regions import EditRegion, mouth_region
from dubfew.evaluate.silence import find_silent_frames
from dubfew.media import AudioSource, Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, OUTER_LIPS
from dubfew.reconstruction.similarity_transform import fit_similarity_transform
from dubfew.reconstruction.track import Track
from dubfew.reconstruction.tracking import track_video

# Longest part of a clip that is measured, s.
CLIP_SECONDS = 6.0
# Quality of the re-encoded original and of all faults, x264's scale: that of a delivery.
FAULT_CRF = 18
# Standard deviation of the blur, as a fraction of the distance of the eye corners.
BLUR_SIGMA = 0.02
# Delay of the sound, s: about the error that viewers notice (ITU-R BT.1359: 45 to 125 ms).
SOUND_DELAY_SECONDS = 0.08
# Gains of red, green and blue of the color cast; the seam's offset, levels; the flicker's, levels.
CAST_GAINS = (1.06, 1.0, 0.92)
SEAM_LEVELS = 8.0
FLICKER_LEVELS = 4.0
# Size of the trembling of the lips, in eye-corner distances.
TREMBLE = 0.015
# Shares of the opening that are left by half amplitude and by mumbling.
HALF_AMPLITUDE, MUMBLING = 0.5, 0.25
# Share of the scene's own mouth in a dub that leaks.
LEAK = 0.5
# Width of the feathered edge in eye-corner distances.
FEATHER = 0.08
# Smoothing of mumbled openings in time, frames.
MUMBLE_SIGMA_FRAMES = 3.0
# From how many times the noise on a measure counts as reacting. Logarithmic measures react from the
# decibels on that are three times an error's power less than half.
REACTION = 3.0
REACTION_DB = 3.5
# Row of the untouched clip, whose values are the noise.
NOISE_ROW = "re-encoded"
# Least noise of a measure, in its unit. One clip encoded once may by chance have nearly none: then
# what the detector and the recognizer err by would count as a reaction.
LEAST_NOISE = {
    "articulation": 0.05,
    "closures": 15.0,
    "heard_lag_ms": 10.0,
    "heard_r": 0.05,
    "heard_r_best": 0.05,
    "identity": 0.03,
    "jitter": 0.2,
    "open_in_silence": 5.0,
    "opening_lag": 0.3,
    "opening_r": 0.02,
    "opening_r_best": 0.02,
    "opening_spread": 0.05,
    "theval_lip_dynamics": 0.05,
    "theval_lip_sync": 0.05,
    "theval_silent_lips": 0.1,
}
# Says where a change is, and nothing of its quality.
PLACES_ONLY = ("outside_max", "unpainted")

Picture = NDArray[np.float32]  # [H, W, 3]


@dataclass(frozen=True)
class FaultyClip:
    """A clip and what faults need to know of it.

    Attributes:
        path: file.
        track: its track.
        landmarks: its landmarks, px. [N, 478, 3]
        region: pixels that a dub may change.
        silent: True where nothing is heard; None without sound. [N]
    """

    path: Path
    track: Track
    landmarks: NDArray[np.float32]
    region: EditRegion
    silent: NDArray[np.bool_] | None

    def frames(self) -> Iterator[Frame]:
        """Read the frames."""
        return read_frames(self.path)

    def feather(self, index: int, frame: Frame) -> NDArray[np.float32] | None:
        """Opacity of a fault: 1 inside, falling to 0 at the edge; None without a face. [H, W]"""
        mask = self.region(index)
        if mask is None or not has_face(self.landmarks[index : index + 1])[0]:
            return None
        width = FEATHER * float(eye_corner_distance(self.landmarks[index : index + 1])[0])
        return np.clip(_measure_depth(mask) / max(1.0, width), 0, 1).astype(np.float32)


def _mask_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that hold a mask, with a pixel more on each side. [H, W]"""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return (
        slice(max(0, rows[0] - 1), rows[-1] + 2),
        slice(max(0, columns[0] - 1), columns[-1] + 2),
    )


def _measure_depth(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel from the outside of a mask, px; 0 outside. [H, W]"""
    depth = np.zeros(mask.shape, np.float32)
    if mask.any():
        box = _mask_box(mask)
        depth[box] = distance_transform_edt(mask[box])
    return depth


Fault = Callable[[FaultyClip, Path], None]
Paint = Callable[[FaultyClip, int, Picture], Picture]


def _write(
    clip: FaultyClip,
    path: Path,
    frames: Iterable[Frame],
    delay: float = 0.0,
    other_sound: Path | None = None,
) -> None:
    """Encode frames beside the clip's sound, which may be late, or that of another clip."""
    info = probe(clip.path)
    sound = AudioSource(other_sound or clip.path) if info.has_audio else None
    if sound is not None and delay:
        late = path.with_suffix(".wav")
        _delay_sound(clip.path, late, delay)
        sound = AudioSource(late)
    with VideoWriter(path, info, audio=sound, crf=FAULT_CRF) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame.with_time(index, Fraction(index) / info.fps))


def _delay_sound(source: Path, path: Path, seconds: float) -> None:
    """Write a file's sound with silence before it."""
    import wave

    from dubfew.media import read_audio

    sound = read_audio(source, 48_000)
    samples = np.concatenate([np.zeros(round(seconds * sound.rate), np.float32), sound.samples])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _painted(paint: Paint, *, hard: bool = False, sound: Path | None = None) -> Fault:
    """Make a fault that repaints the mouth region of every frame."""

    def apply(clip: FaultyClip, path: Path) -> None:
        def frames() -> Iterator[Frame]:
            for index, frame in enumerate(clip.frames()):
                alpha = clip.feather(index, frame) if index < len(clip.landmarks) else None
                if alpha is None:
                    yield frame
                    continue
                if hard:
                    alpha = (alpha > 0).astype(np.float32)
                whole = frame.to_rgb().astype(np.float32)
                new = whole + alpha[..., None] * (paint(clip, index, whole) - whole)
                # Written into the frame, which keeps its color matrix and all else.
                rgb = np.rint(new).clip(0, 255).astype(np.uint8)
                yield frame.with_patch(0, 0, rgb, alpha > 0)

        _write(clip, path, frames(), other_sound=sound)

    return apply


def _reencode(clip: FaultyClip, path: Path) -> None:
    _write(clip, path, clip.frames())


def _late_picture(clip: FaultyClip, path: Path) -> None:
    def frames() -> Iterator[Frame]:
        before = None
        for frame in clip.frames():
            yield before or frame
            before = frame

    _write(clip, path, frames())


def _late_sound(clip: FaultyClip, path: Path) -> None:
    _write(clip, path, clip.frames(), SOUND_DELAY_SECONDS)


def _blur(clip: FaultyClip, index: int, whole: Picture) -> Picture:
    sigma = BLUR_SIGMA * float(eye_corner_distance(clip.landmarks[index : index + 1])[0])
    return gaussian_filter(whole, (sigma, sigma, 0))


def _cast(clip: FaultyClip, index: int, whole: Picture) -> Picture:
    return whole * np.array(CAST_GAINS, np.float32)


def _seam(clip: FaultyClip, index: int, whole: Picture) -> Picture:
    """Lift a frame of two pixels along the edge: a line, and nothing inside of it."""
    mask = clip.region(index)
    assert mask is not None
    depth = _measure_depth(mask)
    line = (depth > 0) & (depth <= 2)
    return whole - SEAM_LEVELS * line[..., None].astype(np.float32)


def _flicker(clip: FaultyClip, index: int, whole: Picture) -> Picture:
    return whole + (FLICKER_LEVELS if index % 2 else -FLICKER_LEVELS)


def _lips_warp(clip: FaultyClip, target: NDArray[np.float32]) -> Paint:
    """Make a fault that moves the lips to other landmarks by a smooth warp."""

    def paint(clip: FaultyClip, index: int, whole: Picture) -> Picture:
        return _warp(whole, clip.landmarks[index], target[index])

    return paint


def _warp(whole: Picture, here: NDArray[np.float32], there: NDArray[np.float32]) -> Picture:
    """Move the lips of a picture from some landmarks to others; still points stay."""
    points = list(OUTER_LIPS + INNER_LIPS)
    still = list(STILL_POINTS)
    new = np.concatenate([there[points, :2], here[still, :2]]).astype(np.float64)
    shift = np.concatenate([(here - there)[points, :2], np.zeros((len(still), 2))])
    size = float(eye_corner_distance(here[None])[0])
    # A box around the lips is warped; Gaussian weights carry the shift of the nearest landmarks.
    low = np.maximum(np.floor(new[: len(points)].min(0) - 0.6 * size), 0).astype(int)
    high = np.ceil(new[: len(points)].max(0) + 0.6 * size).astype(int)
    high = np.minimum(high, [whole.shape[1], whole.shape[0]])
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    place = np.stack([columns + 0.5, rows + 0.5], -1)
    # Inside of half an eye distance the shift fades to zero.
    squared = squared_distances(place.reshape(-1, 2), new)
    weight = np.exp(-squared / (0.05 * size) ** 2) + 1e-9
    field = (weight @ shift) / weight.sum(-1, keepdims=True)
    nearest = squared[:, : len(points)].min(-1, keepdims=True)
    field = (field * np.exp(-nearest / (0.2 * size) ** 2)).reshape(place.shape)
    result = whole.copy()
    source = place + field - 0.5
    for channel in range(3):
        result[low[1] : high[1], low[0] : high[0], channel] = map_coordinates(
            whole[..., channel], (source[..., 1], source[..., 0]), order=1, mode="nearest"
        )
    return result


def squared_distances(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the squared distances of all pairs of points [N, 2] and [M, 2]. [N, M]

    By products, which take a tenth of the time and memory of the differences of all pairs.
    """
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)
    return np.asarray(np.maximum(lengths - 2 * (first @ second.T), 0))


def _scaled_lips(landmarks: NDArray[np.float32], share: float, sigma: float) -> NDArray[np.float32]:
    """Landmarks of the same clip whose lips open a share as far from their mean closed shape."""
    closed = freeze_lips(landmarks)
    moved = landmarks - closed
    if sigma:
        moved = np.nan_to_num(moved)
        moved = gaussian_filter(moved, (sigma, 0, 0))
    result = closed + share * moved
    result[~has_face(landmarks)] = np.nan
    return result.astype(np.float32)


def _trembling(clip: FaultyClip, path: Path) -> None:
    """Move the lips up and down by turns."""
    target = clip.landmarks.copy()
    turns = np.where(np.arange(len(target)) % 2, 1, -1)
    step = TREMBLE * eye_corner_distance(clip.landmarks) * turns
    target[:, list(OUTER_LIPS + INNER_LIPS), 1] += step[:, None]
    _painted(_lips_warp(clip, target))(clip, path)


def _frozen(clip: FaultyClip, path: Path) -> None:
    _paste_mouth(clip, path, _still_mouth(clip))


def _still_mouth(clip: FaultyClip) -> Callable[[int], int]:
    """Give every frame the mouth of the most closed one."""
    opening = mouth_opening(clip.landmarks)
    chosen = int(np.nanargmin(opening))
    return lambda index: chosen


def _open_mouth(clip: FaultyClip) -> Callable[[int], int]:
    """Give silent frames the widest mouth of the clip, and leave the others."""
    chosen = int(np.nanargmax(mouth_opening(clip.landmarks)))
    silent = clip.silent
    return lambda index: chosen if silent is not None and silent[index] else index


def _open_in_silence(clip: FaultyClip, path: Path) -> None:
    _paste_mouth(clip, path, _open_mouth(clip))


def _paste_mouth(
    clip: FaultyClip, path: Path, choose: Callable[[int], int], sound: Path | None = None
) -> None:
    """Paste the mouth of other frames of the same clip, moved with the still points."""
    wanted = {choose(index) for index in range(len(clip.landmarks)) if choose(index) != index}
    pictures = {
        index: frame.to_rgb() for index, frame in enumerate(clip.frames()) if index in wanted
    }

    def paint(clip: FaultyClip, index: int, whole: Picture) -> Picture:
        source = choose(index)
        if source == index:
            return whole
        mask = clip.region(index)
        assert mask is not None
        return _place(pictures[source], clip.landmarks[source], whole, clip.landmarks[index], mask)

    _painted(paint, sound=sound)(clip, path)


def _place(
    donor: NDArray[Any],
    donor_marks: NDArray[np.float32],
    whole: Picture,
    marks: NDArray[np.float32],
    mask: NDArray[np.bool_],
) -> Picture:
    """Lay a picture over what a mask holds of another so that the still points of both meet."""
    still = list(STILL_POINTS)
    matrix = fit_similarity_transform(marks[still, :2], donor_marks[still, :2])
    box = _mask_box(mask)
    rows, columns = np.mgrid[box] + 0.5
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2] - 0.5
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2] - 0.5
    result = whole.copy()
    for channel in range(3):
        levels = donor[..., channel].astype(np.float32)
        result[box][..., channel] = map_coordinates(levels, (y, x), order=1, mode="nearest")
    return result


def _warped(share: float, sigma: float = 0.0) -> Fault:
    """Make a fault that scales how far the lips open."""

    def apply(clip: FaultyClip, path: Path) -> None:
        _painted(_lips_warp(clip, _scaled_lips(clip.landmarks, share, sigma)))(clip, path)

    return apply


def _wrong_person(other: Path) -> Fault:
    """Make a fault that pastes the mouths of another clip in its order."""

    def apply(clip: FaultyClip, path: Path) -> None:
        marks = detect_landmarks(other)
        faces = np.flatnonzero(has_face(marks))
        donors = [frame.to_rgb() for frame in read_frames(other, stop=60)]
        faces = faces[faces < len(donors)]

        def paint(clip: FaultyClip, index: int, whole: Picture) -> Picture:
            source = int(faces[index % len(faces)])
            mask = clip.region(index)
            assert mask is not None
            placed = _place(donors[source], marks[source], whole, clip.landmarks[index], mask)
            # The mean color is matched: this fault is the person, not the light.
            return placed + (whole[mask].mean(0) - placed[mask].mean(0))

        _painted(paint)(clip, path)

    return apply


def _other_line(other: Path, leak: float) -> Fault:
    """Make a dub with another clip's words, in which a share of the scene's mouth remains.

    Every frame gets the mouth of that frame of the clip whose lips are open as far as wanted.
    """

    def apply(clip: FaultyClip, path: Path) -> None:
        own = mouth_opening(clip.landmarks)
        spoken = mouth_opening(detect_landmarks(other))
        spoken = np.resize(spoken[np.isfinite(spoken)], len(own))
        # Both curves from 0 to 1, so that a wide mouth does not say more than a narrow one.
        curves = [(x - np.nanmin(x)) / (np.nanmax(x) - np.nanmin(x)) for x in (spoken, own)]
        wanted = (1 - leak) * curves[0] + leak * curves[1]
        nearest = [int(np.nanargmin(np.abs(curves[1] - value))) for value in wanted]
        _paste_mouth(clip, path, lambda index: nearest[index], sound=other)

    return apply


# Faults by name; the wrong person needs another clip and is added by `main`.
FAULTS: dict[str, Fault] = {
    "re-encoded": _reencode,
    "blur": _painted(_blur),
    "one frame late": _late_picture,
    "sound 80 ms late": _late_sound,
    "color cast": _painted(_cast),
    "seam": _painted(_seam, hard=True),
    "frozen mouth": _frozen,
    "flicker": _painted(_flicker),
    "half amplitude": _warped(HALF_AMPLITUDE),
    "trembling": _trembling,
    "mumbling": _warped(MUMBLING, MUMBLE_SIGMA_FRAMES),
    "open in silence": _open_in_silence,
}


def measure_faults(
    source: Path, other: Path | None, keep: Path | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Measure every fault on one clip.

    Args:
        source: clip.
        other: clip of another person, or None.
        keep: folder for the faulty clips, or None.
        options: further options of `evaluate`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        clip = _prepare(source, folder / f"{source.stem}-original.mkv")
        faults = dict(FAULTS)
        if other is not None:
            faults["wrong person"] = _wrong_person(other)
            faults["other line"] = _other_line(other, 0.0)
            faults["other line, scene leaks"] = _other_line(other, LEAK)
        rows = {}
        for name, fault in faults.items():
            path = folder / f"{source.stem}-{name.replace(' ', '-').replace(',', '')}.mp4"
            fault(clip, path)
            result = evaluate(
                clip.path, path, track=clip.track, landmarks=clip.landmarks, **options
            )
            rows[name] = result.to_json()
        own = evaluate(clip.path, clip.path, track=clip.track, landmarks=clip.landmarks, **options)
    return {"clip": source.name, "original": own.to_json(), "faults": rows}


def _prepare(source: Path, path: Path) -> FaultyClip:
    """Cut the clip, losslessly, and track it."""
    info = probe(source)
    stop = round(CLIP_SECONDS * float(info.fps))
    sound = AudioSource(source, duration=CLIP_SECONDS, pad=False) if info.has_audio else None
    with VideoWriter(path, info, audio=sound, lossless=True) as writer:
        for index, frame in enumerate(read_frames(source, stop=stop)):
            writer.write(frame.with_time(index, Fraction(index) / info.fps))
    track = track_video(path)
    landmarks = detect_landmarks(path)
    silent = find_silent_frames(path, np.arange(len(landmarks)) / float(info.fps))
    return FaultyClip(path, track, landmarks, mouth_region(track), silent)


def reacts(name: str, value: float | None, noise: float | None, own: float | None) -> bool:
    """Tell whether a measure reacts to a fault.

    Args:
        name: measure.
        value: its value with the fault; None if it has none.
        noise: its value of the clip that was encoded again.
        own: its value of the clip itself; None for decibels, which are infinite.

    Example:
        >>> reacts("seam", 0.9, 0.07, 0.0), reacts("seam", 0.2, 0.07, 0.0)
        (True, False)
    """
    if value is None or noise is None or name in PLACES_ONLY:
        return False
    if math.isinf(METRICS.load(name).best):  # decibels
        return noise - value >= REACTION_DB
    if own is None:
        return False
    return abs(value - own) >= REACTION * max(abs(noise - own), LEAST_NOISE.get(name, 0.0))


def document(results: list[dict[str, Any]], failed: dict[str, str], machine: str) -> str:
    """Format the values and the reactions as Markdown, one row for each measure."""
    parts = ["# Known faults", f"{machine}"]
    for result in results:
        faults = {"original": result["original"], **result["faults"]}
        noise, own = faults[NOISE_ROW], faults["original"]
        rows = []
        for name in METRICS.names:
            values = [row.get(name) for row in faults.values()]
            if all(value is None for value in values):
                continue
            cells = [
                f"**{cell(value)}**"
                if reacts(name, value, noise.get(name), own.get(name))
                else cell(value)
                for value in values
            ]
            rows.append([name, *cells])
        parts += [f"## {result['clip']}", markdown_table(["measure", *faults], rows)]
    parts += [f"failed: {name}: {reason}" for name, reason in failed.items()]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="default: the bundled clip")
    parser.add_argument("--other", type=Path, help="clip of another person, for the wrong person")
    parser.add_argument("--keep", type=Path, help="folder for the faulty clips, to look at")
    parser.add_argument("--listen", action="store_true", help="with PocketSphinx's phonemes")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    options = parser.parse_args()
    return run_clips(
        options.clips or [DEMO_CLIP],
        options.out,
        "known_faults",
        lambda clip: measure_faults(clip, options.other, options.keep, {"listen": options.listen}),
        document,
    )


if __name__ == "__main__":
    raise SystemExit(main())
