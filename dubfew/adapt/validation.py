"""Check the parts of a stored actor, whose files may come from anybody.

Without these checks, values that are not finite or that no footage gives, and shapes that do not
fit together, would end in a crash or in an empty picture minutes into a render. The errors are
plain ``ValueError``: the callers add what is damaged and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubfew.adapt.methods import METHODS
from dubfew.data.clip_footage import ClipFootage
from dubfew.reconstruction.crop import NUM_HULL_CORNERS
from dubfew.reconstruction.detection.face_descriptors import FACE_CROP_PX
from dubfew.reconstruction.detection.landmarks import NUM_LANDMARKS
from dubfew.reconstruction.heads.head_model import HeadModel
from dubfew.reconstruction.heads.landmark_indices import INNER_LIPS, MOUTH_POINTS, OUTER_LIPS
from dubfew.reconstruction.track import Track
from dubfew.references.footage import Footage
from dubfew.speech.parameter_style import NUM_JAW_PARAMETERS, ParameterStyle
from dubfew.speech.style import SpeakingStyle

# Largest magnitude of coordinates, in px or inter-ocular distances: far outside of any window or
# head. Sums of squares of larger ones could overflow float32.
MAX_COORDINATE = 1e6
# Largest edge of reference windows and of frames, px: more than any camera has. Larger ones would
# be allocated before they fail.
MAX_IMAGE_SIZE_PX = 1 << 15
# Highest frame rate, 1/s. Footage of cameras and their slow motion is below it.
MAX_FRAME_RATE = 1000
# Most pictures of a face: adaptation stores NUM_DESCRIPTOR_CROPS of them.
MAX_FACE_PICTURES = 64
# Widest opening of a mouth, inter-ocular distances: a real one opens about one.
MAX_MOUTH_OPENING = 10.0


def check_config(config: Mapping[str, Any], required_types: Mapping[tuple[str, ...], type]) -> None:
    """Check that a configuration has the values that rendering needs.

    Args:
        config: parsed JSON of an actor's configuration.
        required_types: types of values by their path of keys.

    Raises:
        KeyError: A value is missing.
        TypeError: A path leads through a value that has no keys.
        ValueError: A value has another type.
        ArtefactError: The method does not exist, or has other options.
    """
    for path, expected_type in required_types.items():
        value: Any = config
        for key in path:
            value = value[key]
        if not isinstance(value, expected_type):
            raise ValueError(f"{'.'.join(path)} is {ascii(value)[:40]}")
    # The method's options size the layers that are made for its weights.
    METHODS.load(config["method"]).check_options(config["options"])
    # Actors of the shipped speech model name none.
    speech = config.get("speech")
    if speech is not None and not all(isinstance(speech[key], str) for key in ("path", "sha256")):
        raise ValueError("path and sha256 of its speech model are not text")


def check_finite_weights(tensors: Mapping[str, Tensor], label: str) -> None:
    """Check that all tensors are finite and of half or single precision.

    Args:
        tensors: tensors by name.
        label: what the error message calls each of them.

    Raises:
        ValueError: A tensor has another type, infinities or NaN.
    """
    for name, tensor in tensors.items():
        # Integers or double precision are not written by dubfew; messages quote names escaped.
        if tensor.dtype not in (torch.float16, torch.float32):
            raise ValueError(f"the {label} {ascii(name)[:60]} is of type {tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"the {label} {ascii(name)[:60]} is not finite everywhere")


def check_references(references: Footage, head: HeadModel) -> None:
    """Check that reference windows have the arrays of footage tracked with a head model.

    Args:
        references: windows of the actor.
        head: head model that the actor's configuration names.

    Raises:
        ValueError: An array has another type or shape, or values out of range; or there are no
            windows.
    """
    # Sizes that follow from the head model and from the landmarks that keys are made of.
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


def check_style(style: SpeakingStyle, head: HeadModel) -> None:
    """Check the arrays and the limit of a speaking style.

    Args:
        style: the style.
        head: head model that the actor's configuration names.

    Raises:
        ValueError: An array has another type or shape, or values out of range; or the limit of the
            mouth's opening is not a positive distance.
    """
    # The number of basis motions is the style's own; everything else follows from it.
    count = len(style.basis)
    for name, shape in {
        "basis": (count, len(MOUTH_POINTS), 3),
        "gain": (count, count),
        "offset": (count,),
    }.items():
        _check_array(f"the style's {name}", getattr(style, name), np.float32, shape)
    if style.parameters is not None:
        _check_parameters(style.parameters, head)
    if not 0 < style.max_aperture <= MAX_MOUTH_OPENING:
        raise ValueError(f"the style's limit is {style.max_aperture:.3g}")


def _check_parameters(parameters: ParameterStyle, head: HeadModel) -> None:
    """Check the scales and shifts of a head's parameters.

    Raises:
        ValueError: They are of another head, or an array has another type or shape than it needs,
            or is not finite.
    """
    if parameters.head != head.name:
        raise ValueError(f"the style is of the head {ascii(parameters.head)[:40]}")
    count = NUM_JAW_PARAMETERS + head.mouth_expressions
    for name, shape in {
        "shape": (len(head.shape_basis),),
        "rest": (len(MOUTH_POINTS), 3),
        "scale": (count,),
        "shift": (count,),
    }.items():
        _check_array(f"the style's {name}", getattr(parameters, name), np.float32, shape)


def check_faces(images: np.ndarray, landmarks: np.ndarray) -> None:
    """Check the pictures of an actor's face.

    Args:
        images: the pictures. [K, 160, 160, 3]
        landmarks: landmarks in them, px. [K, 478, 2]

    Raises:
        ValueError: There are too many, an array has another type or shape, or a landmark is not
            finite or far off.
    """
    count = len(images)
    if not 0 < count <= MAX_FACE_PICTURES:
        raise ValueError(f"there are {count} pictures of the face")
    _check_array("the faces", images, np.uint8, (count, FACE_CROP_PX, FACE_CROP_PX, 3))
    _check_array("the faces' landmarks", landmarks, np.float32, (count, NUM_LANDMARKS, 2))


def check_crops(crops: ClipFootage, head: str) -> None:
    """Check the crops of an actor of a painting renderer.

    Args:
        crops: pictures for the renderer.
        head: name of the head model of the actor.

    Raises:
        ValueError: There are none or too many, they are of another head model, or an array has
            another type, or values out of range.
    """
    count = len(crops)
    if not 0 < count <= MAX_FACE_PICTURES:
        raise ValueError(f"there are {count} crops")
    if crops.head != head:
        raise ValueError(f"the crops are of the head {ascii(crops.head)[:40]}")
    for name, kind in {
        "vertices": np.float32,
        "masks": np.uint8,
        "landmarks": np.float32,
        "frames": np.int64,
    }.items():
        array = getattr(crops, name)
        _check_array(f"the crops' {name}", array, kind, array.shape)


def check_track(track: Track, head: HeadModel) -> None:
    """Check that a track belongs to a head model and to a possible clip.

    Args:
        track: track of the actor's footage.
        head: head model that the actor's configuration names.

    Raises:
        ValueError: The head model is another one, an array has another type or shape or values out
            of range, or size, frame rate, times or camera are impossible.
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
        raise ValueError("the track's times do not rise")
    for name, value in {"width": track.width, "height": track.height}.items():
        if type(value) is not int or not 0 < value <= MAX_IMAGE_SIZE_PX:
            raise ValueError(f"the track's {name} is {ascii(value)[:40]}")
    if not 0 < track.fps <= MAX_FRAME_RATE:
        raise ValueError(f"the track's frame rate is {ascii(track.fps)[:40]}")
    # JSON also gives infinities and booleans for numbers.
    camera = (track.camera.focal, track.camera.cx, track.camera.cy)
    if not (
        all(type(v) in (int, float) and abs(v) <= MAX_COORDINATE for v in camera) and camera[0] > 0
    ):
        raise ValueError(f"the track's camera is {ascii(camera)[:60]}")


def _check_array(label: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    """Check type, shape and range of one array; ``label`` is plural, for the error message."""
    if array.dtype != dtype or array.shape != shape:
        expected = f"{np.dtype(dtype)} {list(shape)}"
        raise ValueError(f"{label} are {array.dtype} {list(array.shape)}, expected {expected}")
    # The comparison is also false for NaN.
    if array.dtype.kind == "f" and not bool((np.abs(array) <= MAX_COORDINATE).all()):
        raise ValueError(f"{label} are not finite, or far off")
