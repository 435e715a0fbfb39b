"""The benchmarks start, their arithmetic is right, and their baselines do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from benchmarks import (
    fault_files,
    known_faults,
    likeness,
    memory,
    odd_footage,
    reenact,
    speed,
    watermark,
)
from benchmarks.baselines import Reference, blurred, pasted
from benchmarks.common import machine, machine_line, markdown_table, write_results
from benchmarks.footage import count_frames, delayed, looped, split_clip, write_frames
from dubfew.evaluate.face_geometry import FACE_CROP_SIZE_PX, PixelBox, face_boxes
from dubfew.evaluate.metrics.psnr import psnr
from dubfew.evaluate.metrics.sharpness import relative_sharpness
from dubfew.media import Frame, VideoInfo, VideoWriter, read_frames

SIZE = 128


def face(scale: float = 1.0, x: float = 64, y: float = 64) -> np.ndarray:
    """Landmarks of a face about (x, y). [478, 3]"""
    rng = np.random.default_rng(0)
    marks = rng.uniform(-30, 30, (478, 3)) * scale
    marks[33], marks[263] = (-20 * scale, -10 * scale, 0), (20 * scale, -10 * scale, 0)
    return (marks + np.array([x, y, 0])).astype(np.float32)


def picture(shift: int = 0) -> np.ndarray:
    """A smooth coloured pattern, moved to the right by ``shift`` px. [SIZE, SIZE, 3]"""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(float)
    columns -= shift
    channels = [128 + 90 * np.sin(columns / 9 + c) * np.cos(rows / (7 + c)) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def video(path: Path, pictures: list[np.ndarray]) -> Path:
    info = VideoInfo(path, SIZE, SIZE, 25, pix_fmt="yuv444p")
    with VideoWriter(path, info, lossless=True) as writer:
        for index, rgb in enumerate(pictures):
            writer.write(Frame.from_rgb(rgb, index, pix_fmt="yuv444p"))
    return path


def centre(index: int) -> np.ndarray:
    region = np.zeros((SIZE, SIZE), bool)
    region[48:80, 48:80] = True
    return region


@pytest.mark.parametrize(
    "benchmark", [reenact, speed, memory, watermark, likeness, fault_files, odd_footage]
)
def test_they_start(benchmark, capsys):
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--help"])
    assert stopped.value.code == 0
    assert "--out" in capsys.readouterr().out


def test_unknown_rows_are_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        reenact.main(["--only", "nonsense"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("name", reenact.BARE)
def test_the_bare_warp_leaves_out_what_is_there(name: str):
    with patch(name, reenact.BARE[name]):
        pass


def test_the_machine_is_described():
    assert machine()["cores"] >= 1
    assert {"processor", "load_1min", "torch", "av"} <= machine().keys()
    assert "\n" not in machine_line()


def test_markdown_table():
    assert markdown_table(["a", "b"], [["x", 1.234], ["y", None], ["z", 1234.56]]) == (
        "| a | b |\n|---|---|\n| x | 1.234 |\n| y | - |\n| z | 1234.6 |"
    )


def test_results_are_written_for_people_and_programs(tmp_path: Path):
    write_results(tmp_path / "new", "speed", "text", {"fps": 25})
    assert (tmp_path / "new" / "speed.md").read_text() == "text"
    assert json.loads((tmp_path / "new" / "speed.json").read_text()) == {"fps": 25}


def figures(psnr_mouth: float | None) -> dict[str, float | None]:
    return dict.fromkeys(reenact.MEASURES, 1.0) | {"psnr_mouth": psnr_mouth}


def results(ours: float, warp: float) -> list[dict]:
    return [
        {
            "clip": name,
            "frames": 10,
            "still_lmd": 3.0,
            "adapt": {},
            "rows": {"ours": figures(value), "warped": figures(warp), "late": figures(None)},
        }
        for name, value in (("a.mp4", ours), ("b.mp4", 30.0))
    ]


def test_means_pass_over_what_is_missing():
    means = reenact.mean_rows(results(20.0, 25.0))
    assert means["ours"]["psnr_mouth"] == 25
    assert means["late"]["psnr_mouth"] is None
    assert means["late"]["ssim"] == 1


def test_the_verdict_names_the_clips_that_were_lost():
    lost = reenact.verdict(results(20.0, 25.0))
    assert "1 of 2" in lost
    assert "a.mp4 (-5.00 dB)" in lost
    assert "b.mp4" not in lost
    assert "2 of 2 clips: mouth PSNR +3.00 dB on average, +1.00 dB" in reenact.verdict(
        results(26.0, 25.0)
    )
    text = reenact.document(results(26.0, 25.0), {"c.mp4": "no face"}, "2 cores")
    assert "| still mouth |" in text
    assert "c.mp4: no face" in text


def test_stage_table():
    table = speed.stage_table(100, {"track": 2.0, "paint": 4.0, "total": 5.0})
    assert "| track | 2.00 | 20.00 | 50.00 |" in table
    assert "| **total** | 5.00 | 50.00 | 20.00 |" in table


def test_a_fresh_process_answers_in_json():
    code = "import sys, json, benchmarks; print('noise'); print(json.dumps({'n': len(sys.argv)}))"
    assert memory.run_fresh(code, "a", "b") == {"n": 3}


@pytest.mark.slow
def test_cutting_delaying_and_looping(tmp_path: Path):
    clip = video(
        tmp_path / "clip.mp4", [np.full((SIZE, SIZE, 3), 20 * k, np.uint8) for k in range(10)]
    )
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    assert split_clip(clip, a, b) == 5  # half, because it is shorter than twice 4 s
    assert split_clip(clip, a, b, seconds=0.12) == 3
    assert (count_frames(a), count_frames(b)) == (3, 7)

    def levels(frames) -> list[int]:
        return [round(float(frame.to_rgb().mean()) / 20) for frame in frames]

    assert levels(read_frames(b)) == [3, 4, 5, 6, 7, 8, 9]
    assert levels(delayed(a)) == [0, 0, 1]
    assert levels(delayed(a, 2)) == [0, 0, 0]
    write_frames(tmp_path / "loop.mp4", a, looped(a, 1))
    assert levels(read_frames(tmp_path / "loop.mp4"))[:7] == [0, 1, 2, 0, 1, 2, 0]
    assert count_frames(tmp_path / "loop.mp4") == 25


def test_pasting_finds_the_reference_and_its_place(tmp_path: Path):
    # The actor's footage holds another mouth and the wanted one, 6 px further to the right.
    wanted, other = face(x=70), face(x=70)
    other[[13, 14, 17, 84], 1] += 15
    box = PixelBox(0, 0, SIZE, SIZE)
    references = [
        Reference(np.zeros((SIZE, SIZE, 3), np.uint8), box, other),
        Reference(picture(shift=6), box, wanted),
    ]
    spoilt = picture()
    spoilt[48:80, 48:80] = 0
    clip = video(tmp_path / "clip.mp4", [spoilt])
    (frame,) = pasted(clip, face()[None], references, centre)
    inside = np.s_[52:76, 52:76]
    assert psnr(picture()[inside], frame.to_rgb()[inside]) > 38
    (before,) = read_frames(clip)
    outside = ~centre(0)
    np.testing.assert_array_equal(frame.to_rgb()[outside], before.to_rgb()[outside])


def test_blurring_softens_the_region_only(tmp_path: Path):
    rng = np.random.default_rng(0)
    clip = video(tmp_path / "clip.mp4", [rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)])
    (before,) = read_frames(clip)
    (after,) = blurred(clip, face()[None], centre)
    assert face_boxes(face()[None], SIZE, SIZE)[0].width > FACE_CROP_SIZE_PX / 4
    assert relative_sharpness(before.to_rgb()[52:76, 52:76], after.to_rgb()[52:76, 52:76]) < 0.2
    np.testing.assert_array_equal(after.to_rgb()[~centre(0)], before.to_rgb()[~centre(0)])


def test_frames_without_a_face_pass_unchanged(tmp_path: Path):
    clip = video(tmp_path / "clip.mp4", [picture()])
    nobody = np.full((1, 478, 3), np.nan, np.float32)
    reference = Reference(picture(), PixelBox(0, 0, SIZE, SIZE), face())
    for frames in (pasted(clip, nobody, [reference], centre), blurred(clip, nobody, centre)):
        (frame,) = frames
        np.testing.assert_array_equal(frame.to_rgb(), next(read_frames(clip)).to_rgb())


def test_a_measure_reacts_from_three_times_the_noise_on():
    # A seam of 0.07 is that of the clip encoded again.
    assert known_faults.reacts("seam", 0.22, 0.07, 0.0)
    assert not known_faults.reacts("seam", 0.20, 0.07, 0.0)
    # The film itself has an open mouth in silence, so that a closed one differs as much.
    assert known_faults.reacts("open_in_silence", 100.0, 31.0, 37.5)
    assert known_faults.reacts("open_in_silence", 0.0, 31.0, 37.5)
    assert not known_faults.reacts("open_in_silence", 38.0, 31.0, 37.5)
    # Decibels of equal pictures are infinite, which JSON does not have.
    assert known_faults.reacts("psnr_mouth", 30.0, 34.0, None)
    assert not known_faults.reacts("psnr_mouth", 31.0, 34.0, None)
    # Noise that is nearly none by chance, no values, and what only says where a change is.
    assert not known_faults.reacts("opening_lag", 0.8, 0.0, 0.0)
    assert not known_faults.reacts("seam", None, 0.07, 0.0)
    assert not known_faults.reacts("unpainted", 0.0, 100.0, 100.0)


def test_known_faults_are_shown_with_their_reactions():
    values = {"seam": 0.0, "psnr_mouth": None}
    result = {
        "clip": "a.mp4",
        "original": values,
        "faults": {
            "re-encoded": {"seam": 0.07, "psnr_mouth": 38.0},
            "seam": {"seam": 0.9, "psnr_mouth": 37.0},
        },
    }
    text = known_faults.document([result], {}, "machine")
    assert "| measure | original | re-encoded | seam |" in text
    assert "| seam | 0.000 | 0.070 | **0.900** |" in text
    assert "| psnr_mouth | - | 38.00 | 37.00 |" in text


def test_squared_distances_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 2000, (7, 2)), rng.uniform(0, 2000, (5, 2))
    expected = ((first[:, None] - second) ** 2).sum(-1)
    np.testing.assert_allclose(known_faults.squared_distances(first, second), expected, atol=1e-6)
