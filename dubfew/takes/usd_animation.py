"""Blendshape weights as an animation of USD: a ``SkelAnimation`` with ``blendShapeWeights``.

That is the form in which Audio2Face, Maya, Houdini and Unreal exchange faces: a rig whose
``BlendShape``s have the same names is driven by it. It needs ``pip install 'dubfew[usd]'``.

Source: Pixar, UsdSkel schema, "Blend Shapes" and "Animation".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError
from dubfew.utils.files import atomic_path
from dubfew.utils.import_utils import import_optional

# Name of the animation, which is also the file's default prim.
ANIMATION_NAME = "mouth"
# Most samples of a file that comes from anybody: an hour at 240 frames/s is less.
MAX_SAMPLES = 1_000_000


def write_animation(
    path: Path, names: Sequence[str], rows: NDArray[np.floating], rate: float
) -> None:
    """Write weights as an animation, one time code for each frame.

    Args:
        path: .usda (text), .usdc or .usd.
        names: names of the shapes.
        rows: weight of each shape in each frame. [N, S]
        rate: frames per second.

    Raises:
        MissingDependencyError: USD is not installed.
    """
    usd, skel, _, _ = _load_usd()
    stage = usd.Stage.CreateInMemory()
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(rows) - 1)
    animation = skel.Animation.Define(stage, f"/{ANIMATION_NAME}")
    stage.SetDefaultPrim(animation.GetPrim())
    animation.CreateBlendShapesAttr([*names])
    weights = animation.CreateBlendShapeWeightsAttr()
    for number, row in enumerate(rows):
        weights.Set([float(value) for value in row], number)
    with atomic_path(path) as temporary:
        # An empty file of a name is no layer to USD, but it may be written over.
        stage.GetRootLayer().Export(str(temporary))


def read_animation(
    path: Path,
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Read the first animation with weights of a file, which may come from anybody.

    Layers that the file refers to are not opened.

    Args:
        path: .usda, .usdc or .usd.

    Returns:
        Names of the shapes, weights [N, S], and the time of each row from the first, s. [N]

    Raises:
        DubfewError: It is no USD file, or has no such animation.
        MissingDependencyError: USD is not installed.
    """
    _, _, sdf, tf = _load_usd()
    try:
        # A layer alone, not a stage, which would open everything that it refers to.
        layer = sdf.Layer.OpenAsAnonymous(str(path))
    except tf.ErrorException as error:
        raise DubfewError(f"{path} is no USD file") from error
    if layer is None:
        raise DubfewError(f"{path} is no USD file")
    found: list[Any] = []

    def visit(place: Any) -> None:
        spec = layer.GetPrimAtPath(place) if place.IsPrimPath() else None
        if spec is not None and {"blendShapes", "blendShapeWeights"} <= {*spec.attributes.keys()}:
            found.append(place)

    layer.Traverse(sdf.Path.absoluteRootPath, visit)
    for place in sorted(found, key=str):
        names = layer.GetAttributeAtPath(place.AppendProperty("blendShapes")).default
        weights = place.AppendProperty("blendShapeWeights")
        samples = layer.ListTimeSamplesForPath(weights)
        if not names or not samples:
            continue
        if len(samples) > MAX_SAMPLES:
            raise DubfewError(f"{path} has {len(samples)} samples: {MAX_SAMPLES} at most")
        rows = [np.asarray(layer.QueryTimeSample(weights, each), float) for each in samples]
        if any(row.shape != (len(names),) for row in rows):
            raise DubfewError(f"{path} has not one weight for each shape in each sample")
        speed = float(layer.timeCodesPerSecond)
        if not (math.isfinite(speed) and speed > 0):
            raise DubfewError(f"{path} has {speed:g} time codes per second")
        times = (np.array(samples, np.float64) - samples[0]) / speed
        # Rigs may name shapes with the mesh before them.
        plain = [str(name).replace("/", ":").split(":")[-1] for name in names]
        return plain, np.stack(rows), times
    raise DubfewError(f"{path} has no animation with blendShapeWeights")


def _load_usd() -> tuple[Any, Any, Any, Any]:
    """Import Usd, UsdSkel, Sdf and Tf."""
    import_optional("pxr")
    from pxr import Sdf, Tf, Usd, UsdSkel

    return Usd, UsdSkel, Sdf, Tf
