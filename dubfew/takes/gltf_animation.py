"""Blendshape weights as an animation of glTF: a head with morph targets, in one ``.glb`` file.

Blender, Unreal, Unity and viewers in browsers open it, and show the motion on the head that comes
along. Morph targets have no names in glTF itself; ``extras.targetNames`` of the mesh has them, as
all of these write and read it.

Source: Khronos, glTF 2.0 specification, 3.7.2.2 "Morph Targets", 3.11 "Animations" and 4.4 "Binary
glTF Layout".
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dubfew.takes.morph_head import MorphHead
from dubfew.utils.files import write_atomic

_MAGIC, _VERSION, _JSON_CHUNK, _BINARY_CHUNK = b"glTF", 2, 0x4E4F534A, 0x004E4942
# Types of numbers, and what a stretch of the buffer is for.
_UINT16, _FLOAT32, _VERTICES, _INDICES = 5123, 5126, 34962, 34963
# Most numbers of an animation that comes from anybody: an hour of 52 shapes at 240 frames/s.
MAX_WEIGHTS = 50_000_000


def write_animation(path: Path, head: MorphHead, rows: NDArray[np.floating], rate: float) -> None:
    """Write weights as the animation of a head, atomically.

    Args:
        path: .glb.
        head: the head.
        rows: weight of each of its shapes in each frame. [N, S]
        rate: frames per second.
    """
    buffer = _Buffer()
    times = np.arange(len(rows), dtype=np.float32)[:, None] / np.float32(rate)
    primitive = {
        "attributes": {
            "POSITION": buffer.add(head.vertices, "VEC3", target=_VERTICES),
            "TEXCOORD_0": buffer.add(head.uv, "VEC2", target=_VERTICES),
        },
        "indices": buffer.add(head.faces.reshape(-1, 1), "SCALAR", target=_INDICES),
        "targets": [
            {"POSITION": buffer.add(each, "VEC3", target=_VERTICES)} for each in head.targets
        ],
        "material": 0,
    }
    sampler = {
        "input": buffer.add(times, "SCALAR"),
        "output": buffer.add(rows.astype(np.float32).reshape(-1, 1), "SCALAR"),
        "interpolation": "LINEAR",
    }
    document = {
        "asset": {"version": "2.0", "generator": "dubfew"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "head", "mesh": 0}],
        "meshes": [
            {
                "name": "head",
                "primitives": [primitive],
                "weights": [0.0] * len(head.names),
                "extras": {"targetNames": [*head.names]},
            }
        ],
        # Seen from behind, too: the head is a mask.
        "materials": [
            {
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorFactor": [0.8, 0.7, 0.65, 1.0],
                    "metallicFactor": 0.0,
                },
            }
        ],
        "animations": [
            {
                "name": "mouth",
                "samplers": [sampler],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
            }
        ],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = b"".join(
        struct.pack("<II", len(data), kind) + data
        for data, kind in ((text, _JSON_CHUNK), (bytes(buffer.data), _BINARY_CHUNK))
    )
    write_atomic(path, _MAGIC + struct.pack("<II", _VERSION, 12 + len(chunks)) + chunks)


def read_animation(path: Path) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Read the first animation of named morph targets of a file, which may come from anybody.

    Other files that it refers to are not opened.

    Args:
        path: .glb.

    Returns:
        Names of the shapes, weights [N, S], and the time of each row from the first, s. [N]

    Raises:
        ValueError: It is no such file, or has no such animation.
    """
    document, data = _read_chunks(path.read_bytes())
    for animation in document.get("animations", ()):
        for channel in animation["channels"]:
            if channel["target"].get("path") != "weights":
                continue
            node = document["nodes"][channel["target"]["node"]]
            names = document["meshes"][node["mesh"]].get("extras", {}).get("targetNames")
            if not names:
                continue
            sampler = animation["samplers"][channel["sampler"]]
            times = _read_numbers(document, data, sampler["input"])
            values = _read_numbers(document, data, sampler["output"])
            if sampler.get("interpolation") == "CUBICSPLINE":
                # A tangent before each value, and one behind it.
                values = values.reshape(len(times), 3, len(names))[:, 1]
            rows = values.reshape(len(times), len(names))
            if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
                raise ValueError("its times do not rise")
            return [str(name) for name in names], rows, times - times[:1]
    raise ValueError("it has no animation of morph targets with names")


class _Buffer:
    """The one buffer of a file, and the lists that say what lies where in it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: NDArray[Any], kind: str, target: int | None = None) -> int:
        """Add numbers [N, C]; return the number of their accessor."""
        is_index = target == _INDICES
        stored = np.ascontiguousarray(values, "<u2" if is_index else "<f4")
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": stored.nbytes}
        self.views.append(view if target is None else {**view, "target": target})
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "componentType": _UINT16 if is_index else _FLOAT32,
                "count": len(stored),
                "type": kind,
                "min": stored.min(axis=0).tolist(),
                "max": stored.max(axis=0).tolist(),
            }
        )
        self.data += stored.tobytes()
        self.data += bytes(-len(self.data) % 4)
        return len(self.accessors) - 1


def _read_chunks(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a file into its JSON and its buffer.

    Raises:
        ValueError: It is no binary glTF.
    """
    if content[:4] != _MAGIC or len(content) < 20:
        raise ValueError("it is no binary glTF: export it as .glb")
    place, found = 12, dict[int, bytes]()
    while place + 8 <= len(content):
        length, kind = struct.unpack_from("<II", content, place)
        found.setdefault(kind, content[place + 8 : place + 8 + length])
        place += 8 + length
    document = json.loads(found.get(_JSON_CHUNK, b""))
    if not isinstance(document, dict):
        raise ValueError("its JSON is no object")
    return document, found.get(_BINARY_CHUNK, b"")


def _read_numbers(document: dict[str, Any], data: bytes, number: int) -> NDArray[np.float64]:
    """Read the single floats of an accessor.

    Raises:
        ValueError: They are stored in another form, or lie outside of the file.
    """
    accessor = document["accessors"][number]
    view = document["bufferViews"][accessor["bufferView"]]
    if "uri" in document["buffers"][view["buffer"]] or view["buffer"] != 0:
        raise ValueError("its numbers lie in another file: export it as .glb")
    if accessor["componentType"] != _FLOAT32 or accessor["type"] != "SCALAR":
        raise ValueError("its weights are no floats")
    count = int(accessor["count"])
    start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
    if not 0 < count <= MAX_WEIGHTS or start < 0 or view.get("byteStride", 4) != 4:
        raise ValueError(f"it has {count} numbers in a form that is not read")
    if start + 4 * count > len(data):
        raise ValueError("it is cut short")
    return np.frombuffer(data, "<f4", count, start).astype(np.float64)
