from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from dubfew.errors import DubfewError, MissingDependencyError
from dubfew.media import Frame, VideoInfo, VideoWriter
from dubfew.reconstruction.crop import compute_track_regions
from dubfew.reconstruction.detection import segmentation
from dubfew.reconstruction.detection.segmentation import (
    FARL_LABELS_BY_PART,
    FaceSegmentation,
    load_segmenter,
)
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.reconstruction.heads.mica.crop import ARCFACE_TEMPLATE_PX, FIVE_POINT_LANDMARK_IDS
from dubfew.reconstruction.track import FLAG_MOUTH_COVERED
from dubfew.reconstruction.visibility.parsed_occlusion import flag_occluded_frames
from tests.data.people import toy_track

# facer's names of FaRL's classes, in the order in which its network gives them.
LABELS = (
    "background", "neck", "face", "cloth", "rr", "lr", "rb", "lb", "re", "le", "nose", "imouth",
    "llip", "ulip", "hair", "eyeg", "hat", "earr", "neck_l",
)  # fmt: skip


class ByColour(torch.nn.Module):
    """Where FaRL's network is: with its classes, and what it gives beside them."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = [images.shape[0], 19, images.shape[2], images.shape[3]]
        logits = torch.full(size, -9.0)
        logits[:, [12, 2, 3]] = 20 * images - 9  # llip, face, cloth
        return logits, images


def face_landmarks(size: int) -> np.ndarray:
    """Landmarks whose five points are ArcFace's, in the middle of a picture; noise elsewhere."""
    landmarks = np.random.default_rng(0).uniform(0, size, (478, 3)).astype(np.float32)
    for ids, place in zip(FIVE_POINT_LANDMARK_IDS, ARCFACE_TEMPLATE_PX, strict=True):
        landmarks[list(ids), :2] = place + (size - 112) / 2
    return landmarks


def picture(size: int) -> np.ndarray:
    """A green face, its mouth red, with something blue before its left side."""
    rgb = np.zeros((size, size, 3), np.uint8)
    rgb[..., 1] = 255
    middle = size // 2
    rgb[middle + 30 : middle + 45, middle - 20 : middle + 20] = (255, 0, 0)
    rgb[middle:, middle + 10 :] = (0, 0, 255)
    return rgb


def test_the_default_segmenter_tells_person_and_background():
    segmenter = load_segmenter()
    segments = segmenter(np.full((64, 64, 3), 128, np.uint8))
    segmenter.close()
    assert set(segments.parts) == {"person", "background"}
    assert not segmenter.has_face_parts
    np.testing.assert_allclose(sum(segments.parts.values()), 1, atol=1e-5)


def test_there_is_no_other():
    with pytest.raises(DubfewError, match="no segmenter 'sam'"):
        load_segmenter("sam")


def test_what_facer_is_given_and_what_is_made_of_its_answer(monkeypatch):
    asked = []

    class Parser:
        def __call__(self, images, data):
            asked.append((images, data))
            logits, _ = ByColour()(images)
            logits[:, :, :, :5] = 0  # outside of the square that it looks at
            return data | {"seg": {"logits": logits, "label_names": list(LABELS)}}

    names = []
    facer = SimpleNamespace(face_parser=lambda name, device: names.append(name) or Parser())
    monkeypatch.setattr(segmentation, "import_optional", lambda name: facer)
    segmenter = load_segmenter("facer")
    with pytest.raises(DubfewError, match="landmarks"):
        segmenter(picture(160))
    landmarks = face_landmarks(160)
    segments = segmenter(picture(160), landmarks)
    images, data = asked[0]
    assert names == ["farl/celebm/448"]
    assert images.shape == (1, 3, 160, 160)
    assert float(images.max()) == 1
    np.testing.assert_allclose(data["points"], (ARCFACE_TEMPLATE_PX + 24)[None], atol=1e-4)
    assert data["image_ids"].tolist() == [0]
    assert segmenter.has_face_parts
    check(segments, picture(160))
    assert (segments.background[:, :5] == 1).all()


def test_weights_that_cannot_be_had(monkeypatch):
    def offline(name, device):
        raise URLError("no route")

    monkeypatch.setattr(
        segmentation, "import_optional", lambda name: SimpleNamespace(face_parser=offline)
    )
    with pytest.raises(MissingDependencyError, match=r"no route.*go online"):
        load_segmenter("facer")


def test_facer_itself_with_a_network_that_goes_by_colour(monkeypatch, tmp_path):
    """Everything of facer's but the network's weights: its file in its cache, cutting out the face
    by our points, and taking the answer back to the picture."""
    facer = pytest.importorskip(
        "facer", reason="facer is not installed, or torchvision does not fit", exc_type=ImportError
    )
    from facer.face_parsing.farl import pretrain_settings

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    setting = pretrain_settings["celebm/448"]
    file = tmp_path / "hub" / "checkpoints" / setting["url"][0].rsplit("/", 1)[-1]
    file.parent.mkdir(parents=True)
    torch.jit.script(ByColour()).save(str(file))
    assert tuple(setting["label_names"]) == LABELS
    assert {label for labels in FARL_LABELS_BY_PART.values() for label in labels} == set(LABELS)
    rgb = picture(200)
    segmenter = load_segmenter("facer")
    segments = segmenter(rgb, face_landmarks(200))
    segmenter.close()
    assert facer.__name__ == "facer"
    check(segments, rgb)


def check(segments: FaceSegmentation, rgb: np.ndarray) -> None:
    """Every part where its colour is, but for a pixel beside edges, in the face's middle."""
    np.testing.assert_allclose(sum(segments.parts.values()), 1, atol=1e-4)
    middle = rgb.shape[0] // 2
    for part, channel in (("mouth", 0), ("skin", 1), ("worn", 2)):
        shown = (segments.parts[part] > 0.5) == (rgb[..., channel] == 255)
        assert shown[middle - 40 : middle + 40, middle - 40 : middle + 40].mean() > 0.97, part


class BlueHides:
    name, divides = "blue", True

    def __call__(self, rgb, landmarks=None):
        assert max(rgb.shape) == 448
        return FaceSegmentation(
            {"background": np.zeros(rgb.shape[:2]), "worn": rgb[..., 2] / 255.0}
        )

    def close(self):
        pass


def test_frames_whose_mouth_something_hides(tmp_path):
    track = toy_track(24)
    head = load_head_model()
    regions = compute_track_regions(track, head)
    track = dataclasses.replace(track, box=regions.box)
    source = tmp_path / "toy.mp4"
    write_toy(source, regions.hull)
    found = flag_occluded_frames(source, track, BlueHides(), head)
    assert np.flatnonzero(found.flags).tolist() == list(range(5, 12))
    assert (found.flags[5:12] == FLAG_MOUTH_COVERED).all()
    # Part of the clip: the track's first row is not the file's.
    part = flag_occluded_frames(
        source, track.select(np.arange(8, 24)), BlueHides(), head, first_frame=8
    )
    assert np.flatnonzero(part.flags).tolist() == [0, 1, 2, 3]
    unseen = dataclasses.replace(track, valid=np.arange(24) != 7)
    assert (
        flag_occluded_frames(source, unseen, BlueHides(), head).flags[7] & FLAG_MOUTH_COVERED == 0
    )


def write_toy(path: Path, hulls: np.ndarray) -> None:
    """Grey frames with something blue before the mouth in 5 to 11 and, for once, in 20; in all of
    them beside the face, and in front of the chin's edge."""
    with VideoWriter(path, VideoInfo(path, 256, 256, Fraction(25)), lossless=True) as writer:
        for row, hull in enumerate(hulls):
            rgb = np.full((256, 256, 3), (120, 120, 0), np.uint8)
            rgb[:, :20] = rgb[int(hull[:, 1].max()) - 2 :] = (0, 0, 255)
            if 5 <= row < 12 or row == 20:
                (x0, y0), (x1, y1) = hull.min(0).astype(int), hull.max(0).astype(int)
                rgb[(y0 + y1) // 2 : y1, x0 : (x0 + x1) // 2] = (0, 0, 255)
            writer.write(Frame.from_rgb(rgb, row))
