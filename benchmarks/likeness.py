"""Likeness benchmark: how well people are told apart, by every descriptor that is installed.

    python -m benchmarks.likeness FOLDER_OF_CLIPS

The folder's ``manifest.json`` names the clips; those of one ``identity`` show one person. Compared
are the two halves of every clip, other clips of one person, and clips of different people; also the
same pairs with one side relit, blurred or reduced, as footage of another day would be.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.common import FOOTAGE, RESULTS, machine_line, markdown_table, write_results
from dubfew.adapt.actor_likeness import MouthDescriptor
from dubfew.errors import MissingDependencyError
from dubfew.media import read_frames
from dubfew.reconstruction.detection.face_descriptors import (
    FACE_CROP_PX,
    FaceDescriptor,
    compute_mean_descriptor,
    crop_face,
)
from dubfew.reconstruction.detection.landmarks import FaceLandmarker
from dubfew.reconstruction.detection.upper_face import UpperFaceDescriptor
from dubfew.reconstruction.face_embeddings import load_face_embedding
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.likeness import FacePictures, Verdict, measure_likeness

# Pictures that are taken of a clip, and frames that are read of it.
PICTURES_PER_CLIP, MAX_CLIP_FRAMES = 24, 300


@dataclass(frozen=True)
class ClipFaces:
    """Faces of one clip.

    Attributes:
        name: the clip's file.
        person: identity in the manifest, or the file.
        is_in_mean: whether the mean face of the descriptor may contain the person.
        pictures: crops with their landmarks, in the order of time.
    """

    name: str
    person: str
    is_in_mean: bool
    pictures: FacePictures

    def half(self, number: int) -> FacePictures:
        """The pictures of the first (0) or second (1) half of the clip."""
        middle = len(self.pictures) // 2
        return self.pictures[:middle] if number == 0 else self.pictures[middle:]


def relight_side(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Light a face from the side: a third of the light on its left, half more on its right."""
    ramp = np.linspace(0.35, 1.5, image.shape[1], dtype=np.float32)[None, :, None]
    return np.clip(image * ramp, 0, 255).astype(np.uint8)


def darken(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give a picture a darker and steeper tone curve."""
    return np.clip(178 * (image / 255.0) ** 1.7, 0, 255).astype(np.uint8)


def blur(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture by 2 px, an eightieth of its width."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)))


def reduce_size(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce a picture to 56 px and enlarge it again: a face of about 37 px."""
    small = Image.fromarray(image).resize((56, 56), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((FACE_CROP_PX, FACE_CROP_PX), Image.Resampling.BILINEAR))


CHANGES: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "lit from the side": relight_side,
    "darker": darken,
    "blurred": blur,
    "small": reduce_size,
}


class RememberingDescriptor:
    """A descriptor that describes every picture once, though a clip is in many pairs.

    Args:
        descriptor: the descriptor that is measured.
    """

    def __init__(self, descriptor: FaceDescriptor) -> None:
        self.same_person_distance = descriptor.same_person_distance
        self.stranger_distance = descriptor.stranger_distance
        self._descriptor = descriptor
        # With the pictures themselves, so that no other picture gets the identity of one of them.
        self._known: dict[int, tuple[NDArray[np.uint8], NDArray[np.float32]]] = {}

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Describe a picture. [D]"""
        if id(rgb) not in self._known:
            self._known[id(rgb)] = rgb, self._descriptor(rgb, landmarks)
        return self._known[id(rgb)][1]


def collect_faces(folder: Path) -> list[ClipFaces]:
    """Detect the largest face in some frames of every clip of a folder."""
    clips = []
    for entry in json.loads((folder / "manifest.json").read_text()):
        last = min(entry["frames"], MAX_CLIP_FRAMES) - 2
        wanted = {*np.linspace(0, last, PICTURES_PER_CLIP).astype(int).tolist()}
        pictures = []
        with FaceLandmarker(use_tracking=False, max_faces=3) as landmarker:
            for frame in read_frames(folder / entry["file"], stop=last + 1):
                if frame.index not in wanted:
                    continue
                rgb = frame.to_rgb()
                found = landmarker.detect_all(rgb)
                if found:
                    largest = max(found, key=lambda face: float(np.ptp(face[:, 0])))
                    pictures.append(crop_face(rgb, largest))
        person = entry.get("identity", entry["file"])
        clips.append(ClipFaces(entry["file"], person, entry["split"] == "train", pictures))
    return clips


def measure_descriptor(name: str, descriptor: FaceDescriptor, clips: list[ClipFaces]) -> list[list]:
    """Compare all pairs of clips by one descriptor; rows of the table."""

    def describe(pictures: FacePictures) -> NDArray[np.float32]:
        return compute_mean_descriptor(pictures, descriptor)

    whole = [describe(clip.pictures) for clip in clips]
    halves = [describe(clip.half(0)) for clip in clips]
    pairs = [*itertools.combinations(range(len(clips)), 2)]
    own = [(i, j) for i, j in pairs if clips[i].person == clips[j].person]
    strangers = [(i, j) for i, j in pairs if clips[i].person != clips[j].person]
    unseen = [(i, j) for i, j in strangers if not (clips[i].is_in_mean or clips[j].is_in_mean)]

    def compare(first: NDArray[np.float32], pictures: FacePictures) -> tuple[float, Verdict]:
        likeness = measure_likeness(pictures, first, descriptor)
        return likeness.distance, likeness.verdict

    groups = {
        "halves of a clip": [compare(halves[i], c.half(1)) for i, c in enumerate(clips)],
        "own other clips": [compare(whole[i], clips[j].pictures) for i, j in own],
    }
    for label, change in CHANGES.items():
        changed = [[(change(image), points) for image, points in c.half(1)] for c in clips]
        groups[f"own, {label}"] = [
            *(compare(halves[i], changed[i]) for i in range(len(clips))),
            *(compare(whole[i], changed[j]) for i, j in own),
        ]
    groups["strangers"] = [compare(whole[i], clips[j].pictures) for i, j in strangers]
    groups["strangers, neither in the mean face"] = [
        compare(whole[i], clips[j].pictures) for i, j in unseen
    ]
    return [[name, label, *_summarize(found)] for label, found in groups.items()]


def _summarize(found: list[tuple[float, Verdict]]) -> list[object]:
    """Number of pairs, percentiles of the distance, and shares of the verdicts in percent."""
    distances = np.array([distance for distance, _ in found])
    shares = [
        100 * float(np.mean([own is verdict for _, own in found])) if found else None
        for verdict in (Verdict.SAME, Verdict.UNCLEAR, Verdict.STRANGER)
    ]
    spread = np.percentile(distances, [0, 1, 50, 99, 100]).tolist() if found else [None] * 5
    return [len(found), *spread, *shares]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every descriptor and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="?", type=Path, default=FOOTAGE, help="folder of clips")
    parser.add_argument("--out", type=Path, default=RESULTS, help=f"default {RESULTS}")
    arguments = parser.parse_args(argv)
    clips = collect_faces(arguments.clips)
    kept = [clip for clip in clips if len(clip.pictures) >= 4]
    descriptors: dict[str, FaceDescriptor] = {
        "upper face": UpperFaceDescriptor(),
        "mouth": MouthDescriptor(load_head_model()),
    }
    try:
        descriptors["dlib"] = load_face_embedding()
    except MissingDependencyError as error:
        print(f"without dlib: {error}")
    rows: list[list] = []
    for name, descriptor in descriptors.items():
        rows += measure_descriptor(name, RememberingDescriptor(descriptor), kept)
    headers = [
        "descriptor", "pairs", "number", "min", "1 %", "50 %", "99 %", "max", "same %",
        "unclear %", "stranger %",
    ]  # fmt: skip
    text = "\n\n".join(
        [
            f"{len(kept)} clips of {len({clip.person for clip in kept})} people. Distances are in "
            "units of the distance from which a face is refused.",
            markdown_table(headers, rows),
            machine_line(),
        ]
    )
    print(text)
    write_results(arguments.out, "likeness", text, rows)


if __name__ == "__main__":
    main()
