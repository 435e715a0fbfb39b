"""Whether the parts of a stored actor are what they must be: they may come from anybody.

Numbers that are not finite, or that no footage gives, and shapes that do not fit together would
end in a crash or in a picture of nothing, minutes after the work began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubfew.adapt.methods import METHODS
from dubfew.reconstruction.crop import NUM_HULL_CORNERS
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.speech.style import SpeakingStyle

# Far outside of any window or head, px and inter-ocular distances; far inside of float32.
MAX_COORDINATE = 1e6
# Edges of reference windows and of frames, px; frames of a clip a second.
MAX_IMAGE_SIZE_PX, MAX_FRAME_RATE = 1 << 15, 1000
# Inter-ocular distances: no mouth opens so far.
MAX_MOUTH_OPENING = 10.0


def check_config(config: Mapping[str, Any], required_types: Mapping[tuple[str, ...], type]) -> None:
    """See that a configuration says what rendering needs, and nothing odd.

    Args:
        required_types: types of values, by path.

    Raises:
        KeyError, TypeError, ValueError: it does not.
        ArtefactError: there is no such method, or it has no such options.
    """
    for path, kind in required_types.items():
        value: Any = config
        for step in path:
            value = value[step]
        if not isinstance(value, kind):
            raise ValueError(f"{'.'.join(path)} is {ascii(value)[:40]}")
    METHODS.load(config["method"]).check_options(config["options"])
    speech = config.get("speech")
    if speech is not None and not all(isinstance(speech[key], str) for key in ("path", "sha256")):
        raise ValueError("what it says of its speech model")


def check_finite_weights(tensors: Mapping[str, Tensor], label: str) -> None:
    """See that all tensors are finite, of half or single precision.

    Raises:
        ValueError: one is not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in (torch.float16, torch.float32):
            raise ValueError(f"the {label} {ascii(name)[:60]} is of type {tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"the {label} {ascii(name)[:60]} is not finite everywhere")


def check_references(references: Footage, head: HeadModel) -> None:
    """See that reference windows are of this head.

    Raises:
        ValueError: they are not.
    """
    points = len(OUTER_LIPS + INNER_LIPS)
    count = len(references)
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "images": (np.uint8, references.images.shape),
        "vertices": (np.float32, (count, len(head.template), 3)),
        "hulls": (np.float32, (count, NUM_HULL_CORNERS, 2)),
        "key": (np.float32, (count, 3 * points + 3)),
        "motion": (np.float32, (count, len(MOUTH_POINTS), 3)),
        "frames": (np.int64, (count,)),
    }
    if not (count and 1 < references.window_size <= MAX_IMAGE_SIZE_PX):
        raise ValueError(f"{count} references of {references.window_size} px")
    for name, (kind, shape) in shapes.items():
        _check_array(f"the references' {name}", getattr(references, name), kind, shape)


def check_style(style: SpeakingStyle) -> None:
    """See that a style is one.

    Raises:
        ValueError: it is not.
    """
    count = len(style.basis)
    for name, shape in {
        "basis": (count, len(MOUTH_POINTS), 3),
        "gain": (count,),
        "offset": (count,),
    }.items():
        _check_array(f"the style's {name}", getattr(style, name), np.float32, shape)
    if not 0 < style.max_aperture <= MAX_MOUTH_OPENING:
        raise ValueError(f"the style's limit is {style.max_aperture:.3g}")


def check_track(track: Track, head: HeadModel) -> None:
    """See that a track is of this head, and of a clip that there can be.

    Raises:
        ValueError: it is not.
    """
    if track.head != head.name:
        raise ValueError(f"the track is of the head {ascii(track.head)[:40]}")
    count = len(track)
    for name, shape in {
        "expression": (count, len(head.expression_basis)),
        "shape": (len(head.shape_basis),),
    }.items():
        _check_array(f"the track's {name}", getattr(track, name), np.float32, shape)
    for name in ("jaw", "neck", "rotation", "translation", "lighting", "box", "landmarks"):
        array = getattr(track, name)
        _check_array(f"the track's {name}", array, np.float32, array.shape)
    _check_array("the track's times", track.times, np.float64, (count,))
    if not (count and track.valid.dtype == bool and bool((np.diff(track.times) >= 0).all())):
        raise ValueError("the track's frames have no order")
    for name, value in {"width": track.width, "height": track.height}.items():
        if type(value) is not int or not 0 < value <= MAX_IMAGE_SIZE_PX:
            raise ValueError(f"the track's {name} is {ascii(value)[:40]}")
    if not 0 < track.fps <= MAX_FRAME_RATE:
        raise ValueError(f"the track's frame rate is {ascii(track.fps)[:40]}")
    camera = (track.camera.focal, track.camera.cx, track.camera.cy)
    if not (
        all(type(v) in (int, float) and abs(v) <= MAX_COORDINATE for v in camera) and camera[0] > 0
    ):
        raise ValueError("the track's camera is none")


def _check_array(label: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        expected = f"{np.dtype(dtype)} {list(shape)}"
        raise ValueError(f"{label} are {array.dtype} {list(array.shape)}, expected {expected}")
    # Also false for NaN.
    if array.dtype.kind == "f" and not bool((np.abs(array) <= MAX_COORDINATE).all()):
        raise ValueError(f"{label} are not finite, or far off")
