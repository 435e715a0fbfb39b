"""The facer segmenter, with a network by color in place of FaRL's weights."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.reconstruction.heads.mica.crop import ARCFACE_TEMPLATE_PX, FIVE_POINT_LANDMARK_IDS
from dubfew.reconstruction.segmenters import FaceSegmentation, facer, load_segmenter
from dubfew.reconstruction.segmenters.facer import FARL_LABELS_BY_PART

# FaRL's classes under facer's names, in the order of the network's channels.
LABELS = (
    "background", "neck", "face", "cloth", "rr", "lr", "rb", "lb", "re", "le", "nose", "imouth",
    "llip", "ulip", "hair", "eyeg", "hat", "earr", "neck_l",
)  # fmt: skip


class ColorNetwork(torch.nn.Module):
    """Stand-in for FaRL's network: same classes and outputs, logits from the color."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = [images.shape[0], 19, images.shape[2], images.shape[3]]
        logits = torch.full(size, -9.0)
        logits[:, [12, 2, 3]] = 20 * images - 9  # llip, face, cloth
        return logits, images


def face_landmarks(size: int) -> np.ndarray:
    """Landmarks with ArcFace's five points in the middle of a square image, noise elsewhere."""
    landmarks = np.random.default_rng(0).uniform(0, size, (478, 3)).astype(np.float32)
    for ids, place in zip(FIVE_POINT_LANDMARK_IDS, ARCFACE_TEMPLATE_PX, strict=True):
        landmarks[list(ids), :2] = place + (size - 112) / 2
    return landmarks


def face_image(size: int) -> np.ndarray:
    """A green face with a red mouth and a blue object in front of its left side."""
    rgb = np.zeros((size, size, 3), np.uint8)
    rgb[..., 1] = 255
    middle = size // 2
    rgb[middle + 30 : middle + 45, middle - 20 : middle + 20] = (255, 0, 0)
    rgb[middle:, middle + 10 :] = (0, 0, 255)
    return rgb


def test_inputs_and_outputs_of_the_parser(monkeypatch):
    calls = []

    class Parser:
        def __call__(self, images, data):
            calls.append((images, data))
            logits, _ = ColorNetwork()(images)
            logits[:, :, :, :5] = 0  # outside of the square that facer crops
            return data | {"seg": {"logits": logits, "label_names": list(LABELS)}}

    names = []
    package = SimpleNamespace(face_parser=lambda name, device: names.append(name) or Parser())
    monkeypatch.setattr(facer, "import_optional", lambda name: package)
    segmenter = load_segmenter("facer")
    with pytest.raises(DubfewError, match="landmarks"):
        segmenter(face_image(160))
    landmarks = face_landmarks(160)
    segments = segmenter(face_image(160), landmarks)
    images, data = calls[0]
    assert names == ["farl/celebm/448"]
    assert images.shape == (1, 3, 160, 160)
    assert float(images.max()) == 1
    np.testing.assert_allclose(data["points"], (ARCFACE_TEMPLATE_PX + 24)[None], atol=1e-4)
    assert data["image_ids"].tolist() == [0]
    assert segmenter.has_face_parts
    check_parts(segments, face_image(160))
    assert (segments.background[:, :5] == 1).all()


def test_a_failed_download_is_a_missing_dependency(monkeypatch):
    def offline(name, device):
        raise URLError("no route")

    monkeypatch.setattr(facer, "import_optional", lambda name: SimpleNamespace(face_parser=offline))
    with pytest.raises(MissingDependencyError, match="no route"):
        load_segmenter("facer")


def test_the_real_package_with_a_network_by_color(monkeypatch, tmp_path):
    """All of facer runs except the weights: the cached file, the crop by our five points, and the
    way back from the crop to the image."""
    package = pytest.importorskip(
        "facer", reason="facer is not installed, or torchvision does not fit", exc_type=ImportError
    )
    from facer.face_parsing.farl import pretrain_settings

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    setting = pretrain_settings["celebm/448"]
    file = tmp_path / "hub" / "checkpoints" / setting["url"][0].rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    torch.jit.script(ColorNetwork()).save(str(file))
    assert tuple(setting["label_names"]) == LABELS
    assert {label for labels in FARL_LABELS_BY_PART.values() for label in labels} == set(LABELS)
    rgb = face_image(200)
    segmenter = load_segmenter("facer")
    segments = segmenter(rgb, face_landmarks(200))
    segmenter.close()
    assert package.__name__ == "facer"
    check_parts(segments, rgb)


def check_parts(segments: FaceSegmentation, rgb: np.ndarray) -> None:
    """Check that every part lies where its color is, except for pixels at edges."""
    np.testing.assert_allclose(sum(segments.parts.values()), 1, atol=1e-4)
    middle = rgb.shape[0] // 2
    for part, channel in (("mouth", 0), ("skin", 1), ("worn", 2)):
        shown = (segments.parts[part] > 0.5) == (rgb[..., channel] == 255)
        assert shown[middle - 40 : middle + 40, middle - 40 : middle + 40].mean() > 0.97, part
