"""FaRL's face parser from the package `facer`, which downloads its weights on first use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.reconstruction.heads.mica.crop import extract_five_points
from dubfew.reconstruction.segmenters._base import FaceSegmentation
from dubfew.utils.arrays import FloatArray
from dubfew.utils.import_utils import OPTIONAL_PACKAGES, import_optional

# FaRL's classes, those of CelebAMask-HQ, by the part of `FaceSegmentation` that they belong to.
FARL_LABELS_BY_PART = {
    "background": ("background",),
    "skin": ("face", "nose", "rr", "lr", "rb", "lb", "re", "le"),
    "mouth": ("ulip", "llip", "imouth"),
    "neck": ("neck", "neck_l"),
    "hair": ("hair",),
    "worn": ("cloth", "hat", "eyeg", "earr"),
}


class FacerSegmenter:
    """Label the parts of a face: skin, mouth, neck, hair, and things worn in front of them.

    Args:
        device: torch device of the network.

    Raises:
        MissingDependencyError: `facer` is not installed, or its weights cannot be downloaded.

    Source: Zheng et al. 2022, "General Facial Representation Learning in a Visual-Linguistic
    Manner" (CVPR), arXiv 2112.03109.
    """

    name = "facer"
    has_face_parts = True

    def __init__(self, device: str = "cpu") -> None:
        facer = import_optional("facer")
        import torch

        # The first call downloads the weights, which fails without a network.
        try:
            self._parser = facer.face_parser("farl/celebm/448", device=torch.device(device))
        except (OSError, RuntimeError) as error:
            raise MissingDependencyError(
                f"facer's weights cannot be downloaded ({error}); they are fetched once from its "
                "page on GitHub: go online, or use another segmenter. "
                f"{OPTIONAL_PACKAGES['facer'].install}"
            ) from error

    def __call__(
        self, rgb: NDArray[np.uint8], landmarks: FloatArray | None = None
    ) -> FaceSegmentation:
        """Segment an image that shows one face.

        Args:
            rgb: image. [H, W, 3]
            landmarks: the face's landmarks, px: they tell the network where to crop. [478, 3]

        Raises:
            DubfewError: The landmarks are missing.
        """
        if landmarks is None:
            raise DubfewError("the segmenter facer crops around a face: give its landmarks")
        import torch

        image = torch.from_numpy(np.moveaxis(rgb, -1, 0)[None] / np.float32(255))
        points = torch.from_numpy(extract_five_points(landmarks).astype(np.float32))[None]
        data = {"points": points, "image_ids": torch.zeros(1, dtype=torch.long)}
        output = self._parser(image, data)["seg"]
        logits = output["logits"][0]
        probabilities = logits.softmax(0).cpu().numpy()
        # The parser crops a square around the face and leaves zeros outside of it. A softmax of
        # zeros is uniform over all classes: call these pixels background.
        outside = (logits == 0).all(0).cpu().numpy()
        row_by_label = {label: row for row, label in enumerate(output["label_names"])}
        probabilities[:, outside] = 0
        probabilities[row_by_label["background"], outside] = 1
        return FaceSegmentation(
            {
                part: probabilities[[row_by_label[label] for label in labels]].sum(0)
                for part, labels in FARL_LABELS_BY_PART.items()
            }
        )

    def close(self) -> None:
        """Release the network."""
        del self._parser


SEGMENTER = FacerSegmenter
