"""Build ``upper_face.safetensors``, by which faces are compared without a network.

    python -m tools.build_upper_face FOLDER_OF_CLIPS

FOLDER_OF_CLIPS holds videos and a ``manifest.json``; clips with ``split: train`` and
``weights_may_ship: true`` are used, and those of one ``identity`` count as one person. A person's
contribution is a share in one average; no person's face is in the file.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dubfew.media import read_frames
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.upper_face import ATLAS_FILE, FaceAtlas
from dubfew.reconstruction.heads.head_model import HeadModel, load_head_model
from dubfew.utils.files import write_atomic

# Size of the unrolled face, px. Larger ones hold detail that small faces in footage do not have.
ATLAS_HEIGHT_PX, ATLAS_WIDTH_PX = 56, 48
# Rows that are used: from the forehead to the base of the nose. The lips begin in row 38.
NUM_ATLAS_ROWS = 37
# Vertices of MediaPipe's mesh without the irises.
NUM_MESH_VERTICES = 468
# Frames of a clip that are averaged, and frames that are read of it.
FRAMES_PER_CLIP, MAX_CLIP_FRAMES = 24, 300


def build_atlas(head: HeadModel) -> FaceAtlas:
    """Rasterize the mesh, seen from the front, into the atlas; the mean face is zero."""
    points = head.template[:NUM_MESH_VERTICES]
    faces = head.faces[(head.faces < NUM_MESH_VERTICES).all(1)]
    flat = points[:, :2] * [1, -1]
    low, high = flat.min(0), flat.max(0)
    scale = min((ATLAS_WIDTH_PX - 1, ATLAS_HEIGHT_PX - 1) / (high - low))
    flat = (flat - (low + high) / 2) * scale + [ATLAS_WIDTH_PX / 2, ATLAS_HEIGHT_PX / 2]
    rows, columns = np.mgrid[:NUM_ATLAS_ROWS, :ATLAS_WIDTH_PX] + 0.5
    pixels = np.stack([columns.ravel(), rows.ravel()], 1)
    # For every pixel the triangle around it that is nearest to the camera.
    nearest = np.full(len(pixels), -np.inf)
    vertices = np.zeros((len(pixels), 3), np.int16)
    weights = np.zeros((len(pixels), 3), np.float32)
    for face in faces:
        a, b, c = flat[face]
        basis = np.stack([b - a, c - a], 1)
        if abs(np.linalg.det(basis)) < 1e-9:
            continue
        inner = (pixels - a) @ np.linalg.inv(basis).T
        own = np.column_stack([1 - inner.sum(1), inner])
        depth = own @ points[face, 2]
        inside = (own >= -1e-6).all(1) & (depth > nearest)
        nearest[inside], vertices[inside], weights[inside] = depth[inside], face, own[inside]
    used = np.isfinite(nearest)
    return FaceAtlas(
        mask=used.reshape(NUM_ATLAS_ROWS, ATLAS_WIDTH_PX),
        vertices=vertices[used].astype(np.int64),
        weights=weights[used],
        mean=np.zeros(int(used.sum()), np.float32),
    )


def measure_mean_face(folder: Path, atlas: FaceAtlas) -> NDArray[np.float32]:
    """Average the vectors of all people, each person with the same weight."""
    people: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for entry in json.loads((folder / "manifest.json").read_text()):
        if entry["split"] != "train" or not entry["weights_may_ship"]:
            continue
        vectors = describe_clip(folder / entry["file"], entry["frames"], atlas)
        if len(vectors):
            people[entry.get("identity", entry["file"])].append(vectors.mean(0))
    return np.mean([np.mean(own, 0) for own in people.values()], 0).astype(np.float32)


def describe_clip(path: Path, frames: int, atlas: FaceAtlas) -> NDArray[np.float32]:
    """Measure the largest face in some frames of a clip. [N, M]"""
    last = min(frames, MAX_CLIP_FRAMES) - 2
    wanted = {*np.linspace(0, last, FRAMES_PER_CLIP).astype(int).tolist()}
    vectors = []
    with FaceLandmarker(use_tracking=False) as landmarker:
        for frame in read_frames(path, stop=last + 1):
            if frame.index in wanted:
                rgb = frame.to_rgb()
                found = landmarker(rgb)
                if found is not None:
                    vectors.append(atlas.measure_contrast(rgb, found))
    return np.array(vectors, np.float32)


def main() -> None:
    """Build the file beside the module that reads it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder with manifest.json")
    parser.add_argument("-o", "--out", type=Path, default=ATLAS_FILE)
    arguments = parser.parse_args()
    atlas = build_atlas(load_head_model())
    atlas = replace(atlas, mean=measure_mean_face(arguments.clips, atlas))
    arrays: dict[str, NDArray[Any]] = {
        "mask": atlas.mask.astype(np.uint8),
        "vertices": atlas.vertices.astype(np.int16),
        "weights": atlas.weights,
        "mean": atlas.mean,
    }
    write_atomic(arguments.out, save(arrays))


if __name__ == "__main__":
    main()
