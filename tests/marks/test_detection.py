"""Detection: the watermark is found after re-encoding, and not found where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dubfew.errors import MediaError
from dubfew.marks import detection
from dubfew.marks.detection import decode_watermark, find_watermark, rank_speeds, track_mouths
from dubfew.marks.pattern import (
    NUM_PATTERNS,
    bit_schedule,
    downsampling_weights,
    slots_from_times,
    split_cells,
)
from dubfew.marks.payload import encode_payload
from dubfew.marks.projection import (
    WatermarkProjections,
    crop_luma,
    project_mouths,
    reliability_weights,
)
from dubfew.marks.watermark import SMALL_WINDOW_STEP_LEVELS, WatermarkEmbedder
from dubfew.media import Frame, VideoWriter, probe, read_frames
from dubfew.reconstruction.crop import MASK_FEATHER_FRACTION, FaceRegions, render_soft_mask
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


@pytest.mark.parametrize("speed", [25 / 24, 1.37])
def test_the_watermark_survives_another_speed(speed: float, monkeypatch) -> None:
    monkeypatch.setattr(detection, "WINDOW_VARIANTS", [(0.0, 0.0, 1.0)])  # for speed
    rng = np.random.default_rng(5)
    times = np.arange(150) / 25
    carried, offsets = bit_schedule()
    slots = slots_from_times(times)
    values = (offsets + 0.5 * encode_payload(ID)[carried])[slots] * SMALL_WINDOW_STEP_LEVELS
    values = values + rng.normal(size=values.shape) * 0.8
    # A copy that runs faster from somewhere in the video on.
    seen = WatermarkProjections(
        values[:, None].astype(np.float32),
        np.ones(values.shape, np.float32),
        times / speed + 0.7,
    )
    assert rank_speeds(seen)[0] == pytest.approx(speed, rel=0.02)
    found = decode_watermark([seen])
    assert found is not None
    assert found.id == ID


def test_the_reader_counts_the_cells_that_the_writer_marks() -> None:
    """The mask ends within some cells; they hold no mark."""
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    hull = np.stack([96 + 74 * np.cos(turns), 96 + 55 * np.sin(turns)], 1).astype(np.float32)
    window = np.array([0.0, 0.0, 192.0], np.float32)
    regions = FaceRegions(np.zeros((1, 4), np.float32), window[None], hull[None])
    mask = render_soft_mask(hull, MASK_FEATHER_FRACTION * 192, 0, 0, 1.0, 192, 192) > 0
    before = np.full((192, 192, 3), 128, np.float32)
    after = before.copy()
    frame = Frame.from_rgb(np.zeros((192, 192, 3), np.uint8))
    WatermarkEmbedder(ID).embed_watermark(frame, after, mask, (0, 0), window)
    steps = downsampling_weights(0.0, 192, 192)
    marked = split_cells(steps @ np.abs(after - before).mean(2) @ steps.T).mean((1, 2)) > 0.12
    counted = reliability_weights(np.full((48, 48), 128, np.float32), regions, 0)[::3] > 0
    assert 8 < marked.sum() < 24
    np.testing.assert_array_equal(counted, marked)


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
