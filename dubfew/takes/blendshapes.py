"""Blendshape files: ARKit's CSV, Audio2Face's JSON, USD and glTF, to and from mouth motion.

A blendshape's weight means something on the rig that it was made for. Here each of the mouth's
shapes stands for one pose in five controls (`MOUTH_CONTROLS` in `dubfew.speech.visemes`), and the
controls move the whole lower face by the basis that was fitted to film. So openings, closures,
width and rounding go both ways; what the two sides of a mouth do apart does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.motion.mouth_motion import MouthMotion
from dubfew.speech.viseme_basis import load_viseme_basis
from dubfew.speech.visemes import controls_from_motion
from dubfew.takes import gltf_animation
from dubfew.takes.morph_head import make_morph_head
from dubfew.takes.take import MAX_TAKE_SECONDS, Take, TakeSource
from dubfew.takes.usd_animation import read_animation, write_animation
from dubfew.utils.arrays import FloatArray
from dubfew.utils.files import check_input_file, sha256_file, write_atomic
from dubfew.utils.spreadsheets import open_csv_table

# Endings of the files, and what they are called.
USD_SUFFIXES = (".usda", ".usdc", ".usd")
GLTF_SUFFIX = ".glb"
BLENDSHAPE_SUFFIXES = {
    ".csv": "Live Link Face CSV",
    ".json": "Audio2Face JSON",
    **dict.fromkeys(USD_SUFFIXES, "USD"),
    GLTF_SUFFIX: "binary glTF",
}
# Kind of a take's source that was read from such a file.
BLENDSHAPE_KIND = "blendshapes"
# Frames per second that files are written with: that of the app whose format the CSV is, and of
# Audio2Face's exports, whose rigs take USD as well.
DEFAULT_EXPORT_RATE = {".csv": 60.0, **dict.fromkeys((".json", *USD_SUFFIXES, GLTF_SUFFIX), 30.0)}
# Largest rate of a file: above it the column of times is something else.
MAX_EXPORT_RATE = 240.0

# ARKit's 52 shapes in the order of the app's columns (Apple, ARFaceAnchor.BlendShapeLocation; Epic,
# Live Link Face), then its nine angles.
ARKIT_SHAPES = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft"),
    *("eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight"),
    *("eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward"),
    *("jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight"),
    *("mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft"),
    *("mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft"),
    *("browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft"),
    *("noseSneerRight", "tongueOut"),
)
_ANGLES = (
    *("HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
    *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
# Pose of each shape at weight 1: upper lip, lower lip, width, purse, chin, in inter-ocular
# distances. jawOpen at 1 is a mouth open as far as it goes, 0.36 or about 35 mm. Shapes of one side
# have half of what both do. Shapes that are not here move no lip as far as these controls see.
_POSES: Mapping[str, tuple[float, float, float, float, float]] = {
    "jawOpen": (0.0, -0.36, 0.0, 0.0, -0.30),
    # Closes the lips of a jaw that stays open: equal weights of both are closed lips.
    "mouthClose": (0.0, 0.36, 0.0, 0.0, 0.0),
    "mouthFunnel": (0.02, -0.02, -0.08, 0.08, 0.0),
    "mouthPucker": (0.0, 0.0, -0.25, 0.05, 0.0),
    "mouthStretchLeft": (0.0, 0.0, 0.10, 0.0, 0.0),
    "mouthStretchRight": (0.0, 0.0, 0.10, 0.0, 0.0),
    "mouthRollLower": (0.0, 0.0, 0.0, -0.03, 0.0),
    "mouthRollUpper": (0.0, 0.0, 0.0, -0.03, 0.0),
    "mouthShrugLower": (0.0, 0.06, 0.0, 0.0, 0.0),
    "mouthPressLeft": (-0.03, 0.0, 0.0, 0.0, 0.0),
    "mouthPressRight": (-0.03, 0.0, 0.0, 0.0, 0.0),
    "mouthLowerDownLeft": (0.0, -0.06, 0.0, 0.0, 0.0),
    "mouthLowerDownRight": (0.0, -0.06, 0.0, 0.0, 0.0),
    "mouthUpperUpLeft": (0.05, 0.0, 0.0, 0.0, 0.0),
    "mouthUpperUpRight": (0.05, 0.0, 0.0, 0.0, 0.0),
    # Read, never written.
    "mouthSmileLeft": (0.0, 0.0, 0.07, 0.0, 0.0),
    "mouthSmileRight": (0.0, 0.0, 0.07, 0.0, 0.0),
    "mouthDimpleLeft": (0.0, 0.0, 0.03, 0.0, 0.0),
    "mouthDimpleRight": (0.0, 0.0, 0.03, 0.0, 0.0),
}
# Audio2Face's own names of shapes, by ARKit's.
_A2F_NAMES: Mapping[str, tuple[str, ...]] = {
    "jawDrop": ("jawOpen",),
    "jawDropLipTowards": ("mouthClose",),
    "funneler": ("mouthFunnel",),
    "pucker": ("mouthPucker",),
    "lipStretcherL": ("mouthStretchLeft",),
    "lipStretcherR": ("mouthStretchRight",),
    "lipCornerPullerL": ("mouthSmileLeft",),
    "lipCornerPullerR": ("mouthSmileRight",),
    "dimplerL": ("mouthDimpleLeft",),
    "dimplerR": ("mouthDimpleRight",),
    "upperLipRaiserL": ("mouthUpperUpLeft",),
    "upperLipRaiserR": ("mouthUpperUpRight",),
    "lowerLipDepressorL": ("mouthLowerDownLeft",),
    "lowerLipDepressorR": ("mouthLowerDownRight",),
    "chinRaiser": ("mouthShrugLower",),
    "lipPressor": ("mouthPressLeft", "mouthPressRight"),
    "lipSuck": ("mouthRollLower", "mouthRollUpper"),
}


@dataclass(frozen=True)
class Blendshapes:
    """Weights of blendshapes over time.

    Attributes:
        weights: weight of each shape, 0 to 1 as rigs take them. By name, [N] each
        times: time of each row from the first, s. [N]
    """

    weights: Mapping[str, FloatArray]
    times: NDArray[np.float64]


def motion_to_blendshapes(motion: MouthMotion) -> Blendshapes:
    """Express mouth motion in ARKit's shapes.

    Weights are clipped to [0, 1], so a mouth open wider than the shapes reach is cut off there.

    Args:
        motion: the motion; its times count from its first row in the result.
    """
    upper, lower, width, purse, chin = controls_from_motion(motion).astype(np.float64).T
    found: dict[str, NDArray] = {}

    def take(name: str, amount: NDArray) -> NDArray:
        found[name] = np.clip(amount, 0.0, 1.0)
        return found[name]

    # Width and purse span a plane that four poses share out; each point lies between two of them,
    # so that the weights are unique.
    funnel_width, funnel_purse = _POSES["mouthFunnel"][2:4]
    pucker_width, pucker_purse = _POSES["mouthPucker"][2:4]
    area = funnel_width * pucker_purse - pucker_width * funnel_purse
    rounded_funnel = (width * pucker_purse - pucker_width * purse) / area
    rounded_pucker = (funnel_width * purse - width * funnel_purse) / area
    # Wider than the funnel: funnel and stretch. Narrower with less purse than a pucker: pucker and
    # lips rolled in.
    is_wide, is_flat = rounded_pucker < 0, rounded_funnel < 0
    funnel = np.where(is_wide, purse / funnel_purse, rounded_funnel)
    funnel = take("mouthFunnel", np.where(is_flat & ~is_wide, 0.0, funnel))
    pucker = take("mouthPucker", np.where(is_flat, width / pucker_width, rounded_pucker))
    width = width - funnel * funnel_width - pucker * pucker_width
    purse = purse - funnel * funnel_purse - pucker * pucker_purse
    for side in ("Left", "Right"):
        take(f"mouthStretch{side}", width / (2 * _POSES["mouthStretchLeft"][2]))
    for lip in ("Lower", "Upper"):
        take(f"mouthRoll{lip}", purse / (2 * _POSES["mouthRollLower"][3]))
    upper = upper - funnel * _POSES["mouthFunnel"][0]
    lower = lower - funnel * _POSES["mouthFunnel"][1]
    # The jaw goes where the chin is; the lower lip has its own way on top of it.
    jaw = take("jawOpen", chin / _POSES["jawOpen"][4])
    lower = lower - jaw * _POSES["jawOpen"][1]
    close = take("mouthClose", np.minimum(lower / _POSES["mouthClose"][1], jaw))
    lower = lower - close * _POSES["mouthClose"][1]
    take("mouthShrugLower", lower / _POSES["mouthShrugLower"][1])
    for side in ("Left", "Right"):
        take(f"mouthLowerDown{side}", lower / (2 * _POSES["mouthLowerDownLeft"][1]))
        take(f"mouthUpperUp{side}", upper / (2 * _POSES["mouthUpperUpLeft"][0]))
        take(f"mouthPress{side}", upper / (2 * _POSES["mouthPressLeft"][0]))
    weights = {name: values.astype(np.float32) for name, values in found.items()}
    return Blendshapes(weights, motion.times - motion.times[0])


def motion_from_blendshapes(shapes: Blendshapes) -> MouthMotion:
    """Make the mouth motion that weights of ARKit's shapes describe.

    Args:
        shapes: the weights; shapes that move no lips do not count.

    Raises:
        DubfewError: No shape moves the lips.
    """
    poses = {name: pose for name, pose in _POSES.items() if name in shapes.weights}
    if not poses:
        raise DubfewError("no blendshape of the file moves the lips, as jawOpen does")
    controls = sum(
        shapes.weights[name][:, None] * np.array(pose, np.float32) for name, pose in poses.items()
    )
    displacement = np.tensordot(np.asarray(controls), load_viseme_basis(), axes=1)
    return MouthMotion(displacement.astype(np.float32), shapes.times)


def read_blendshapes(path: Path | str) -> Blendshapes:
    """Read a file of blendshapes, which may come from anybody.

    Args:
        path: .csv, .json, USD or .glb. The first row is time 0.

    Raises:
        MediaError: There is no file.
        DubfewError: It is no such file, or has values that are no weights.
        MissingDependencyError: It is USD, which is not installed.
    """
    path = Path(path)
    check_input_file(path)
    try:
        found = _read_file(path)
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = ascii(str(error))[1:-1][:120]
        raise DubfewError(
            f"{path} is no {BLENDSHAPE_SUFFIXES.get(path.suffix.lower(), 'file of blendshapes')}: "
            f"{reason}"
        ) from error
    if not len(found.times):
        raise DubfewError(f"{path} has no frames")
    if found.times[-1] > MAX_TAKE_SECONDS:
        raise DubfewError(f"{path} is {found.times[-1]:.0f} s long: {MAX_TAKE_SECONDS:.0f} at most")
    return found


def import_take(path: Path | str) -> Take:
    """Make a take of a file of blendshapes.

    Args:
        path: .csv, .json, USD or .glb.

    Raises:
        MediaError: There is no file.
        DubfewError: It is no such file, or none of its shapes moves the lips.
    """
    path = Path(path)
    try:
        motion = motion_from_blendshapes(read_blendshapes(path))
    except DubfewError as error:
        raise type(error)(str(error).replace("the file", str(path))) from error
    source = TakeSource(BLENDSHAPE_KIND, path.name, sha256_file(path))
    return Take(motion, np.ones(len(motion), np.float32), source)


def write_blendshapes(
    path: Path | str, motion: MouthMotion, rate: float | None = None, *, sound: str = ""
) -> None:
    """Write mouth motion as a file of blendshapes, atomically.

    Args:
        path: .csv, .json, .glb, or .usda, .usdc and .usd.
        motion: the motion; time 0 is the first frame.
        rate: frames per second; None takes `DEFAULT_EXPORT_RATE`.
        sound: name of the sound, for Audio2Face's ``trackPath``.

    Raises:
        MissingDependencyError: USD is wanted and not installed.
        DubfewError: The name's ending is another, or the rate is not between 1 and
            `MAX_EXPORT_RATE`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in BLENDSHAPE_SUFFIXES:
        raise DubfewError(f"{path.name}: end the name in {', '.join(BLENDSHAPE_SUFFIXES)}")
    rate = DEFAULT_EXPORT_RATE[suffix] if rate is None else rate
    if not 1 <= rate <= MAX_EXPORT_RATE:
        raise DubfewError(f"{rate:g} frames/s: give 1 to {MAX_EXPORT_RATE:g}")
    # Time 0 is the first frame, whatever the first row's time is: files have no other clock.
    count = math.floor(float(motion.times[-1]) * rate + 1e-6) + 1
    shapes = motion_to_blendshapes(motion.resample(np.arange(count) / rate))
    rows = np.zeros((count, len(ARKIT_SHAPES)))
    for name, values in shapes.weights.items():
        rows[:, ARKIT_SHAPES.index(name)] = values
    if suffix in USD_SUFFIXES:
        write_animation(path, ARKIT_SHAPES, rows, rate)
        return
    if suffix == GLTF_SUFFIX:
        # The lower lip alone would go up through the upper one.
        head = make_morph_head(_POSES, {"mouthClose": "jawOpen"})
        columns = [ARKIT_SHAPES.index(name) for name in head.names]
        gltf_animation.write_animation(path, head, rows[:, columns], rate)
        return
    text = _format_csv(rows, rate) if suffix == ".csv" else _format_json(rows, rate, sound)
    write_atomic(path, text.encode())


def _read_file(path: Path) -> Blendshapes:
    """Read a file by its name's ending.

    Raises:
        ValueError: It is no such file.
    """
    suffix = path.suffix.lower()
    if suffix in (*USD_SUFFIXES, GLTF_SUFFIX):
        is_usd = suffix in USD_SUFFIXES
        names, rows, times = (read_animation if is_usd else gltf_animation.read_animation)(path)
        columns = {name: rows[:, k] for k, name in enumerate(names) if _find_shapes(name)}
        return Blendshapes(_collect(columns), times)
    text = path.read_text("utf-8-sig")
    return _read_csv(text) if suffix == ".csv" else _read_json(text)


def _format_csv(rows: NDArray, rate: float) -> str:
    """Write rows as the app does: HH:MM:SS:FF.fff, the number of columns, weights, angles."""
    names = [name[0].upper() + name[1:] for name in ARKIT_SHAPES]
    lines = [",".join(("Timecode", "BlendShapeCount", *names, *_ANGLES))]
    base = math.ceil(rate - 1e-6)
    for number, row in enumerate(rows):
        # Of a rate that is no whole number the seconds are true and the frame has a fraction.
        seconds = int(number / rate + 1e-9)
        frame = (number / rate - seconds) * base
        hours, minutes = divmod(seconds // 60, 60)
        clock = f"{hours:02d}:{minutes:02d}:{seconds % 60:02d}:{max(frame, 0):06.3f}"
        weights = (f"{value:.8f}" for value in row)
        count = str(len(names) + len(_ANGLES))
        lines.append(",".join((clock, count, *weights, *("0.0" for _ in _ANGLES))))
    return "\n".join(lines) + "\n"


def _format_json(rows: NDArray, rate: float, sound: str) -> str:
    """Write rows as Audio2Face exports them."""
    content = {
        "exportFps": rate,
        "trackPath": sound,
        "numPoses": rows.shape[1],
        "numFrames": rows.shape[0],
        "facsNames": list(ARKIT_SHAPES),
        "weightMat": [[round(float(value), 8) for value in row] for row in rows],
    }
    return json.dumps(content)


def _read_csv(text: str) -> Blendshapes:
    """Read a CSV of Live Link Face."""
    reader = open_csv_table(text)
    names = [name or "" for name in reader.fieldnames or ()]
    if not names or names[0].strip().lower() != "timecode":
        raise ValueError("its first column is not Timecode")
    rows = [row for row in reader if row.get(names[0])]
    columns = {
        name: [float(row[name]) for row in rows] for name in names[1:] if _find_shapes(name.strip())
    }
    return Blendshapes(_collect(columns), _read_clock([row[names[0]] for row in rows]))


def _read_clock(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read timecodes HH:MM:SS:FF.fff as seconds from the first.

    Raises:
        ValueError: One is no timecode, or they do not rise.
    """
    parts = [text.split(":") for text in texts]
    if any(len(each) != 4 for each in parts):
        raise ValueError("its times are no timecodes HH:MM:SS:FF.fff")
    seconds = np.array([(int(h) * 60 + int(m)) * 60 + int(s) for h, m, s, _ in parts], float)
    frames = np.array([float(each[3]) for each in parts])
    # The file does not say its rate: it is the one whose frame numbers it uses. Within one second
    # it may not have used them all, and counts as the app counts.
    most = max(frames.max(initial=0.0), 30.0 if len(set(seconds)) == 1 else 0.0)
    base = next((rate for rate in (24, 25, 30, 50, 60, 120, 240) if most < rate), None)
    if base is None or (frames < 0).any():
        raise ValueError("its timecodes have frame numbers of no rate")
    times = seconds + frames / base
    steps = np.diff(times)
    if len(steps) and (steps <= 0).any():
        raise ValueError("its times do not rise")
    if not np.isfinite(times).all():
        raise ValueError("its times are not finite")
    return times - times[0] if len(times) else times


def _read_json(text: str) -> Blendshapes:
    """Read an export of Audio2Face."""
    content = json.loads(text)
    names = [str(name) for name in content["facsNames"]]
    rows = np.array(content["weightMat"], np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise ValueError("weightMat has not one number for each of facsNames in each frame")
    rate = float(content.get("exportFps", DEFAULT_EXPORT_RATE[".json"]))
    if not 1 <= rate <= MAX_EXPORT_RATE:
        raise ValueError(f"exportFps is {rate:g}")
    columns = {name: rows[:, number] for number, name in enumerate(names) if _find_shapes(name)}
    return Blendshapes(_collect(columns), np.arange(len(rows)) / rate)


def _find_shapes(name: str) -> tuple[str, ...]:
    """Return ARKit's names for that of a column, which may have another case."""
    plain = name[:1].lower() + name[1:]
    if plain in ARKIT_SHAPES:
        return (plain,)
    return _A2F_NAMES.get(plain, ())


def _collect(columns: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Name columns as ARKit does, and check their values."""
    found: dict[str, FloatArray] = {}
    for name, values in columns.items():
        weights = np.asarray(values, np.float32)
        # Rigs take a little more than 1; far more are percents or something else.
        if not np.isfinite(weights).all() or np.abs(weights).max(initial=0) > 2:
            raise ValueError(f"{name.strip()} has values that are no weights from 0 to 1")
        for shape in _find_shapes(name.strip()):
            found[shape] = weights
    return found
