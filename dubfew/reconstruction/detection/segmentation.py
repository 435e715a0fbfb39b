"""What the pixels around a face show: one interface, several networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.reconstruction.detection.landmarks import PersonSegmenter
from dubfew.reconstruction.heads.mica.crop import extract_five_points
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, import_optional

DEFAULT_SEGMENTER = "mediapipe"
# What FaRL's classes (CelebAMask-HQ's) are here.
FARL_LABELS_BY_PART = {
    "background": ("background",),
    "skin": ("face", "nose", "rr", "lr", "rb", "lb", "re", "le"),
    "mouth": ("ulip", "llip", "imouth"),
    "neck": ("neck", "neck_l"),
    "hair": ("hair",),
    "worn": ("cloth", "hat", "eyeg", "earr"),
}


@dataclass(frozen=True)
class FaceSegmentation:
    """Probabilities of an image's pixels.

    Attributes:
        parts: by name: "background" always; from some networks "skin", "mouth", "neck", "hair" and
            "worn" (clothes, hats, glasses), too. They add up to 1 with "person", which is what
            a network does not divide further. [H, W] each
    """

    parts: Mapping[str, FloatArray]

    @property
    def background(self) -> FloatArray:
        """Everything that is not the person. [H, W]"""
        return self.parts["background"]

    @property
    def occluder_probability(self) -> FloatArray:
        """What hides a face where a face should be. Hair does not count: beards are hair, too. Nor
        does the neck, which lies below a chin. [H, W]"""
        return self.parts["background"] + self.parts.get("worn", 0)


class Segmenter(Protocol):
    """What an entry of ``SEGMENTERS`` makes.

    Attributes:
        name: of the entry.
        has_face_parts: it tells the parts of a face from what is in front of them.
    """

    name: str
    has_face_parts: bool

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        """Segments of an RGB image [H, W, 3] with one face's landmarks [478, 3] (px).

        Raises:
            DubfewError: it needs landmarks, and there are none.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class MediapipeSegmenter:
    """MediaPipe's selfie segmentation: person or background."""

    name = "mediapipe"
    has_face_parts = False

    def __init__(self) -> None:
        self._network = PersonSegmenter()

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        person = self._network(rgb)
        return FaceSegmentation({"background": 1 - person, "person": person})

    def close(self) -> None:
        self._network.__exit__(None, None, None)


class FacerSegmenter:
    """FaRL's face parser in `facer` (Zheng et al. 2022), which fetches its weights by itself.

    Raises:
        MissingDependencyError: it is not installed, or its weights cannot be had.
    """

    name = "facer"
    has_face_parts = True

    def __init__(self, device: str = "cpu") -> None:
        facer = import_optional("facer")
        import torch

        try:
            self._parser = facer.face_parser("farl/celebm/448", device=torch.device(device))
        except (OSError, RuntimeError) as error:
            raise MissingDependencyError(
                f"facer's weights cannot be had ({error}); they are fetched once from its page on "
                f"GitHub: go online, or leave it out. {OPTIONAL_PACKAGES['facer'].install}"
            ) from error

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        if landmarks is None:
            raise DubfewError("facer looks where a face is: give its landmarks")
        import torch

        image = torch.from_numpy(np.moveaxis(rgb, -1, 0)[None] / np.float32(255))
        points = torch.from_numpy(extract_five_points(landmarks).astype(np.float32))[None]
        data = {"points": points, "image_ids": torch.zeros(1, dtype=torch.long)}
        found = self._parser(image, data)["seg"]
        logits = found["logits"][0]
        shares = logits.softmax(0).cpu().numpy()
        # It looks at a square around the face, and leaves zeros outside: nothing is said there.
        unseen = (logits == 0).all(0).cpu().numpy()
        row = {label: index for index, label in enumerate(found["label_names"])}
        shares[:, unseen] = 0
        shares[row["background"], unseen] = 1
        return FaceSegmentation(
            {
                part: shares[[row[label] for label in labels]].sum(0)
                for part, labels in FARL_LABELS_BY_PART.items()
            }
        )

    def close(self) -> None:
        del self._parser


SEGMENTERS: Mapping[str, type[MediapipeSegmenter] | type[FacerSegmenter]] = {
    "mediapipe": MediapipeSegmenter,
    "facer": FacerSegmenter,
}


def load_segmenter(name: str = DEFAULT_SEGMENTER) -> Segmenter:
    """An entry of ``SEGMENTERS``.

    Raises:
        DubfewError: no such entry.
        MissingDependencyError: what it needs is not installed, or its weights cannot be had.
    """
    return _find_segmenter_class(name)()


def load_face_parser(name: str) -> Segmenter | None:
    """An entry of ``SEGMENTERS`` if it ``divides``; errors of ``load_segmenter``."""
    return load_segmenter(name) if _find_segmenter_class(name).has_face_parts else None


def _find_segmenter_class(name: str) -> type[MediapipeSegmenter] | type[FacerSegmenter]:
    if name not in SEGMENTERS:
        raise DubfewError(f"no segmenter {name!r}: there are {', '.join(SEGMENTERS)}")
    return SEGMENTERS[name]
