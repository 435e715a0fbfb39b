"""Detection: the watermark is found after re-encoding, and not found where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import MediaError
from dubfew.marks import detection
from dubfew.marks.detection import decode_watermark, find_watermark, track_mouths
from dubfew.marks.pattern import NUM_PATTERNS
from dubfew.marks.projection import WatermarkProjections, crop_luma, project_mouths
from dubfew.media import Frame, VideoWriter, probe, read_frames
from tests.marks.conftest import FRAMES, ID, encoded_again

pytestmark = pytest.mark.slow


def test_the_watermark_survives_crf_23(marked, tmp_path) -> None:
    found = find_watermark(encoded_again(marked, tmp_path / "again.mp4", 23))
    assert found is not None
    assert (found.id, found.frames) == (ID, FRAMES)


def test_the_watermark_survives_the_loss_of_the_beginning(marked, tmp_path) -> None:
    found = find_watermark(encoded_again(marked, tmp_path / "cut.mp4", 18, skip=7))
    assert found is not None
    assert found.id == ID


def test_an_unmarked_clip_has_no_watermark(unmarked) -> None:
    assert find_watermark(unmarked) is None


def test_the_watermark_is_found_in_the_smaller_face(
    marked, unmarked, tmp_path, monkeypatch
) -> None:
    info = probe(marked)
    path = tmp_path / "two.mp4"
    with VideoWriter(path, replace(info, width=2 * info.width), preset="veryfast") as writer:
        for plain, frame in zip(read_frames(unmarked), read_frames(marked), strict=True):
            edge = frame.width // 12  # nearer to the camera, so seen most
            near = Image.fromarray(plain.to_rgb()).crop(
                (edge, edge, frame.width - edge, frame.height - edge)
            )
            both = [near.resize((frame.width, frame.height)), frame.to_rgb()]
            rgb = np.concatenate([np.asarray(picture) for picture in both], 1)
            writer.write(Frame.from_rgb(rgb, frame.index, 25, color=frame.color))
    mouths = track_mouths(path, 0, None)
    faces = project_mouths(path, mouths, 0, None)
    assert [len(sight.times) for sight in faces] == [FRAMES, FRAMES]
    assert decode_watermark(faces[:1]) is None
    monkeypatch.setattr(detection, "track_mouths", lambda *given: mouths)  # not once more
    found = find_watermark(path)
    assert found is not None
    assert (found.id, found.frames) == (ID, FRAMES)


def test_noise_is_not_detected() -> None:
    rng = np.random.default_rng(3)
    seen = WatermarkProjections(
        rng.normal(size=(40, 27, NUM_PATTERNS)).astype(np.float32) * 9,
        np.ones((40, NUM_PATTERNS), np.float32),
        np.arange(40) / 25,
    )
    assert decode_watermark([seen]) is None


def test_a_clip_without_a_face_has_no_watermark(short, tmp_path) -> None:
    with VideoWriter(tmp_path / "grey.mp4", probe(short)) as writer:
        for frame in read_frames(short, stop=3):
            grey = np.full((frame.height, frame.width, 3), 128, np.uint8)
            writer.write(Frame.from_rgb(grey, frame.index, color=frame.color))
    assert find_watermark(tmp_path / "grey.mp4") is None


def test_what_is_no_video(tmp_path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"nothing")
    with pytest.raises(MediaError):
        find_watermark(tmp_path / "x.mp4")


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv420p10le", "nv12", "rgb24", "gray"])
def test_luma_is_on_one_scale_in_every_format(pix_fmt: str) -> None:
    rgb = np.full((16, 16, 3), 90, np.uint8)
    rgb[:, 8:] = 170
    luma = crop_luma(Frame.from_rgb(rgb, pix_fmt=pix_fmt), 2, 4, 14, 12)
    assert luma.shape == (8, 12)
    np.testing.assert_allclose(luma[:, :6], 90, atol=0.7)
    np.testing.assert_allclose(luma[:, 6:], 170, atol=0.7)
